/* ratelimit.c: when a client may send: its own rate, the server's quota, and a budget for retries. */
#include "api/ratelimit.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define TOKEN 1000000
#define RETRY_BUDGET 100

int df_ratelimit_init(df_ratelimit *r, double per_second, double burst, df_error *err) {
  const double most = 1e6;
  if (!(per_second >= 0 && per_second <= most) || !(burst >= 0 && burst <= most) || (burst > 0 && burst < 1))
    return df_fail(err, DF_CONFIG,
                   "rate: per_second is 0 (unlimited) to 1000000, burst is 0 (default) or 1 to 1000000");
  if (per_second > 0 && per_second < 0.001)
    return df_fail(err, DF_CONFIG, "rate: per_second below 0.001 is too slow to be meant; use a schedule instead");
  if (burst <= 0) burst = per_second > 1 ? per_second : 1;
  *r = (df_ratelimit){.rate = (int64_t)(per_second * (TOKEN / 1000)), .retry_tokens = RETRY_BUDGET};
  r->burst = (int64_t)(burst * TOKEN);
  r->tokens = r->burst;
  r->filled_at = INT64_MIN;
  r->hold_until = INT64_MIN;
  r->quota_until = INT64_MIN;
  return 0;
}

static void refill(df_ratelimit *r, int64_t now) {
  if (now <= r->filled_at) return;
  int64_t missing = r->burst - r->tokens;
  if (r->filled_at == INT64_MIN || now - r->filled_at > missing / r->rate)
    r->tokens = r->burst;
  else
    r->tokens += (now - r->filled_at) * r->rate;
  r->filled_at = now;
}

int64_t df_ratelimit_next(df_ratelimit *r, int64_t now) {
  if (now < r->hold_until) return r->hold_until - now;
  bool quota_known = now < r->quota_until;
  if (quota_known && r->quota <= 0) return r->quota_until - now;
  if (r->rate > 0) {
    refill(r, now);
    if (r->tokens < TOKEN) return (TOKEN - r->tokens + r->rate - 1) / r->rate;
    r->tokens -= TOKEN;
  }
  if (quota_known) r->quota--;
  return 0;
}

/* Reads a count or seconds, "12" or "12.5", in thousandths; -1 when it is not one or too large to mean anything. */
static int64_t read_thousandths(const char *s, size_t n) {
  const int64_t most = (int64_t)1 << 53;
  int64_t value = 0, unit = 100;
  size_t i = 0;
  for (; i < n && s[i] >= '0' && s[i] <= '9'; i++) {
    value = value * 10 + (s[i] - '0') * 1000;
    if (value > most) return -1;
  }
  if (i == 0) return -1;
  if (i < n && s[i] == '.')
    for (i++; i < n && s[i] >= '0' && s[i] <= '9'; i++, unit /= 10) value += (s[i] - '0') * unit;
  return i == n ? value : -1;
}

/* Figures from 10^9 on are Unix times (that many seconds from now would be 31 years), from 10^12 on in milliseconds. */
static int64_t reset_to_wait(int64_t reset, int64_t wall) {
  if (reset >= 1000000000000000) return reset / 1000 - wall;
  return reset >= 1000000000000 ? reset - wall : reset;
}

static void learn(df_ratelimit *r, int64_t now, int64_t remaining, int64_t wait) {
  if (remaining < 0 || wait <= 0) return;
  if (wait > DF_HOLD_MAX_MS) wait = DF_HOLD_MAX_MS;
  int64_t until = now + wait;
  /* Within one period answers overtake each other, so the smaller figure counts; a second more is rounding. */
  bool same_period = now < r->quota_until && until <= r->quota_until + 1000;
  if (same_period && r->quota < remaining) remaining = r->quota;
  if (!same_period || until > r->quota_until) r->quota_until = until;
  r->quota = remaining;
}

static bool is_name(const char *s, size_t n, const char *a, const char *b) {
  return (n == strlen(a) && strncasecmp(s, a, n) == 0) || (n == strlen(b) && strncasecmp(s, b, n) == 0);
}

/* Both drafts of the combined header are lists of name=figure; a bare or quoted name begins the next policy. The one
   with the least left wins, of equals the one that resets last. */
static void read_combined(const char *s, int64_t wall, int64_t *remaining, int64_t *wait) {
  int64_t r = -1, t = -1;
  while (*s != '\0') {
    s += strspn(s, " \t,;");
    size_t n = strcspn(s, ",;");
    size_t width = n;
    while (width > 0 && (s[width - 1] == ' ' || s[width - 1] == '\t')) width--;
    const char *eq = memchr(s, '=', width);
    if (eq == NULL || *s == '"') {
      r = t = -1;
    } else {
      size_t name = (size_t)(eq - s);
      int64_t value = read_thousandths(eq + 1, width - name - 1);
      if (is_name(s, name, "r", "remaining")) r = value < 0 ? -1 : value / 1000;
      if (is_name(s, name, "t", "reset")) t = value < 0 ? -1 : reset_to_wait(value, wall);
    }
    if (r >= 0 && t >= 0 && (*remaining < 0 || r < *remaining || (r == *remaining && t > *wait))) {
      *remaining = r;
      *wait = t;
    }
    s += n;
  }
}

void df_ratelimit_headers(df_ratelimit *r, int64_t now, int64_t wall, const df_rate_headers *h) {
  if (h->remaining != NULL && h->reset != NULL) {
    int64_t remaining = read_thousandths(h->remaining, strlen(h->remaining));
    int64_t reset = read_thousandths(h->reset, strlen(h->reset));
    if (remaining >= 0 && reset >= 0) learn(r, now, remaining / 1000, reset_to_wait(reset, wall));
  }
  if (h->combined != NULL) {
    int64_t remaining = -1, wait = -1;
    read_combined(h->combined, wall, &remaining, &wait);
    learn(r, now, remaining, wait);
  }
}

void df_ratelimit_hold(df_ratelimit *r, int64_t now, int64_t ms) {
  if (ms <= 0) return;
  int64_t until = now + (ms < DF_HOLD_MAX_MS ? ms : DF_HOLD_MAX_MS);
  if (until > r->hold_until) r->hold_until = until;
}

int df_ratelimit_retry(df_ratelimit *r, int after_timeout) {
  int cost = after_timeout ? 10 : 5;
  if (r->retry_tokens < cost) return 0;
  r->retry_tokens -= cost;
  return cost;
}

void df_ratelimit_success(df_ratelimit *r, int spent) {
  r->retry_tokens += spent > 0 ? spent : 1;
  if (r->retry_tokens > RETRY_BUDGET) r->retry_tokens = RETRY_BUDGET;
}

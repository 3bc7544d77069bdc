/* fetch.c: one logical call as a state machine: limit, send, judge, retry. */
#include "api/fetch.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_ATTEMPTS 5
#define MAX_WAIT_MS 300000
#define TEXT_MAX 200 /* of the server's own words in a message */

/* What an answer means. Messages are "<what>: <fault>[: <the server's words>][; <remedy>]". */
typedef struct verdict {
  df_kind kind; /* DF_NONE: success */
  bool retry;   /* a new attempt may succeed and does no harm */
  bool answered; /* a whole answer came */
  char fault[224];
  const char *words[2];
  const char *remedy;
} verdict;

/* Bytes in the UTF-8 character at s, or 0 when it is not one or is a control character (C1 too: terminals obey it). */
static size_t printable(const unsigned char *s) {
  if (s[0] < 0x80) return s[0] >= 0x20 && s[0] != 0x7f;
  size_t n = s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : 0;
  for (size_t i = 1; i < n; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0) return 0;
  if (n == 3 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0))) return 0;
  if (n == 4 && ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))) return 0;
  return n;
}

/* Copies text without control characters and broken UTF-8, cut between characters. */
static void clean(char *out, size_t size, const char *text) {
  size_t at = 0;
  for (const unsigned char *s = (const unsigned char *)text; *s != '\0' && at + 5 < size;) {
    size_t n = printable(s);
    if (n == 0) {
      out[at++] = ' ';
      s++;
    }
    for (; n > 0; n--) out[at++] = (char)*s++;
  }
  out[at] = '\0';
}

void df_fetch_init(df_fetch *f, const df_fetch_policy *policy, df_ratelimit *limiter, uint64_t seed) {
  *f = (df_fetch){.policy = *policy, .limiter = limiter, .rng = {seed}, .step = DF_FETCH_WAIT, .resume_at = INT64_MIN};
  if (f->policy.max_attempts == 0) f->policy.max_attempts = MAX_ATTEMPTS;
  if (f->policy.max_wait == 0) f->policy.max_wait = MAX_WAIT_MS;
  if (f->policy.deadline == 0) f->policy.deadline = INT64_MAX;
  clean(f->what, sizeof f->what, policy->what == NULL ? "request" : policy->what);
  f->policy.what = NULL;
}

static bool mentions(const char *text, const char *word) { return text != NULL && strcasestr(text, word) != NULL; }

/* "payment" alone is no sign of billing: payment cards are a dataset, and a scope error may name it. */
static bool is_billing(const df_answer *a) {
  return mentions(a->error, "billing") || mentions(a->reason, "billing") || mentions(a->reason, "unpaid") ||
         mentions(a->reason, "payment_") || mentions(a->state, "unpaid");
}

static void judge_transport(verdict *v, const df_fetch *f, const df_answer *a) {
  v->retry = f->policy.idempotent;
  v->kind = DF_NETWORK;
  v->words[0] = a->detail;
  const char *fault = "no whole answer came";
  switch (a->transport) {
    case DF_TRANSPORT_OK:
    case DF_TRANSPORT_BROKEN:
      break;
    case DF_TRANSPORT_UNSENT:
      v->retry = true;
      fault = "the server could not be reached";
      v->remedy = "check the URL, the network and the proxy settings";
      break;
    case DF_TRANSPORT_TIMEOUT:
      v->kind = DF_TIMEOUT;
      fault = "no answer within the time limit";
      break;
    case DF_TRANSPORT_TOO_LARGE:
      v->kind = DF_LIMIT;
      v->retry = false;
      fault = "the answer is larger than allowed";
      v->remedy = "ask for smaller pages or a narrower window";
      break;
    case DF_TRANSPORT_TLS:
      v->retry = false;
      if (f->policy.tls_is_config) v->kind = DF_CONFIG;
      fault = "the server's identity could not be verified, so nothing was sent";
      v->remedy = "check the URL's host name, this machine's clock and CA certificates, and any proxy in between";
      break;
    case DF_TRANSPORT_FORBIDDEN:
      v->kind = DF_CONFIG;
      v->retry = false;
      fault = "the host is at a link-local address, where cloud machines serve their keys, so nothing was sent";
      v->remedy = "set another url, or link_local = true if this is the receiver";
      break;
  }
  snprintf(v->fault, sizeof v->fault, "%s", fault);
}

/* Only the host of a redirect is named: the rest may carry credentials. */
static void redirect_fault(verdict *v, const df_answer *a) {
  char name[80] = "another address";
  const char *host = a->location == NULL ? "" : a->location + strcspn(a->location, "/?#");
  if (strncmp(host, "//", 2) == 0) {
    host += 2;
    size_t n = strcspn(host, "/?#\\");
    const char *at = memrchr(host, '@', n);
    if (at != NULL) {
      n -= (size_t)(at + 1 - host);
      host = at + 1;
    }
    char raw[80];
    snprintf(raw, sizeof raw, "%.*s", n < 70 ? (int)n : 70, host);
    if (n > 0) clean(name, sizeof name, raw);
  }
  snprintf(v->fault, sizeof v->fault, "redirected (%d) to %s; redirects are not followed", a->status, name);
  v->remedy = "set the base URL to the API's own address";
}

static void judge_success(verdict *v, const df_fetch *f, const df_answer *a) {
  if (f->policy.any_status || (a->status == 204 && f->policy.allow_empty)) return;
  if (a->body == DF_BODY_JSON && a->status != 204 && a->status != 206) return;
  v->kind = DF_DECODE;
  v->retry = f->policy.idempotent && a->status != 204 && a->status != 206;
  char type[60];
  clean(type, sizeof type, a->content_type == NULL ? "no content type" : a->content_type);
  snprintf(v->fault, sizeof v->fault, "the answer (%d, %s) is %s", a->status, type,
           a->status == 206                               ? "only a part"
           : a->body == DF_BODY_EMPTY || a->status == 204 ? "empty"
                                                          : "not JSON");
  if (a->body == DF_BODY_BAD) v->words[0] = a->detail;
  v->remedy = "a proxy or login page may be answering in the API's place";
}

/* The API page's table of errors. */
static const struct {
  int status;
  df_kind kind;
  char retry; /* 'n' never, 'g' for GET, 'a' always */
  const char *fault, *remedy;
} table[] = {
    {400, DF_INVALID, 'n', "the API refused the request", NULL},
    {401, DF_AUTH, 'n', "the API refused the key",
     "make a new key in the web app and put it where this client reads it"},
    {403, DF_SCOPE, 'n', "outside of what the key may see",
     "add the domain, e-mail or bin to a watchlist of the key's workspace"},
    {404, DF_NOT_FOUND, 'n', "no such endpoint or resource", NULL},
    {409, DF_INVALID, 'n', "the API refused the request", NULL},
    {422, DF_INVALID, 'n', "the API refused the request", NULL},
    {429, DF_RATE_LIMIT, 'a', "too many requests", "lower rate.per_second or the concurrency, or come back later"},
    {500, DF_UNAVAILABLE, 'g', "the API failed", NULL},
    {502, DF_UNAVAILABLE, 'g', "the API failed", NULL},
    {503, DF_UNAVAILABLE, 'g', "the API is not available", NULL},
    {504, DF_UNAVAILABLE, 'g', "the API failed", NULL},
};

static void judge_error(verdict *v, const df_fetch *f, const df_answer *a) {
  const char *fault = a->status >= 500 ? "the API failed" : "the API refused the request";
  v->kind = a->status >= 500 ? DF_UNAVAILABLE : DF_INVALID;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    if (table[i].status != a->status) continue;
    v->kind = table[i].kind;
    v->retry = table[i].retry == 'a' || (table[i].retry == 'g' && f->policy.idempotent);
    v->remedy = table[i].remedy;
    fault = table[i].fault;
  }
  v->words[0] = a->error;
  v->words[1] = a->message;
  if (a->status == 403 && is_billing(a)) {
    v->kind = DF_BILLING;
    v->words[1] = a->reason;
    fault = "blocked by billing";
    v->remedy = "have the workspace's owner settle the plan";
  }
  if (a->status == 409 && (a->metric != NULL || (a->used != NULL && a->limit != NULL))) {
    v->kind = DF_QUOTA;
    char metric[40], used[24], limit[24], number[24], more[48] = "";
    clean(metric, sizeof metric, a->metric == NULL ? "workspace" : a->metric);
    clean(used, sizeof used, a->used == NULL ? "?" : a->used);
    clean(limit, sizeof limit, a->limit == NULL ? "?" : a->limit);
    if (a->increment != NULL) {
      clean(number, sizeof number, a->increment);
      snprintf(more, sizeof more, ", %s more asked for", number);
    }
    snprintf(v->fault, sizeof v->fault, "quota of %s reached, %s of %s used%s (409)", metric, used, limit, more);
    v->remedy = "remove items or have the quota raised";
    return;
  }
  snprintf(v->fault, sizeof v->fault, "%s (%d)", fault, a->status);
}

static verdict judge(const df_fetch *f, const df_answer *a) {
  verdict v = {.kind = DF_NONE, .answered = a->transport == DF_TRANSPORT_OK && a->status >= 200 && a->status < 600};
  if (a->transport != DF_TRANSPORT_OK && (a->status < 300 || f->policy.any_status)) {
    judge_transport(&v, f, a); /* a refusal stays a refusal when its body is cut off or too large */
  } else if (a->status >= 200 && a->status < 300) {
    judge_success(&v, f, a);
  } else if (a->status >= 300 && a->status < 400) {
    v.kind = DF_INVALID;
    redirect_fault(&v, a);
  } else if (a->status >= 400 && a->status < 600) {
    judge_error(&v, f, a);
  } else {
    v.kind = DF_DECODE;
    snprintf(v.fault, sizeof v.fault, "status %d is none of HTTP's", a->status);
  }
  return v;
}

static void keep_request_id(df_fetch *f, const char *id) {
  size_t n = 0;
  for (; id != NULL && *id != '\0' && n < 128; id++)
    if (*id > 0x20 && *id < 0x7f) f->request_id[n++] = *id;
  f->request_id[n] = '\0';
}

static void fail(df_fetch *f, const verdict *v, const char *why_now, int64_t retry_at) {
  if (f->policy.any_status && v->answered) {
    f->step = DF_FETCH_DONE;
    return;
  }
  char words[TEXT_MAX + 8] = ""; /* both, each with ": " in front */
  for (int i = 0; i < 2; i++) {
    char one[TEXT_MAX / 2];
    if (v->words[i] == NULL) continue;
    clean(one, sizeof one, v->words[i]);
    size_t n = strlen(words);
    snprintf(words + n, sizeof words - n, ": %s", one);
  }
  df_fail(&f->error, v->kind, "%s: %s%s%s%s%s%s", f->what, v->fault, words, *why_now ? "; " : "", why_now,
          v->remedy != NULL ? "; " : "", v->remedy != NULL ? v->remedy : "");
  f->error.status = f->status;
  f->error.attempts = f->attempts;
  f->error.retryable = v->retry;
  f->error.retry_at_ms = retry_at;
  memcpy(f->error.request_id, f->request_id, sizeof f->request_id);
  f->step = DF_FETCH_FAILED;
}

/* Whether a wait of ms is within the policy and ends before the deadline. */
static bool may_wait(const df_fetch *f, int64_t now, int64_t ms) {
  return ms <= f->policy.max_wait && (f->policy.deadline == INT64_MAX || ms < f->policy.deadline - now);
}

df_fetch_step df_fetch_next(df_fetch *f, int64_t now, int64_t wall, int64_t *until) {
  *until = now;
  if (f->step == DF_FETCH_DONE || f->step == DF_FETCH_FAILED) return f->step;
  if (f->step == DF_FETCH_SEND) {
    *until = f->policy.deadline;
    return DF_FETCH_WAIT;
  }
  if (now >= f->policy.deadline) {
    verdict v = {.kind = DF_TIMEOUT, .retry = true, .fault = "the deadline passed before the request could be sent"};
    fail(f, &v, "", 0);
    return f->step;
  }
  if (now < f->resume_at) {
    *until = f->resume_at;
    return DF_FETCH_WAIT;
  }
  int64_t ms = df_ratelimit_next(f->limiter, now);
  if (ms == 0) {
    f->attempts++;
    f->step = DF_FETCH_SEND;
    return DF_FETCH_SEND;
  }
  if (!may_wait(f, now, ms)) {
    verdict v = {.kind = DF_RATE_LIMIT, .retry = true};
    snprintf(v.fault, sizeof v.fault, "the rate limit asks to wait %.1f s, longer than this call may",
             (double)ms / 1000);
    fail(f, &v, "", wall + ms);
    return f->step;
  }
  *until = now + ms;
  return DF_FETCH_WAIT;
}

/* Plans the next attempt, or fails with the reason why there is none. */
static void retry(df_fetch *f, int64_t now, int64_t wall, const verdict *v, const df_answer *a) {
  /* 0: nothing asked; a server that says "at once" gets the usual backoff too. */
  int64_t asked = df_retry_after(a->retry_after, wall);
  if (asked < 0) asked = 0;
  f->retry_after = asked;
  int64_t retry_at = asked > 0 ? wall + asked : 0;
  if (f->status == 429) df_ratelimit_hold(f->limiter, now, asked);
  if (!v->retry) {
    fail(f, v, "", retry_at);
    return;
  }
  char why[64] = "";
  int cost = 0;
  /* What the server asks is the least; the jitter on top keeps calls that were held together from coming together. */
  int64_t least = asked, ms = asked + df_backoff_delay(&f->rng, asked > 0 ? 0 : f->attempts - 1);
  if (asked == 0) least = ms = ms < f->policy.max_wait ? ms : f->policy.max_wait;
  if (f->attempts >= f->policy.max_attempts)
    snprintf(why, sizeof why, "gave up after %d attempt%s", f->attempts, f->attempts == 1 ? "" : "s");
  else if (!may_wait(f, now, least))
    snprintf(why, sizeof why, "the next attempt would be %.1f s later, too late", (double)ms / 1000);
  else if ((cost = df_ratelimit_retry(f->limiter, a->transport == DF_TRANSPORT_TIMEOUT)) == 0)
    snprintf(why, sizeof why, "the client's budget for retries is used up");
  if (*why != '\0') {
    fail(f, v, why, retry_at != 0 ? retry_at : wall + ms);
    return;
  }
  f->spent += cost;
  f->resume_at = now + (may_wait(f, now, ms) ? ms : least);
  f->step = DF_FETCH_WAIT;
}

void df_fetch_again(df_fetch *f, int64_t now, int64_t wall, const df_answer *a) {
  assert(f->step == DF_FETCH_SEND);
  f->status = a->status;
  keep_request_id(f, a->request_id);
  df_ratelimit_headers(f->limiter, now, wall, &a->rate);
  f->resume_at = now;
  f->step = DF_FETCH_WAIT;
}

void df_fetch_answer(df_fetch *f, int64_t now, int64_t wall, const df_answer *a) {
  assert(f->step == DF_FETCH_SEND);
  f->status = a->status;
  f->retry_after = 0;
  keep_request_id(f, a->request_id);
  df_ratelimit_headers(f->limiter, now, wall, &a->rate);
  verdict v = judge(f, a);
  if (v.kind != DF_NONE) {
    retry(f, now, wall, &v, a);
    return;
  }
  df_ratelimit_success(f->limiter, f->spent);
  f->step = DF_FETCH_DONE;
}

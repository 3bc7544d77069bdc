/* backoff.c: how long to wait before the next attempt. */
#include "api/backoff.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"

#define DAY_MS 86400000

uint64_t df_rng_next(df_rng *rng) {
  uint64_t z = rng->state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

int64_t df_backoff_delay(df_rng *rng, int n) {
  int64_t top = DF_BACKOFF_BASE_MS;
  while (n-- > 0 && top < DF_BACKOFF_CAP_MS) top *= 2;
  if (top > DF_BACKOFF_CAP_MS) top = DF_BACKOFF_CAP_MS;
  return (int64_t)(df_rng_next(rng) % (uint64_t)(top + 1));
}

/* The readers below move *p behind what they read and say whether it was there. */
static bool read_text(const char **p, const char *want) {
  size_t n = strlen(want);
  if (strncmp(*p, want, n) != 0) return false;
  *p += n;
  return true;
}

static bool read_digits(const char **p, int count, int *value) {
  *value = 0;
  for (; count > 0; count--, (*p)++) {
    if (**p < '0' || **p > '9') return false;
    *value = *value * 10 + (**p - '0');
  }
  return true;
}

static bool read_month(const char **p, int *month) {
  static const char *const names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  for (*month = 1; *month <= 12; (*month)++)
    if (read_text(p, names[*month - 1])) return true;
  return false;
}

static bool read_time(const char **p, int64_t *ms) {
  int h, m, s;
  if (!read_digits(p, 2, &h) || !read_text(p, ":") || !read_digits(p, 2, &m) || !read_text(p, ":") ||
      !read_digits(p, 2, &s))
    return false;
  *ms = ((int64_t)h * 3600 + m * 60 + s) * 1000;
  return h < 24 && m < 60 && s <= 60; /* 60: a leap second */
}

/* RFC 9110: a two-digit year more than 50 years ahead is the latest such year in the past. */
static int full_year(int two, int64_t wall) {
  int year, month, day;
  df_civil_from_days(wall / DAY_MS, &year, &month, &day);
  int full = year - year % 100 + two;
  if (full > year + 50) return full - 100;
  return full <= year - 50 ? full + 100 : full;
}

/* The day's name is read and not compared with the date: a server with a wrong name still means the date. */
static bool read_day_name(const char **p, bool *whole) {
  static const char *const names[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    *whole = read_text(p, names[i]);
    if (*whole) return true;
    if (strncmp(*p, names[i], 3) != 0) continue;
    *p += 3;
    return true;
  }
  return false;
}

int df_http_date_parse(int64_t *ms, const char *p, int64_t wall) {
  int year, month, day, y, m, d;
  int64_t time;
  bool whole, ok;
  if (!read_day_name(&p, &whole)) return -1;
  if (whole) { /* RFC 850: Sunday, 06-Nov-94 08:49:37 GMT */
    ok = read_text(&p, ", ") && read_digits(&p, 2, &day) && read_text(&p, "-") && read_month(&p, &month) &&
         read_text(&p, "-") && read_digits(&p, 2, &year) && read_text(&p, " ") && read_time(&p, &time) &&
         read_text(&p, " GMT");
    if (ok) year = full_year(year, wall);
  } else if (*p == ',') { /* IMF-fixdate: Sun, 06 Nov 1994 08:49:37 GMT */
    ok = read_text(&p, ", ") && read_digits(&p, 2, &day) && read_text(&p, " ") && read_month(&p, &month) &&
         read_text(&p, " ") && read_digits(&p, 4, &year) && read_text(&p, " ") && read_time(&p, &time) &&
         read_text(&p, " GMT");
  } else { /* asctime: Sun Nov  6 08:49:37 1994 */
    ok = read_text(&p, " ") && read_month(&p, &month) && read_text(&p, " ") &&
         read_digits(&p, read_text(&p, " ") ? 1 : 2, &day) && read_text(&p, " ") && read_time(&p, &time) &&
         read_text(&p, " ") && read_digits(&p, 4, &year);
  }
  if (!ok || *p != '\0' || year < 1) return -1;
  int64_t days = df_days_from_civil(year, month, day);
  df_civil_from_days(days, &y, &m, &d);
  if (y != year || m != month || d != day) return -1; /* 31 February */
  *ms = days * DAY_MS + time;
  return 0;
}

int64_t df_retry_after(const char *text, int64_t wall) {
  const int64_t most = (int64_t)INT32_MAX * 1000;
  if (text == NULL) return -1;
  text += strspn(text, " \t");
  size_t n = strcspn(text, " \t");
  size_t end = strlen(text);
  while (end > 0 && (text[end - 1] == ' ' || text[end - 1] == '\t')) end--;
  if (n == end && n > 0 && strspn(text, "0123456789") == n) {
    int64_t ms = 0;
    for (size_t i = 0; i < n && ms <= most; i++) ms = ms * 10 + (text[i] - '0') * 1000;
    return ms <= most ? ms : -1;
  }
  char date[40];
  if (end >= sizeof date) return -1;
  memcpy(date, text, end);
  date[end] = '\0';
  int64_t at;
  if (df_http_date_parse(&at, date, wall) != 0 || at < wall || at - wall > most) return -1;
  return at - wall;
}

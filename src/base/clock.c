/* clock.c: the two clocks, and dates without a time zone. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_ms(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t df_clock_mono_ms(void) { return read_ms(CLOCK_MONOTONIC); }

int64_t df_clock_wall_ms(void) { return read_ms(CLOCK_REALTIME); }

/* Both directions count in 400-year eras that start on 1 March, so that a leap day ends its year. */
int64_t df_days_from_civil(int year, int month, int day) {
  int64_t y = month <= 2 ? year - 1 : year;
  int64_t era = (y >= 0 ? y : y - 399) / 400;
  int64_t yoe = y - era * 400;
  int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

void df_civil_from_days(int64_t days, int *year, int *month, int *day) {
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  int64_t doe = days - era * 146097;
  int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  int64_t mp = (5 * doy + 2) / 153;
  *day = (int)(doy - (153 * mp + 2) / 5 + 1);
  *month = (int)(mp < 10 ? mp + 3 : mp - 9);
  *year = (int)(yoe + era * 400 + (*month <= 2));
}

int df_date_parse(const char *text, size_t len, int64_t *days) {
  if (len != 10 || text[4] != '-' || text[7] != '-') return -1;
  int n[3] = {0};
  for (size_t i = 0, f = 0; i < 10; i++) {
    if (i == 4 || i == 7) {
      f++;
      continue;
    }
    if (text[i] < '0' || text[i] > '9') return -1;
    n[f] = n[f] * 10 + (text[i] - '0');
  }
  if (n[0] < 1 || n[1] < 1 || n[1] > 12 || n[2] < 1) return -1;
  *days = df_days_from_civil(n[0], n[1], n[2]);
  int y, m, d;
  df_civil_from_days(*days, &y, &m, &d);
  return y == n[0] && m == n[1] && d == n[2] ? 0 : -1;
}

/* The number in `digits` digits, or -1. */
static int read_digits(const char *text, int digits) {
  int n = 0;
  for (int i = 0; i < digits; i++) {
    if (text[i] < '0' || text[i] > '9') return -1;
    n = n * 10 + (text[i] - '0');
  }
  return n;
}

int df_time_parse(const char *text, size_t len, int64_t *ms) {
  int64_t days;
  if ((len != 20 && len != 24) || text[len - 1] != 'Z' || text[10] != 'T' || text[13] != ':' || text[16] != ':' ||
      (len == 24 && text[19] != '.') || df_date_parse(text, 10, &days) != 0)
    return -1;
  int hour = read_digits(text + 11, 2), minute = read_digits(text + 14, 2), second = read_digits(text + 17, 2);
  int part = len == 24 ? read_digits(text + 20, 3) : 0;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || part < 0) return -1;
  *ms = ((days * 24 + hour) * 60 + minute) * 60000 + second * 1000 + part;
  return 0;
}

/* The part behind the seconds, a fraction and a zone: milliseconds to add. 0, or -1. */
static int read_tail(const char *p, const char *end, int fraction, int64_t *ms) {
  *ms = 0;
  if (p < end && (*p == '.' || *p == ',')) {
    int places = 0;
    for (p++; p < end && *p >= '0' && *p <= '9'; p++, places++)
      if (places < 3) *ms = *ms * 10 + (*p - '0');
    if (places == 0 || !fraction) return -1;
    for (; places < 3; places++) *ms *= 10;
  }
  if (p == end || (end - p == 1 && (*p == 'Z' || *p == 'z'))) return 0;
  size_t n = (size_t)(end - p);
  int colon = n == 6 && p[3] == ':';
  if ((*p != '+' && *p != '-') || (n != 3 && n != 5 && !colon)) return -1;
  int hour = read_digits(p + 1, 2), minute = n == 3 ? 0 : read_digits(p + 3 + colon, 2);
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59) return -1;
  *ms -= (*p == '+' ? 1 : -1) * (int64_t)(hour * 60 + minute) * 60000;
  return 0;
}

int df_time_read(const char *text, size_t len, int64_t *ms) {
  int64_t days, more = 0;
  if (df_time_parse(text, len, ms) == 0) return 0;
  if (len < 10 || df_date_parse(text, 10, &days) != 0) return -1;
  *ms = days * 86400000;
  if (len == 10) return 0;
  if (len < 16 || (text[10] != 'T' && text[10] != 't' && text[10] != ' ') || text[13] != ':') return -1;
  int seconds = len >= 19 && text[16] == ':';
  int hour = read_digits(text + 11, 2), minute = read_digits(text + 14, 2), second = seconds ? read_digits(text + 17, 2) : 0;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return -1;
  if (read_tail(text + (seconds ? 19 : 16), text + len, seconds, &more) != 0) return -1;
  *ms += (int64_t)(hour * 60 + minute) * 60000 + second * 1000 + more;
  return 0;
}

size_t df_time_format(int64_t ms, char out[32]) {
  int64_t days = ms / 86400000 - (ms % 86400000 < 0), rest = ms - days * 86400000;
  char part[8] = "";
  if (rest % 1000 > 0) snprintf(part, sizeof part, ".%03d", (int)(rest % 1000));
  df_date_format(days, out);
  snprintf(out + 10, 22, "T%02d:%02d:%02d%sZ", (int)(rest / 3600000), (int)(rest / 60000 % 60), (int)(rest / 1000 % 60), part);
  return 20 + (part[0] != '\0' ? 4 : 0);
}

void df_date_format(int64_t days, char out[11]) {
  int y, m, d;
  df_civil_from_days(days, &y, &m, &d);
  snprintf(out, 11, "%04u-%02u-%02u", (unsigned)y % 10000u, (unsigned)m % 100u, (unsigned)d % 100u);
}

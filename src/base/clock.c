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

void df_date_format(int64_t days, char out[11]) {
  int y, m, d;
  df_civil_from_days(days, &y, &m, &d);
  snprintf(out, 11, "%04u-%02u-%02u", (unsigned)y % 10000u, (unsigned)m % 100u, (unsigned)d % 100u);
}

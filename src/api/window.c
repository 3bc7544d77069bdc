/* window.c: closed past windows of whole UTC days. */
#include "api/window.h"

#define DAY_LIMIT INT64_C(3700000) /* beyond the year 9999 in both directions: sums of days and spans cannot overflow */

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

static int64_t floor_day(int64_t ms) { return floor_div(ms, DF_DAY_MS); }

static int64_t align(int64_t day, int64_t step, int64_t since) {
  return day <= since ? since : since + floor_div(day - since, step) * step;
}

static int is_day(int64_t day) { return day > -DAY_LIMIT && day < DAY_LIMIT; }

int df_windows_init(df_windows *w, const df_window_options *opt, df_error *err) {
  *w = (df_windows){.opt = *opt};
  if (w->opt.step == 0) w->opt.step = 1;
  if (w->opt.step < 1 || w->opt.step > 36500)
    return df_fail(err, DF_CONFIG, "window: must be 1 to 36500 whole days, because the API filters by date");
  if (!is_day(opt->since) || !is_day(opt->until) || !is_day(opt->start))
    return df_fail(err, DF_CONFIG, "window: since, until and start must be days of the years 0001 to 9999");
  if (opt->settle_ms < 0 || opt->settle_ms > DF_SPAN_MAX_MS)
    return df_fail(err, DF_CONFIG, "settle: must be a span of 0 to 36500 days");
  if (opt->until != 0 && opt->until <= opt->since)
    return df_fail(err, DF_CONFIG, "until: must be a later day than since");
  w->next = opt->start == 0 ? opt->since : align(opt->start, w->opt.step, opt->since);
  return 0;
}

int df_windows_finished(const df_windows *w) { return w->opt.until != 0 && w->next >= w->opt.until; }

int df_windows_next(df_windows *w, int64_t wall, int64_t *from, int64_t *to) {
  if (df_windows_finished(w)) return 0;
  int64_t end = w->next + w->opt.step;
  if (w->opt.until != 0 && end > w->opt.until) end = w->opt.until;
  if (end > floor_day(wall - w->opt.settle_ms)) return 0;
  *from = w->next;
  *to = end;
  w->next = end;
  return 1;
}

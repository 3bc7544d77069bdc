/* window.c: closed past windows of whole UTC days, and which of them to walk again for late records. */
#include "api/window.h"

#include <string.h>

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

int64_t df_window_first_to_rewalk(int64_t checkpoint, int64_t lateness_ms, int64_t step, int64_t since) {
  return align(floor_day(checkpoint * DF_DAY_MS - lateness_ms), step == 0 ? 1 : step, since);
}

int64_t df_window_final_day(int64_t checkpoint, int64_t lateness_ms, int64_t wall) {
  int64_t day = floor_day(wall - lateness_ms);
  return day < checkpoint ? day : checkpoint;
}

int df_span_parse(int64_t *ms, const char *text, size_t len, df_error *err) {
  static const struct {
    const char *name;
    int64_t ms;
  } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", DF_DAY_MS}, {"w", 7 * DF_DAY_MS}};
  int64_t n = 0;
  size_t i = 0;
  for (; i < len && text[i] >= '0' && text[i] <= '9' && n <= DF_SPAN_MAX_MS; i++) n = n * 10 + (text[i] - '0');
  for (size_t u = 0; i > 0 && u < sizeof units / sizeof *units; u++) {
    if (len - i != strlen(units[u].name) || memcmp(text + i, units[u].name, len - i) != 0) continue;
    if (n > DF_SPAN_MAX_MS / units[u].ms) break;
    *ms = n * units[u].ms;
    return 0;
  }
  int shown = len < 40 ? (int)len : 40;
  return df_fail(err, DF_CONFIG,
                 "\"%.*s\" is not a span: write a whole number and ms, s, m, h, d or w, such as \"15m\" or \"1d\"",
                 shown, len > 0 ? text : "");
}

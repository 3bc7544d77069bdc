/* window.h: closed past windows of whole UTC days. */
#ifndef DF_API_WINDOW_H
#define DF_API_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define DF_DAY_MS INT64_C(86400000)
#define DF_SPAN_MAX_MS (36500 * DF_DAY_MS)

/* Days count from 1970-01-01. A window is [from, to): a record at `to` is in the next one only. */
typedef struct df_window_options {
  int64_t since;     /* first day; windows are [since + k*step, since + (k+1)*step), the same in each run */
  int64_t until;     /* day before which the walk ends; the last window may then be short. 0: no end */
  int64_t step;      /* days per window; 0: 1 */
  int64_t settle_ms; /* how long after its end a window is left to settle */
  int64_t start;     /* where this run starts 0 or before since: since */
} df_window_options;

typedef struct df_windows {
  df_window_options opt;
  int64_t next; /* first day of the window that comes next */
} df_windows;

/* A start inside a window moves back to that window's first day. Wrong figures: DF_CONFIG. */
int df_windows_init(df_windows *w, const df_window_options *opt, df_error *err);

/* 1: *from and *to are the next window that is closed at the Unix time wall (to <= the day of wall - settle).
   0: none is; ask again later, or never when df_windows_finished. */
int df_windows_next(df_windows *w, int64_t wall, int64_t *from, int64_t *to);

/* 1 when `until` was reached. */
int df_windows_finished(const df_windows *w);

#endif

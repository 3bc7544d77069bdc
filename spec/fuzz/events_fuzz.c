/* events_fuzz.c: libFuzzer: bodies of events as the state file may hold them: what is read is in order, each once, and packs to what
   reads the same; what is damaged is told. */
#include <stdlib.h>
#include <string.h>

#include "engine/gather.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds) {
  if (!holds) abort();
}

static int order(df_span a, df_span b) {
  size_t n = a.len < b.len ? a.len : b.len;
  int c = n == 0 ? 0 : memcmp(a.bytes, b.bytes, n);
  return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

/* Appends all events of the body that lie in the window to out, in the gather's order. How many, or -1 when it is damaged. */
static int gather(const char *body, size_t n, int64_t from, int64_t to, size_t least, df_buf *out) {
  df_gather *g;
  df_error err;
  const df_event **events;
  size_t count, total = 0;
  df_span last = {0};
  must(df_gather_open(&g, from, from, to, least, &err) == 0);
  if (df_gather_note(g, body, n, &err) != 0 || df_gather_take(g, body, n, &err) != 0) {
    must(err.kind == DF_STORE);
    df_gather_free(g);
    return -1;
  }
  df_gather_sort(g);
  for (int first = 1; df_gather_next(g, &events, &count) == 1; first = 0) {
    must(count >= 1 && (first || order(last, events[0]->group) < 0));
    last = events[0]->group;
    for (size_t i = 0; i < count; i++) {
      must(order(events[i]->group, last) == 0 && events[i]->time >= from && events[i]->time < to);
      must(i == 0 || events[i - 1]->time < events[i]->time ||
           (events[i - 1]->time == events[i]->time && (order(events[i - 1]->id, events[i]->id) < 0 ||
             (order(events[i - 1]->id, events[i]->id) == 0 && order(events[i - 1]->member, events[i]->member) < 0))));
      must(df_event_pack(out, events[i]) == 0);
    }
    total += count;
  }
  df_gather_free(g);
  return (int)total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  const char *body = (const char *)data + 1;
  int64_t half = (int64_t)data[0] * 1000;
  df_buf once = {0}, twice = {0}, part = {0};
  int n = gather(body, size - 1, INT64_MIN, INT64_MAX, 1, &once);
  must(n >= 0 || once.len == 0);
  if (n > 0) {
    must(gather(once.data, once.len, INT64_MIN, INT64_MAX, 1, &twice) == n);
    must(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    must(gather(body, size - 1, -half, half, 2, &part) <= n);
  }
  df_buf_free(&once);
  df_buf_free(&twice);
  df_buf_free(&part);
  return 0;
}

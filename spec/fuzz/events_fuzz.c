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
static int gather(const char *body, size_t n, int64_t from, int64_t to, size_t least, size_t most, df_buf *out) {
  df_gather *g;
  df_error err;
  df_grouped at;
  size_t total = 0, groups = 0;
  df_span last = {0};
  must(df_gather_open(&g, from, from, to, least, &err) == 0);
  df_gather_limit(g, most);
  if (df_gather_note(g, body, n, &err) != 0 || df_gather_take(g, body, n, &err) != 0 || df_gather_states(g, body, n, &err) != 0) {
    must(err.kind == DF_STORE);
    df_gather_free(g);
    return -1;
  }
  must(df_gather_sort(g, &err) == 0);
  for (; df_gather_next(g, &at, &err) == 1; groups++) {
    must(at.n >= 1 && (groups == 0 || order(last, at.group) < 0));
    last = at.group;
    for (size_t i = 0; i < at.n; i++) {
      const df_event *e = at.events;
      must(order(e[i].group, last) == 0 && e[i].time >= from && e[i].time < to);
      must(i == 0 || e[i - 1].time < e[i].time ||
           (e[i - 1].time == e[i].time && (order(e[i - 1].id, e[i].id) < 0 ||
             (order(e[i - 1].id, e[i].id) == 0 && order(e[i - 1].member, e[i].member) < 0))));
      must(df_event_pack(out, &e[i]) == 0);
    }
    total += at.n;
  }
  must(groups <= most);
  df_gather_free(g);
  return (int)total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  const char *body = (const char *)data + 1;
  int64_t half = (int64_t)data[0] * 1000;
  df_buf once = {0}, twice = {0}, part = {0};
  int n = gather(body, size - 1, INT64_MIN, INT64_MAX, 1, SIZE_MAX, &once);
  must(n >= 0 || once.len == 0);
  if (n > 0) {
    must(gather(once.data, once.len, INT64_MIN, INT64_MAX, 1, SIZE_MAX, &twice) == n);
    must(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    must(gather(body, size - 1, -half, half, 2, 3, &part) <= n);
  }
  df_buf_free(&once);
  df_buf_free(&twice);
  df_buf_free(&part);
  return 0;
}

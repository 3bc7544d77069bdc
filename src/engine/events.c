/* events.c: see events.h. */
#include "engine/events.h"

#include <string.h>

enum { HEAD_MAX = 160 };

int df_event_pack(df_buf *body, const df_event *e) {
  char head[HEAD_MAX], *end = head + sizeof head, *p = end;
  *--p = '\n';
  *--p = e->type;
  const size_t lengths[] = {e->value.len, e->member.len, e->id.len, e->group.len};
  for (size_t i = 0; i < 4; i++) {
    *--p = ' ';
    size_t n = lengths[i];
    do *--p = (char)('0' + n % 10);
    while ((n /= 10) != 0);
  }
  *--p = ' ';
  uint64_t t = e->time < 0 ? 0 - (uint64_t)e->time : (uint64_t)e->time;
  do *--p = (char)('0' + t % 10);
  while ((t /= 10) != 0);
  if (e->time < 0) *--p = '-';
  size_t n = (size_t)(end - p);
  const df_span *parts[] = {&e->group, &e->id, &e->member, &e->value};
  size_t total = n;
  for (size_t i = 0; i < 4; i++) total += parts[i]->len;
  if (df_buf_reserve(body, total) != 0) return -1;
  df_buf_add(body, p, n);
  for (size_t i = 0; i < 4; i++) df_buf_add(body, parts[i]->bytes, parts[i]->len);
  return 0;
}

/* A decimal number and the blank behind it. NULL when there is none below 10^18. */
static const char *number(uint64_t *out, const char *p, const char *end) {
  const char *begin = p;
  uint64_t n = 0;
  while (p < end && *p >= '0' && *p <= '9' && p - begin < 19) n = n * 10 + (uint64_t)(*p++ - '0');
  if (p == begin || p == end || *p != ' ') return NULL;
  *out = n;
  return p + 1;
}

const char *df_event_parse(df_event *e, const char *p, const char *end) {
  int negative = p < end && *p == '-';
  uint64_t t, n;
  if ((p = number(&t, p + negative, end)) == NULL || t > (uint64_t)INT64_MAX) return NULL;
  e->time = negative ? -(int64_t)t : (int64_t)t;
  df_span *parts[] = {&e->group, &e->id, &e->member, &e->value};
  for (size_t i = 0; i < 4; i++) {
    if ((p = number(&n, p, end)) == NULL || n > (uint64_t)(end - p)) return NULL;
    parts[i]->len = (size_t)n;
  }
  if (end - p < 2 || strchr("-irs", p[0]) == NULL || p[0] == '\0' || p[1] != '\n') return NULL;
  e->type = p[0];
  p += 2;
  for (size_t i = 0; i < 4; i++) {
    if (parts[i]->len > (size_t)(end - p)) return NULL;
    parts[i]->bytes = p;
    p += parts[i]->len;
  }
  return p;
}

int df_event_damaged(df_error *err) { return df_fail(err, DF_STORE, "state damaged: an event of a correlation is not what was written"); }

int df_state_of(df_span *out, const char *body, size_t n, df_span name, df_error *err) {
  const char *p = body, *end = body + n;
  int found = 0;
  while (p < end) {
    df_event e;
    if ((p = df_event_parse(&e, p, end)) == NULL) return df_event_damaged(err);
    if (e.group.len != name.len || (name.len > 0 && memcmp(e.group.bytes, name.bytes, name.len) != 0)) continue;
    *out = e.value;
    found = 1;
  }
  return found;
}

/* events.c: see events.h. */
#include "engine/events.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 20, HEAD_MAX = 160 };

/* What was taken is copied into chunks, so that no pointer ever moves. */
typedef struct chunk {
  struct chunk *before;
  size_t used, cap;
  char bytes[];
} chunk;

typedef struct group {
  struct group *before;
  uint64_t hash;
  df_span name;
  size_t n;
} group;

struct df_gather {
  int64_t from, since, to;
  size_t least;
  chunk *chunks;
  group **slots; /* of noted groups, by hash */
  size_t n_groups, n_slots;
  df_event **events;
  size_t n_events, cap_events, at;
};

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

/* Reads the event at p. Returns what is behind it, or NULL when it is none. */
static const char *parse(df_event *e, const char *p, const char *end) {
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

int df_gather_open(df_gather **out, int64_t from, int64_t since, int64_t to, size_t least, df_error *err) {
  *out = calloc(1, sizeof **out);
  if (*out == NULL) return df_fail(err, DF_LIMIT, "correlation: memory ran out");
  **out = (df_gather){.from = from, .since = since, .to = to, .least = least};
  return 0;
}

void df_gather_free(df_gather *g) {
  if (g == NULL) return;
  while (g->chunks != NULL) {
    chunk *c = g->chunks;
    g->chunks = c->before;
    free(c);
  }
  free(g->slots);
  free(g->events);
  free(g);
}

/* n bytes that live as long as g, fit for any type. NULL when memory runs out. */
static void *room(df_gather *g, size_t n) {
  n = (n + 15) & ~(size_t)15;
  chunk *c = g->chunks;
  if (c == NULL || c->cap - c->used < n) {
    size_t cap = n > CHUNK ? n : CHUNK;
    c = malloc(sizeof *c + 16 + cap);
    if (c == NULL) return NULL;
    c->before = g->chunks;
    c->used = (16 - ((uintptr_t)c->bytes & 15)) & 15;
    c->cap = cap + c->used;
    g->chunks = c;
  }
  void *p = c->bytes + c->used;
  c->used += n;
  return p;
}

static uint64_t hash_of(df_span s) {
  uint64_t h = UINT64_C(0xcbf29ce484222325) ^ s.len, w;
  size_t i = 0;
  for (; i + 8 <= s.len; i += 8) {
    memcpy(&w, s.bytes + i, 8);
    h = (h ^ w) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 29;
  }
  for (; i < s.len; i++) h = (h ^ (unsigned char)s.bytes[i]) * UINT64_C(0x100000001b3);
  return h ^ h >> 32;
}

static group *find(const df_gather *g, df_span name, uint64_t hash) {
  if (g->n_slots == 0) return NULL;
  group *at = g->slots[hash & (g->n_slots - 1)];
  while (at != NULL && (at->hash != hash || at->name.len != name.len || memcmp(at->name.bytes, name.bytes, name.len) != 0)) at = at->before;
  return at;
}

static int widen(df_gather *g) {
  size_t n = g->n_slots == 0 ? 1024 : g->n_slots * 2;
  group **slots = calloc(n, sizeof *slots);
  if (slots == NULL) return -1;
  for (size_t i = 0; i < g->n_slots; i++) {
    for (group *at = g->slots[i], *before; at != NULL; at = before) {
      before = at->before;
      at->before = slots[at->hash & (n - 1)];
      slots[at->hash & (n - 1)] = at;
    }
  }
  free(g->slots);
  g->slots = slots;
  g->n_slots = n;
  return 0;
}

static int note(df_gather *g, const df_event *e) {
  uint64_t hash = hash_of(e->group);
  if (find(g, e->group, hash) != NULL) return 0;
  if (g->n_groups == g->n_slots && widen(g) != 0) return -1;
  group *new = room(g, sizeof *new + e->group.len);
  if (new == NULL) return -1;
  memcpy(new + 1, e->group.bytes, e->group.len);
  *new = (group){.before = g->slots[hash & (g->n_slots - 1)], .hash = hash, .name = {(const char *)(new + 1), e->group.len}};
  g->slots[hash & (g->n_slots - 1)] = new;
  g->n_groups++;
  return 0;
}

static int take(df_gather *g, const df_event *e, size_t n) {
  group *at = find(g, e->group, hash_of(e->group));
  if (at == NULL) return 0;
  if (g->n_events == g->cap_events) {
    size_t cap = g->cap_events == 0 ? 1024 : g->cap_events * 2;
    df_event **events = realloc(g->events, cap * sizeof(df_event *));
    if (events == NULL) return -1;
    g->events = events;
    g->cap_events = cap;
  }
  df_event *copy = room(g, sizeof *copy + n);
  if (copy == NULL) return -1;
  *copy = *e;
  char *bytes = (char *)(copy + 1);
  const df_span *from[] = {&e->id, &e->member, &e->value};
  df_span *to[] = {&copy->id, &copy->member, &copy->value};
  copy->group = at->name;
  for (size_t i = 0; i < 3; i++) {
    memcpy(bytes, from[i]->bytes, from[i]->len);
    to[i]->bytes = bytes;
    bytes += from[i]->len;
  }
  g->events[g->n_events++] = copy;
  at->n++;
  return 0;
}

/* Calls work for each event of the body in [from, g->to). */
static int each(df_gather *g, const char *body, size_t n, int64_t from, int taking, df_error *err) {
  const char *p = body, *end = body + n, *behind;
  for (; p < end; p = behind) {
    df_event e;
    behind = parse(&e, p, end);
    if (behind == NULL) return df_fail(err, DF_STORE, "state damaged: an event of a correlation is not what was written");
    if (e.time < from || e.time >= g->to) continue;
    if ((taking ? take(g, &e, (size_t)(behind - p)) : note(g, &e)) != 0) return df_fail(err, DF_LIMIT, "correlation: memory ran out");
  }
  return 0;
}

int df_gather_note(df_gather *g, const char *body, size_t n, df_error *err) { return each(g, body, n, g->since, 0, err); }
int df_gather_take(df_gather *g, const char *body, size_t n, df_error *err) { return each(g, body, n, g->from, 1, err); }

static int compare_spans(df_span a, df_span b) {
  size_t n = a.len < b.len ? a.len : b.len;
  int c = n == 0 ? 0 : memcmp(a.bytes, b.bytes, n);
  return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

static int compare(const void *x, const void *y) {
  const df_event *a = *(df_event *const *)x, *b = *(df_event *const *)y;
  int c = a->group.bytes == b->group.bytes ? 0 : compare_spans(a->group, b->group); /* one name for all events of a group */
  if (c == 0) c = (a->time > b->time) - (a->time < b->time);
  if (c == 0) c = compare_spans(a->id, b->id);
  if (c == 0) c = compare_spans(a->member, b->member);
  if (c == 0) c = compare_spans(a->value, b->value); /* so that which of two copies stays is no chance */
  return c;
}

void df_gather_sort(df_gather *g) {
  size_t n = 0;
  for (size_t i = 0; i < g->n_events; i++) {
    df_event *e = g->events[i];
    const group *at = find(g, e->group, hash_of(e->group));
    if (at->n >= g->least) g->events[n++] = e;
  }
  g->n_events = n;
  if (n > 1) qsort(g->events, n, sizeof *g->events, compare);
}

int df_gather_next(df_gather *g, const df_event ***events, size_t *n) {
  if (g->at == g->n_events) return 0;
  df_event **first = g->events + g->at, *last = first[0];
  size_t kept = 1, i = g->at + 1;
  for (; i < g->n_events && g->events[i]->group.bytes == first[0]->group.bytes; i++) {
    df_event *e = g->events[i];
    if (e->time == last->time && compare_spans(e->id, last->id) == 0 && compare_spans(e->member, last->member) == 0) continue;
    first[kept++] = last = e;
  }
  g->at = i;
  *events = (const df_event **)first;
  *n = kept;
  return 1;
}

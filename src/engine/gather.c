/* gather.c: see gather.h. */
#include "engine/gather.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 20, KEPT_FULL = 1 << 18 };
#define NOT_IN_ORDER SIZE_MAX

/* What was taken is copied into chunks, so that no pointer ever moves. */
typedef struct chunk {
  struct chunk *before;
  size_t used, cap;
  char bytes[];
} chunk;

typedef struct group {
  struct group *before;
  uint64_t hash;
  df_span name, state;
  size_t n, first; /* its events: how many, and where they begin once they are in order */
  int out;         /* one too many, see df_gather_limit */
} group;

/* An event as it is kept here: 4 GiB are more than a body has. */
typedef struct held {
  int64_t time;
  group *group;
  uint32_t id, member, value; /* lengths, in this order in bytes */
  char type, bytes[];
} held;

struct df_gather {
  int64_t from, since, to;
  size_t least;
  df_skim skim;
  chunk *chunks;
  group **slots; /* of noted groups, by hash */
  size_t n_groups, n_slots;
  size_t most, n_out, evicted; /* groups at most; groups that are out; events that were not taken for that */
  uint64_t limit;              /* groups whose rank is below it are in */
  held **events;
  size_t n_events, cap_events;
  group **order;
  size_t n_order, at;
  df_event *view; /* of the group that was asked for last */
  size_t cap_view;
  df_buf kept;
  int64_t newest;
};

int df_gather_open(df_gather **out, int64_t from, int64_t since, int64_t to, size_t least, df_error *err) {
  *out = calloc(1, sizeof **out);
  if (*out == NULL) return df_fail(err, DF_LIMIT, "correlation: memory ran out");
  **out = (df_gather){.from = from, .since = since, .to = to, .least = least, .most = SIZE_MAX, .limit = UINT64_MAX};
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
  free(g->order);
  free(g->view);
  df_buf_free(&g->kept);
  free(g);
}

/* n bytes that live as long as g, fit for what is kept here. NULL when memory runs out. */
static void *room(df_gather *g, size_t n) {
  n = (n + 7) & ~(size_t)7;
  chunk *c = g->chunks;
  if (c == NULL || c->cap - c->used < n) {
    size_t cap = n > CHUNK ? n : CHUNK;
    c = malloc(sizeof *c + cap);
    if (c == NULL) return NULL;
    c->before = g->chunks;
    c->used = 0;
    c->cap = cap;
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

/* Chance by which groups are left out: the hash, well mixed. */
static uint64_t rank_of(uint64_t hash) {
  hash = (hash ^ hash >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  hash = (hash ^ hash >> 27) * UINT64_C(0x94d049bb133111eb);
  return hash ^ hash >> 31;
}

static int compare_ranks(const void *x, const void *y) {
  uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
  return (a > b) - (a < b);
}

/* Leaves out all groups but the `most` of lowest rank, and what was taken of them. -1 when memory runs out. */
static int leave_out(df_gather *g) {
  size_t n = 0, kept = 0;
  uint64_t *ranks = malloc((g->n_groups - g->n_out) * sizeof *ranks);
  if (ranks == NULL) return -1;
  for (size_t i = 0; i < g->n_slots; i++)
    for (group *at = g->slots[i]; at != NULL; at = at->before)
      if (!at->out) ranks[n++] = rank_of(at->hash);
  qsort(ranks, n, sizeof *ranks, compare_ranks);
  g->limit = ranks[g->most];
  free(ranks);
  for (size_t i = 0; i < g->n_slots; i++) {
    for (group *at = g->slots[i]; at != NULL; at = at->before) {
      if (at->out || rank_of(at->hash) < g->limit) continue;
      at->out = 1;
      at->n = 0;
      g->n_out++;
    }
  }
  for (size_t i = 0; i < g->n_events; i++) {
    if (!g->events[i]->group->out) g->events[kept++] = g->events[i];
    else g->evicted += g->events[i]->time >= g->since;
  }
  g->n_events = kept;
  return 0;
}

void df_gather_limit(df_gather *g, size_t most) { g->most = most; }

size_t df_gather_evicted(const df_gather *g) { return g->evicted; }

/* The group of this name, made when it is not there; NULL when it is one too many. 0, or -1 when memory runs out. */
static int noted(df_gather *g, df_span name, group **out) {
  uint64_t hash = hash_of(name);
  group *at = *out = find(g, name, hash);
  if (at != NULL || rank_of(hash) >= g->limit) return 0;
  if (g->n_groups == g->n_slots && widen(g) != 0) return -1;
  if ((at = room(g, sizeof *at + name.len)) == NULL) return -1;
  memcpy(at + 1, name.bytes, name.len);
  group **slot = &g->slots[hash & (g->n_slots - 1)];
  *at = (group){.before = *slot, .hash = hash, .name = {(const char *)(at + 1), name.len}, .first = NOT_IN_ORDER};
  *out = *slot = at;
  g->n_groups++;
  return (g->n_groups - g->n_out) / 5 * 4 > g->most ? leave_out(g) : 0; /* not for each one */
}

static int note(df_gather *g, const df_event *e) {
  group *at;
  return noted(g, e->group, &at);
}

static int take(df_gather *g, const df_event *e) {
  group *at = NULL;
  if (g->since > g->from) at = find(g, e->group, hash_of(e->group));
  else if (noted(g, e->group, &at) != 0) return -1;
  if (at == NULL || at->out) { /* what is decided now was noted, if there was room */
    g->evicted += e->time >= g->since;
    return 0;
  }
  if (g->n_events == g->cap_events) {
    size_t cap = g->cap_events == 0 ? 1024 : g->cap_events * 2;
    held **events = realloc(g->events, cap * sizeof *events);
    if (events == NULL) return -1;
    g->events = events;
    g->cap_events = cap;
  }
  size_t n = e->id.len + e->member.len + e->value.len;
  if (n > UINT32_MAX) return -1;
  held *h = room(g, offsetof(held, bytes) + n);
  if (h == NULL) return -1;
  h->time = e->time;
  h->group = at;
  h->id = (uint32_t)e->id.len;
  h->member = (uint32_t)e->member.len;
  h->value = (uint32_t)e->value.len;
  h->type = e->type;
  memcpy(h->bytes, e->id.bytes, e->id.len);
  memcpy(h->bytes + h->id, e->member.bytes, e->member.len);
  memcpy(h->bytes + h->id + h->member, e->value.bytes, e->value.len);
  g->events[g->n_events++] = h;
  at->n++;
  return 0;
}

/* Takes or notes each event of the body in [from, g->to). */
static int each(df_gather *g, const char *body, size_t n, int64_t from, int taking, df_error *err) {
  const char *p = body, *end = body + n, *behind;
  for (; p < end; p = behind) {
    df_event e;
    behind = df_event_parse(&e, p, end);
    if (behind == NULL) return df_event_damaged(err);
    if (e.time < from || e.time >= g->to) continue;
    if ((taking ? take(g, &e) : note(g, &e)) != 0) return df_fail(err, DF_LIMIT, "correlation: memory ran out");
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

static int compare_bytes(const char *a, uint32_t n, const char *b, uint32_t m) {
  return compare_spans((df_span){a, n}, (df_span){b, m});
}

static int same_record(const held *a, const held *b) {
  return a->time == b->time && a->id == b->id && a->member == b->member && memcmp(a->bytes, b->bytes, a->id + a->member) == 0;
}

static int compare(const void *x, const void *y) {
  const held *a = *(held *const *)x, *b = *(held *const *)y;
  int c = (a->time > b->time) - (a->time < b->time);
  if (c == 0) c = compare_bytes(a->bytes, a->id, b->bytes, b->id);
  if (c == 0) c = compare_bytes(a->bytes + a->id, a->member, b->bytes + b->id, b->member);
  /* so that which of two copies stays is no chance */
  if (c == 0) c = compare_bytes(a->bytes + a->id + a->member, a->value, b->bytes + b->id + b->member, b->value);
  return c;
}

static int compare_groups(const void *x, const void *y) {
  const group *a = *(group *const *)x, *b = *(group *const *)y;
  return compare_spans(a->name, b->name);
}

int df_gather_sort(df_gather *g, df_error *err) {
  if (g->n_groups - g->n_out > g->most && leave_out(g) != 0) return df_fail(err, DF_LIMIT, "correlation: memory ran out");
  held **sorted = malloc((g->n_events + 1) * sizeof *sorted);
  g->order = malloc((g->n_groups + 1) * sizeof(group *));
  if (sorted == NULL || g->order == NULL) {
    free(sorted);
    return df_fail(err, DF_LIMIT, "correlation: memory ran out");
  }
  for (size_t i = 0; i < g->n_slots; i++) {
    for (group *at = g->slots[i]; at != NULL; at = at->before) {
      if (at->n > 0 && at->n >= g->least) g->order[g->n_order++] = at;
    }
  }
  if (g->n_order > 1) qsort(g->order, g->n_order, sizeof(group *), compare_groups);
  size_t first = 0;
  for (size_t i = 0; i < g->n_order; i++) {
    g->order[i]->first = first;
    first += g->order[i]->n;
    g->order[i]->n = 0;
  }
  for (size_t i = 0; i < g->n_events; i++) {
    group *at = g->events[i]->group;
    if (at->first == NOT_IN_ORDER) continue;
    sorted[at->first + at->n++] = g->events[i];
  }
  free(g->events);
  g->events = sorted;
  return 0;
}

/* The group's events in order, each once. Returns how many. */
static size_t put_in_order(held **e, size_t n) {
  if (n > 1) qsort(e, n, sizeof *e, compare);
  size_t kept = n > 0;
  for (size_t i = 1; i < n; i++) {
    if (!same_record(e[i], e[kept - 1])) e[kept++] = e[i];
  }
  return kept;
}

static int64_t plus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }

/* Is there a window, looking back from an event that is decided now, with as many events as can fire? */
static int looks_back(const df_gather *g, held **e, size_t n) {
  size_t least = g->skim.least;
  for (size_t i = least - 1; i < n; i++) {
    uint64_t length = (uint64_t)e[i]->time - (uint64_t)e[i - least + 1]->time;
    if (e[i]->time >= g->since && length < (uint64_t)g->skim.span) return 1;
  }
  return 0;
}

/* Leaves out what counts for nothing: members and values that the rules of today do not have. Returns how many are left. */
static size_t count_only(const df_skim *s, held **e, size_t n) {
  size_t kept = 0;
  for (size_t i = 0; i < n; i++) {
    int counts = s->types[0] == '\0' || strchr(s->types, e[i]->type) != NULL;
    size_t k = 0;
    const char *member = e[i]->bytes + e[i]->id;
    while (k < s->n_members && compare_bytes(member, e[i]->member, s->members[k].bytes, (uint32_t)s->members[k].len) != 0) k++;
    if (counts && k < s->n_members) e[kept++] = e[i];
  }
  return kept;
}

/* The windows of rules/window.lua that close by `to`: is one of them full enough to fire? If none is, keeps where the last one closed.
   1, 0, or -1 when memory runs out. */
static int closes(df_gather *g, const group *at, held **e, size_t n) {
  const df_skim *s = &g->skim;
  char *end = NULL;
  int64_t free_from = at->state.len > 0 ? strtoll(at->state.bytes, &end, 10) : INT64_MIN, before = free_from;
  for (size_t i = 0, j; i < n; i = j) {
    j = i + 1;
    if (e[i]->time < free_from) continue;
    int64_t most = plus(e[i]->time, s->span), close = most;
    if (s->gap > 0 && plus(e[i]->time, s->gap) < most) close = plus(e[i]->time, s->gap);
    for (; j < n && e[j]->time < close; j++) {
      if (s->gap > 0) close = plus(e[j]->time, s->gap) < most ? plus(e[j]->time, s->gap) : most;
    }
    if (close > g->to) break;
    if (j - i >= s->least) return 1;
    free_from = close;
  }
  if (free_from == before) return 0;
  char text[64];
  int len = snprintf(text, sizeof text, "%" PRId64 "%s", free_from, end != NULL && *end == ':' && strlen(end) < 32 ? end : "");
  return df_gather_keep(g, at->name, (df_span){text, (size_t)len}, free_from, NULL);
}

/* Is this group to be looked at by who knows what its events mean? 1, 0, or -1 when memory runs out. */
static int matters(df_gather *g, const group *at, held **e, size_t *n) {
  switch (g->skim.mode) {
    case DF_SKIM_BACK: return looks_back(g, e, *n);
    case DF_SKIM_CLOSE: return closes(g, at, e, *n = count_only(&g->skim, e, *n));
    default: return 1;
  }
}

static int widen_view(df_gather *g, size_t n) {
  if (n <= g->cap_view) return 0;
  df_event *view = realloc(g->view, 2 * n * sizeof *view);
  if (view == NULL) return -1;
  g->view = view;
  g->cap_view = 2 * n;
  return 0;
}

int df_gather_next(df_gather *g, df_grouped *out, df_error *err) {
  while (g->at < g->n_order) {
    if (g->kept.len >= KEPT_FULL) return 2;
    const group *at = g->order[g->at++];
    held **e = g->events + at->first;
    size_t n = put_in_order(e, at->n);
    int answer = matters(g, at, e, &n);
    if (answer < 0 || widen_view(g, n) != 0) return df_fail(err, DF_LIMIT, "correlation: memory ran out");
    if (answer == 0) continue;
    for (size_t i = 0; i < n; i++) {
      const held *h = e[i];
      g->view[i] = (df_event){.time = h->time, .group = at->name, .id = {h->bytes, h->id}, .member = {h->bytes + h->id, h->member},
                              .value = {h->bytes + h->id + h->member, h->value}, .type = h->type};
    }
    *out = (df_grouped){.group = at->name, .state = at->state, .events = g->view, .n = n};
    return 1;
  }
  return g->kept.len > 0 ? 2 : 0;
}

int df_gather_skim(df_gather *g, const df_skim *skim, df_error *err) {
  df_span *members = room(g, (skim->n_members + 1) * sizeof *members);
  char *types = room(g, strlen(skim->types) + 1);
  for (size_t i = 0; members != NULL && types != NULL && i < skim->n_members; i++) {
    char *bytes = room(g, skim->members[i].len + 1);
    if (bytes == NULL) return df_fail(err, DF_LIMIT, "correlation: memory ran out");
    memcpy(bytes, skim->members[i].bytes, skim->members[i].len);
    members[i] = (df_span){bytes, skim->members[i].len};
  }
  if (members == NULL || types == NULL) return df_fail(err, DF_LIMIT, "correlation: memory ran out");
  memcpy(types, skim->types, strlen(skim->types) + 1);
  g->skim = *skim;
  g->skim.members = members;
  g->skim.types = types;
  return 0;
}

int df_gather_states(df_gather *g, const char *body, size_t n, df_error *err) {
  const char *p = body, *end = body + n;
  while (p < end) {
    df_event e;
    if ((p = df_event_parse(&e, p, end)) == NULL) return df_event_damaged(err);
    group *at = find(g, e.group, hash_of(e.group));
    if (at == NULL) continue;
    char *copy = room(g, e.value.len + 1);
    if (copy == NULL) return df_fail(err, DF_LIMIT, "correlation: memory ran out");
    memcpy(copy, e.value.bytes, e.value.len);
    copy[e.value.len] = '\0';
    at->state = (df_span){copy, e.value.len};
  }
  return 0;
}

int df_gather_keep(df_gather *g, df_span name, df_span state, int64_t time, df_error *err) {
  df_event e = {.time = time, .group = name, .id = {"", 0}, .member = {"", 0}, .value = state, .type = 's'};
  if (g->kept.len == 0 || time > g->newest) g->newest = time;
  return df_event_pack(&g->kept, &e) == 0 ? 0 : df_fail(err, DF_LIMIT, "correlation: memory ran out");
}

df_span df_gather_kept(df_gather *g, int64_t *newest) {
  df_span out = {g->kept.data, g->kept.len};
  *newest = g->newest;
  g->kept.len = 0;
  return out;
}

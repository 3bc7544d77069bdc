/* program.c: the numbers of a compiled map into what map.c runs; whatever is out of range is refused. */
#include "engine/program.h"

#include <stdlib.h>
#include <string.h>

typedef struct reader {
  df_map *map;
  const int32_t *p, *end;
  int bad, full; /* a number was out of range; memory ran out */
} reader;

/* The next number, from least to below `end`. */
static int32_t take(reader *r, int32_t least, int32_t end) {
  if (r->p < r->end && *r->p >= least && *r->p < end) return *r->p++;
  r->bad = 1;
  return least;
}

/* How many things follow, each of at least one number, with room for them in *out. */
static int32_t take_list(reader *r, void *out, size_t size) {
  int64_t left = r->end - r->p;
  int32_t n = take(r, 0, left > INT32_MAX ? INT32_MAX : (int32_t)left);
  void *room = r->bad ? NULL : calloc((size_t)n + 1, size);
  if (!r->bad && room == NULL) r->full = 1;
  memcpy(out, &room, sizeof room);
  return room == NULL ? 0 : n;
}

static int32_t take_text(reader *r, int32_t least) { return take(r, least, (int32_t)r->map->text_count); }

/* What lies below has a higher number, so that no shape holds itself. */
static void read_entry(reader *r, df_map_entry *e, const df_map_shape *of) {
  e->slot = take(r, -1, r->map->slot_count);
  e->shape = take(r, -1, r->map->shape_count);
  if (e->shape >= 0 && e->shape <= of - r->map->shapes) r->bad = 1;
  e->taken = take(r, 0, r->map->shape_count + DF_MAP_ELEMENTS);
}

/* A shape: its slots, then its keys, then its indexes, each with an entry. */
static void read_shape(reader *r, df_map_shape *s) {
  df_key *keys;
  s->first = take(r, 0, r->map->slot_count + 1);
  s->end = take(r, s->first, r->map->slot_count + 1);
  s->count = take_list(r, &keys, sizeof *keys);
  s->indexed = take(r, 0, 1 << 16);
  s->entries = calloc((size_t)(s->count + s->indexed) + 1, sizeof *s->entries);
  s->indexes = calloc((size_t)s->indexed + 1, sizeof *s->indexes);
  if (s->entries == NULL || s->indexes == NULL) r->full = 1;
  for (int32_t i = 0; i < s->count && !r->bad && !r->full; i++) {
    const df_span *text = &r->map->texts[take_text(r, 0)];
    keys[i] = (df_key){text->bytes, text->len, i};
    read_entry(r, &s->entries[i], s);
  }
  for (int32_t i = 0; i < s->indexed && !r->bad && !r->full; i++) {
    s->indexes[i] = take(r, i > 0 ? s->indexes[i - 1] + 1 : 1, INT32_MAX);
    read_entry(r, &s->entries[s->count + i], s);
  }
  if (!r->bad && !r->full && df_keys_make(&s->keys, keys, (size_t)s->count) != 0) r->full = 1;
  free(keys);
}

/* A dictionary: texts, and for each a constant. */
static void read_dict(reader *r, df_keys *dict) {
  df_key *keys;
  int32_t n = take_list(r, &keys, sizeof *keys);
  for (int32_t i = 0; i < n && !r->bad; i++) {
    const df_span *text = &r->map->texts[take_text(r, 0)];
    keys[i] = (df_key){text->bytes, text->len, take(r, 0, INT32_MAX)};
  }
  if (!r->bad && !r->full && df_keys_make(dict, keys, (size_t)n) != 0) r->full = 1;
  free(keys);
}

static int has_slot(df_map_op op) { return op == OP_FIELD || op == OP_EACH || op == OP_JOIN; }

static int has_dict(df_map_op op) { return op == OP_LOOKUP || op == OP_EQUALS; }

/* How many children each kind of node has at least. */
static int32_t kids_of(df_map_op op) {
  switch (op) {
    case OP_OBJECT: case OP_LIST: case OP_RAW: case OP_REST: case OP_CONST: case OP_FIELD: case OP_JOIN: case OP_FN: return 0;
    case OP_WHEN: return 2;
    default: return 1;
  }
}

/* a, b and c mean what the kind of node says. */
static int fits(const df_map *m, const df_map_node *v) {
  if (has_slot(v->op) && (v->a < 0 || v->a >= m->slot_count)) return 0;
  if (has_dict(v->op) && (v->a < 0 || v->a >= m->dict_count)) return 0;
  switch (v->op) {
    case OP_RAW: case OP_MEMBER: case OP_JOIN: return v->text >= 0 && (v->op != OP_MEMBER || v->a < (int32_t)m->text_count);
    case OP_SPLIT: return v->text >= 0 && m->texts[v->text].len > 0 && v->a >= 1;
    case OP_CONST: return v->a >= 0 && v->a < m->const_count;
    case OP_LOOKUP: return v->b < m->const_count;
    case OP_EACH: return v->b < m->shape_count && v->c < m->slot_count;
    case OP_REST: return v->a >= 0 && v->a < m->shape_count && v->b < m->dict_count;
    case OP_MILLIS: return v->a >= 1;
    case OP_HMAC: return 1; /* without a key it fails when it runs */
    default: return 1;
  }
}

static void read_node(reader *r, int32_t i) {
  df_map_node *v = &r->map->nodes[i];
  v->op = (df_map_op)take(r, 0, OP_COUNT);
  v->text = take_text(r, -1);
  v->a = take(r, -1, INT32_MAX);
  v->b = take(r, -1, INT32_MAX);
  v->c = take(r, -1, INT32_MAX);
  v->count = take(r, 0, 1 << 20);
  v->kids = r->p;
  for (int32_t k = 0; k < v->count; k++) take(r, 0, i);
  if (v->count < kids_of(v->op) || !fits(r->map, v)) r->bad = 1;
}

static int keep_texts(df_map *m, const df_map_program *p) {
  size_t bytes = 0;
  for (size_t i = 0; i < p->text_count; i++) bytes += p->texts[i].len;
  m->texts = calloc(p->text_count + 1, sizeof *m->texts);
  m->bytes = malloc(bytes + 1);
  m->code = malloc((p->len + 1) * sizeof *m->code);
  if (p->key.len > 0) m->key = malloc(p->key.len);
  if (m->texts == NULL || m->bytes == NULL || m->code == NULL || (p->key.len > 0 && m->key == NULL)) return -1;
  char *at = m->bytes;
  for (size_t i = 0; i < p->text_count; i++) {
    if (p->texts[i].len > 0) memcpy(at, p->texts[i].bytes, p->texts[i].len);
    m->texts[i] = (df_span){at, p->texts[i].len};
    at += p->texts[i].len;
  }
  m->text_count = p->text_count;
  if (p->len > 0) memcpy(m->code, p->code, p->len * sizeof *m->code);
  if (m->key != NULL) memcpy(m->key, p->key.bytes, p->key.len);
  m->key_len = p->key.len;
  return 0;
}

static void read_all(reader *r) {
  df_map *m = r->map;
  m->slot_count = take(r, 0, 1 << 20);
  m->slots = calloc((size_t)m->slot_count + 1, sizeof *m->slots);
  if (m->slots == NULL) r->full = 1;
  m->shape_count = take_list(r, &m->shapes, sizeof *m->shapes);
  for (int32_t i = 0; i < m->shape_count && !r->bad && !r->full; i++) read_shape(r, &m->shapes[i]);
  m->dict_count = take_list(r, &m->dicts, sizeof *m->dicts);
  for (int32_t i = 0; i < m->dict_count && !r->bad && !r->full; i++) read_dict(r, &m->dicts[i]);
  m->sensitive = take(r, -1, m->dict_count);
  m->const_count = take_list(r, &m->consts, sizeof *m->consts);
  for (int32_t i = 0; i < m->const_count && !r->bad; i++) {
    m->consts[i].json = take_text(r, 0);
    m->consts[i].text = take_text(r, -1);
  }
  m->node_count = take_list(r, &m->nodes, sizeof *m->nodes);
  for (int32_t i = 0; i < m->node_count && !r->bad && !r->full; i++) read_node(r, i);
  if (m->node_count < 1 || m->shape_count < 1 || r->p != r->end || m->nodes[m->node_count - 1].op != OP_OBJECT) r->bad = 1;
}

/* A dictionary's values are constants where a lookup reads it. */
static int lookups_fit(const df_map *m) {
  for (int32_t i = 0; i < m->node_count; i++) {
    if (m->nodes[i].op != OP_LOOKUP) continue;
    const df_keys *d = &m->dicts[m->nodes[i].a];
    for (uint32_t k = 0; d->slots != NULL && k <= d->mask; k++)
      if (d->slots[k].text != NULL && d->slots[k].value >= m->const_count) return 0;
  }
  return 1;
}

int df_map_new(df_map **out, const df_map_program *program, df_error *err) {
  df_map *m = calloc(1, sizeof *m);
  *out = NULL;
  if (m == NULL || program->text_count > INT32_MAX || keep_texts(m, program) != 0) {
    df_map_free(m);
    return df_fail(err, DF_LIMIT, "map: memory ran out");
  }
  reader r = {.map = m, .p = m->code, .end = m->code + program->len};
  read_all(&r);
  if (!r.bad && !r.full && !lookups_fit(m)) r.bad = 1;
  if (!r.bad && !r.full) return *out = m, 0;
  df_map_free(m);
  return r.full ? df_fail(err, DF_LIMIT, "map: memory ran out") : df_fail(err, DF_CONFIG, "map: this is not a program of this version");
}

void df_map_free(df_map *m) {
  if (m == NULL) return;
  for (int32_t i = 0; i < m->shape_count; i++) {
    df_keys_free(&m->shapes[i].keys);
    free(m->shapes[i].entries);
    free(m->shapes[i].indexes);
  }
  for (int32_t i = 0; i < m->dict_count; i++) df_keys_free(&m->dicts[i]);
  if (m->key != NULL) explicit_bzero(m->key, m->key_len);
  df_buf_free(&m->scratch);
  free(m->texts);
  free(m->bytes);
  free(m->code);
  free(m->shapes);
  free(m->dicts);
  free(m->consts);
  free(m->nodes);
  free(m->slots);
  free(m->key);
  free(m);
}

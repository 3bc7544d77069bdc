/* map.c: a compiled map at work: what a record holds is found in one walk over it, then the document is written. */
#include "engine/map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/map_copy.h"
#include "engine/program.h"
#include "engine/sensitive.h"
#include "io/hash.h"

typedef struct run {
  df_map *m;
  df_json *doc;
  df_json_ref record;
  df_map_call *call;
  void *user;
  df_error *err;
  int failed; /* the error is set */
} run;

static const df_keys nothing;
static const char MASK[] = "********";

static int no_memory(run *r) {
  if (!r->failed) df_fail(r->err, DF_LIMIT, "map: memory ran out");
  r->failed = 1;
  return -1;
}

/* ---- finding */

static void resolve(run *r, df_map_shape *s, df_json_ref at);

static void note(run *r, const df_map_entry *e, df_json_ref value) {
  df_json_kind kind = df_json_type(r->doc, value);
  int there = kind != DF_JSON_NULL && kind != DF_JSON_BAD;
  if (e->slot >= 0) r->m->slots[e->slot] = there ? value : 0;
  if (e->shape < 0) return;
  df_map_shape *below = &r->m->shapes[e->shape];
  memset(r->m->slots + below->first, 0, (size_t)(below->end - below->first) * sizeof *r->m->slots);
  if (there) resolve(r, below, value);
}

static int entry_of(run *r, df_map_shape *s, df_json_ref key, uint32_t place) {
  size_t n;
  const char *text;
  if (df_json_plain(r->doc, key)) {
    text = df_json_span(r->doc, key, &n) + 1;
    n -= 2;
  } else {
    text = df_json_text(r->doc, key, &n);
  }
  return text == NULL ? -1 : df_keys_find_next(&s->keys, &s->guesses[place % 32], text, n);
}

/* One walk over the members, or over the elements that are asked for. */
static void resolve(run *r, df_map_shape *s, df_json_ref at) {
  df_json_ref child = at + 1;
  uint32_t n = df_json_count(r->doc, at);
  if (df_json_type(r->doc, at) == DF_JSON_OBJECT) {
    for (uint32_t place = 0; place < n; place++, child = df_json_after(r->doc, child + 1)) {
      int i = entry_of(r, s, child, place);
      if (i >= 0) note(r, &s->entries[i], child + 1);
    }
    return;
  }
  int32_t next = 0;
  for (uint32_t i = 1; i <= n && next < s->indexed; i++, child = df_json_after(r->doc, child))
    if (i == (uint32_t)s->indexes[next]) note(r, &s->entries[s->count + next++], child);
}

/* ---- values as text: appended to `to`; 1, 0 when there is none (and nothing was added), or -1 */

static int text_of(run *r, int32_t node, df_buf *to);

static int is_true(run *r, int32_t node);

static int text_at(run *r, df_json_ref at, df_buf *to) {
  size_t n;
  const char *text;
  if (at == 0) return 0;
  switch (df_json_type(r->doc, at)) {
    case DF_JSON_STRING: text = df_json_text(r->doc, at, &n); break;
    case DF_JSON_NUMBER: case DF_JSON_TRUE: case DF_JSON_FALSE: text = df_json_span(r->doc, at, &n); break;
    default: return 0;
  }
  return text == NULL || df_buf_add(to, text, n) != 0 ? no_memory(r) : 1;
}

static int const_text(run *r, int32_t at, df_buf *to) {
  if (at < 0 || r->m->consts[at].text < 0) return 0;
  const df_span *text = &r->m->texts[r->m->consts[at].text];
  return df_buf_add(to, text->bytes, text->len) != 0 ? no_memory(r) : 1;
}

/* The constant that the text stands for, the default, or -1; -2 on failure. */
static int32_t looked_up(run *r, const df_map_node *v) {
  df_buf *b = &r->m->scratch;
  size_t start = b->len;
  int rc = text_of(r, v->kids[0], b);
  int found = rc == 1 ? df_keys_find(&r->m->dicts[v->a], b->data + start, b->len - start) : -1;
  b->len = start;
  return rc < 0 ? -2 : found >= 0 ? found : v->b;
}

static int concat(run *r, const df_map_node *v, df_buf *to) {
  size_t start = to->len;
  for (int32_t i = 0; i < v->count; i++) {
    int rc = text_of(r, v->kids[i], to);
    if (rc == 1) continue;
    to->len = start;
    return rc;
  }
  return 1;
}

static int join(run *r, const df_map_node *v, df_buf *to) {
  const df_span *between = &r->m->texts[v->text];
  df_json_ref list = r->m->slots[v->a], child = list + 1;
  size_t start = to->len, end = start;
  if (list == 0 || df_json_type(r->doc, list) != DF_JSON_ARRAY) return text_at(r, list, to);
  for (uint32_t n = df_json_count(r->doc, list); n > 0; n--, child = df_json_after(r->doc, child)) {
    if (df_json_type(r->doc, child) == DF_JSON_NULL) continue;
    int rc = text_at(r, child, to);
    if (rc < 0 || (rc == 1 && df_buf_add(to, between->bytes, between->len) != 0)) return no_memory(r);
    if (rc == 1) end = to->len - between->len;
  }
  to->len = end;
  return end > start;
}

/* Unix ms of a field or a text. 1, 0 when it is no time, or -1. */
static int millis_of(run *r, int32_t node, int32_t scale, int64_t *ms) {
  const df_map_node *v = &r->m->nodes[node];
  df_json_ref at = v->op == OP_FIELD ? r->m->slots[v->a] : 0;
  double d;
  if (at != 0 && df_json_type(r->doc, at) == DF_JSON_NUMBER) {
    df_json_exact exact = df_json_number(r->doc, at, ms, &d);
    if (exact == DF_JSON_DIGITS || (exact == DF_JSON_DOUBLE && !(fabs(d * scale) < 4e18))) return 0;
    if (exact == DF_JSON_DOUBLE) return *ms = (int64_t)floor(d * scale), 1;
    return !__builtin_mul_overflow(*ms, scale, ms);
  }
  df_buf *b = &r->m->scratch;
  size_t start = b->len;
  int rc = text_of(r, node, b);
  if (rc == 1) rc = df_time_read(b->data + start, b->len - start, ms) == 0;
  b->len = start;
  return rc;
}

static int length_of(run *r, int32_t node, int64_t *n) {
  const df_map_node *v = &r->m->nodes[node];
  df_json_ref at = v->op == OP_FIELD ? r->m->slots[v->a] : 0;
  if (at != 0 && df_json_type(r->doc, at) >= DF_JSON_ARRAY) return *n = df_json_count(r->doc, at), 1;
  df_buf *b = &r->m->scratch;
  size_t start = b->len;
  int rc = text_of(r, node, b);
  *n = (int64_t)(b->len - start);
  b->len = start;
  return rc;
}

static int hmac(run *r, const df_map_node *v, df_buf *to) {
  unsigned char digest[DF_SHA256_LEN];
  char hex[2 * DF_SHA256_LEN + 1];
  size_t start = to->len;
  int rc = text_of(r, v->kids[0], to);
  if (rc != 1) return rc;
  if (r->m->key_len == 0) return df_fail(r->err, DF_CONFIG, "hmac: there is no key");
  df_hash_hmac_sha256(digest, r->m->key, r->m->key_len, to->data + start, to->len - start);
  if (to->len > start) explicit_bzero(to->data + start, to->len - start);
  to->len = start;
  df_hash_hex(hex, digest, sizeof digest);
  return df_buf_add(to, hex, sizeof hex - 1) != 0 ? no_memory(r) : 1;
}

static int length_class(run *r, const df_map_node *v, df_buf *to) {
  df_buf *b = &r->m->scratch;
  size_t start = b->len, end = to->len; /* they may be one */
  int rc = text_of(r, v->kids[0], b);
  const char *class = rc == 1 ? df_sensitive_length(b->data + start, b->len - start) : "";
  b->len = start;
  to->len = end;
  return rc == 1 && df_buf_puts(to, class) != 0 ? no_memory(r) : rc;
}

static int changed_text(run *r, const df_map_node *v, df_buf *to) {
  size_t start = to->len;
  int rc = text_of(r, v->kids[0], to);
  if (rc != 1) return rc;
  switch (v->op) {
    case OP_LOWER: rc = df_map_lower(to, start); break;
    case OP_UPPER: rc = df_map_upper(to, start); break;
    case OP_TRIM: rc = to->len > start && df_map_trim(to, start); break;
    case OP_HOST: rc = df_map_host(to, start); break;
    case OP_SCHEME: rc = df_map_scheme(to, start); break;
    case OP_DOMAIN: rc = df_map_domain(to, start); break;
    case OP_SPLIT: rc = df_map_split(to, start, &r->m->texts[v->text], v->a); break;
    case OP_NUMBER: rc = df_map_is_number(to->data + start, to->len - start); break;
    default: break;
  }
  if (rc == 0) to->len = start;
  return rc;
}

static int integer_of(run *r, const df_map_node *v, int64_t *i) {
  return v->op == OP_LEN ? length_of(r, v->kids[0], i) : millis_of(r, v->kids[0], v->a, i);
}

static int number_text(run *r, const df_map_node *v, df_buf *to) {
  int64_t i;
  char iso[32];
  int rc = integer_of(r, v, &i);
  if (rc != 1) return rc;
  if (v->op != OP_ISO) return df_json_write_int(to, i) != 0 ? no_memory(r) : 1;
  if (i < INT64_C(-62135596800000) || i > INT64_C(253402300799999)) return 0;
  return df_buf_add(to, iso, df_time_format(i, iso)) != 0 ? no_memory(r) : 1;
}

/* Which child of a choice it is, or -1. */
static int32_t chosen(run *r, const df_map_node *v) {
  if (is_true(r, v->kids[0])) return v->kids[1];
  return v->count > 2 ? v->kids[2] : -1;
}

static int text_of(run *r, int32_t node, df_buf *to) {
  const df_map_node *v = &r->m->nodes[node];
  int32_t at;
  switch (v->op) {
    case OP_FIELD: return text_at(r, r->m->slots[v->a], to);
    case OP_CONST: return const_text(r, v->a, to);
    case OP_CONCAT: return concat(r, v, to);
    case OP_JOIN: return join(r, v, to);
    case OP_LOOKUP: return (at = looked_up(r, v)) == -2 ? -1 : const_text(r, at, to);
    case OP_MILLIS: case OP_LEN: case OP_ISO: return number_text(r, v, to);
    case OP_HMAC: return hmac(r, v, to);
    case OP_LENGTH_CLASS: return length_class(r, v, to);
    case OP_MASK: return !is_true(r, v->kids[0]) ? 0 : df_buf_puts(to, MASK) != 0 ? no_memory(r) : 1;
    case OP_EQUALS: case OP_ABSENT: return df_buf_puts(to, is_true(r, node) ? "true" : "false") != 0 ? no_memory(r) : 1;
    case OP_WHEN: return (at = chosen(r, v)) < 0 ? 0 : text_of(r, at, to);
    case OP_FIRST:
      for (int32_t i = 0, rc; i < v->count; i++)
        if ((rc = text_of(r, v->kids[i], to)) != 0) return rc;
      return 0;
    case OP_OBJECT: case OP_RAW: case OP_MEMBER: case OP_REST: case OP_LIST: case OP_EACH: case OP_FN: case OP_COUNT: return 0;
    default: return changed_text(r, v, to);
  }
}

/* There, and not false. */
static int is_true(run *r, int32_t node) {
  const df_map_node *v = &r->m->nodes[node];
  df_buf *b = &r->m->scratch;
  size_t start = b->len;
  int rc;
  if (v->op == OP_FIELD) return r->m->slots[v->a] != 0 && df_json_type(r->doc, r->m->slots[v->a]) != DF_JSON_FALSE;
  if (v->op == OP_ABSENT) return !is_true(r, v->kids[0]);
  rc = text_of(r, v->op == OP_EQUALS ? v->kids[0] : node, b);
  if (rc == 1 && v->op == OP_EQUALS) rc = df_keys_find(&r->m->dicts[v->a], b->data + start, b->len - start) >= 0;
  else if (rc == 1) rc = b->len - start != 5 || memcmp(b->data + start, "false", 5) != 0;
  b->len = start;
  return rc == 1;
}

/* ---- values as JSON: appended to out; 1, 0 when there is none (and nothing was added), or -1 */

static int write_node(run *r, int32_t node, df_buf *out);

static const df_keys *sensitive(const run *r) { return r->m->sensitive < 0 ? &nothing : &r->m->dicts[r->m->sensitive]; }

static int write_const(run *r, int32_t at, df_buf *out) {
  if (at < 0) return 0;
  const df_span *json = &r->m->texts[r->m->consts[at].json];
  return df_buf_add(out, json->bytes, json->len) != 0 ? no_memory(r) : 1;
}

static int write_member(run *r, const df_map_node *v, df_buf *out) {
  const df_span *key = &r->m->texts[v->text];
  size_t before = out->len;
  if (df_buf_add(out, key->bytes, key->len) != 0) return no_memory(r);
  int rc = write_node(r, v->kids[0], out);
  if (rc == 1) return df_buf_add(out, ",", 1) != 0 ? no_memory(r) : 1;
  out->len = before;
  if (rc < 0 || v->a < 0) return rc;
  const df_span *why = &r->m->texts[v->a];
  r->failed = 1;
  return df_fail(r->err, DF_INVALID, "%.*s", (int)why->len, why->bytes);
}

static int write_rest(run *r, int32_t shape, df_json_ref at, const df_keys *known, df_buf *out);

/* What nothing took of the object, or of the list whose elements were read one by one: each of these keeps its place. 1, 0 when nothing
   is left (then bytes may have been added), or -1. */
static int rest_below(run *r, int32_t shape, df_json_ref at, df_buf *out) {
  int is_list = df_json_type(r->doc, at) == DF_JSON_ARRAY, left = 0, rc = df_buf_add(out, is_list ? "[" : "{", 1);
  size_t opened = out->len;
  if (!is_list) {
    if (rc == 0) rc = write_rest(r, shape, at, &nothing, out);
    left = out->len > opened;
    return rc != 0 || df_copy_close(out, '}') != 0 ? -1 : left;
  }
  df_json_ref child = at + 1;
  for (uint32_t n = df_json_count(r->doc, at); rc == 0 && n > 0; n--, child = df_json_after(r->doc, child)) {
    df_json_kind kind = df_json_type(r->doc, child);
    if (kind == DF_JSON_OBJECT) {
      int some = rest_below(r, shape, child, out);
      rc = some < 0 ? -1 : 0;
      left |= some > 0;
    } else {
      rc = df_copy_value(out, r->doc, child, sensitive(r));
      left |= kind != DF_JSON_NULL;
    }
    if (rc == 0) rc = df_buf_add(out, ",", 1);
  }
  return rc != 0 || df_copy_close(out, ']') != 0 ? -1 : left;
}

/* The shape of what is read below a member, or -1 when it is copied or left as a whole. */
static int32_t shape_below(run *r, const df_map_entry *e, df_json_ref value) {
  df_json_kind kind = df_json_type(r->doc, value);
  if (e->taken >= DF_MAP_ELEMENTS && kind == DF_JSON_ARRAY) return e->taken - DF_MAP_ELEMENTS;
  if (kind != DF_JSON_OBJECT) return -1;
  return e->taken >= DF_MAP_ELEMENTS ? e->taken - DF_MAP_ELEMENTS : e->shape;
}

/* The members of a record, or of an object in it, that nothing took. */
static int write_rest(run *r, int32_t shape, df_json_ref at, const df_keys *known, df_buf *out) {
  df_map_shape *s = &r->m->shapes[shape];
  unsigned char *repeated;
  df_json_ref key = at + 1;
  uint32_t n = df_json_count(r->doc, at);
  int rc = df_repeated(&repeated, r->doc, at);
  for (uint32_t i = 0; rc == 0 && i < n; i++, key = df_json_after(r->doc, key + 1)) {
    if ((repeated != NULL && repeated[i]) || df_key_among(r->doc, key, sensitive(r)) || df_key_among(r->doc, key, known)) continue;
    int e = entry_of(r, s, key, i);
    if (e >= 0 && s->entries[e].taken == 1) continue;
    int32_t below = e < 0 ? -1 : shape_below(r, &s->entries[e], key + 1);
    if (below < 0) {
      if (df_json_type(r->doc, key + 1) != DF_JSON_NULL) rc = df_copy_member(out, r->doc, key, sensitive(r));
      continue;
    }
    size_t before = out->len;
    rc = df_copy_value(out, r->doc, key, &nothing) != 0 || df_buf_add(out, ":", 1) != 0;
    int left = rc == 0 ? rest_below(r, below, key + 1, out) : 0;
    if (left < 0) rc = -1;
    if (rc == 0 && left) rc = df_buf_add(out, ",", 1);
    else out->len = before;
  }
  free(repeated);
  return rc != 0 ? no_memory(r) : 0;
}

/* What stands between brackets; one that would be empty is left out. */
static int write_container(run *r, const df_map_node *v, df_buf *out, char open, char end) {
  size_t before = out->len;
  if (df_buf_add(out, &open, 1) != 0) return no_memory(r);
  for (int32_t i = 0; i < v->count; i++) {
    int rc = write_node(r, v->kids[i], out);
    if (rc == 1 && open == '[' && df_buf_add(out, ",", 1) != 0) rc = no_memory(r);
    if (rc < 0) return -1;
  }
  if (out->len > before + 1) return df_copy_close(out, end) != 0 ? no_memory(r) : 1;
  out->len = before;
  return 0;
}

/* A value that is no list is a list of itself. */
static int write_each(run *r, const df_map_node *v, df_buf *out) {
  const df_map_entry element = {.slot = v->c, .shape = v->b};
  df_json_ref list = r->m->slots[v->a];
  size_t before = out->len;
  if (list == 0) return 0;
  int many = df_json_type(r->doc, list) == DF_JSON_ARRAY;
  df_json_ref child = many ? list + 1 : list;
  if (df_buf_add(out, "[", 1) != 0) return no_memory(r);
  for (uint32_t n = many ? df_json_count(r->doc, list) : 1; n > 0; n--, child = df_json_after(r->doc, child)) {
    note(r, &element, child);
    int rc = df_json_type(r->doc, child) == DF_JSON_NULL ? 0 : write_node(r, v->kids[0], out);
    if (rc == 1 && df_buf_add(out, ",", 1) != 0) rc = no_memory(r);
    if (rc < 0) return -1;
  }
  if (out->len > before + 1) return df_copy_close(out, ']') != 0 ? no_memory(r) : 1;
  out->len = before;
  return 0;
}

static int write_text(run *r, int32_t node, df_buf *out) {
  df_buf *b = &r->m->scratch;
  size_t start = b->len;
  int rc = text_of(r, node, b);
  if (rc == 1 && df_json_write_string(out, b->len > start ? b->data + start : "", b->len - start) != 0) rc = no_memory(r);
  b->len = start;
  return rc;
}

static int write_call(run *r, const df_map_node *v, df_buf *out) {
  int rc = r->call == NULL ? df_fail(r->err, DF_INVALID, "map: a Lua function cannot run here")
                           : r->call(r->user, v->a, out, r->err);
  if (rc < 0) r->failed = 1;
  return rc;
}

static int write_node(run *r, int32_t node, df_buf *out) {
  const df_map_node *v = &r->m->nodes[node];
  const df_span *raw;
  df_json_ref value;
  int32_t at;
  switch (v->op) {
    case OP_OBJECT: return write_container(r, v, out, '{', '}');
    case OP_LIST: return write_container(r, v, out, '[', ']');
    case OP_RAW:
      raw = &r->m->texts[v->text];
      return df_buf_add(out, raw->bytes, raw->len) != 0 ? no_memory(r) : 1;
    case OP_MEMBER: return write_member(r, v, out);
    case OP_REST: return write_rest(r, v->a, r->record, v->b < 0 ? &nothing : &r->m->dicts[v->b], out);
    case OP_CONST: return write_const(r, v->a, out);
    case OP_FIELD:
      if ((value = r->m->slots[v->a]) == 0) return 0;
      return df_copy_value(out, r->doc, value, sensitive(r)) != 0 ? no_memory(r) : 1;
    case OP_EACH: return write_each(r, v, out);
    case OP_WHEN: return (at = chosen(r, v)) < 0 ? 0 : write_node(r, at, out);
    case OP_FIRST:
      for (int32_t i = 0, rc; i < v->count; i++)
        if ((rc = write_node(r, v->kids[i], out)) != 0) return rc;
      return 0;
    case OP_LOOKUP: return (at = looked_up(r, v)) == -2 ? -1 : write_const(r, at, out);
    case OP_MILLIS: case OP_LEN: case OP_NUMBER: case OP_EQUALS: case OP_ABSENT: return text_of(r, node, out);
    case OP_FN: return write_call(r, v, out);
    default: return write_text(r, node, out);
  }
}

int df_map_run(df_map *map, df_json *doc, df_json_ref record, df_buf *out, df_map_call *call, void *user, df_error *err) {
  run r = {.m = map, .doc = doc, .record = record, .call = call, .user = user, .err = err};
  size_t before = out->len;
  if (df_json_type(doc, record) != DF_JSON_OBJECT) return df_fail(err, DF_INVALID, "the record is no object");
  map->scratch.len = 0;
  memset(map->slots, 0, (size_t)map->slot_count * sizeof *map->slots);
  resolve(&r, &map->shapes[0], record);
  int rc = write_node(&r, map->node_count - 1, out);
  if (rc == 0) df_fail(err, DF_INVALID, "the map leaves an empty document");
  if (rc == 1) return 0;
  out->len = before;
  return -1;
}

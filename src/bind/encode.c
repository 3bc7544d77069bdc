/* encode.c: Lua values as JSON text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"

enum { MAX_DEPTH = 128, KEYS = 256, KEY_TEXT = 23 };

/* A key as it is written behind another member, `,"name":`. Its string is kept alive, so that its address is its name. */
typedef struct written {
  const void *string;
  unsigned char len;
  char text[KEY_TEXT];
} written;

/* Of one Lua state. Its user value keeps the strings of the slots. */
typedef struct encoder {
  const void *array_mt, *object_mt;
  written keys[KEYS];
} encoder;

static const char encoder_key;

typedef struct writer {
  lua_State *L;
  df_buf *out;
  encoder *known;
  int self; /* stack index of `known` */
  int sorted;
  df_kind kind;
  int cut;
  char why[80], room[200], *path; /* the path is built from its end, in room, while the failure goes up */
} writer;

typedef struct key {
  const char *text;
  size_t n;
  int at; /* in the table that keeps the string alive: a finalizer may change the one that is written */
} key;

#define NO_KEYS "its keys are neither 1 to n without holes nor all strings"

static int write_value(writer *w, int depth);

static int refuse(writer *w, const char *why) {
  w->kind = DF_INVALID;
  snprintf(w->why, sizeof w->why, "%s", why);
  return -1;
}

static int no_memory(writer *w) {
  w->kind = DF_LIMIT;
  snprintf(w->why, sizeof w->why, "memory ran out");
  return -1;
}

/* Puts a step in front of the path; what does not fit is left out, and the path then begins with dots. */
static int step(writer *w, const char *before, const char *name, const char *after) {
  char text[64];
  snprintf(text, sizeof text, "%s%.60s%s", before, name, after);
  size_t n = strlen(text), room = (size_t)(w->path - w->room);
  if (n > room || w->cut) return w->cut = 1, -1;
  w->path -= n;
  memcpy(w->path, text, n);
  return -1;
}

/* A record is read whole first, and has none then. */
static const void *metatable_of(lua_State *L, const encoder *known, int t) {
  if (!lua_getmetatable(L, t)) return NULL; /* [mt] */
  const void *mt = lua_topointer(L, -1);
  lua_pop(L, 1); /* [] */
  if (mt != known->array_mt && mt != known->object_mt) df_whole_record(L, t);
  return mt;
}

/* Whether the table's keys are exactly 1 to *n. */
static int is_sequence(lua_State *L, int t, lua_Integer *n) {
  *n = (lua_Integer)lua_rawlen(L, t);
  lua_Integer count = 0;
  for (lua_pushnil(L); lua_next(L, t) != 0; count++) { /* [key, v] */
    lua_pop(L, 1);                                      /* [key] */
    lua_Integer i = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
    if (i < 1 || i > *n) {
      lua_pop(L, 1); /* [] */
      return 0;
    }
  }
  return count == *n;
}

static int step_index(writer *w, lua_Integer i) {
  char index[24];
  snprintf(index, sizeof index, "%lld", (long long)i);
  return step(w, "[", index, "]");
}

/* Mostly the keys come in order, and one walk is enough: 1 when they did, with all written but the end; 0 when not. */
static int write_in_order(writer *w, int t, int depth) {
  lua_State *L = w->L;
  lua_Integer n = 0;
  for (lua_pushnil(L); lua_next(L, t) != 0;) { /* [key, v] */
    if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) != n + 1) return 0;
    if (n++ > 0 && df_buf_add(w->out, ",", 1) != 0) return no_memory(w);
    if (write_value(w, depth) != 0) return step_index(w, n);
    lua_pop(L, 1); /* [key] */
  }
  return 1;
}

static int write_array(writer *w, int t, int depth) {
  lua_Integer n;
  size_t before = w->out->len;
  if (df_buf_add(w->out, "[", 1) != 0) return no_memory(w);
  int rc = write_in_order(w, t, depth);
  if (rc < 0) return rc;
  if (rc == 0) {
    lua_settop(w->L, t);
    w->out->len = before + 1;
    if (!is_sequence(w->L, t, &n)) return refuse(w, NO_KEYS);
    for (lua_Integer i = 1; i <= n; i++) {
      if (i > 1 && df_buf_add(w->out, ",", 1) != 0) return no_memory(w);
      lua_rawgeti(w->L, t, i); /* [v] */
      if (write_value(w, depth) != 0) return step_index(w, i);
      lua_pop(w->L, 1); /* [] */
    }
  }
  return df_buf_add(w->out, "]", 1) != 0 ? no_memory(w) : 0;
}

/* The slot that has the string, or that is to have it. */
static written *slot_of(writer *w, const void *string) {
  written *first = &w->known->keys[((uintptr_t)string >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 57 << 1];
  return first->string == string || first->string == NULL ? first : first + 1;
}

/* Remembers how the key of the member on top of the stack is written, unless it is long. */
static void remember(writer *w, const char *text, size_t n) {
  lua_State *L = w->L;
  if (n >= KEY_TEXT - 1) return;
  written *s = slot_of(w, lua_topointer(L, -2));
  lua_getiuservalue(L, w->self, 1);                          /* [..., key, v, strings] */
  lua_pushvalue(L, -3);                                      /* [..., key, v, strings, key] */
  lua_rawseti(L, -2, (lua_Integer)(s - w->known->keys) + 1); /* [..., key, v, strings] */
  lua_pop(L, 1);                                             /* [..., key, v] */
  s->string = lua_topointer(L, -2);
  s->len = (unsigned char)(n + 1);
  s->text[0] = ',';
  memcpy(s->text + 1, text, n);
}

static int write_new_key(writer *w, int first) {
  if (lua_type(w->L, -2) != LUA_TSTRING) return refuse(w, NO_KEYS);
  size_t n, start = w->out->len + !first;
  const char *name = lua_tolstring(w->L, -2, &n);
  if (df_json_write_key(w->out, first, name, n) != 0) return no_memory(w);
  remember(w, w->out->data + start, w->out->len - start);
  return 0;
}

/* Writes the key and value on top of the stack. */
static int write_member(writer *w, int first, int depth) {
  const void *string = lua_topointer(w->L, -2);
  const written *s = slot_of(w, string);
  if (string == NULL || s->string != string) {
    if (write_new_key(w, first) != 0) return -1;
  } else {
    if (df_buf_reserve(w->out, KEY_TEXT) != 0) return no_memory(w);
    memcpy(w->out->data + w->out->len, s->text + first, KEY_TEXT - 1);
    w->out->len += (size_t)(s->len - first);
  }
  int at = lua_gettop(w->L) - 1;
  return write_value(w, depth) != 0 ? step(w, ".", lua_tostring(w->L, at), "") : 0;
}

static int by_bytes(const void *left, const void *right) {
  const key *a = left, *b = right;
  int order = memcmp(a->text, b->text, a->n < b->n ? a->n : b->n);
  return order != 0 ? order : (a->n > b->n) - (a->n < b->n);
}

static int write_sorted(writer *w, int t, int depth) {
  lua_State *L = w->L;
  int n = 0, i = 0;
  for (lua_pushnil(L); lua_next(L, t) != 0; n++) /* [key, v] */
    lua_pop(L, 1);                               /* [key] */
  key *keys = lua_newuserdatauv(L, (size_t)n * sizeof *keys, 0); /* [keys] */
  lua_createtable(L, n, 0);                                      /* [keys, names] */
  int names = lua_gettop(L);
  for (lua_pushnil(L); i < n && lua_next(L, t) != 0; i++) { /* [keys, names, key, v] */
    lua_pop(L, 1);                                          /* [keys, names, key] */
    if (lua_type(L, -1) != LUA_TSTRING) return refuse(w, NO_KEYS);
    keys[i].text = lua_tolstring(L, -1, &keys[i].n);
    keys[i].at = i + 1;
    lua_pushvalue(L, -1);          /* [keys, names, key, key] */
    lua_rawseti(L, names, i + 1); /* [keys, names, key] */
  }
  qsort(keys, (size_t)i, sizeof *keys, by_bytes);
  for (n = 0; n < i; n++) {
    lua_rawgeti(L, names, keys[n].at); /* [keys, names, key] */
    lua_pushvalue(L, -1);              /* [keys, names, key, key] */
    lua_rawget(L, t);                  /* [keys, names, key, v] */
    if (write_member(w, n == 0, depth) != 0) return -1;
    lua_settop(L, names); /* [keys, names] */
  }
  return 0;
}

/* The first key and value are on the stack already, unless the table is empty. */
static int write_object(writer *w, int t, int depth) {
  lua_State *L = w->L;
  if (df_buf_add(w->out, "{", 1) != 0) return no_memory(w);
  if (w->sorted) {
    lua_settop(L, t);
    if (write_sorted(w, t, depth) != 0) return -1;
  } else if (lua_gettop(L) > t) {
    int first = 1;
    do {
      if (write_member(w, first, depth) != 0) return -1;
      lua_pop(L, 1); /* [key] */
      first = 0;
    } while (lua_next(L, t) != 0); /* [key, v] */
  }
  return df_buf_add(w->out, "}", 1) != 0 ? no_memory(w) : 0;
}

/* A plain table is an array when it has a key that is no string. */
static int write_table(writer *w, int depth) {
  lua_State *L = w->L;
  int t = lua_gettop(L), rc;
  if (depth >= MAX_DEPTH) return refuse(w, "it is nested deeper than 128, or a cycle");
  luaL_checkstack(L, 16, "JSON");
  const void *mt = metatable_of(L, w->known, t);
  lua_pushnil(L); /* [nil] */
  if (mt == w->known->array_mt || (lua_next(L, t) != 0 && lua_type(L, -2) != LUA_TSTRING && mt != w->known->object_mt)) {
    lua_settop(L, t);
    rc = write_array(w, t, depth + 1);
  } else {
    rc = write_object(w, t, depth + 1); /* [key, v] or [] */
  }
  lua_settop(L, t);
  return rc;
}

static int write_other(writer *w) {
  lua_State *L = w->L;
  const char *text;
  if (lua_islightuserdata(L, -1) && lua_touserdata(L, -1) == NULL) return df_buf_add(w->out, "null", 4);
  if ((text = luaL_testudata(L, -1, DF_JSON_NUMBER_MT)) != NULL) return df_buf_puts(w->out, text);
  int rc = df_write_sensitive(L, lua_gettop(L), w->out);
  if (rc != 0) return rc < 0 ? -1 : 0;
  return refuse(w, lua_pushfstring(L, "a %s has no JSON form", luaL_typename(L, -1)));
}

/* Writes the value on top of the stack, and leaves it there. */
static int write_value(writer *w, int depth) {
  lua_State *L = w->L;
  size_t n;
  int rc;
  switch (lua_type(L, -1)) {
    case LUA_TSTRING: {
      const char *text = lua_tolstring(L, -1, &n);
      rc = df_json_write_string(w->out, text, n);
      break;
    }
    case LUA_TTABLE: return write_table(w, depth);
    case LUA_TNUMBER:
      if (lua_isinteger(L, -1)) rc = df_json_write_int(w->out, lua_tointeger(L, -1));
      else if (!isfinite(lua_tonumber(L, -1))) return refuse(w, "JSON has no NaN and no infinity");
      else rc = df_json_write_double(w->out, lua_tonumber(L, -1));
      break;
    case LUA_TBOOLEAN: rc = lua_toboolean(L, -1) ? df_buf_add(w->out, "true", 4) : df_buf_add(w->out, "false", 5); break;
    default: rc = write_other(w);
  }
  return rc != 0 && w->kind == DF_NONE ? no_memory(w) : rc;
}

int df_encode(lua_State *L, int value, df_buf *b, df_error *err) {
  writer w = {.L = L, .out = b};
  w.path = w.room + sizeof w.room - 1;
  size_t before = b->len;
  if (!lua_isnoneornil(L, value + 1)) {
    static const char *const known[] = {"sort_keys", NULL};
    df_check_options(L, value + 1, known);
    lua_getfield(L, value + 1, "sort_keys"); /* [v] */
    w.sorted = lua_toboolean(L, -1);
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &encoder_key); /* [encoder] */
  w.known = lua_touserdata(L, -1);
  w.self = lua_gettop(L);
  lua_pushvalue(L, value); /* [encoder, v] */
  if (write_value(&w, 0) == 0) return 0;
  b->len = before;
  return df_fail(err, w.kind, "cannot encode $%s%s: %s", w.cut ? "..." : "", w.path, w.why);
}

int df_is_array(lua_State *L, int t) {
  lua_Integer n;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &encoder_key); /* [encoder] */
  const encoder *e = lua_touserdata(L, -1);
  lua_pop(L, 1); /* [] */
  const void *mt = metatable_of(L, e, t);
  if (mt == e->array_mt || mt == e->object_mt) return mt == e->array_mt;
  return is_sequence(L, t, &n) && n > 0;
}

void df_open_encode(lua_State *L) {
  encoder *e = lua_newuserdatauv(L, sizeof *e, 1); /* [encoder] */
  memset(e, 0, sizeof *e);
  luaL_getmetatable(L, DF_JSON_ARRAY_MT); /* [encoder, mt] */
  e->array_mt = lua_topointer(L, -1);
  luaL_getmetatable(L, DF_JSON_OBJECT_MT); /* [encoder, mt, mt] */
  e->object_mt = lua_topointer(L, -1);
  lua_pop(L, 2);                                   /* [encoder] */
  lua_createtable(L, KEYS, 0);                     /* [encoder, strings] */
  lua_setiuservalue(L, -2, 1);                     /* [encoder] */
  lua_rawsetp(L, LUA_REGISTRYINDEX, &encoder_key); /* [] */
}

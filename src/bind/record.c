/* record.c: records as tables that hold what is read of them: what scripts read of the records before is filled in at once, the rest when
   it is asked for.

   Such a table has a place of its own (see `here`) and a metatable until it is read whole; then it is a table as any other. A field that
   the table owns (it was filled in, asked for or written once, also with nil) is never looked up again. */
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/value.h"

#define READER "defendis.reader"

enum { KEYS_MAX = 32, SHAPES_MAX = 255, PLACES = 64, ENOUGH = 8 };

typedef struct known {
  const char *text; /* of a string among the reader's */
  size_t len;
  lua_Integer string; /* its place there */
  int sensitive;
  int below; /* the shape of objects that are its value, or -1 */
} known;

/* What is read of the objects at one place of a record. */
typedef struct shape {
  known keys[KEYS_MAX];
  int count;
  signed char at[PLACES]; /* which key stood there in the last object, or -1 */
  unsigned made, whole;   /* objects so far; those that were read whole */
} shape;

/* What is read of the records of one dataset. User values: strings, list of sensitive fields or nil. */
typedef struct reader {
  shape *shapes[SHAPES_MAX];
  int count;
  lua_Integer strings;
} reader;

/* In a table: &here -> which object it is: node (24 bits), shape (8 bits), which keys it owns (32 bits). In its metatable: the page and
   the reader, at 1 and 2. */
static const char here;
#define NODE(state) ((df_json_ref)((state) & 0xffffff))
#define SHAPE(state) ((int)((state) >> 24 & 0xff))
#define OWN(k) (UINT64_C(1) << (32 + (k)))

typedef struct reading {
  df_walk walk;
  reader *of;
  int strings, metatable; /* stack indexes */
} reading;

static reader *check_reader(lua_State *L, int idx) { return luaL_checkudata(L, idx, READER); }

/* __gc and __close. */
static int l_close(lua_State *L) {
  reader *r = check_reader(L, 1);
  while (r->count > 0) free(r->shapes[--r->count]);
  return 0;
}

/* The number of a new shape, or -1. */
static int new_shape(reader *r) {
  shape *s = r->count < SHAPES_MAX ? calloc(1, sizeof *s) : NULL;
  if (s == NULL) return -1;
  memset(s->at, -1, sizeof s->at);
  r->shapes[r->count] = s;
  return r->count++;
}

/* reader([fields]): remembers what is read of records, for page:read. fields: from core.sensitive.fields, what scripts get as values that
   cannot be read. */
static int l_reader(lua_State *L) {
  int scan;
  df_opt_fields(L, 1, &scan);
  lua_settop(L, 1);
  reader *r = lua_newuserdatauv(L, sizeof *r, 2); /* [fields, reader] */
  *r = (reader){0};
  luaL_setmetatable(L, READER); /* [fields, reader] */
  lua_newtable(L);              /* [fields, reader, strings] */
  lua_setiuservalue(L, -2, 1);  /* [fields, reader] */
  lua_pushvalue(L, 1);          /* [fields, reader, fields] */
  lua_setiuservalue(L, -2, 2);  /* [fields, reader] */
  return new_shape(r) < 0 ? luaL_error(L, "not enough memory") : 1;
}

/* Six values stay on the stack. */
static reading begin(lua_State *L, df_json *doc, int reader_at, int metatable) {
  reading g = {.of = lua_touserdata(L, reader_at), .metatable = metatable};
  luaL_checkstack(L, 16, "record");
  lua_getiuservalue(L, reader_at, 1); /* [strings] */
  g.strings = lua_gettop(L);
  int list = lua_getiuservalue(L, reader_at, 2) == LUA_TNIL ? 0 : g.strings + 1; /* [strings, fields] */
  g.walk = df_walk_begin(L, doc, list); /* [strings, fields, shared, mark] */
  return g;
}

static int is_key(const known *k, const char *text, size_t n) { return k->len == n && memcmp(k->text, text, n) == 0; }

static int find(const shape *s, const char *text, size_t n) {
  for (int k = 0; k < s->count; k++)
    if (is_key(&s->keys[k], text, n)) return k;
  return -1;
}

/* The key of the member, the place-th of its object; -1 when it is none that was read before. */
static int find_member(shape *s, df_json *doc, df_json_ref member, uint32_t place) {
  size_t n;
  const char *text = df_json_span(doc, member, &n) + 1;
  n -= 2;
  if (!df_json_plain(doc, member) && (text = df_json_text(doc, member, &n)) == NULL) return -1;
  int k = place < PLACES ? s->at[place] : -1;
  if (k >= 0 && is_key(&s->keys[k], text, n)) return k;
  k = find(s, text, n);
  if (place < PLACES) s->at[place] = (signed char)k;
  return k;
}

/* The key that is the string at stack index `at`, or -1 when there is no room for another one. */
static int learn(reading *g, shape *s, int at) {
  lua_State *L = g->walk.L;
  size_t n;
  const char *text = lua_tolstring(L, at, &n);
  int k = find(s, text, n);
  if (k >= 0 || s->count == KEYS_MAX) return k;
  lua_pushvalue(L, at);                              /* [key] */
  lua_rawseti(L, g->strings, g->of->strings + 1); /* [] */
  k = s->count++;
  s->keys[k] = (known){text, n, ++g->of->strings, g->walk.fields != NULL && df_fields_find(g->walk.fields, text, n) != NULL, -1};
  return k;
}

static void push_object(reading *g, int number, df_json_ref at);

/* Pushes the value of a key of the shape. */
static void push_field(reading *g, known *k, df_json_ref at) {
  df_walk *w = &g->walk;
  if (k->sensitive) w->inside = df_fields_find(w->fields, k->text, k->len);
  if (w->inside == NULL && df_json_type(w->doc, at) == DF_JSON_OBJECT) {
    if (k->below < 0) k->below = new_shape(g->of);
    if (k->below >= 0) {
      push_object(g, k->below, at); /* [v] */
      return;
    }
  }
  df_walk_value(w, at); /* [v] */
  w->inside = NULL;
}

/* Pushes the table of an object, with the fields that were read before. */
static void push_object(reading *g, int number, df_json_ref at) {
  lua_State *L = g->walk.L;
  df_json *doc = g->walk.doc;
  shape *s = g->of->shapes[number];
  if (s->whole > ENOUGH && s->whole > s->made / 4) { /* mostly read whole */
    df_walk_value(&g->walk, at); /* [t] */
    return;
  }
  s->made++;
  luaL_checkstack(L, 8, "record");
  int count = s->count;
  lua_createtable(L, 0, count + 1); /* [t] */
  df_json_ref member = at + 1;
  uint32_t n = df_json_count(doc, at), left = 0;
  for (uint32_t place = 0; place < n; place++, member = df_json_after(doc, member + 1)) {
    int k = find_member(s, doc, member, place);
    if (k < 0) {
      left++;
      continue;
    }
    lua_rawgeti(L, g->strings, s->keys[k].string); /* [t, key] */
    push_field(g, &s->keys[k], member + 1);        /* [t, key, v] */
    lua_rawset(L, -3);                             /* [t] */
  }
  if (left == 0) return; /* it is whole */
  lua_pushinteger(L, (lua_Integer)(at | (uint64_t)number << 24 | ((UINT64_C(1) << count) - 1) << 32)); /* [t, state] */
  lua_rawsetp(L, -2, &here);       /* [t] */
  lua_pushvalue(L, g->metatable);  /* [t, mt] */
  lua_setmetatable(L, -2);         /* [t] */
}

/* The state of the table at t, or 0 when it is a table as any other. */
static uint64_t state_of(lua_State *L, int t) {
  uint64_t state = lua_rawgetp(L, t, &here) == LUA_TNUMBER ? (uint64_t)lua_tointeger(L, -1) : 0; /* [state] */
  lua_pop(L, 1); /* [] */
  return state;
}

/* Begins to read more of a table whose metatable is at stack index mt: its page and reader are pushed, too. */
static reading begin_more(lua_State *L, int mt) {
  lua_rawgeti(L, mt, 1); /* [page] */
  lua_rawgeti(L, mt, 2); /* [page, reader] */
  df_json *doc = df_page_document(L, -2);
  if (doc == NULL) luaL_error(L, "a record was kept after the work on its page: keep copies of what is needed of it");
  return begin(L, doc, lua_gettop(L), mt);
}

/* Fills in what the table does not own yet. */
static void fill(reading *g, shape *s, int t, uint64_t state) {
  lua_State *L = g->walk.L;
  df_json *doc = g->walk.doc;
  df_json_ref member = NODE(state) + 1;
  uint32_t n = df_json_count(doc, NODE(state));
  for (uint32_t place = 0; place < n; place++, member = df_json_after(doc, member + 1)) {
    int k = find_member(s, doc, member, place);
    if (k >= 0 && (state & OWN(k))) continue;
    g->walk.inside = df_walk_key(&g->walk, member); /* [key] */
    df_walk_value(&g->walk, member + 1);            /* [key, v] */
    g->walk.inside = NULL;
    lua_rawset(L, t); /* [] */
  }
}

void df_whole_record(lua_State *L, int t) {
  int top = lua_gettop(L);
  uint64_t state = state_of(L, t);
  if (state == 0 || !lua_getmetatable(L, t)) return; /* [mt] */
  reading g = begin_more(L, top + 1); /* [mt, ...] */
  shape *s = g.of->shapes[SHAPE(state)];
  s->whole++;
  fill(&g, s, t, state);
  lua_settop(L, top); /* [] */
  lua_pushnil(L);     /* [nil] */
  lua_rawsetp(L, t, &here);
  lua_pushnil(L); /* [nil] */
  lua_setmetatable(L, t);
}

/* Marks the key at stack index 2 as the table's own. Returns its place in the shape, -1 when the table had to be filled instead. */
static int own(lua_State *L, reading *g, uint64_t state) {
  int k = learn(g, g->of->shapes[SHAPE(state)], 2);
  if (k < 0) {
    df_whole_record(L, 1);
    return -1;
  }
  lua_pushinteger(L, (lua_Integer)(state | OWN(k))); /* [state] */
  lua_rawsetp(L, 1, &here);                          /* [] */
  return k;
}

/* __index: a field that the table does not have. Upvalue: the metatable. */
static int l_index(lua_State *L) {
  uint64_t state = state_of(L, 1);
  if (state == 0 || lua_type(L, 2) != LUA_TSTRING) return lua_pushnil(L), 1;
  lua_pushvalue(L, lua_upvalueindex(1)); /* [t, key, mt] */
  reading g = begin_more(L, 3);
  shape *s = g.of->shapes[SHAPE(state)];
  size_t n;
  const char *text = lua_tolstring(L, 2, &n);
  int k = find(s, text, n);
  if (k >= 0 && (state & OWN(k))) return lua_pushnil(L), 1;
  k = own(L, &g, state);
  df_json_ref at = k < 0 ? 0 : df_json_get(g.walk.doc, NODE(state), text, n);
  lua_pushvalue(L, 2); /* [..., key] */
  if (k < 0) return lua_rawget(L, 1), 1;
  if (at == 0) return lua_pushnil(L), 1;
  push_field(&g, &s->keys[k], at); /* [..., key, v] */
  lua_pushvalue(L, -1);            /* [..., key, v, v] */
  lua_insert(L, -3);               /* [..., v, key, v] */
  lua_rawset(L, 1);                /* [..., v] */
  return 1;
}

/* __newindex: what is written is the table's own. Upvalue: the metatable. */
static int l_newindex(lua_State *L) {
  uint64_t state = state_of(L, 1);
  if (state != 0 && lua_type(L, 2) == LUA_TSTRING) {
    lua_pushvalue(L, lua_upvalueindex(1)); /* [t, key, v, mt] */
    reading g = begin_more(L, 4);
    own(L, &g, state);
    lua_settop(L, 3);
  }
  lua_rawset(L, 1);
  return 0;
}

/* next(t[, key]), as of Lua, for records too. */
static int l_next(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) df_whole_record(L, 1);
  return lua_next(L, 1) ? 2 : (lua_pushnil(L), 1);
}

/* __pairs: the record is read whole, and walked as any table. */
static int l_pairs(lua_State *L) {
  df_whole_record(L, 1);
  lua_pushcfunction(L, l_next); /* [t, next] */
  lua_pushvalue(L, 1);          /* [t, next, t] */
  lua_pushnil(L);               /* [t, next, t, nil] */
  return 3;
}

/* Pushes the metatable of the page's records for this reader; it is kept with the page. */
static void push_metatable(lua_State *L, int page, int reader_at) {
  if (lua_getiuservalue(L, page, 1) == LUA_TTABLE) { /* [mt] */
    lua_rawgeti(L, -1, 2);                           /* [mt, reader] */
    int same = lua_rawequal(L, -1, reader_at);
    lua_pop(L, 1); /* [mt] */
    if (same) return;
  }
  lua_pop(L, 1);                 /* [] */
  lua_createtable(L, 2, 4);      /* [mt] */
  lua_pushvalue(L, page);        /* [mt, page] */
  lua_rawseti(L, -2, 1);         /* [mt] */
  lua_pushvalue(L, reader_at);   /* [mt, reader] */
  lua_rawseti(L, -2, 2);         /* [mt] */
  lua_pushvalue(L, -1);          /* [mt, mt] */
  lua_pushcclosure(L, l_index, 1); /* [mt, index] */
  lua_setfield(L, -2, "__index"); /* [mt] */
  lua_pushvalue(L, -1);          /* [mt, mt] */
  lua_pushcclosure(L, l_newindex, 1); /* [mt, newindex] */
  lua_setfield(L, -2, "__newindex"); /* [mt] */
  lua_pushcfunction(L, l_pairs); /* [mt, pairs] */
  lua_setfield(L, -2, "__pairs"); /* [mt] */
  lua_pushboolean(L, 0);         /* [mt, false] */
  lua_setfield(L, -2, "__metatable"); /* [mt] */
  lua_pushvalue(L, -1);          /* [mt, mt] */
  lua_setiuservalue(L, page, 1); /* [mt] */
}

void df_read_record(lua_State *L, df_json *doc, df_json_ref at, int page, int reader_at) {
  check_reader(L, reader_at);
  push_metatable(L, page, reader_at); /* [mt] */
  int mt = lua_gettop(L);
  reading g = begin(L, doc, reader_at, mt); /* [mt, strings, fields, shared, mark] */
  if (df_json_type(doc, at) == DF_JSON_OBJECT) push_object(&g, 0, at); /* [..., v] */
  else df_walk_value(&g.walk, at); /* [..., v] */
  lua_replace(L, mt); /* [v, ...] */
  lua_settop(L, mt);  /* [v] */
}

void df_open_record(lua_State *L) {
  static const luaL_Reg methods[] = {{NULL, NULL}};
  static const luaL_Reg functions[] = {DF_REG(reader), DF_REG(next), {NULL, NULL}};
  df_open_class(L, READER, methods, l_close);
  luaL_setfuncs(L, functions, 0);
}

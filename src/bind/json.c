/* json.c: core.json: Lua values as JSON text, and the marks that keep arrays, objects, null and long numbers apart. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "job/job.h"

#define OBJECT_MT "json.object"
#define REG_BUFFER(verb) {#verb, l_buffer_##verb}

enum { MAX_DEPTH = 128 };

typedef struct writer {
  lua_State *L;
  df_buf *out;
  const void *array_mt, *object_mt;
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

static const void *metatable_of(lua_State *L, int t) {
  if (!lua_getmetatable(L, t)) return NULL; /* [mt] */
  const void *mt = lua_topointer(L, -1);
  lua_pop(L, 1); /* [] */
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

/* Writes the key and value on top of the stack. */
static int write_member(writer *w, int first, int depth) {
  if (lua_type(w->L, -2) != LUA_TSTRING) return refuse(w, NO_KEYS);
  size_t n;
  const char *name = lua_tolstring(w->L, -2, &n);
  if (df_json_write_key(w->out, first, name, n) != 0) return no_memory(w);
  return write_value(w, depth) != 0 ? step(w, ".", name, "") : 0;
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
  const void *mt = metatable_of(L, t);
  lua_pushnil(L); /* [nil] */
  if (mt == w->array_mt || (lua_next(L, t) != 0 && mt != w->object_mt && lua_type(L, -2) != LUA_TSTRING)) {
    lua_settop(L, t);
    rc = write_array(w, t, depth + 1);
  } else {
    rc = write_object(w, t, depth + 1); /* [key, v] or [] */
  }
  lua_settop(L, t);
  return rc;
}

/* Writes the value on top of the stack, and leaves it there. */
static int write_value(writer *w, int depth) {
  lua_State *L = w->L;
  size_t n = 0;
  const char *text = NULL;
  int rc = 0;
  switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN: rc = df_buf_puts(w->out, lua_toboolean(L, -1) ? "true" : "false"); break;
    case LUA_TNUMBER:
      if (lua_isinteger(L, -1)) rc = df_json_write_int(w->out, lua_tointeger(L, -1));
      else if (!isfinite(lua_tonumber(L, -1))) return refuse(w, "JSON has no NaN and no infinity");
      else rc = df_json_write_double(w->out, lua_tonumber(L, -1));
      break;
    case LUA_TSTRING:
      text = lua_tolstring(L, -1, &n);
      rc = df_json_write_string(w->out, text, n);
      break;
    case LUA_TTABLE: return write_table(w, depth);
    default:
      if (lua_islightuserdata(L, -1) && lua_touserdata(L, -1) == NULL) rc = df_buf_puts(w->out, "null");
      else if ((text = luaL_testudata(L, -1, DF_JSON_NUMBER_MT)) != NULL) rc = df_buf_puts(w->out, text);
      else return refuse(w, lua_pushfstring(L, "a %s has no JSON form", luaL_typename(L, -1)));
  }
  return rc != 0 ? no_memory(w) : 0;
}

/* Appends value, at stack index 2 or 1, to b; options follow it. On failure b is as before. */
static int encode(lua_State *L, int value, df_buf *b, df_error *err) {
  writer w = {.L = L, .out = b};
  w.path = w.room + sizeof w.room - 1;
  size_t before = b->len;
  if (!lua_isnoneornil(L, value + 1)) {
    static const char *const known[] = {"sort_keys", NULL};
    df_check_options(L, value + 1, known);
    lua_getfield(L, value + 1, "sort_keys"); /* [v] */
    w.sorted = lua_toboolean(L, -1);
  }
  luaL_getmetatable(L, DF_JSON_ARRAY_MT); /* [mark] */
  w.array_mt = lua_topointer(L, -1);
  luaL_getmetatable(L, OBJECT_MT); /* [mark, mark] */
  w.object_mt = lua_topointer(L, -1);
  lua_pushvalue(L, value); /* [mark, mark, v] */
  if (write_value(&w, 0) == 0) return 0;
  b->len = before;
  return df_fail(err, w.kind, "cannot encode $%s%s: %s", w.cut ? "..." : "", w.path, w.why);
}

static df_buf *new_buffer(lua_State *L) {
  df_buf *b = lua_newuserdatauv(L, sizeof *b, 0); /* [b] */
  *b = (df_buf){0};
  luaL_setmetatable(L, DF_BUFFER); /* [b] */
  return b;
}

df_buf *df_check_buffer(lua_State *L, int idx) { return luaL_checkudata(L, idx, DF_BUFFER); }

/* encode(value[, {sort_keys = true}]): JSON text, or nil and an error that names the path of what has no JSON form. A
   plain table is an array when its keys are exactly 1 to n and n > 0, else an object; metamethods are not called. */
static int l_encode(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 2);
  df_error err;
  df_buf *b = new_buffer(L); /* [value, options, b] */
  int rc = encode(L, 1, b, &err);
  if (rc == 0) lua_pushlstring(L, b->data, b->len); /* [..., text] */
  df_buf_free(b);
  return rc == 0 ? 1 : df_push_error(L, &err);
}

/* buffer(): an empty byte buffer. */
static int l_buffer(lua_State *L) {
  new_buffer(L); /* [b] */
  return 1;
}

/* As Lua's own: this text makes lua_error raise LUA_ERRMEM. */
static int raise_memory(lua_State *L) {
  lua_pushliteral(L, "not enough memory"); /* [message] */
  return lua_error(L);
}

/* A script's buffers count for its memory budget. */
static void account(lua_State *L, size_t before, const df_buf *b) {
  if (b->cap != before && df_job_account(L, before, b->cap) != 0) raise_memory(L);
}

/* buffer:encode(value[, options]): appends the value's JSON text. true, or nil and an error. */
static int l_buffer_encode(lua_State *L) {
  df_buf *b = df_check_buffer(L, 1);
  luaL_checkany(L, 2);
  lua_settop(L, 3);
  df_error err;
  size_t before = b->cap;
  int rc = encode(L, 2, b, &err);
  account(L, before, b);
  if (rc != 0) return df_push_error(L, &err);
  lua_pushboolean(L, 1); /* [true] */
  return 1;
}

/* buffer:add(text): appends the text. Returns the buffer. */
static int l_buffer_add(lua_State *L) {
  df_buf *b = df_check_buffer(L, 1);
  size_t n;
  const char *text = luaL_checklstring(L, 2, &n);
  size_t before = b->cap;
  if (df_buf_add(b, text, n) != 0) return raise_memory(L);
  account(L, before, b);
  lua_settop(L, 1); /* [b] */
  return 1;
}

/* buffer:len(): bytes in it. */
static int l_buffer_len(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)df_check_buffer(L, 1)->len); /* [n] */
  return 1;
}

/* buffer:reset(): empties it; its memory is kept for what comes next. */
static int l_buffer_reset(lua_State *L) {
  df_check_buffer(L, 1)->len = 0;
  return 0;
}

/* buffer:text(): its bytes as a string. */
static int l_buffer_text(lua_State *L) {
  const df_buf *b = df_check_buffer(L, 1);
  lua_pushlstring(L, b->len > 0 ? b->data : "", b->len); /* [s] */
  return 1;
}

/* Frees the bytes; the buffer is empty afterwards. __gc and __close. */
static int l_buffer_close(lua_State *L) {
  df_buf *b = df_check_buffer(L, 1);
  df_job_account(L, b->cap, 0);
  df_buf_free(b);
  return 0;
}

static int mark(lua_State *L, const char *name) {
  luaL_checktype(L, 1, LUA_TTABLE);
  const void *mt = metatable_of(L, 1);
  luaL_getmetatable(L, DF_JSON_ARRAY_MT); /* [a] */
  luaL_getmetatable(L, OBJECT_MT);        /* [a, o] */
  if (mt != NULL && mt != lua_topointer(L, -2) && mt != lua_topointer(L, -1))
    return luaL_argerror(L, 1, "the table has a metatable of its own");
  lua_settop(L, 1);           /* [t] */
  luaL_setmetatable(L, name); /* [t] */
  return 1;
}

/* array(t): marks t as an array, also when it is empty. Returns t. */
static int l_array(lua_State *L) { return mark(L, DF_JSON_ARRAY_MT); }

/* object(t): marks t as an object, or takes the array mark off. Returns t. */
static int l_object(lua_State *L) { return mark(L, OBJECT_MT); }

/* is_array(v): whether encode would write v as an array. */
static int l_is_array(lua_State *L) {
  luaL_checkany(L, 1);
  int array = 0;
  if (lua_istable(L, 1)) {
    lua_Integer n;
    const void *mt = metatable_of(L, 1);
    luaL_getmetatable(L, DF_JSON_ARRAY_MT); /* [a] */
    luaL_getmetatable(L, OBJECT_MT);        /* [a, o] */
    array = mt == lua_topointer(L, -2) || (mt != lua_topointer(L, -1) && is_sequence(L, 1, &n) && n > 0);
  }
  lua_pushboolean(L, array); /* [b] */
  return 1;
}

/* tostring(number): the text as it stood in the source. */
static int l_number_tostring(lua_State *L) {
  lua_pushstring(L, luaL_checkudata(L, 1, DF_JSON_NUMBER_MT)); /* [s] */
  return 1;
}

/* number == number: whether their texts are the same. */
static int l_number_eq(lua_State *L) {
  const char *a = luaL_testudata(L, 1, DF_JSON_NUMBER_MT), *b = luaL_testudata(L, 2, DF_JSON_NUMBER_MT);
  lua_pushboolean(L, a != NULL && b != NULL && strcmp(a, b) == 0); /* [b] */
  return 1;
}

void df_open_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction close) {
  luaL_newmetatable(L, name);         /* [mt] */
  lua_newtable(L);                    /* [mt, methods] */
  luaL_setfuncs(L, methods, 0);       /* [mt, methods] */
  lua_setfield(L, -2, "__index");     /* [mt] */
  lua_pushcfunction(L, close);        /* [mt, f] */
  lua_setfield(L, -2, "__gc");        /* [mt] */
  lua_pushcfunction(L, close);        /* [mt, f] */
  lua_setfield(L, -2, "__close");     /* [mt] */
  lua_pushboolean(L, 0);              /* [mt, false] */
  lua_setfield(L, -2, "__metatable"); /* [mt] */
  lua_pop(L, 1);                      /* [] */
}

/* Letters to change, add or drop to make b of a. */
static int distance(const char *a, const char *b) {
  int row[32], n = (int)strnlen(b, sizeof row / sizeof *row - 1);
  for (int j = 0; j <= n; j++) row[j] = j;
  for (int i = 1; *a != '\0'; a++, i++) {
    int corner = row[0];
    row[0] = i;
    for (int j = 1; j <= n; j++) {
      int best = corner + (*a != b[j - 1]);
      corner = row[j];
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      row[j] = best;
    }
  }
  return row[n];
}

static void check_option(lua_State *L, int arg, const char *name, const char *const *known) {
  const char *nearest = known[0];
  for (; *known != NULL; known++) {
    if (strcmp(name, *known) == 0) return;
    if (distance(name, *known) < distance(name, nearest)) nearest = *known;
  }
  luaL_argerror(L, arg, lua_pushfstring(L, "unknown option '%s', did you mean '%s'?", name, nearest));
}

void df_check_options(lua_State *L, int arg, const char *const *known) {
  if (lua_isnoneornil(L, arg)) return;
  luaL_checktype(L, arg, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, arg) != 0; lua_pop(L, 1)) /* [key, v] */
    check_option(L, arg, lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2), known);
}

/* __newindex of what must stay as it is. */
static int l_read_only(lua_State *L) { return luaL_error(L, "this table is read-only"); }

/* Pushes a metatable whose fields nobody can add to or, without rawset, change the behaviour of. */
static void push_mark(lua_State *L, const char *name) {
  luaL_newmetatable(L, name);              /* [mt] */
  lua_pushboolean(L, 0);                   /* [mt, false] */
  lua_setfield(L, -2, "__metatable");      /* [mt] */
  lua_createtable(L, 0, 2);                /* [mt, guard] */
  lua_pushcfunction(L, l_read_only);       /* [mt, guard, f] */
  lua_setfield(L, -2, "__newindex");       /* [mt, guard] */
  lua_pushboolean(L, 0);                   /* [mt, guard, false] */
  lua_setfield(L, -2, "__metatable");      /* [mt, guard] */
  lua_setmetatable(L, -2);                 /* [mt] */
}

/* core.json: decode, encode, page, buffer, array, object, is_array, number, null, array_mt. */
int df_open_json(lua_State *L) {
  static const luaL_Reg functions[] = {DF_REG(encode), DF_REG(buffer),   DF_REG(array),
                                       DF_REG(object), DF_REG(is_array), {NULL, NULL}};
  static const luaL_Reg methods[] = {REG_BUFFER(encode), REG_BUFFER(add),  REG_BUFFER(len),
                                     REG_BUFFER(reset),  REG_BUFFER(text), REG_BUFFER(close), {NULL, NULL}};
  static const luaL_Reg number[] = {{"__tostring", l_number_tostring}, {"__eq", l_number_eq}, {NULL, NULL}};
  df_open_class(L, DF_BUFFER, methods, l_buffer_close);
  luaL_newmetatable(L, DF_JSON_NUMBER_MT); /* [mt] */
  lua_pushboolean(L, 0);                  /* [mt, false] */
  lua_setfield(L, -2, "__metatable");     /* [mt] */
  luaL_setfuncs(L, number, 0);            /* [mt] */
  push_mark(L, OBJECT_MT);                /* [mt, mt] */
  lua_pop(L, 2);                          /* [] */
  luaL_newlib(L, functions);              /* [json] */
  lua_pushlightuserdata(L, NULL);         /* [json, null] */
  lua_setfield(L, -2, "null");            /* [json] */
  push_mark(L, DF_JSON_ARRAY_MT);         /* [json, mt] */
  lua_setfield(L, -2, "array_mt");        /* [json] */
  df_open_page(L);
  return 1;
}

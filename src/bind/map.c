/* map.c: core.map: compiled maps of normalizers, from a page's record into a buffer. */
#include <string.h>

#include "bind/bind.h"
#include "engine/map.h"

#define MAP "defendis.map"

typedef struct map {
  df_map *map;
} map;

/* What a Lua function of the map needs while a record is worked on; the functions are the map's user value. */
typedef struct called {
  lua_State *L;
  df_json *doc;
  df_json_ref at;
  int hidden;    /* stack index of the list of sensitive fields; 0 when there is none */
  int functions; /* the same of the functions */
} called;

/* map:close(): frees it. Twice is fine. Also __gc and __close. */
static int l_close(lua_State *L) {
  map *m = luaL_checkudata(L, 1, MAP);
  df_map_free(m->map);
  m->map = NULL;
  return 0;
}

/* The texts of the list at the top, in a userdata above it. */
static df_span *read_texts(lua_State *L, size_t *n) {
  luaL_checktype(L, -1, LUA_TTABLE);
  *n = (size_t)lua_rawlen(L, -1);
  df_span *texts = lua_newuserdatauv(L, (*n + 1) * sizeof *texts, 0); /* [list, u] */
  for (size_t i = 0; i < *n; i++) {
    if (lua_rawgeti(L, -2, (lua_Integer)i + 1) != LUA_TSTRING) luaL_error(L, "map: a text expected"); /* [list, u, s] */
    texts[i].bytes = lua_tolstring(L, -1, &texts[i].len);
    lua_pop(L, 1); /* [list, u] */
  }
  return texts;
}

static int32_t *read_code(lua_State *L, size_t *n) {
  luaL_checktype(L, -1, LUA_TTABLE);
  *n = (size_t)lua_rawlen(L, -1);
  int32_t *code = lua_newuserdatauv(L, (*n + 1) * sizeof *code, 0); /* [list, u] */
  for (size_t i = 0; i < *n; i++) {
    lua_rawgeti(L, -2, (lua_Integer)i + 1); /* [list, u, n] */
    lua_Integer v = luaL_checkinteger(L, -1);
    if (v < INT32_MIN || v > INT32_MAX) luaL_error(L, "map: a number of 32 bits expected");
    code[i] = (int32_t)v;
    lua_pop(L, 1); /* [list, u] */
  }
  return code;
}

/* The key of HMACs, text or secret, anchored in the program. */
static df_span read_key(lua_State *L) {
  df_span key = {0};
  int type = lua_getfield(L, 1, "key"); /* [..., key] */
  if (type == LUA_TUSERDATA) {
    const df_secret *s = df_opt_secret(L, 1, "key");
    key = (df_span){df_secret_bytes(s), df_secret_length(s)};
  } else if (type != LUA_TNIL) {
    key.bytes = luaL_checklstring(L, -1, &key.len);
  }
  return key;
}

/* map.new{code = integers, texts = strings, functions = array, key = of HMACs, a text or a secret, or nil}: a map, or nil and an error.
   What the integers say: defendis/normalize/program.lua. */
static int l_new(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  df_map_program p = {0};
  df_error err;
  lua_getfield(L, 1, "texts"); /* [program, texts] */
  p.texts = read_texts(L, &p.text_count);
  lua_getfield(L, 1, "code"); /* [program, texts, u, code] */
  p.code = read_code(L, &p.len);
  p.key = read_key(L);        /* [..., key] */
  map *m = lua_newuserdatauv(L, sizeof *m, 1); /* [..., map] */
  m->map = NULL;
  luaL_setmetatable(L, MAP);        /* [..., map] */
  lua_getfield(L, 1, "functions"); /* [..., map, functions] */
  lua_setiuservalue(L, -2, 1);      /* [..., map] */
  return df_map_new(&m->map, &p, &err) == 0 ? 1 : df_push_error(L, &err);
}

/* One Lua function of a map: what it gives for the record, as JSON. */
static int call(void *user, int which, df_buf *out, df_error *err) {
  called *c = user;
  lua_State *L = c->L;
  int top = lua_gettop(L), rc = 1;
  luaL_checkstack(L, 16, "map");
  if (c->functions == 0 || lua_rawgeti(L, c->functions, which + 1) != LUA_TFUNCTION) /* [f] */
    return lua_settop(L, top), df_fail(err, DF_INVALID, "map: there is no such function");
  df_push_record(L, c->doc, c->at, c->hidden); /* [f, record] */
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) { /* [v] */
    size_t n;
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : "error object";
    rc = df_fail(err, DF_SCRIPT, "%.500s", text);
  } else if (lua_isnil(L, -1) || (lua_islightuserdata(L, -1) && lua_touserdata(L, -1) == NULL)) {
    rc = 0;
  } else if (df_encode(L, top + 1, out, err) != 0) {
    rc = -1;
  }
  lua_settop(L, top);
  return rc;
}

/* map:run(page, i, buffer [, hidden [, behind]]): appends the document of the page's record i, and the text `behind`. hidden: of
   core.sensitive.fields, what functions get as opaque values. true, or nil and an error, with the buffer as it was. */
static int l_run(lua_State *L) {
  map *m = luaL_checkudata(L, 1, MAP);
  luaL_argcheck(L, m->map != NULL, 1, "map is closed");
  called c = {.L = L, .doc = df_check_page(L, 2)};
  lua_Integer i = luaL_checkinteger(L, 3);
  luaL_argcheck(L, i >= 1 && i <= (lua_Integer)df_json_records(c.doc), 3, "no such record");
  df_buf *out = df_check_buffer(L, 4);
  df_error err;
  size_t n, before = out->len;
  const char *behind = luaL_optlstring(L, 6, "", &n);
  lua_settop(L, 6);
  if (!lua_isnil(L, 5)) c.hidden = 5;
  c.at = df_json_record(c.doc, (uint32_t)(i - 1));
  if (lua_getiuservalue(L, 1, 1) == LUA_TTABLE) c.functions = 7; /* [map, page, i, buffer, hidden, behind, functions] */
  if (df_map_run(m->map, c.doc, c.at, out, call, &c, &err) != 0) return df_push_error(L, &err);
  if (df_buf_add(out, behind, n) != 0) {
    out->len = before;
    df_fail(&err, DF_LIMIT, "map: memory ran out");
    return df_push_error(L, &err);
  }
  lua_pushboolean(L, 1); /* [..., true] */
  return 1;
}

int df_open_map(lua_State *L) {
  static const luaL_Reg methods[] = {DF_REG(run), DF_REG(close), {NULL, NULL}};
  static const luaL_Reg functions[] = {DF_REG(new), {NULL, NULL}};
  df_open_class(L, MAP, methods, l_close);
  luaL_newlib(L, functions); /* [map] */
  return 1;
}

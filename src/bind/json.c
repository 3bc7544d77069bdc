/* json.c: core.json: buffers of JSON text, and the marks that keep arrays, objects, null and long numbers apart. */
#include <string.h>

#include "bind/bind.h"
#include "job/job.h"

#define REG_BUFFER(verb) {#verb, l_buffer_##verb}

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
  int rc = df_encode(L, 1, b, &err);
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

/* buffer:encode(value[, options[, behind]]): appends the value's JSON text, and the text `behind`. true, or nil and an error. */
static int l_buffer_encode(lua_State *L) {
  df_buf *b = df_check_buffer(L, 1);
  luaL_checkany(L, 2);
  size_t n, before = b->cap;
  const char *behind = luaL_optlstring(L, 4, "", &n);
  lua_settop(L, 4);
  df_error err;
  int rc = df_encode(L, 2, b, &err);
  if (rc == 0 && df_buf_add(b, behind, n) != 0) return raise_memory(L);
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
  df_whole_record(L, 1);
  if (lua_getmetatable(L, 1)) {                                        /* [mt] */
    luaL_getmetatable(L, DF_JSON_ARRAY_MT);                            /* [mt, a] */
    luaL_getmetatable(L, DF_JSON_OBJECT_MT);                           /* [mt, a, o] */
    if (!lua_rawequal(L, -3, -2) && !lua_rawequal(L, -3, -1))
      return luaL_argerror(L, 1, "the table has a metatable of its own");
  }
  lua_settop(L, 1);           /* [t] */
  luaL_setmetatable(L, name); /* [t] */
  return 1;
}

/* array(t): marks t as an array, also when it is empty. Returns t. */
static int l_array(lua_State *L) { return mark(L, DF_JSON_ARRAY_MT); }

/* object(t): marks t as an object, or takes the array mark off. Returns t. */
static int l_object(lua_State *L) { return mark(L, DF_JSON_OBJECT_MT); }

/* is_array(v): whether encode would write v as an array. */
static int l_is_array(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, lua_istable(L, 1) && df_is_array(L, 1)); /* [b] */
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
  push_mark(L, DF_JSON_OBJECT_MT);                /* [mt, mt] */
  lua_pop(L, 2);                          /* [] */
  luaL_newlib(L, functions);              /* [json] */
  lua_pushlightuserdata(L, NULL);         /* [json, null] */
  lua_setfield(L, -2, "null");            /* [json] */
  push_mark(L, DF_JSON_ARRAY_MT);         /* [json, mt] */
  lua_setfield(L, -2, "array_mt");        /* [json] */
  df_open_encode(L);
  df_open_page(L);
  return 1;
}

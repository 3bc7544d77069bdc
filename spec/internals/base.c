/* base.c: for tests: src/base where no binding reaches it. */
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/secret.h"
#include "bind/bind.h"
#include "internals.h"

#define SECRET "internals.secret"

/* fail(kind, message) -> what df_fail made of it, and what it returned */
static int l_fail(lua_State *L) {
  df_error err;
  memset(&err, 0xff, sizeof err);
  int rc = df_fail(&err, df_kind_from_name(luaL_checkstring(L, 1)), "%s", luaL_checkstring(L, 2));
  df_fail(NULL, DF_CONFIG, "nobody listens");
  df_push_error(L, &err);   /* [.., nil, err] */
  lua_pushinteger(L, rc);   /* [.., nil, err, rc] */
  return 2;
}

/* cleared() -> kind, length of the message of a cleared error */
static int l_cleared(lua_State *L) {
  df_error err;
  memset(&err, 0xff, sizeof err);
  df_error_clear(&err);
  df_error_clear(NULL);
  lua_pushstring(L, df_kind_name(err.kind));                 /* [kind] */
  lua_pushinteger(L, (lua_Integer)strlen(err.message));      /* [kind, n] */
  return 2;
}

/* kind(number) -> name, exit code */
static int l_kind(lua_State *L) {
  df_kind kind = (df_kind)luaL_checkinteger(L, 1);
  lua_pushstring(L, df_kind_name(kind));          /* [name] */
  lua_pushinteger(L, df_kind_exit_code(kind));    /* [name, code] */
  return 2;
}

/* kind_from_name(name) -> number */
static int l_kind_from_name(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)df_kind_from_name(luaL_checkstring(L, 1))); /* [n] */
  return 1;
}

static int l_days_from_civil(lua_State *L) {
  lua_pushinteger(L, df_days_from_civil((int)luaL_checkinteger(L, 1), (int)luaL_checkinteger(L, 2), (int)luaL_checkinteger(L, 3)));
  return 1;
}

static int l_civil_from_days(lua_State *L) {
  int y, m, d;
  df_civil_from_days(luaL_checkinteger(L, 1), &y, &m, &d);
  lua_pushinteger(L, y); /* [.., y] */
  lua_pushinteger(L, m); /* [.., y, m] */
  lua_pushinteger(L, d); /* [.., y, m, d] */
  return 3;
}

/* date_parse(text) -> days | nil */
static int l_date_parse(lua_State *L) {
  size_t n;
  int64_t days;
  const char *text = luaL_checklstring(L, 1, &n);
  if (df_date_parse(text, n, &days) != 0) return 0;
  lua_pushinteger(L, days); /* [.., days] */
  return 1;
}

static int l_date_format(lua_State *L) {
  char text[11];
  df_date_format(luaL_checkinteger(L, 1), text);
  lua_pushstring(L, text); /* [.., text] */
  return 1;
}

/* clocks() -> monotonic, wall */
static int l_clocks(lua_State *L) {
  lua_pushinteger(L, df_clock_mono_ms()); /* [mono] */
  lua_pushinteger(L, df_clock_wall_ms()); /* [mono, wall] */
  return 2;
}

typedef struct holder {
  df_secret *s;
} holder;

static holder *push_secret(lua_State *L) {
  holder *h = lua_newuserdatauv(L, sizeof *h, 0); /* [.., h] */
  h->s = NULL;
  luaL_setmetatable(L, SECRET);
  return h;
}

/* secret(bytes, what) -> secret | nil, err */
static int l_secret(lua_State *L) {
  size_t n;
  df_error err;
  const char *bytes = luaL_checklstring(L, 1, &n), *what = luaL_optstring(L, 2, "the key");
  if (df_secret_new(&push_secret(L)->s, bytes, n, what, &err) != 0) return df_push_error(L, &err);
  return 1;
}

/* secret_from_file(path) -> secret | nil, err */
static int l_secret_from_file(lua_State *L) {
  df_error err;
  const char *path = luaL_checkstring(L, 1);
  if (df_secret_from_file(&push_secret(L)->s, path, "API key", &err) != 0) return df_push_error(L, &err);
  return 1;
}

/* find_api_key([file], environment) -> secret | nil, err: with these variables and no other of its own */
static int l_find_api_key(lua_State *L) {
  static const char *const names[] = {"DEFENDIS_API_KEY_FILE", "CREDENTIALS_DIRECTORY", "DEFENDIS_API_KEY"};
  char *saved[3];
  df_error err;
  const char *file = luaL_optstring(L, 1, NULL), *values[3];
  luaL_checktype(L, 2, LUA_TTABLE);
  for (int i = 0; i < 3; i++) {
    lua_getfield(L, 2, names[i]); /* [.., value]: stays */
    values[i] = luaL_optstring(L, -1, NULL);
  }
  holder *h = push_secret(L);
  for (int i = 0; i < 3; i++) {
    const char *now = getenv(names[i]);
    saved[i] = now != NULL ? strdup(now) : NULL;
    if (values[i] != NULL) setenv(names[i], values[i], 1);
    else unsetenv(names[i]);
  }
  int rc = df_secret_find_api_key(&h->s, file, &err);
  for (int i = 0; i < 3; i++) {
    if (saved[i] != NULL) setenv(names[i], saved[i], 1);
    else unsetenv(names[i]);
    free(saved[i]);
  }
  return rc == 0 ? 1 : df_push_error(L, &err);
}

static int l_bytes(lua_State *L) {
  holder *h = luaL_checkudata(L, 1, SECRET);
  lua_pushstring(L, df_secret_bytes(h->s)); /* [.., bytes] */
  return 1;
}

static int l_free(lua_State *L) {
  holder *h = luaL_checkudata(L, 1, SECRET);
  df_secret_free(h->s);
  h->s = NULL;
  return 0;
}

/* redact(text) -> as a buffer, as a C string */
static int l_redact(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  df_buf b = {0};
  if (df_buf_add(&b, text, n) != 0) return luaL_error(L, "out of memory");
  char *copy = strdup(text);
  df_secret_redact(&b);
  df_secret_redact_text(copy);
  lua_pushlstring(L, b.data != NULL ? b.data : "", b.len); /* [.., buffer] */
  lua_pushstring(L, copy);                                  /* [.., buffer, text] */
  df_buf_free(&b);
  free(copy);
  return 2;
}

/* log(level, event, {{key, text or number}...}) */
static int l_log(lua_State *L) {
  df_log_field fields[8];
  int n = (int)luaL_len(L, 3);
  luaL_argcheck(L, n <= 8, 3, "8 fields at most");
  for (int i = 0; i < n; i++) {
    lua_geti(L, 3, i + 1); /* [.., pair] */
    lua_geti(L, -1, 1);    /* [.., pair, key] */
    lua_geti(L, -2, 2);    /* [.., pair, key, value]: stay */
    fields[i] = (df_log_field){.key = luaL_checkstring(L, -2)};
    if (lua_type(L, -1) == LUA_TSTRING) fields[i].text = lua_tostring(L, -1);
    else fields[i].number = luaL_checkinteger(L, -1);
  }
  df_log((int)luaL_checkinteger(L, 1), luaL_checkstring(L, 2), fields, n);
  return 0;
}

/* log_level([new]) -> level */
static int l_log_level(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) df_log_set_level((int)luaL_checkinteger(L, 1));
  lua_pushinteger(L, df_log_level()); /* [.., n] */
  return 1;
}

/* buffer(how, values...) -> bytes: adds each value; how is "add", "puts", "printf", or "str", which adds and ends with NUL. Also
   returns whether the capacity never fell below the length. */
static int l_buffer(lua_State *L) {
  const char *how = luaL_checkstring(L, 1);
  df_buf b = {0};
  int rc = 0, sound = 1;
  for (int i = 2; i <= lua_gettop(L); i++) {
    size_t n;
    const char *value = luaL_checklstring(L, i, &n);
    if (strcmp(how, "puts") == 0) rc |= df_buf_puts(&b, value);
    else if (strcmp(how, "printf") == 0) rc |= df_buf_printf(&b, "<%s>", value);
    else rc |= df_buf_add(&b, value, n);
    sound &= b.cap >= b.len;
  }
  if (strcmp(how, "str") == 0) sound &= df_buf_str(&b) != NULL && b.data[b.len] == '\0' && b.cap > b.len;
  lua_pushlstring(L, b.data != NULL ? b.data : "", b.len); /* [.., bytes] */
  lua_pushboolean(L, rc == 0 && sound);                    /* [.., bytes, sound] */
  df_buf_free(&b);
  df_buf_free(&b);
  lua_pushboolean(L, b.data == NULL && b.len == 0 && b.cap == 0); /* [.., bytes, sound, empty] */
  return 3;
}

/* reserve(length, extra) -> rc, unchanged: asks a buffer of that length for more. extra -1: SIZE_MAX */
static int l_reserve(lua_State *L) {
  df_buf b = {0};
  char zeros[256] = {0};
  df_buf_add(&b, zeros, (size_t)luaL_checkinteger(L, 1) % sizeof zeros);
  df_buf before = b;
  int rc = df_buf_reserve(&b, (size_t)luaL_checkinteger(L, 2));
  lua_pushinteger(L, rc);                                                                           /* [.., rc] */
  lua_pushboolean(L, b.data == before.data && b.len == before.len && b.cap == before.cap); /* [.., rc, same] */
  df_buf_free(&b);
  return 2;
}

int internals_open_base(lua_State *L) {
  static const luaL_Reg secret[] = {{"bytes", l_bytes}, {"free", l_free}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      DF_REG(fail),         DF_REG(cleared),          DF_REG(kind),         DF_REG(kind_from_name), DF_REG(days_from_civil),
      DF_REG(civil_from_days),
      DF_REG(date_parse),   DF_REG(date_format),      DF_REG(clocks),       DF_REG(secret),         DF_REG(secret_from_file),
      DF_REG(find_api_key), DF_REG(redact),           DF_REG(log),          DF_REG(log_level),      DF_REG(buffer),
      DF_REG(reserve),      {NULL, NULL},
  };
  luaL_newmetatable(L, SECRET);   /* [mt] */
  lua_newtable(L);                /* [mt, methods] */
  luaL_setfuncs(L, secret, 0);
  lua_setfield(L, -2, "__index"); /* [mt] */
  lua_pushcfunction(L, l_free);   /* [mt, f] */
  lua_setfield(L, -2, "__gc");    /* [mt] */
  lua_pushcfunction(L, l_free);   /* [mt, f] */
  lua_setfield(L, -2, "__close"); /* [mt] */
  lua_pop(L, 1);                  /* [] */
  luaL_newlib(L, functions);      /* [base] */
  return 1;
}

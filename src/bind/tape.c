/* tape.c: core.tape: the trace of requests, and recorded answers in the place of the network. */
#include <string.h>

#include "base/clock.h"
#include "bind/bind.h"
#include "job/redact.h"
#include "job/tape.h"
#include "job/trace.h"

static const struct {
  const char *name;
  df_field_kind kind;
} lists[] = {{"names", DF_FIELD_TEXT}, {"cards", DF_FIELD_CARD}, {"bare", DF_FIELD_BARE}};

/* core.tape.hide{names=, cards=, bare=, parts=, whole=} -> true | nil, err: lists of names whose values are
   hidden from now on; the passwords of proxies are too. */
static int l_hide(lua_State *L) {
  df_error err;
  luaL_checktype(L, 1, LUA_TTABLE);
  static const char *const keys[] = {"names", "cards", "bare", "parts", "whole"};
  for (int k = 0; k < 5; k++) {
    int type = lua_getfield(L, 1, keys[k]); /* [t, list] */
    for (lua_Integer i = 1; type != LUA_TNIL && lua_geti(L, 2, i) == LUA_TSTRING; i++) { /* [t, list, name] */
      size_t n;
      const char *name = lua_tolstring(L, 3, &n);
      int rc = k < 3 ? df_redact_field(name, n, lists[k].kind, &err) : df_redact_word(name, n, k == 4, &err);
      if (rc != 0) return df_push_error(L, &err);
      lua_settop(L, 2); /* [t, list] */
    }
    lua_settop(L, 1); /* [t] */
  }
  if (df_redact_proxies(&err) != 0) return df_push_error(L, &err);
  lua_pushboolean(L, 1); /* [t, true] */
  return 1;
}

static int answer(lua_State *L, int rc, const df_error *err) {
  if (rc != 0) return df_push_error(L, err);
  lua_pushboolean(L, 1); /* [true] */
  return 1;
}

/* core.tape.trace(path, bodies) -> true | nil, err: a line of JSON for each attempt from now on. */
static int l_trace(lua_State *L) {
  df_error err;
  return answer(L, df_trace_open(luaL_checkstring(L, 1), lua_toboolean(L, 2), &err), &err);
}

/* core.tape.record(dir) -> true | nil, err: answers of the API are written into an empty folder from now on. */
static int l_record(lua_State *L) {
  df_error err;
  return answer(L, df_tape_record(luaL_checkstring(L, 1), df_clock_wall_ms(), &err), &err);
}

/* core.tape.play(dir) -> true | nil, err: they come from there from now on. */
static int l_play(lua_State *L) {
  df_error err;
  return answer(L, df_tape_play(luaL_checkstring(L, 1), &err), &err);
}

/* core.tape.now() -> Unix milliseconds, when a tape is played: the recording's present, which is this run's; else nil. */
static int l_now(lua_State *L) {
  if (df_tape_now() <= 0) return 0;
  lua_pushinteger(L, df_tape_now()); /* [ms] */
  return 1;
}

/* core.tape.playing() -> boolean. */
static int l_playing(lua_State *L) {
  lua_pushboolean(L, df_tape_is() == DF_TAPE_PLAY); /* [b] */
  return 1;
}

/* core.tape.close() -> calls, hidden values | nil, err: ends trace and tape; what was written is not whole when there is an error. */
static int l_close(lua_State *L) {
  df_error err;
  uint64_t calls;
  int rc = df_tape_close(&calls, &err);
  if (rc == 0) rc = df_trace_close(&err);
  if (rc != 0) return df_push_error(L, &err);
  lua_pushinteger(L, (lua_Integer)calls);             /* [calls] */
  lua_pushinteger(L, (lua_Integer)df_redact_count()); /* [calls, hidden] */
  return 2;
}

int df_open_tape(lua_State *L) {
  static const luaL_Reg functions[] = {DF_REG(hide), DF_REG(trace), DF_REG(record), DF_REG(play), DF_REG(now),
                                       DF_REG(playing), DF_REG(close), {NULL, NULL}};
  luaL_newlib(L, functions); /* [functions] */
  return 1;
}

/* sys.c: clocks, terminal and log, for the trusted command line. */
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "bind/bind.h"
#include "io/notify.h"
#include "io/signals.h"
#include "job/job.h"
#include "job/tally.h"

/* core.sys.isatty(fd) -> boolean */
static int l_isatty(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1))); /* [b] */
  return 1;
}

/* core.sys.columns() -> width of the terminal on stderr, 80 when unknown */
static int l_columns(lua_State *L) {
  struct winsize w = {0};
  lua_pushinteger(L, ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80); /* [n] */
  return 1;
}

/* core.sys.wall_ms() -> Unix milliseconds */
static int l_wall_ms(lua_State *L) {
  lua_pushinteger(L, df_clock_wall_ms()); /* [ms] */
  return 1;
}

/* core.sys.mono_ms() -> milliseconds that only go forward */
static int l_mono_ms(lua_State *L) {
  lua_pushinteger(L, df_clock_mono_ms()); /* [ms] */
  return 1;
}

/* core.sys.log_level(n): 0 warnings, 1 requests, 2 everything */
static int l_log_level(lua_State *L) {
  df_log_set_level((int)luaL_checkinteger(L, 1));
  return 0;
}

/* core.sys.setenv(name, value): what clients made later find in the environment */
static int l_setenv(lua_State *L) {
  if (setenv(luaL_checkstring(L, 1), luaL_checkstring(L, 2), 1) != 0) return luaL_error(L, "the environment cannot be set");
  return 0;
}

/* core.sys.catch_signals(hangup) -> fd | nil, err: from now on SIGTERM and SIGINT, and SIGHUP when hangup is true, are noted; the
   descriptor is readable while one is. The second SIGTERM or SIGINT ends the process. */
static int l_catch_signals(lua_State *L) {
  df_error err;
  int fd = df_signals_catch(lua_toboolean(L, 1), &err);
  if (fd < 0) return df_push_error(L, &err);
  lua_pushinteger(L, fd); /* [fd] */
  return 1;
}

/* core.sys.next_signal() -> "SIGTERM" | "SIGINT" | "SIGHUP" | nil */
static int l_next_signal(lua_State *L) {
  int number = df_signals_next();
  lua_pushstring(L, number == SIGTERM ? "SIGTERM" : number == SIGINT ? "SIGINT" : number == SIGHUP ? "SIGHUP" : NULL); /* [name] */
  return 1;
}

/* core.sys.notify(text) -> was it sent? Lines for the service manager at $NOTIFY_SOCKET. */
static int l_notify(lua_State *L) {
  lua_pushboolean(L, df_notify(luaL_checkstring(L, 1))); /* [b] */
  return 1;
}

/* core.sys.requests() -> array of the answers of the API by the first digit of their status, with [0] for requests that got none and
   [6] for how many of all were retries; of the whole process */
static int l_requests(lua_State *L) {
  uint64_t counts[DF_TALLY_COUNT];
  df_tally_read(counts);
  lua_createtable(L, DF_TALLY_COUNT, 1); /* [t] */
  for (int i = 0; i < DF_TALLY_COUNT; i++) {
    lua_pushinteger(L, (lua_Integer)counts[i]); /* [t, n] */
    lua_rawseti(L, -2, i);                      /* [t] */
  }
  return 1;
}

static int free_buf(lua_State *L) {
  df_buf_free(lua_touserdata(L, 1));
  return 0;
}

/* core.sys.run{name=, text=, input=, args=, timeout_ms=, memory=, instructions=} -> JSON text | nil, err
   Runs a script in a sandbox of its own. Only where the state has a host. */
static int l_run(lua_State *L) {
  df_context *context = df_context_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  if (context->run_script == NULL) return luaL_error(L, "there is no host to run a script in");
  lua_settop(L, 1);
  df_job_script s = {0};
  lua_getfield(L, 1, "name");                   /* [t, name] */
  lua_getfield(L, 1, "text");                   /* [t, name, text] */
  lua_getfield(L, 1, "input");                  /* [t, name, text, input] */
  lua_getfield(L, 1, "args");                   /* [t, name, text, input, args] */
  lua_getfield(L, 1, "timeout_ms");             /* [..., timeout] */
  lua_getfield(L, 1, "memory");                 /* [..., memory] */
  lua_getfield(L, 1, "instructions");           /* [..., instructions] */
  s.name = luaL_checkstring(L, 2);
  s.text = luaL_checklstring(L, 3, &s.text_len);
  s.input = luaL_checklstring(L, 4, &s.input_len);
  s.args = luaL_checklstring(L, 5, &s.args_len);
  s.timeout_ms = luaL_optinteger(L, 6, 0);
  s.memory = (size_t)luaL_optinteger(L, 7, 0);
  s.instructions = luaL_optinteger(L, 8, 0);
  df_buf *out = lua_newuserdatauv(L, sizeof *out, 0); /* [..., out] */
  *out = (df_buf){0};
  lua_createtable(L, 0, 1);                     /* [..., out, mt] */
  lua_pushcfunction(L, free_buf);               /* [..., out, mt, f] */
  lua_setfield(L, -2, "__gc");                  /* [..., out, mt] */
  lua_setmetatable(L, -2);                      /* [..., out] */
  df_error err;
  if (context->run_script(context->host, out, &s, &err) != 0) return df_push_error(L, &err);
  lua_pushlstring(L, out->data != NULL ? out->data : "", out->len); /* [..., text] */
  return 1;
}

int df_open_sys(lua_State *L) {
  static const luaL_Reg functions[] = {DF_REG(isatty), DF_REG(columns), DF_REG(wall_ms), DF_REG(mono_ms), DF_REG(log_level),
                                       DF_REG(setenv), DF_REG(catch_signals), DF_REG(next_signal),
                                       DF_REG(notify), DF_REG(requests), DF_REG(run), {NULL, NULL}};
  luaL_newlib(L, functions); /* [functions] */
  return 1;
}

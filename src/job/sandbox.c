/* sandbox.c: the libraries that a script may see. */
#include "job/sandbox.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

#include "job/job.h"
#include "job/tape.h"

/* Everything a script can name, with the reason where one is not obvious. Not here: load and its kin (bytecode),
   collectgarbage (stops the collector), xpcall (its handler would run past a limit), debug, io, package,
   coroutine.close (crashes 5.4.4 when nested), string.dump, os but for its clocks. */
static const struct {
  const char *lib; /* "_G" for the globals */
  lua_CFunction open;
  const char *names;
} allowed[] = {
    {"_G", luaopen_base,
     " assert error getmetatable ipairs next pairs pcall rawequal rawget rawlen rawset select tonumber tostring type "
     "_G _VERSION "},
    {"string", luaopen_string,
     " byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper "},
    {"table", luaopen_table, " concat insert move pack remove sort unpack "},
    {"math", luaopen_math,
     " abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi rad random "
     "randomseed sin sqrt tan tointeger type ult "},
    {"utf8", luaopen_utf8, " char charpattern codepoint codes len offset "},
    {"coroutine", luaopen_coroutine, " create isyieldable resume running status wrap yield "},
    {"os", luaopen_os, " clock date difftime time "}, /* clocks only: no files, no environment, no exit */
};

static int is_listed(const char *names, const char *name) {
  char word[64];
  snprintf(word, sizeof word, " %s ", name);
  return strstr(names, word) != NULL;
}

/* Removes every key of the table on top that is not listed. */
static void filter(lua_State *L, const char *names) {
  lua_pushnil(L);                                              /* [t, nil] */
  while (lua_next(L, -2)) {                                    /* [t, k, v] */
    lua_pop(L, 1);                                             /* [t, k] */
    if (lua_type(L, -1) == LUA_TSTRING && is_listed(names, lua_tostring(L, -1))) continue;
    lua_pushvalue(L, -1);                                      /* [t, k, k] */
    lua_pushnil(L);                                            /* [t, k, k, nil] */
    lua_rawset(L, -4);                                         /* [t, k] */
  }
}

/* A new coroutine counts its instructions from 0: without a price, many short ones would never be counted. */
static int l_charged(lua_State *L) {
  df_job_charge(L);
  lua_pushvalue(L, lua_upvalueindex(1));            /* [..., f] */
  lua_insert(L, 1);                                 /* [f, ...] */
  lua_call(L, lua_gettop(L) - 1, 1);                /* [result] */
  return 1;
}

static void charge(lua_State *L, const char *library, const char *name) {
  lua_getglobal(L, library);         /* [lib] */
  lua_getfield(L, -1, name);         /* [lib, f] */
  lua_pushcclosure(L, l_charged, 1); /* [lib, charged] */
  lua_setfield(L, -2, name);         /* [lib] */
  lua_pop(L, 1);                     /* [] */
}

static void refuse_field(lua_State *L, const char *name) {
  lua_pushstring(L, name); /* [t, mt, name] */
  lua_rawget(L, 2);        /* [t, mt, value] */
  if (!lua_isnil(L, -1)) luaL_error(L, "a script may not set %s", name);
  lua_pop(L, 1); /* [t, mt] */
}

/* A finalizer runs with the limits off, and weak tables can crash 5.4.4 when memory is short: scripts have neither. */
static int l_setmetatable(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
  if (lua_istable(L, 2)) {
    lua_settop(L, 2);
    refuse_field(L, "__gc");
    refuse_field(L, "__mode");
  }
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) return luaL_error(L, "cannot change a protected metatable");
  lua_settop(L, 2);
  lua_setmetatable(L, 1); /* [t] */
  return 1;
}

/* stdout is for the result alone. */
static int l_print(lua_State *L) {
  int n = lua_gettop(L);
  for (int i = 1; i <= n; i++) {
    size_t len;
    const char *s = luaL_tolstring(L, i, &len); /* [..., s] */
    if (i > 1) fputc('\t', stderr);
    fwrite(s, 1, len, stderr);
    lua_pop(L, 1);
  }
  fputc('\n', stderr);
  return 0;
}

/* os.time and os.date where a tape stands for the world: without a time they mean the recording's. Upvalues: the function, and which of
   its arguments is the time. */
static int l_taped(lua_State *L) {
  int at = (int)lua_tointeger(L, lua_upvalueindex(2));
  if (!lua_isnoneornil(L, at)) {
    lua_pushvalue(L, lua_upvalueindex(1)); /* [..., f] */
    lua_insert(L, 1);                      /* [f, ...] */
    lua_call(L, lua_gettop(L) - 1, 1);     /* [result] */
    return 1;
  }
  lua_settop(L, at - 1);
  lua_pushinteger(L, df_tape_now() / 1000); /* [format or nothing, now] */
  if (at == 1) return 1;
  if (lua_isnil(L, 1)) lua_pushliteral(L, "%c"), lua_replace(L, 1); /* [format, now] */
  lua_pushvalue(L, lua_upvalueindex(1));                          /* [format, now, f] */
  lua_insert(L, 1);                                               /* [f, format, now] */
  lua_call(L, 2, 1);                                              /* [text or table] */
  return 1;
}

static void tape_clock(lua_State *L, const char *name, int at) {
  lua_getglobal(L, "os");          /* [os] */
  lua_getfield(L, -1, name);       /* [os, f] */
  lua_pushinteger(L, at);          /* [os, f, at] */
  lua_pushcclosure(L, l_taped, 2); /* [os, taped] */
  lua_setfield(L, -2, name);       /* [os] */
  lua_pop(L, 1);                   /* [] */
}

void df_sandbox_open_listed(lua_State *L) {
  for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
    luaL_requiref(L, allowed[i].lib, allowed[i].open, 1); /* [lib] */
    filter(L, allowed[i].names);
    lua_pop(L, 1); /* [] */
  }
  charge(L, "coroutine", "create");
  charge(L, "coroutine", "wrap");
  if (df_tape_now() > 0) tape_clock(L, "time", 1), tape_clock(L, "date", 2);
  lua_pushliteral(L, "");            /* [""] */
  lua_getmetatable(L, -1);           /* ["", mt] */
  lua_pushboolean(L, 0);             /* ["", mt, false] */
  lua_setfield(L, -2, "__metatable"); /* ["", mt] */
  lua_pop(L, 2);                     /* [] */
  lua_register(L, "setmetatable", l_setmetatable);
  lua_register(L, "print", l_print);
}

void df_sandbox_open_all(lua_State *L) {
  luaL_openlibs(L);
  /* modules come from this program or from the system, never from the current folder or $LUA_PATH */
  lua_getglobal(L, "package");                                                       /* [package] */
  lua_pushliteral(L, "/usr/local/share/lua/5.4/?.lua;/usr/local/share/lua/5.4/?/init.lua;"
                     "/usr/share/lua/5.4/?.lua;/usr/share/lua/5.4/?/init.lua");      /* [package, path] */
  lua_setfield(L, -2, "path");                                                       /* [package] */
  lua_pushliteral(L, "/usr/local/lib/lua/5.4/?.so;/usr/lib/x86_64-linux-gnu/lua/5.4/?.so;"
                     "/usr/lib/aarch64-linux-gnu/lua/5.4/?.so;/usr/lib/lua/5.4/?.so"); /* [package, cpath] */
  lua_setfield(L, -2, "cpath");                                                      /* [package] */
  lua_pop(L, 1);                                                                     /* [] */
}

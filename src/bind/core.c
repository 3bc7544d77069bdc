/* core.c: `require "defendis.core"`, everything in C that Lua can see. */
#include "bind/bind.h"
#include "bind/open.h"
#include "job/job.h"

/* tostring(err): its message. */
static int l_error_tostring(lua_State *L) {
  lua_getfield(L, 1, "message"); /* [message] */
  if (!lua_isstring(L, -1)) lua_pushliteral(L, "unknown error");
  return 1;
}

int df_push_error(lua_State *L, const df_error *err) {
  lua_pushnil(L);                                       /* [nil] */
  lua_createtable(L, 0, 7);                             /* [nil, e] */
  lua_pushstring(L, df_kind_name(err->kind));           /* [nil, e, kind] */
  lua_setfield(L, -2, "kind");                          /* [nil, e] */
  lua_pushstring(L, err->message);                      /* [nil, e, message] */
  lua_setfield(L, -2, "message");                       /* [nil, e] */
  if (err->status != 0) {
    lua_pushinteger(L, err->status);                    /* [nil, e, status] */
    lua_setfield(L, -2, "status");                      /* [nil, e] */
  }
  if (err->request_id[0] != '\0') {
    lua_pushstring(L, err->request_id);                 /* [nil, e, id] */
    lua_setfield(L, -2, "request_id");                  /* [nil, e] */
  }
  lua_pushinteger(L, err->attempts);                    /* [nil, e, n] */
  lua_setfield(L, -2, "attempts");                      /* [nil, e] */
  lua_pushboolean(L, err->retryable);                   /* [nil, e, b] */
  lua_setfield(L, -2, "retryable");                     /* [nil, e] */
  if (err->retry_at_ms != 0) {
    lua_pushinteger(L, err->retry_at_ms);               /* [nil, e, ms] */
    lua_setfield(L, -2, "retry_at");                    /* [nil, e] */
  }
  if (luaL_newmetatable(L, "defendis.error")) {         /* [nil, e, mt] */
    lua_pushcfunction(L, l_error_tostring);             /* [nil, e, mt, f] */
    lua_setfield(L, -2, "__tostring");                  /* [nil, e, mt] */
  }
  lua_setmetatable(L, -2);                              /* [nil, e] */
  return 2;
}

/* core.load_text(source, name) -> function | nil, message. Text only: bytecode could crash the interpreter. */
static int l_load_text(lua_State *L) {
  size_t len;
  const char *source = luaL_checklstring(L, 1, &len);
  lua_pushfstring(L, "@%s", luaL_checkstring(L, 2)); /* [source, name, chunkname] */
  if (luaL_loadbufferx(L, source, len, lua_tostring(L, -1), "t") == LUA_OK) return 1; /* [..., f] */
  lua_pushnil(L);    /* [..., message, nil] */
  lua_insert(L, -2); /* [..., nil, message] */
  return 2;
}

int df_open_core(lua_State *L) {
  static const struct {
    const char *name;
    lua_CFunction open;
    int for_scripts; /* also in a sandbox */
  } parts[] = {
      {"json", df_open_json, 1},     {"client", df_open_client, 1}, {"api", df_open_api, 1},     {"hash", df_open_hash, 1},
      {"store", df_open_store, 0},   {"stream", df_open_stream, 0}, {"kafka", df_open_kafka, 0}, {"httpd", df_open_httpd, 0},
      {"sys", df_open_sys, 0},       {"secret", df_open_secret, 0},
      {"endpoint", df_open_endpoint, 0}, {"connection", df_open_connection, 0},
      {"events", df_open_events, 0}, {"names", df_open_names, 1},   {"regex", df_open_regex, 1}, {"map", df_open_map, 0},
      {"sensitive", df_open_sensitive, 0}, {"budget", df_open_budget, 0}, {"tape", df_open_tape, 0},
  };
  luaL_checkversion(L);
  int trusted = df_context_of(L)->trusted;
  lua_newtable(L); /* [core] */
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    if (!trusted && !parts[i].for_scripts) continue;
    parts[i].open(L);                   /* [core, part] */
    lua_setfield(L, -2, parts[i].name); /* [core] */
  }
  lua_pushcfunction(L, l_load_text);    /* [core, f] */
  lua_setfield(L, -2, "load_text");     /* [core] */
  lua_pushliteral(L, DEFENDIS_VERSION); /* [core, version] */
  lua_setfield(L, -2, "version");       /* [core] */
  return 1;
}

/* What stock Lua calls when it has loaded defendis/core.so. */
__attribute__((visibility("default"))) int luaopen_defendis_core(lua_State *L);
int luaopen_defendis_core(lua_State *L) { return df_open_core(L); }

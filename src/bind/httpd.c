/* httpd.c: `core.httpd`, the loopback HTTP server for the simulator and for `serve`. */
#include "io/httpd.h"

#include <limits.h>
#include <string.h>

#include "bind/bind.h"

#define SERVER "defendis.httpd"
#define REQUEST "defendis.httpd.request"
#define MAX_HEADERS 32

typedef struct server {
  df_httpd *h; /* NULL once closed */
} server;

static df_httpd *check_server(lua_State *L, int at) {
  server *s = luaL_checkudata(L, at, SERVER);
  if (s->h == NULL) luaL_error(L, "the server is closed");
  return s->h;
}

/* httpd.listen{port = 0} -> server | nil, err. Listens on 127.0.0.1 only; port 0 is any free one. */
static int l_listen(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_Integer port = 0;
  if (lua_istable(L, 1)) {
    lua_pushnil(L); /* [opts, key] */
    while (lua_next(L, 1) != 0) { /* [opts, key, value] */
      if (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), "port") != 0)
        return luaL_error(L, "unknown option '%s' (did you mean 'port'?)", luaL_tolstring(L, -2, NULL));
      port = luaL_checkinteger(L, -1);
      lua_pop(L, 1); /* [opts, key] */
    }
  }
  if (port < 0 || port > 65535) port = -1; /* refused below, in words */
  server *s = lua_newuserdatauv(L, sizeof *s, 0); /* [opts, server] */
  s->h = NULL;
  luaL_setmetatable(L, SERVER);
  df_error err;
  if (df_httpd_start(&s->h, (int)port, &err) != 0) return df_push_error(L, &err);
  return 1;
}

/* httpd.on_signals(): from now on the first SIGINT or SIGTERM ends server:next, and server:stopped() is true. */
static int l_on_signals(lua_State *L) {
  (void)L;
  df_httpd_on_signals();
  return 0;
}

/* server:port() -> integer */
static int l_port(lua_State *L) {
  lua_pushinteger(L, df_httpd_port(check_server(L, 1))); /* [port] */
  return 1;
}

/* server:stopped() -> true when SIGINT or SIGTERM came (needs httpd.on_signals) */
static int l_stopped(lua_State *L) {
  check_server(L, 1);
  lua_pushboolean(L, df_httpd_signalled()); /* [bool] */
  return 1;
}

/* server:wants() -> fd, ms: next(0) has something to do when the descriptor is readable, or after that time. */
static int l_wants(lua_State *L) {
  int fd, ms = df_httpd_wants(check_server(L, 1), &fd);
  lua_pushinteger(L, fd); /* [fd] */
  lua_pushinteger(L, ms); /* [fd, ms] */
  return 2;
}

/* server:close(). Connections are dropped; closing twice is fine. Also __gc and __close. */
static int l_close(lua_State *L) {
  server *s = luaL_checkudata(L, 1, SERVER);
  df_httpd_stop(s->h);
  s->h = NULL;
  return 0;
}

/* Sets t[key] = value for the pairs of one kind; t is on top. The last one of equal keys counts. */
static void set_pairs(lua_State *L, const df_httpd_request *r, df_httpd_pair_kind kind) {
  for (size_t i = 0; i < r->n_pairs; i++) {
    const df_httpd_pair *p = &r->pairs[i];
    if (p->kind != kind) continue;
    if (kind == DF_HTTPD_HEADER) {
      luaL_Buffer b;
      char *low = luaL_buffinitsize(L, &b, p->key_len);
      for (size_t k = 0; k < p->key_len; k++)
        low[k] = (char)(p->key[k] >= 'A' && p->key[k] <= 'Z' ? p->key[k] + 'a' - 'A' : p->key[k]);
      luaL_pushresultsize(&b, p->key_len); /* [t, key] */
    } else {
      lua_pushlstring(L, p->key, p->key_len); /* [t, key] */
    }
    lua_pushlstring(L, p->value, p->value_len); /* [t, key, value] */
    lua_rawset(L, -3);                          /* [t] */
  }
}

/* server:next(timeout_ms) -> request | nil. Moves all connections on and waits for a complete request
   {id, server, method, path, query, headers, body}; path and query are percent-decoded, header names in lower case.
   nil when none came in time or a signal asked to stop. Without a timeout: waits a second. */
static int l_next(lua_State *L) {
  df_httpd *h = check_server(L, 1);
  lua_Integer timeout = luaL_optinteger(L, 2, 1000);
  luaL_argcheck(L, timeout >= 0 && timeout <= INT_MAX, 2, "milliseconds");
  df_httpd_request r;
  if (df_httpd_step(h, &r, (int)timeout) == 0) return 0;
  lua_createtable(L, 0, 7);                /* [req] */
  luaL_setmetatable(L, REQUEST);
  lua_pushinteger(L, (lua_Integer)r.id);   /* [req, id] */
  lua_setfield(L, -2, "id");               /* [req] */
  lua_pushvalue(L, 1);                     /* [req, server] */
  lua_setfield(L, -2, "server");           /* [req] */
  lua_pushstring(L, r.method);             /* [req, method] */
  lua_setfield(L, -2, "method");           /* [req] */
  lua_pushstring(L, r.path);               /* [req, path] */
  lua_setfield(L, -2, "path");             /* [req] */
  lua_newtable(L);                         /* [req, query] */
  set_pairs(L, &r, DF_HTTPD_QUERY);
  lua_setfield(L, -2, "query");            /* [req] */
  lua_newtable(L);                         /* [req, headers] */
  set_pairs(L, &r, DF_HTTPD_HEADER);
  lua_setfield(L, -2, "headers");          /* [req] */
  lua_pushlstring(L, r.body, r.body_len);  /* [req, body] */
  lua_setfield(L, -2, "body");             /* [req] */
  return 1;
}

static int int_field(lua_State *L, int at, const char *name, int fallback) {
  int is_int = 1;
  lua_Integer n = fallback;
  if (lua_getfield(L, at, name) != LUA_TNIL) n = lua_tointegerx(L, -1, &is_int); /* [value] */
  if (!is_int || n < 0 || n > INT_MAX) luaL_error(L, "'%s' must be a whole number, zero or more", name);
  lua_pop(L, 1); /* [] */
  return (int)n;
}

/* The strings stay anchored in the headers table while the answer is made. */
static size_t read_headers(lua_State *L, int at, df_httpd_header *out) {
  size_t n = 0;
  lua_pushnil(L); /* [key] */
  while (lua_next(L, at) != 0) { /* [key, value] */
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "header names and values must be strings");
    if (n == MAX_HEADERS) luaL_error(L, "more than %d headers", MAX_HEADERS);
    out[n++] = (df_httpd_header){lua_tostring(L, -2), lua_tostring(L, -1)};
    lua_pop(L, 1); /* [key] */
  }
  return n;
}

/* request:answer{status = 200, headers = {}, body = "", delay_ms =, truncate = bytes, slow = {bytes =, ms =}}
   -> true | nil, err. Once per request. truncate announces the whole body and cuts it; slow sends it in pieces. */
static int l_answer(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_getfield(L, 1, "server"); /* [req, a, server] */
  lua_getfield(L, 1, "id");     /* [req, a, server, id] */
  df_httpd *h = check_server(L, 3);
  uint64_t id = (uint64_t)luaL_checkinteger(L, 4);
  df_httpd_header headers[MAX_HEADERS];
  df_httpd_answer a = {.status = int_field(L, 2, "status", 200), .headers = headers};
  a.delay_ms = int_field(L, 2, "delay_ms", 0);
  a.truncate = lua_getfield(L, 2, "truncate") != LUA_TNIL; /* [.., truncate] */
  a.truncate_at = (size_t)int_field(L, 2, "truncate", 0);
  if (lua_getfield(L, 2, "slow") != LUA_TNIL) { /* [.., slow] */
    luaL_checktype(L, -1, LUA_TTABLE);
    int slow = lua_gettop(L);
    a.slow_bytes = (size_t)int_field(L, slow, "bytes", 1);
    a.slow_ms = int_field(L, slow, "ms", 1);
  }
  if (lua_getfield(L, 2, "headers") != LUA_TNIL) { /* [.., headers] */
    luaL_checktype(L, -1, LUA_TTABLE);
    a.n_headers = read_headers(L, lua_gettop(L), headers);
  }
  if (lua_getfield(L, 2, "body") != LUA_TNIL) a.body = luaL_checklstring(L, -1, &a.body_len); /* [.., body] */
  df_error err;
  if (df_httpd_answer_to(h, id, &a, &err) != 0) return df_push_error(L, &err);
  lua_pushboolean(L, 1); /* [.., true] */
  return 1;
}

static void new_class(lua_State *L, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(L, name); /* [mt] */
  lua_newtable(L);            /* [mt, methods] */
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");     /* [mt] */
  lua_pushstring(L, name);            /* [mt, name] */
  lua_setfield(L, -2, "__metatable"); /* [mt] */
}

int df_open_httpd(lua_State *L) {
  static const luaL_Reg server_methods[] = {DF_REG(port), DF_REG(next), DF_REG(stopped), DF_REG(wants), DF_REG(close), {NULL, NULL}};
  static const luaL_Reg request_methods[] = {DF_REG(answer), {NULL, NULL}};
  static const luaL_Reg functions[] = {DF_REG(listen), DF_REG(on_signals), {NULL, NULL}};
  new_class(L, SERVER, server_methods); /* [mt] */
  lua_pushcfunction(L, l_close);        /* [mt, close] */
  lua_setfield(L, -2, "__gc");          /* [mt] */
  lua_pushcfunction(L, l_close);        /* [mt, close] */
  lua_setfield(L, -2, "__close");       /* [mt] */
  new_class(L, REQUEST, request_methods); /* [mt, mt] */
  lua_pop(L, 2);                          /* [] */
  luaL_newlib(L, functions);              /* [httpd] */
  return 1;
}

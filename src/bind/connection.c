/* connection.c: core.connection: byte streams over TCP and TLS, through the port. */
#include <string.h>

#include "bind/bind.h"

#define CONNECTION "defendis.connection"

typedef struct connection {
  df_port *port; /* NULL once closed */
  uint32_t id;
} connection;

/* core.connection.open{url = "https://host:port" for TLS, "http://host:port" for TCP; ca_file, cert_file, key_file, timeout (s)} ->
   connection that is not connected yet | nil, err. Only where the state is trusted. */
static int l_open(lua_State *L) {
  static const char *const known[] = {"url", "ca_file", "cert_file", "key_file", "timeout", NULL};
  df_context *context = df_context_of(L);
  df_error err;
  if (!context->trusted) {
    df_fail(&err, DF_CONFIG, "a script cannot open a connection; sinks belong to the one who runs it");
    return df_push_error(L, &err);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  df_check_options(L, 1, known);
  df_endpoint_options e = {.ca_file = df_opt_text(L, 1, "ca_file"),
                           .cert_file = df_opt_text(L, 1, "cert_file"),
                           .key_file = df_opt_text(L, 1, "key_file"),
                           .insecure_http = 1, /* no key is sent */
                           .stream = 1};
  df_client_options o = {.base_url = df_opt_text(L, 1, "url"),
                         .timeout_ms = (int64_t)(df_opt_number(L, 1, "timeout", 0.001, 86400, 0) * 1000),
                         .max_attempts = 1,
                         .endpoint = &e};
  connection *c = lua_newuserdatauv(L, sizeof *c, 0); /* [o, c] */
  c->port = NULL;
  luaL_setmetatable(L, CONNECTION);
  if (context->port->open_client(context->port, &c->id, &o, &err) != 0) return df_push_error(L, &err);
  c->port = context->port;
  return 1;
}

/* connection:submit("connect" | "send" | "check" [, bytes]) -> id for core.client.wait | nil, err. What check completes with has
   status 1 while the peer is there, else 0. */
static int l_submit(lua_State *L) {
  static const char *const names[] = {"connect", "send", "check", NULL};
  static const df_op ops[] = {DF_OP_CONNECT, DF_OP_SEND, DF_OP_CHECK};
  connection *c = luaL_checkudata(L, 1, CONNECTION);
  luaL_argcheck(L, c->port != NULL, 1, "the connection is closed");
  df_call call = {.op = ops[luaL_checkoption(L, 2, NULL, names)],
                  .client = c->id,
                  .owner = df_owner_of(df_context_of(L)),
                  .method = "GET",
                  .path = "",
                  .decode = DF_DECODE_TEXT};
  if (call.op == DF_OP_SEND) call.body = luaL_checklstring(L, 3, &call.body_len);
  uint64_t id;
  df_error err;
  if (c->port->submit(c->port, &id, &call, &err) != 0) return df_push_error(L, &err);
  lua_pushinteger(L, (lua_Integer)id); /* [.., id] */
  return 1;
}

/* connection:close(): what is under way ends with an error; twice is fine. Also __gc and __close. */
static int l_close(lua_State *L) {
  connection *c = luaL_checkudata(L, 1, CONNECTION);
  if (c->port != NULL) c->port->close_client(c->port, c->id);
  c->port = NULL;
  return 0;
}

int df_open_connection(lua_State *L) {
  static const luaL_Reg methods[] = {DF_REG(submit), DF_REG(close), {NULL, NULL}};
  static const luaL_Reg functions[] = {DF_REG(open), {NULL, NULL}};
  df_open_class(L, CONNECTION, methods, l_close);
  luaL_newlib(L, functions); /* [functions] */
  return 1;
}

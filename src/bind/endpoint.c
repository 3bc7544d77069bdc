/* endpoint.c: core.endpoint: requests to where sinks send, through the same port and retries as the API's. */
#include <string.h>

#include "bind/bind.h"

#define ENDPOINT "defendis.endpoint"
enum { MAX_HEADERS = 32 };

typedef struct endpoint {
  df_port *port; /* NULL once closed */
  uint32_t id;
} endpoint;

/* Reads the field `headers` of the table at `at`, a table of names to text. Anchored in that table. */
static size_t read_headers(lua_State *L, int at, df_header *headers) {
  size_t n = 0, len;
  if (lua_getfield(L, at, "headers") != LUA_TNIL) { /* [..., t] */
    luaL_checktype(L, -1, LUA_TTABLE);
    lua_pushnil(L);                              /* [..., t, k] */
    while (lua_next(L, -2) != 0) {               /* [..., t, k, v] */
      if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "headers must be a table of names to text");
      if (n == MAX_HEADERS) luaL_error(L, "more than %d headers", MAX_HEADERS);
      headers[n].name = lua_tolstring(L, -2, &len);
      if (strlen(headers[n].name) != len) luaL_error(L, "a header must not have a NUL byte");
      headers[n].value = lua_tolstring(L, -1, &len);
      if (strlen(headers[n++].value) != len) luaL_error(L, "a header must not have a NUL byte");
      lua_pop(L, 1);                             /* [..., t, k] */
    }
  }
  lua_pop(L, 1);
  return n;
}

static int opt_boolean(lua_State *L, int at, const char *key) {
  lua_getfield(L, at, key); /* [..., b] */
  int b = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return b;
}

/* core.endpoint.open{url, secret, scheme, headers, timeout (s), max_attempts, in_flight, ca_file, cert_file, key_file,
   insecure_http, link_local} -> endpoint | nil, err. Only where the state is trusted. */
static int l_open(lua_State *L) {
  static const char *const known[] = {"url",       "secret",  "scheme",    "headers",  "timeout",       "max_attempts",
                                      "in_flight", "ca_file", "cert_file", "key_file", "insecure_http", "link_local", NULL};
  df_context *context = df_context_of(L);
  df_error err;
  if (!context->trusted) {
    df_fail(&err, DF_CONFIG, "a script cannot open an endpoint; sinks belong to the one who runs it");
    return df_push_error(L, &err);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  df_check_options(L, 1, known);
  df_header headers[MAX_HEADERS];
  const df_secret *secret = df_opt_secret(L, 1, "secret");
  df_endpoint_options e = {.scheme = df_opt_text(L, 1, "scheme"),
                           .secret = secret != NULL ? df_secret_bytes(secret) : NULL,
                           .headers = headers,
                           .header_count = read_headers(L, 1, headers),
                           .ca_file = df_opt_text(L, 1, "ca_file"),
                           .cert_file = df_opt_text(L, 1, "cert_file"),
                           .key_file = df_opt_text(L, 1, "key_file"),
                           .insecure_http = opt_boolean(L, 1, "insecure_http"),
                           .link_local = opt_boolean(L, 1, "link_local")};
  df_client_options o = {.base_url = df_opt_text(L, 1, "url"),
                         .timeout_ms = (int64_t)(df_opt_number(L, 1, "timeout", 0.001, 86400, 0) * 1000),
                         .max_attempts = (int)df_opt_number(L, 1, "max_attempts", 1, 100, 0),
                         .max_in_flight = (int)df_opt_number(L, 1, "in_flight", 1, 64, 0),
                         .endpoint = &e};
  endpoint *p = lua_newuserdatauv(L, sizeof *p, 0); /* [o, p] */
  p->port = NULL;
  luaL_setmetatable(L, ENDPOINT);
  if (context->port->open_client(context->port, &p->id, &o, &err) != 0) return df_push_error(L, &err);
  p->port = context->port;
  return 1;
}

/* endpoint:submit{method = "POST", path = "", query, headers, body = text or buffer, content_type, timeout (s), repeatable} ->
   id for core.client.wait | nil, err. The answer has status and body, whatever the status is. */
static int l_submit(lua_State *L) {
  static const char *const known[] = {"method", "path", "query", "headers", "body", "content_type", "timeout", "repeatable", NULL};
  endpoint *p = luaL_checkudata(L, 1, ENDPOINT);
  luaL_argcheck(L, p->port != NULL, 1, "the endpoint is closed");
  luaL_checktype(L, 2, LUA_TTABLE);
  df_check_options(L, 2, known);
  df_param params[DF_PARAMS_MAX];
  df_header headers[MAX_HEADERS];
  df_call call = {.client = p->id,
                  .owner = df_owner_of(df_context_of(L)),
                  .method = df_opt_text(L, 2, "method"),
                  .path = df_opt_text(L, 2, "path"),
                  .params = params,
                  .headers = headers,
                  .header_count = read_headers(L, 2, headers),
                  .content_type = df_opt_text(L, 2, "content_type"),
                  .timeout_ms = (int64_t)(df_opt_number(L, 2, "timeout", 0.001, 86400, 0) * 1000),
                  .decode = DF_DECODE_TEXT,
                  .repeatable = opt_boolean(L, 2, "repeatable")};
  if (call.method == NULL) call.method = "POST";
  if (call.path == NULL) call.path = "";
  if (lua_getfield(L, 2, "body") != LUA_TNIL) { /* [p, t, body] */
    const df_buf *b = luaL_testudata(L, -1, DF_BUFFER);
    call.body = b == NULL ? luaL_checklstring(L, -1, &call.body_len) : b->len > 0 ? b->data : "";
    if (b != NULL) call.body_len = b->len;
  }
  if (lua_getfield(L, 2, "query") != LUA_TNIL) call.param_count = df_read_params(L, lua_gettop(L), params); /* [.., q, ...] */
  uint64_t id;
  df_error err;
  if (p->port->submit(p->port, &id, &call, &err) != 0) return df_push_error(L, &err);
  lua_pushinteger(L, (lua_Integer)id); /* [..., id] */
  return 1;
}

/* endpoint:close(): drops its requests under way; twice is fine. Also __gc and __close. */
static int l_close(lua_State *L) {
  endpoint *p = luaL_checkudata(L, 1, ENDPOINT);
  if (p->port != NULL) p->port->close_client(p->port, p->id);
  p->port = NULL;
  return 0;
}

int df_open_endpoint(lua_State *L) {
  static const luaL_Reg methods[] = {DF_REG(submit), DF_REG(close), {NULL, NULL}};
  static const luaL_Reg functions[] = {DF_REG(open), {NULL, NULL}};
  df_open_class(L, ENDPOINT, methods, l_close);
  luaL_newlib(L, functions); /* [functions] */
  return 1;
}

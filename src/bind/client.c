/* client.c: clients, requests and waiting, as Lua sees them: the port's binding. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "bind/bind.h"
#include "io/watch.h"
#include "job/job.h"

#define CLIENT "defendis.client"

typedef struct client {
  df_port *port; /* NULL once closed */
  uint32_t id;
} client;

const void *df_owner_of(const df_context *c) { return c->job != NULL ? (const void *)c->job : (const void *)c; }

const char *df_opt_text(lua_State *L, int at, const char *key) {
  const char *s = NULL;
  size_t len;
  if (lua_getfield(L, at, key) != LUA_TNIL) { /* [..., s]: stays anchored in the table */
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "%s must be a string, not a %s", key, luaL_typename(L, -1));
    s = lua_tolstring(L, -1, &len);
    if (strlen(s) != len) luaL_error(L, "%s must not have a NUL byte", key); /* C would read the part before it only */
  }
  lua_pop(L, 1);
  return s;
}

lua_Number df_opt_number(lua_State *L, int at, const char *key, lua_Number least, lua_Number most, lua_Number otherwise) {
  lua_Number n = otherwise;
  if (lua_getfield(L, at, key) != LUA_TNIL) { /* [..., n] */
    int is_number;
    n = lua_tonumberx(L, -1, &is_number);
    if (!is_number || !(n >= least && n <= most)) luaL_error(L, "%s must be a number from %f to %f", key, least, most);
  }
  lua_pop(L, 1);
  return n;
}

/* client:close(): drops its requests under way; twice is fine. Also __gc and __close. */
static int l_close(lua_State *L) {
  client *c = luaL_checkudata(L, 1, CLIENT);
  if (c->port != NULL) c->port->close_client(c->port, c->id);
  c->port = NULL;
  return 0;
}

/* core.client.open{base_url, api_key_file, api_key_command, ca_file, cert_file, key_file, timeout (s), max_attempts, per_second,
   max_in_flight} -> client | nil, err */
static int l_open(lua_State *L) {
  df_context *context = df_context_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  df_client_options o = {
      .base_url = df_opt_text(L, 1, "base_url"),
      .api_key_file = df_opt_text(L, 1, "api_key_file"),
      .api_key_command = df_opt_text(L, 1, "api_key_command"),
      .ca_file = df_opt_text(L, 1, "ca_file"),
      .cert_file = df_opt_text(L, 1, "cert_file"),
      .key_file = df_opt_text(L, 1, "key_file"),
      .timeout_ms = (int64_t)(df_opt_number(L, 1, "timeout", 0.001, 86400, 0) * 1000),
      .max_attempts = (int)df_opt_number(L, 1, "max_attempts", 1, 100, 0),
      .per_second = df_opt_number(L, 1, "per_second", 0, 1e6, 0),
      .max_in_flight = (int)df_opt_number(L, 1, "max_in_flight", 1, 64, 0),
  };
  df_error err;
  if (!context->trusted && (o.base_url != NULL || o.api_key_file != NULL || o.api_key_command != NULL || o.ca_file != NULL ||
                            o.cert_file != NULL || o.key_file != NULL)) {
    df_fail(&err, DF_CONFIG, "a script cannot choose base_url, key or certificates; they belong to the one who runs it");
    return df_push_error(L, &err);
  }
  client *c = lua_newuserdatauv(L, sizeof *c, 0); /* [c] */
  c->port = NULL;
  luaL_setmetatable(L, CLIENT);
  if (context->port->open_client(context->port, &c->id, &o, &err) != 0) return df_push_error(L, &err);
  c->port = context->port;
  return 1;
}

size_t df_read_params(lua_State *L, int at, df_param *params) {
  size_t n = 0;
  luaL_checktype(L, at, LUA_TTABLE);
  luaL_checkstack(L, DF_PARAMS_MAX + 8, "too many parameters");
  lua_pushnil(L);               /* [..., k] */
  while (lua_next(L, at) != 0) { /* [..., k, v] */
    if (n == DF_PARAMS_MAX) luaL_error(L, "more than %d parameters", DF_PARAMS_MAX);
    if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "a parameter's name must be a string");
    df_param *p = &params[n++];
    if (lua_isboolean(L, -1)) {
      p->value = lua_toboolean(L, -1) ? "true" : "false";
      p->value_len = strlen(p->value);
    } else if (lua_isinteger(L, -1) || lua_type(L, -1) == LUA_TSTRING) {
      p->value = lua_tolstring(L, -1, &p->value_len);
    } else {
      luaL_error(L, "parameter '%s' must be a string, an integer or a boolean, not a %s", lua_tostring(L, -2), luaL_typename(L, -1));
    }
    p->name = lua_tolstring(L, -2, &p->name_len);
    lua_insert(L, -2); /* [..., v, k] */
  }
  return n;
}

/* client:submit{method, path, query, body, timeout (s), decode = "json"|"page", key = false, bulk = true: behind all others} -> id |
   nil, err */
static int l_submit(lua_State *L) {
  static const char *const decodes[] = {"json", "page", NULL};
  client *c = luaL_checkudata(L, 1, CLIENT);
  luaL_argcheck(L, c->port != NULL, 1, "the client is closed");
  luaL_checktype(L, 2, LUA_TTABLE);
  df_context *context = df_context_of(L);
  df_param params[DF_PARAMS_MAX];
  df_call call = {.client = c->id,
                  .owner = df_owner_of(context),
                  .method = df_opt_text(L, 2, "method"),
                  .path = df_opt_text(L, 2, "path"),
                  .params = params,
                  .timeout_ms = (int64_t)(df_opt_number(L, 2, "timeout", 0.001, 86400, 0) * 1000)};
  lua_getfield(L, 2, "decode"); /* [c, t, decode] */
  call.decode = (df_decode)luaL_checkoption(L, -1, "json", decodes);
  call.no_key = lua_getfield(L, 2, "key") == LUA_TBOOLEAN && !lua_toboolean(L, -1); /* [c, t, decode, key] */
  lua_getfield(L, 2, "bulk");                                                                   /* [c, t, decode, key, bulk] */
  call.bulk = lua_toboolean(L, -1);
  if (lua_getfield(L, 2, "body") != LUA_TNIL) call.body = luaL_checklstring(L, -1, &call.body_len); /* [.., body] */
  if (lua_getfield(L, 2, "query") != LUA_TNIL) call.param_count = df_read_params(L, lua_gettop(L), params); /* [.., q, ...] */
  uint64_t id;
  df_error err;
  if (call.method == NULL || call.path == NULL) return luaL_error(L, "a request needs a method and a path");
  if (c->port->submit(c->port, &id, &call, &err) != 0) return df_push_error(L, &err);
  lua_pushinteger(L, (lua_Integer)id); /* [..., id] */
  return 1;
}

/* core.client.timer(seconds) -> id: completes after that time. */
static int l_timer(lua_State *L) {
  df_context *context = df_context_of(L);
  lua_Number seconds = luaL_checknumber(L, 1);
  luaL_argcheck(L, seconds >= 0 && seconds <= 1e9, 1, "out of range");
  df_call call = {.owner = df_owner_of(context), .timeout_ms = (int64_t)(seconds * 1000)};
  uint64_t id;
  df_error err;
  if (context->port->submit(context->port, &id, &call, &err) != 0) return df_push_error(L, &err);
  lua_pushinteger(L, (lua_Integer)id); /* [id] */
  return 1;
}

/* core.client.readable(fd, seconds) -> id | nil, err: completes when the descriptor is readable, or after that time. */
static int l_readable(lua_State *L) {
  df_context *context = df_context_of(L);
  lua_Integer fd = luaL_checkinteger(L, 1);
  lua_Number seconds = luaL_checknumber(L, 2);
  luaL_argcheck(L, context->trusted && fd > 0 && fd < 1 << 20, 1, "a descriptor of this process");
  luaL_argcheck(L, seconds >= 0 && seconds <= 1e9, 2, "out of range");
  df_call call = {.owner = df_owner_of(context), .fd = (int)fd, .timeout_ms = (int64_t)(seconds * 1000)};
  uint64_t id;
  df_error err;
  if (df_watch_add((int)fd, &err) != 0 || context->port->submit(context->port, &id, &call, &err) != 0) return df_push_error(L, &err);
  lua_pushinteger(L, (lua_Integer)id); /* [id] */
  return 1;
}

typedef struct holder {
  df_completion *c;
} holder;

static int free_holder(lua_State *L) {
  holder *h = lua_touserdata(L, 1);
  df_completion_free(h->c);
  h->c = NULL;
  return 0;
}

/* A userdata that owns the completion while Lua calls that may raise unpack it. */
static holder *push_holder(lua_State *L) {
  holder *h = lua_newuserdatauv(L, sizeof *h, 0); /* [h] */
  h->c = NULL;
  if (luaL_newmetatable(L, "defendis.completion")) { /* [h, mt] */
    lua_pushcfunction(L, free_holder);               /* [h, mt, f] */
    lua_setfield(L, -2, "__gc");                     /* [h, mt] */
  }
  lua_setmetatable(L, -2); /* [h] */
  return h;
}

/* Pushes the decoded body: a page, a value, or the text where it was not decoded; and says which. */
static const char *push_body(lua_State *L, df_completion *c) {
  if (c->doc == NULL) {
    lua_pushlstring(L, c->body.data != NULL ? c->body.data : "", c->body.len); /* [text] */
    return "body";
  }
  if (c->decode == DF_DECODE_PAGE) {
    df_push_page(L, c->doc); /* [page] */
    c->doc = NULL;
    return "page";
  }
  df_push_json(L, c->doc, 0); /* [value] */
  return "value";
}

/* Pushes id, answer or id, nil, err. An answer has page, value or body, an error its body. */
static int push_completion(lua_State *L, holder *h) {
  df_completion *c = h->c;
  lua_pushinteger(L, (lua_Integer)c->id); /* [.., h, id] */
  if (c->rc == 0) {
    lua_createtable(L, 0, 5);               /* [h, id, a] */
    lua_pushinteger(L, c->status);          /* [h, id, a, status] */
    lua_setfield(L, -2, "status");          /* [h, id, a] */
    lua_pushinteger(L, c->attempts);        /* [h, id, a, n] */
    lua_setfield(L, -2, "attempts");        /* [h, id, a] */
    lua_pushinteger(L, c->elapsed_ms);      /* [h, id, a, ms] */
    lua_setfield(L, -2, "elapsed_ms");      /* [h, id, a] */
    lua_pushstring(L, c->request_id);       /* [h, id, a, rid] */
    lua_setfield(L, -2, "request_id");      /* [h, id, a] */
    if (c->retry_after_ms > 0) {
      lua_pushnumber(L, (lua_Number)c->retry_after_ms / 1000); /* [h, id, a, s] */
      lua_setfield(L, -2, "retry_after");   /* [h, id, a] */
    }
  } else {
    df_push_error(L, &c->error);            /* [h, id, nil, err] */
  }
  const char *name = push_body(L, c);       /* [..., a or err, body] */
  lua_setfield(L, -2, name);                /* [..., a or err] */
  df_completion_free(c);
  h->c = NULL;
  return lua_gettop(L) - 2;
}

/* The stack holds [id, holder] at the bottom; comes back here each time the scheduler resumes the job. */
static int collect(lua_State *L, int status, lua_KContext unused) {
  (void)status;
  (void)unused;
  lua_settop(L, 2);
  df_context *context = df_context_of(L);
  df_port *port = context->port;
  const void *owner = df_owner_of(context);
  uint64_t id = (uint64_t)lua_tointeger(L, 1);
  holder *h = lua_touserdata(L, 2);
  for (;;) {
    h->c = port->collect(port, owner, id);
    if (h->c != NULL) return push_completion(L, h);
    if (!port->pending(port, owner, id)) return luaL_error(L, "nothing is under way that could be waited for");
    if (df_context_can_yield(context, L)) {
      df_job_await(context->job, id);
      return lua_yieldk(L, 0, 0, collect);
    }
    int64_t until = context->job != NULL ? df_job_deadline(context->job) : INT64_MAX;
    port->run(port, until);
    if (df_clock_mono_ms() >= until) df_job_charge(L); /* raises: the time is up */
  }
}

/* core.client.wait([id]) -> id, answer | id, nil, err: the next completion, or that of id. Yields to the host where it
   may, blocks elsewhere. */
static int l_wait(lua_State *L) {
  lua_Integer id = luaL_optinteger(L, 1, 0);
  lua_settop(L, 0);
  lua_pushinteger(L, id); /* [id] */
  push_holder(L);         /* [id, h] */
  return collect(L, LUA_OK, 0);
}

/* core.client.poll() : moves requests on without waiting. */
static int l_poll(lua_State *L) {
  df_port *port = df_context_of(L)->port;
  port->run(port, df_clock_mono_ms());
  return 0;
}

/* core.client.cancel(id): forgets a request, whether it is under way or complete. */
static int l_cancel(lua_State *L) {
  df_context *context = df_context_of(L);
  context->port->cancel(context->port, df_owner_of(context), (uint64_t)luaL_checkinteger(L, 1));
  return 0;
}

/* core.client.ready([id]) -> boolean: would wait return at once? */
static int l_ready(lua_State *L) {
  df_context *context = df_context_of(L);
  const void *owner = df_owner_of(context);
  lua_pushboolean(L, context->port->ready(context->port, owner, (uint64_t)luaL_optinteger(L, 1, 0))); /* [b] */
  return 1;
}

int df_open_client(lua_State *L) {
  static const luaL_Reg methods[] = {DF_REG(submit), DF_REG(close), {NULL, NULL}};
  static const luaL_Reg functions[] = {DF_REG(open), DF_REG(timer), DF_REG(readable), DF_REG(wait),
                                       DF_REG(poll), DF_REG(cancel), DF_REG(ready), {NULL, NULL}};
  df_open_class(L, CLIENT, methods, l_close);
  luaL_newlib(L, functions); /* [functions] */
  return 1;
}

/* api.c: the pure decisions of src/api, opened for tests. */
#include <lauxlib.h>
#include <string.h>

#include "api/backoff.h"
#include "api/fetch.h"
#include "api/pager.h"
#include "api/ratelimit.h"
#include "api/request.h"
#include "api/window.h"
#include "bind/bind.h"
#include "internals.h"

#define PAGER "defendis.test.pager"
#define WINDOWS "defendis.test.windows"
#define LIMITER "defendis.test.ratelimit"
#define FETCH "defendis.test.fetch"

/* Fields of the table at index t; each leaves the stack as it was. Strings live as long as the table keeps them. */
static int64_t int_field(lua_State *L, int t, const char *name, int64_t missing) {
  lua_getfield(L, t, name); /* [value] */
  int64_t v = lua_type(L, -1) == LUA_TNUMBER ? (int64_t)luaL_checkinteger(L, -1) : missing;
  lua_pop(L, 1); /* [] */
  return v;
}

static const char *text_field(lua_State *L, int t, const char *name) {
  lua_getfield(L, t, name); /* [value] */
  const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  lua_pop(L, 1); /* [] */
  return s;
}

static int bool_field(lua_State *L, int t, const char *name, int missing) {
  lua_getfield(L, t, name); /* [value] */
  int v = lua_isboolean(L, -1) ? lua_toboolean(L, -1) : missing;
  lua_pop(L, 1); /* [] */
  return v;
}

static int true_or_error(lua_State *L, int rc, const df_error *err) {
  if (rc != 0) return df_push_error(L, err);
  lua_pushboolean(L, 1); /* [true] */
  return 1;
}

static int l_base_url_check(lua_State *L) {
  df_error err;
  return true_or_error(L, df_base_url_check(luaL_checkstring(L, 1), (df_base)luaL_optinteger(L, 2, DF_BASE_API), &err), &err);
}

static int l_method_check(lua_State *L) {
  df_error err;
  return true_or_error(L, df_method_check(luaL_checkstring(L, 1), &err), &err);
}

/* request_url(base, path, {{name, value}, ...} [, kind]) */
static int l_request_url(lua_State *L) {
  static df_param params[DF_PARAMS_MAX + 1];
  df_request rq = {.base = luaL_checkstring(L, 1), .kind = (df_base)luaL_optinteger(L, 4, DF_BASE_API), .params = params};
  rq.path = luaL_checklstring(L, 2, &rq.path_len);
  luaL_checktype(L, 3, LUA_TTABLE);
  for (; rq.n_params <= DF_PARAMS_MAX; rq.n_params++) {
    if (lua_rawgeti(L, 3, (lua_Integer)rq.n_params + 1) == LUA_TNIL) break; /* [pair] */
    df_param *p = &params[rq.n_params];
    lua_rawgeti(L, -1, 1); /* [pair, name] */
    p->name = luaL_checklstring(L, -1, &p->name_len);
    lua_rawgeti(L, -2, 2); /* [pair, name, value] */
    p->value = luaL_checklstring(L, -1, &p->value_len);
    lua_pop(L, 3); /* [] */
  }
  df_buf out = {0};
  df_error err;
  int rc = df_request_url(&out, &rq, &err);
  if (rc == 0) lua_pushlstring(L, out.data, out.len); /* [url] */
  df_buf_free(&out);
  return rc == 0 ? 1 : df_push_error(L, &err);
}

/* delays(seed, n, count): count samples of the n-th backoff */
static int l_delays(lua_State *L) {
  df_rng rng = {(uint64_t)luaL_checkinteger(L, 1)};
  int n = (int)luaL_checkinteger(L, 2), count = (int)luaL_checkinteger(L, 3);
  lua_createtable(L, count, 0); /* [t] */
  for (int i = 1; i <= count; i++) {
    lua_pushinteger(L, df_backoff_delay(&rng, n)); /* [t, ms] */
    lua_rawseti(L, -2, i);                         /* [t] */
  }
  return 1;
}

static int l_retry_after(lua_State *L) {
  lua_pushinteger(L, df_retry_after(luaL_optstring(L, 1, NULL), luaL_checkinteger(L, 2))); /* [ms] */
  return 1;
}

static int l_http_date(lua_State *L) {
  int64_t ms;
  if (df_http_date_parse(&ms, luaL_checkstring(L, 1), luaL_checkinteger(L, 2)) != 0) return 0;
  lua_pushinteger(L, ms); /* [ms] */
  return 1;
}

/* windows{since, until_day, step, settle, start} */
static int l_windows(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  df_window_options opt = {int_field(L, 1, "since", 0), int_field(L, 1, "until_day", 0), int_field(L, 1, "step", 0),
                           int_field(L, 1, "settle", 0), int_field(L, 1, "start", 0)};
  df_error err;
  df_windows *w = lua_newuserdatauv(L, sizeof *w, 0); /* [w] */
  if (df_windows_init(w, &opt, &err) != 0) return df_push_error(L, &err);
  luaL_setmetatable(L, WINDOWS); /* [w] */
  return 1;
}

static int l_windows_next(lua_State *L) {
  int64_t from, to;
  if (!df_windows_next(luaL_checkudata(L, 1, WINDOWS), luaL_checkinteger(L, 2), &from, &to)) return 0;
  lua_pushinteger(L, from); /* [from] */
  lua_pushinteger(L, to);   /* [from, to] */
  return 2;
}

static int l_windows_finished(lua_State *L) {
  lua_pushboolean(L, df_windows_finished(luaL_checkudata(L, 1, WINDOWS))); /* [b] */
  return 1;
}

/* pager(asked, first) or pager{page_size, next_page, total_records, total_pages, items, pages} to resume */
static int l_pager(lua_State *L) {
  df_pager *p = lua_newuserdatauv(L, sizeof *p, 0); /* [..., p] */
  if (lua_istable(L, 1)) {
    df_pager_checkpoint from = {int_field(L, 1, "page_size", 0),      int_field(L, 1, "next_page", 1),
                                int_field(L, 1, "total_records", -1), int_field(L, 1, "total_pages", -1),
                                int_field(L, 1, "items", 0),          int_field(L, 1, "pages", 0)};
    df_pager_resume(p, &from);
  } else {
    df_pager_init(p, luaL_checkinteger(L, 1), luaL_checkinteger(L, 2));
  }
  luaL_setmetatable(L, PAGER); /* [..., p] */
  return 1;
}

/* feed{current, size, total_records, total_pages, has_more, next, items, hash}: next = false is null */
static int l_pager_feed(lua_State *L) {
  static const char *const names[] = {"next", "done", "rewalk", "fail"};
  df_pager *p = luaL_checkudata(L, 1, PAGER);
  luaL_checktype(L, 2, LUA_TTABLE);
  df_page g = {.current = int_field(L, 2, "current", -1),
               .size = int_field(L, 2, "size", -1),
               .total_records = int_field(L, 2, "total_records", -1),
               .total_pages = int_field(L, 2, "total_pages", -1),
               .has_more = bool_field(L, 2, "has_more", -1),
               .next = int_field(L, 2, "next", 0),
               .items = int_field(L, 2, "items", 0),
               .hash = (uint64_t)int_field(L, 2, "hash", 0)};
  lua_getfield(L, 2, "next"); /* [p, page, next] */
  g.next_is = lua_isnil(L, -1) ? DF_NEXT_ABSENT : lua_isnumber(L, -1) ? DF_NEXT_NUMBER : DF_NEXT_NULL;
  df_error err;
  df_pager_step step = df_pager_feed(p, &g, &err);
  lua_pushstring(L, names[step]); /* [p, page, next, step] */
  if (step == DF_PAGER_NEXT || step == DF_PAGER_DONE) {
    lua_pushinteger(L, p->next_page); /* [p, page, next, step, n] */
    return 2;
  }
  df_push_error(L, &err); /* [p, page, next, step, nil, err] */
  lua_remove(L, -2);      /* [p, page, next, step, err] */
  return 2;
}

/* ratelimit(per_second, burst) */
static int l_ratelimit(lua_State *L) {
  double per_second = luaL_optnumber(L, 1, 0), burst = luaL_optnumber(L, 2, 0);
  df_error err;
  df_ratelimit *r = lua_newuserdatauv(L, sizeof *r, 0); /* [..., r] */
  if (df_ratelimit_init(r, per_second, burst, &err) != 0) return df_push_error(L, &err);
  luaL_setmetatable(L, LIMITER); /* [..., r] */
  return 1;
}

static int l_ratelimit_next(lua_State *L) {
  lua_pushinteger(L, df_ratelimit_next(luaL_checkudata(L, 1, LIMITER), luaL_checkinteger(L, 2))); /* [ms] */
  return 1;
}

static df_rate_headers rate_headers(lua_State *L, int t) {
  return (df_rate_headers){text_field(L, t, "remaining"), text_field(L, t, "reset"), text_field(L, t, "combined")};
}

static int l_ratelimit_headers(lua_State *L) {
  df_ratelimit *r = luaL_checkudata(L, 1, LIMITER);
  df_rate_headers h = rate_headers(L, 4);
  df_ratelimit_headers(r, luaL_checkinteger(L, 2), luaL_checkinteger(L, 3), &h);
  return 0;
}

static int l_ratelimit_hold(lua_State *L) {
  df_ratelimit_hold(luaL_checkudata(L, 1, LIMITER), luaL_checkinteger(L, 2), luaL_checkinteger(L, 3));
  return 0;
}

static int l_ratelimit_retry(lua_State *L) {
  lua_pushboolean(L, df_ratelimit_retry(luaL_checkudata(L, 1, LIMITER), lua_toboolean(L, 2)) > 0); /* [b] */
  return 1;
}

static int l_ratelimit_success(lua_State *L) {
  df_ratelimit_success(luaL_checkudata(L, 1, LIMITER), (int)luaL_optinteger(L, 2, 0));
  return 0;
}

/* fetch(limiter, {max_attempts, deadline, max_wait, idempotent, allow_empty, any_status, what, seed}) */
static int l_fetch(lua_State *L) {
  df_ratelimit *r = luaL_checkudata(L, 1, LIMITER);
  luaL_checktype(L, 2, LUA_TTABLE);
  df_fetch_policy policy = {.max_attempts = (int)int_field(L, 2, "max_attempts", 0),
                            .deadline = int_field(L, 2, "deadline", 0),
                            .max_wait = int_field(L, 2, "max_wait", 0),
                            .idempotent = bool_field(L, 2, "idempotent", 1),
                            .allow_empty = bool_field(L, 2, "allow_empty", 0),
                            .any_status = bool_field(L, 2, "any_status", 0),
                            .what = text_field(L, 2, "what")};
  df_fetch *f = lua_newuserdatauv(L, sizeof *f, 1); /* [r, t, f] */
  df_fetch_init(f, &policy, r, (uint64_t)int_field(L, 2, "seed", 1));
  lua_pushvalue(L, 1);         /* [r, t, f, r] */
  lua_setiuservalue(L, -2, 1); /* [r, t, f] */
  luaL_setmetatable(L, FETCH); /* [r, t, f] */
  return 1;
}

/* next(now, wall): "wait", until | "send" | "done" | "failed", error */
static int l_fetch_next(lua_State *L) {
  static const char *const names[] = {"wait", "send", "done", "failed"};
  df_fetch *f = luaL_checkudata(L, 1, FETCH);
  int64_t until;
  df_fetch_step step = df_fetch_next(f, luaL_checkinteger(L, 2), luaL_optinteger(L, 3, 0), &until);
  lua_pushstring(L, names[step]); /* [..., step] */
  if (step == DF_FETCH_FAILED) {
    df_push_error(L, &f->error); /* [..., step, nil, err] */
    lua_remove(L, -2);           /* [..., step, err] */
  } else {
    lua_pushinteger(L, until); /* [..., step, until] */
  }
  return 2;
}

/* answer(now, wall, {transport, status, body, ...}): a JSON body unless said otherwise */
static int l_fetch_answer(lua_State *L) {
  static const char *const transports[] = {"ok", "unsent", "timeout", "broken", "too_large", "tls", "forbidden"};
  df_fetch *f = luaL_checkudata(L, 1, FETCH);
  luaL_argcheck(L, f->step == DF_FETCH_SEND, 1, "no request is out");
  const char *how = text_field(L, 4, "transport"), *body = text_field(L, 4, "body");
  df_answer a = {.status = (int)int_field(L, 4, "status", 0),
                 .detail = text_field(L, 4, "detail"),
                 .retry_after = text_field(L, 4, "retry_after"),
                 .request_id = text_field(L, 4, "request_id"),
                 .content_type = text_field(L, 4, "content_type"),
                 .location = text_field(L, 4, "location"),
                 .rate = rate_headers(L, 4),
                 .error = text_field(L, 4, "error"),
                 .message = text_field(L, 4, "message"),
                 .reason = text_field(L, 4, "reason"),
                 .state = text_field(L, 4, "state"),
                 .metric = text_field(L, 4, "metric"),
                 .used = text_field(L, 4, "used"),
                 .limit = text_field(L, 4, "limit")};
  for (int i = 0; how != NULL && i < (int)(sizeof transports / sizeof *transports); i++)
    if (strcmp(how, transports[i]) == 0) a.transport = (df_transport)i;
  if (body != NULL) a.body = strcmp(body, "empty") == 0 ? DF_BODY_EMPTY : DF_BODY_BAD;
  df_fetch_answer(f, luaL_checkinteger(L, 2), luaL_checkinteger(L, 3), &a);
  return 0;
}

static void new_type(lua_State *L, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);     /* [mt] */
  lua_newtable(L);                /* [mt, methods] */
  luaL_setfuncs(L, methods, 0);   /* [mt, methods] */
  lua_setfield(L, -2, "__index"); /* [mt] */
  lua_pop(L, 1);                  /* [] */
}

int internals_open_api(lua_State *L) {
  static const luaL_Reg pager[] = {{"feed", l_pager_feed}, {NULL, NULL}};
  static const luaL_Reg windows[] = {{"next", l_windows_next}, {"finished", l_windows_finished}, {NULL, NULL}};
  static const luaL_Reg limiter[] = {{"next", l_ratelimit_next},       {"headers", l_ratelimit_headers},
                                     {"hold", l_ratelimit_hold},       {"retry", l_ratelimit_retry},
                                     {"success", l_ratelimit_success}, {NULL, NULL}};
  static const luaL_Reg fetch[] = {{"next", l_fetch_next}, {"answer", l_fetch_answer}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      DF_REG(base_url_check), DF_REG(method_check), DF_REG(request_url), DF_REG(delays), DF_REG(retry_after),
      DF_REG(http_date),      DF_REG(windows),     DF_REG(pager), 
      DF_REG(ratelimit),    DF_REG(fetch),       {NULL, NULL},
  };
  new_type(L, PAGER, pager);
  new_type(L, WINDOWS, windows);
  new_type(L, LIMITER, limiter);
  new_type(L, FETCH, fetch);
  luaL_newlib(L, functions); /* [api] */
  return 1;
}

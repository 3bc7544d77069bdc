/* api.c: the pager, the window planner and the backoff, as Lua sees them. */
#include <string.h>

#include "api/backoff.h"
#include "api/envelope.h"
#include "api/pager.h"
#include "api/window.h"
#include "base/clock.h"
#include "bind/bind.h"

#define PAGER "defendis.pager"
#define WINDOWS "defendis.windows"

static int64_t field(lua_State *L, int at, const char *name, int64_t otherwise) {
  lua_getfield(L, at, name); /* [..., v] */
  int64_t n = luaL_optinteger(L, -1, otherwise);
  lua_pop(L, 1);
  return n;
}

/* core.api.pager{page_size=, next_page=, total_records=, total_pages=, items=, pages=} -> pager
   With pages over 0 it goes on where an earlier walk stopped. */
static int l_pager(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  df_pager *p = lua_newuserdatauv(L, sizeof *p, 0); /* [t, p] */
  df_pager_checkpoint from = {.page_size = field(L, 1, "page_size", 100),
                              .next_page = field(L, 1, "next_page", 1),
                              .total_records = field(L, 1, "total_records", -1),
                              .total_pages = field(L, 1, "total_pages", -1),
                              .items = field(L, 1, "items", 0),
                              .pages = field(L, 1, "pages", 0)};
  if (from.pages > 0)
    df_pager_resume(p, &from);
  else
    df_pager_init(p, from.page_size, from.next_page);
  luaL_setmetatable(L, PAGER);
  return 1;
}

/* pager:feed(page) -> "next", next page | "done" | "rewalk", err | "fail", err */
static int l_feed(lua_State *L) {
  df_pager *p = luaL_checkudata(L, 1, PAGER);
  df_page page;
  df_error err = {0};
  df_pager_step step = df_envelope_read(&page, df_check_page(L, 2), &err) != 0 ? DF_PAGER_FAIL : df_pager_feed(p, &page, &err);
  if (step == DF_PAGER_NEXT) {
    lua_pushliteral(L, "next");        /* [p, page, "next"] */
    lua_pushinteger(L, p->next_page);  /* [p, page, "next", n] */
  } else if (step == DF_PAGER_DONE) {
    lua_pushliteral(L, "done");        /* [p, page, "done"] */
    return 1;
  } else {
    lua_pushstring(L, step == DF_PAGER_REWALK ? "rewalk" : "fail"); /* [p, page, word] */
    df_push_error(L, &err);            /* [p, page, word, nil, err] */
    lua_remove(L, -2);                 /* [p, page, word, err] */
  }
  return 2;
}

/* pager:copy() -> a pager in the same state, to try a page on */
static int l_copy(lua_State *L) {
  const df_pager *p = luaL_checkudata(L, 1, PAGER);
  df_pager *copy = lua_newuserdatauv(L, sizeof *copy, 0); /* [p, copy] */
  *copy = *p;
  luaL_setmetatable(L, PAGER);
  return 1;
}

/* pager:state() -> {page_size, next_page, total_records, total_pages, items, pages}; totals are -1 while unknown */
static int l_state(lua_State *L) {
  const df_pager *p = luaL_checkudata(L, 1, PAGER);
  lua_createtable(L, 0, 6);               /* [p, t] */
  lua_pushinteger(L, p->page_size);       /* [p, t, n] */
  lua_setfield(L, -2, "page_size");       /* [p, t] */
  lua_pushinteger(L, p->next_page);       /* [p, t, n] */
  lua_setfield(L, -2, "next_page");       /* [p, t] */
  lua_pushinteger(L, p->total_records);   /* [p, t, n] */
  lua_setfield(L, -2, "total_records");   /* [p, t] */
  lua_pushinteger(L, p->total_pages);     /* [p, t, n] */
  lua_setfield(L, -2, "total_pages");     /* [p, t] */
  lua_pushinteger(L, p->items);           /* [p, t, n] */
  lua_setfield(L, -2, "items");           /* [p, t] */
  lua_pushinteger(L, p->pages);           /* [p, t, n] */
  lua_setfield(L, -2, "pages");           /* [p, t] */
  return 1;
}

/* core.api.last_page(page) -> totalPages as the page says, or nil */
static int l_last_page(lua_State *L) {
  df_page page;
  df_error err;
  if (df_envelope_read(&page, df_check_page(L, 1), &err) != 0 || page.total_pages < 0) return 0;
  lua_pushinteger(L, page.total_pages); /* [page, n] */
  return 1;
}

/* core.api.windows{since=, until=, step=, start= (days), settle_ms=} -> planner | nil, err */
static int l_windows(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  df_windows *w = lua_newuserdatauv(L, sizeof *w, 0); /* [t, w] */
  df_window_options o = {.since = field(L, 1, "since", 0),
                         .until = field(L, 1, "until", 0),
                         .step = field(L, 1, "step", 1),
                         .settle_ms = field(L, 1, "settle_ms", 0),
                         .start = field(L, 1, "start", 0)};
  df_error err;
  if (df_windows_init(w, &o, &err) != 0) return df_push_error(L, &err);
  luaL_setmetatable(L, WINDOWS);
  return 1;
}

/* planner:next(wall_ms) -> from day, to day of the next window that is closed at that time, or nothing */
static int l_next(lua_State *L) {
  df_windows *w = luaL_checkudata(L, 1, WINDOWS);
  int64_t from, to;
  if (!df_windows_next(w, luaL_checkinteger(L, 2), &from, &to)) return 0;
  lua_pushinteger(L, from); /* [w, wall, from] */
  lua_pushinteger(L, to);   /* [w, wall, from, to] */
  return 2;
}

/* core.api.days("YYYY-MM-DD") -> days since 1970-01-01, or nil when it is not a date */
static int l_days(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  int64_t days;
  if (df_date_parse(text, len, &days) != 0) return 0;
  lua_pushinteger(L, days); /* [text, days] */
  return 1;
}

/* core.api.time(text) -> Unix ms of "YYYY-MM-DDTHH:MM:SSZ" or "....mmmZ", nil for anything else: defendis.time knows all forms. */
static int l_time(lua_State *L) {
  size_t len;
  int64_t ms;
  if (lua_type(L, 1) != LUA_TSTRING) return 0;
  const char *text = lua_tolstring(L, 1, &len);
  if (df_time_parse(text, len, &ms) != 0) return 0;
  lua_pushinteger(L, ms); /* [text, ms] */
  return 1;
}

/* core.api.date(days) -> "YYYY-MM-DD" */
static int l_date(lua_State *L) {
  char out[11];
  lua_Integer days = luaL_checkinteger(L, 1);
  luaL_argcheck(L, days >= -719162 && days <= 2932896, 1, "outside the years 0001 to 9999");
  df_date_format(days, out);
  lua_pushstring(L, out); /* [days, date] */
  return 1;
}

/* core.api.backoff(n, random) -> ms to wait before retry n (from 0): full jitter, see df_backoff_delay. random: any integer,
   another one each time. */
static int l_backoff(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  df_rng rng = {.state = (uint64_t)luaL_checkinteger(L, 2)};
  lua_pushinteger(L, df_backoff_delay(&rng, n < 0 ? 0 : n > 1000 ? 1000 : (int)n)); /* [n, random, ms] */
  return 1;
}

/* Neither type holds anything that must be freed. */
static int l_nothing(lua_State *L) {
  (void)L;
  return 0;
}

int df_open_api(lua_State *L) {
  static const luaL_Reg pager[] = {DF_REG(feed), DF_REG(copy), DF_REG(state), {NULL, NULL}};
  static const luaL_Reg windows[] = {DF_REG(next), {NULL, NULL}};
  static const luaL_Reg functions[] = {DF_REG(pager), DF_REG(windows), DF_REG(last_page), DF_REG(days), DF_REG(time), DF_REG(date),
                                       DF_REG(backoff), {NULL, NULL}};
  df_open_class(L, PAGER, pager, l_nothing);
  df_open_class(L, WINDOWS, windows, l_nothing);
  luaL_newlib(L, functions);        /* [functions] */
  lua_pushinteger(L, DF_PAGES_MAX); /* [functions, n] */
  lua_setfield(L, -2, "PAGES_MAX"); /* [functions] */
  return 1;
}

/* events.c: core.events: events of correlations into bodies, and out of them by group. What they mean: defendis/store/events.lua. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "engine/gather.h"

#define PACKER "defendis.packer"
#define GATHER "defendis.gather"

enum { DAY_MS = 86400000, FIELDS = 6, MEMBERS_MAX = 32 };

/* One rule's events of one day. The rule is known by its string's address; the packer's user value, an array of the buckets' rules,
   keeps it alive. */
typedef struct bucket {
  const char *rule;
  int64_t day, floor;
  lua_Integer n;
  df_buf body;
} bucket;

typedef struct packer {
  bucket *buckets;
  size_t used, cap, last;
} packer;

/* packer:close(): frees its memory; it is empty and usable again. */
static int l_packer_close(lua_State *L) {
  packer *p = luaL_checkudata(L, 1, PACKER);
  for (size_t i = 0; i < p->cap; i++) df_buf_free(&p->buckets[i].body);
  free(p->buckets);
  *p = (packer){0};
  return 0;
}

/* Where events of the rule on top of the stack begin to be in time: floors[rule], or the floor. */
static int64_t floor_of(lua_State *L) {
  lua_pushvalue(L, -1);               /* [.., rule] */
  if (lua_rawget(L, 4) == LUA_TNIL) { /* [.., floor] */
    lua_pop(L, 1);
    return lua_tointeger(L, 5);
  }
  int64_t floor = luaL_checkinteger(L, -1);
  lua_pop(L, 1); /* [..] */
  return floor;
}

/* The bucket of the rule on top of the stack and the day; pages come nearly sorted, so that it is mostly the last one, or one of few. */
static bucket *bucket_of(lua_State *L, packer *p, int64_t day) {
  const char *rule = lua_tostring(L, -1);
  for (size_t i = 0; i < p->used; i++) {
    size_t k = (p->last + i) % p->used;
    if (p->buckets[k].rule == rule && p->buckets[k].day == day) {
      p->last = k;
      return &p->buckets[k];
    }
  }
  if (p->used == p->cap) {
    size_t cap = p->cap == 0 ? 16 : p->cap * 2;
    bucket *grown = realloc(p->buckets, cap * sizeof *grown);
    if (grown == NULL) luaL_error(L, "not enough memory");
    memset(grown + p->cap, 0, (cap - p->cap) * sizeof *grown);
    p->buckets = grown;
    p->cap = cap;
  }
  int64_t floor = floor_of(L);
  lua_getiuservalue(L, 1, 1);                      /* [.., rule, rules] */
  lua_pushvalue(L, -2);                            /* [.., rule, rules, rule] */
  lua_rawseti(L, -2, (lua_Integer)(p->used + 1));  /* [.., rule, rules] */
  lua_pop(L, 1);                                   /* [.., rule] */
  p->last = p->used;
  bucket *b = &p->buckets[p->used++];
  b->rule = rule;
  b->day = day;
  b->floor = floor;
  b->n = 0;
  b->body.len = 0;
  return b;
}

static df_span text_of(lua_State *L, int idx) {
  df_span s;
  if (lua_type(L, idx) != LUA_TSTRING) luaL_error(L, "an event's group, id and member are strings, got %s", luaL_typename(L, idx));
  s.bytes = lua_tolstring(L, idx, &s.len);
  return s;
}

/* The value at idx as a body keeps it; a number's text is written to `text`. */
static void read_value(lua_State *L, int idx, df_event *e, char text[40]) {
  int type = lua_type(L, idx), n = 0;
  if (type == LUA_TSTRING) {
    e->type = 's';
    e->value = text_of(L, idx);
    return;
  }
  e->type = '-';
  if (type == LUA_TNUMBER && lua_isinteger(L, idx)) {
    e->type = 'i';
    n = snprintf(text, 40, LUA_INTEGER_FMT, lua_tointeger(L, idx));
  } else if (type == LUA_TNUMBER) {
    if (!isfinite(lua_tonumber(L, idx))) luaL_error(L, "an event's value is not a number");
    e->type = 'r';
    n = snprintf(text, 40, "%.17g", lua_tonumber(L, idx));
  } else if (type != LUA_TNIL) {
    luaL_error(L, "an event's value is text, a number or nil, got %s", luaL_typename(L, idx));
  }
  e->value = (df_span){text, (size_t)n};
}

/* packer:add(list, n, floors, floor) -> how many were late, and {where each of them begins in the list}, or nil. list: rule, Unix ms,
   group, id, member and value (text, number or nil) of each event, n values in all. Those before floors[rule], or else before
   the floor, are late: counted and left out; the floors stay the same until the next take. */
static int l_add(lua_State *L) {
  packer *p = luaL_checkudata(L, 1, PACKER);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer n = luaL_checkinteger(L, 3), late = 0;
  luaL_checktype(L, 4, LUA_TTABLE);
  luaL_checkinteger(L, 5);
  lua_settop(L, 5);
  lua_pushnil(L); /* [.., late ones] */
  for (lua_Integer at = 1; at <= n; at += FIELDS) {
    for (int i = FIELDS - 1; i >= 0; i--) lua_rawgeti(L, 2, at + i); /* [.., value, member, id, group, time, rule] */
    text_of(L, -1);
    df_event e = {.time = luaL_checkinteger(L, 11), .group = text_of(L, 10), .id = text_of(L, 9), .member = text_of(L, 8)};
    bucket *b = bucket_of(L, p, e.time >= 0 ? e.time / DAY_MS : ~(~e.time / DAY_MS));
    if (e.time < b->floor) {
      if (late++ == 0) {
        lua_newtable(L);   /* [.., places] */
        lua_replace(L, 6); /* [..] */
      }
      lua_pushinteger(L, at);     /* [.., at] */
      lua_rawseti(L, 6, late);    /* [..] */
    } else {
      char text[40];
      read_value(L, 7, &e, text);
      if (df_event_pack(&b->body, &e) != 0) return luaL_error(L, "not enough memory");
      b->n++;
    }
    lua_settop(L, 6);
  }
  lua_pushinteger(L, late); /* [.., places, late] */
  lua_insert(L, 6);         /* [.., late, places] */
  return 2;
}

/* packer:take() -> {rule, day, count, body, ...}: what was added since the last take. */
static int l_take_bodies(lua_State *L) {
  packer *p = luaL_checkudata(L, 1, PACKER);
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, 1); /* [packer, rules] */
  lua_newtable(L);            /* [packer, rules, out] */
  lua_Integer k = 0;
  for (size_t i = 0; i < p->used; i++) {
    const bucket *b = &p->buckets[i];
    if (b->n == 0) continue;
    lua_rawgeti(L, 2, (lua_Integer)i + 1);         /* [.., out, rule] */
    lua_rawseti(L, 3, ++k);                        /* [.., out] */
    lua_pushinteger(L, b->day);                    /* [.., out, day] */
    lua_rawseti(L, 3, ++k);                        /* [.., out] */
    lua_pushinteger(L, b->n);                      /* [.., out, n] */
    lua_rawseti(L, 3, ++k);                        /* [.., out] */
    lua_pushlstring(L, b->body.data, b->body.len); /* [.., out, body] */
    lua_rawseti(L, 3, ++k);                        /* [.., out] */
  }
  p->used = p->last = 0;
  return 1;
}

/* events.packer() -> a packer, whose memory is used again from call to call. */
static int l_packer(lua_State *L) {
  packer *p = lua_newuserdatauv(L, sizeof *p, 1); /* [packer] */
  *p = (packer){0};
  lua_newtable(L);             /* [packer, rules] */
  lua_setiuservalue(L, -2, 1); /* [packer] */
  luaL_setmetatable(L, PACKER); /* [packer] */
  return 1;
}

typedef struct holder {
  df_gather *gather;
  int sorted;
} holder;

/* gather:close(): frees its memory; it is of no use any more. */
static int l_gather_close(lua_State *L) {
  holder *h = luaL_checkudata(L, 1, GATHER);
  df_gather_free(h->gather);
  h->gather = NULL;
  return 0;
}

/* events.gather(from, since, to, least[, most]) -> a gather, see engine/events.h; times are Unix ms; most: groups. */
static int l_gather(lua_State *L) {
  lua_Integer from = luaL_checkinteger(L, 1), since = luaL_checkinteger(L, 2);
  lua_Integer to = luaL_checkinteger(L, 3), least = luaL_checkinteger(L, 4);
  lua_Integer most = luaL_optinteger(L, 5, LUA_MAXINTEGER);
  luaL_argcheck(L, least >= 0, 4, "not below 0");
  luaL_argcheck(L, most >= 1, 5, "not below 1");
  holder *h = lua_newuserdatauv(L, sizeof *h, 0); /* [gather] */
  *h = (holder){0};
  luaL_setmetatable(L, GATHER); /* [gather] */
  if (df_gather_open(&h->gather, from, since, to, (size_t)least, NULL) != 0) return luaL_error(L, "not enough memory");
  df_gather_limit(h->gather, (size_t)most);
  return 1;
}

static holder *check_gather(lua_State *L) {
  holder *h = luaL_checkudata(L, 1, GATHER);
  if (h->gather == NULL) luaL_error(L, "the gather is closed");
  return h;
}

static int raise(lua_State *L, const df_error *err) {
  df_push_error(L, err); /* [nil, e] */
  return lua_error(L);
}

static int feed(lua_State *L, int (*f)(df_gather *, const char *, size_t, df_error *)) {
  holder *h = check_gather(L);
  size_t n;
  const char *body = luaL_checklstring(L, 2, &n);
  df_error err;
  return f(h->gather, body, n, &err) == 0 ? 0 : raise(L, &err);
}

/* gather:note(body), gather:take(body), gather:states(body). They raise the error of a body that is damaged. */
static int l_note(lua_State *L) { return feed(L, df_gather_note); }
static int l_take(lua_State *L) { return feed(L, df_gather_take); }
static int l_states(lua_State *L) { return feed(L, df_gather_states); }

static void push_span(lua_State *L, df_span s, const char *key) {
  lua_pushlstring(L, s.bytes, s.len); /* [.., s] */
  lua_setfield(L, -2, key);           /* [..] */
}

static void push_event(lua_State *L, const df_event *e) {
  lua_createtable(L, 0, e->type == '-' ? 3 : 5); /* [e], with room for what rules/evaluate.lua adds */
  lua_pushinteger(L, e->time);    /* [e, time] */
  lua_setfield(L, -2, "time");    /* [e] */
  push_span(L, e->id, "id");
  push_span(L, e->member, "member");
  if (e->type == '-') return;
  push_span(L, e->value, "value");
  if (e->type == 's') return;
  lua_getfield(L, -1, "value");                                           /* [e, text] */
  lua_Number real = e->type == 'r' ? lua_tonumber(L, -1) : 0;
  lua_Integer integer = e->type == 'i' ? lua_tointeger(L, -1) : 0;
  lua_pop(L, 1);                                                          /* [e] */
  if (e->type == 'r') lua_pushnumber(L, real); else lua_pushinteger(L, integer); /* [e, number] */
  lua_setfield(L, -2, "value");                                           /* [e] */
}

/* gather:skim(mode, span, gap, least, members, types): mode "back" or "close", see engine/events.h; members: an array of texts. */
static int l_skim(lua_State *L) {
  static const char *const modes[] = {"none", "back", "close", NULL};
  holder *h = check_gather(L);
  df_span members[MEMBERS_MAX];
  df_skim s = {.mode = (df_skim_mode)luaL_checkoption(L, 2, NULL, modes), .span = luaL_checkinteger(L, 3), .gap = luaL_checkinteger(L, 4),
               .members = members, .types = luaL_checkstring(L, 7)};
  lua_Integer least = luaL_checkinteger(L, 5), n = (luaL_checktype(L, 6, LUA_TTABLE), luaL_len(L, 6));
  luaL_argcheck(L, least >= 1, 5, "not below 1");
  luaL_argcheck(L, n <= MEMBERS_MAX, 6, "too many");
  s.least = (size_t)least;
  s.n_members = (size_t)n;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 6, i); /* [.., member] */
    members[i - 1] = text_of(L, -1);
    lua_pop(L, 1); /* [..], which has it too */
  }
  df_error err;
  return df_gather_skim(h->gather, &s, &err) == 0 ? 0 : raise(L, &err);
}

/* gather:keep(group, state, ms): the group's new state, which gather:kept hands out. */
static int l_keep(lua_State *L) {
  holder *h = check_gather(L);
  df_error err;
  return df_gather_keep(h->gather, text_of(L, 2), text_of(L, 3), luaL_checkinteger(L, 4), &err) == 0 ? 0 : raise(L, &err);
}

/* gather:kept() -> a body of states and the newest time in it, or nil when there are none. */
static int l_kept(lua_State *L) {
  int64_t newest;
  df_span body = df_gather_kept(check_gather(L)->gather, &newest);
  if (body.len == 0) return 0;
  lua_pushlstring(L, body.bytes, body.len); /* [body] */
  lua_pushinteger(L, newest);               /* [body, newest] */
  return 2;
}

/* gather:next() -> group, {{time, id, member, value}, ...}, state or nil: the next group's events by time, id and member; false when
   gather:kept has to be asked before it goes on; nil behind the last. */
static int l_next(lua_State *L) {
  holder *h = check_gather(L);
  df_error err;
  if (!h->sorted && df_gather_sort(h->gather, &err) != 0) return raise(L, &err);
  h->sorted = 1;
  df_grouped at;
  int got = df_gather_next(h->gather, &at, &err);
  if (got < 0) return raise(L, &err);
  if (got == 0) return 0;
  if (got == 2) {
    lua_pushboolean(L, 0); /* [false] */
    return 1;
  }
  lua_pushlstring(L, at.group.bytes, at.group.len); /* [group] */
  lua_createtable(L, (int)at.n, 0);                 /* [group, list] */
  for (size_t i = 0; i < at.n; i++) {
    push_event(L, &at.events[i]);           /* [group, list, e] */
    lua_rawseti(L, -2, (lua_Integer)i + 1); /* [group, list] */
  }
  if (at.state.len == 0) return 2;
  lua_pushlstring(L, at.state.bytes, at.state.len); /* [group, list, state] */
  return 3;
}

/* gather:evicted(): how many events that are decided now were not taken, once gather:next has given all; see df_gather_limit. */
static int l_evicted(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)df_gather_evicted(check_gather(L)->gather)); /* [n] */
  return 1;
}

/* events.state(body, group) -> the group's state in a body of them, or nil. */
static int l_state(lua_State *L) {
  size_t n;
  const char *body = luaL_checklstring(L, 1, &n);
  df_span state;
  df_error err;
  int found = df_state_of(&state, body, n, text_of(L, 2), &err);
  if (found < 0) return raise(L, &err);
  if (found == 0) return 0;
  lua_pushlstring(L, state.bytes, state.len); /* [state] */
  return 1;
}

int df_open_events(lua_State *L) {
  static const luaL_Reg functions[] = {DF_REG(packer), DF_REG(gather), DF_REG(state), {NULL, NULL}};
  static const luaL_Reg packer_methods[] = {DF_REG(add), {"take", l_take_bodies}, {"close", l_packer_close}, {NULL, NULL}};
  static const luaL_Reg gather_methods[] = {DF_REG(note), DF_REG(take), DF_REG(states), DF_REG(skim), DF_REG(evicted),
                                            DF_REG(keep), DF_REG(kept), DF_REG(next),   {NULL, NULL}};
  df_open_class(L, PACKER, packer_methods, l_packer_close);
  df_open_class(L, GATHER, gather_methods, l_gather_close);
  luaL_newlib(L, functions); /* [events] */
  return 1;
}

/* value.c: values of JSON documents as Lua values. */
#include "bind/value.h"

#include <string.h>

#include "bind/bind.h"

/* The keys met of late, and which Lua string each is: the same few come back in every record. */
enum { SLOTS = 256, CACHE, ARRAY_MT };
struct df_slot {
  unsigned char len; /* 0: free */
  char bytes[31];
};

static const char shared; /* registry key of { strings of the slots..., [CACHE] = slots, [ARRAY_MT] = mark } */

static void push_text(lua_State *L, df_json *doc, df_json_ref at) {
  size_t n;
  const char *text = df_json_text(doc, at, &n);
  if (text == NULL) luaL_error(L, "not enough memory");
  lua_pushlstring(L, text, n); /* [s] */
}

const df_field *df_walk_key(df_walk *w, df_json_ref at) {
  lua_State *L = w->L;
  size_t n;
  const char *key = df_json_span(w->doc, at, &n) + 1;
  n -= 2;
  if (n == 0 || n > sizeof w->slots->bytes || !df_json_plain(w->doc, at)) {
    push_text(L, w->doc, at); /* [key] */
    key = lua_tolstring(L, -1, &n);
    return w->fields != NULL ? df_fields_find(w->fields, key, n) : NULL;
  }
  const df_field *field = w->fields != NULL ? df_fields_find(w->fields, key, n) : NULL;
  uint64_t a, b; /* more text, or its padding, follows a short key */
  memcpy(&a, key, 8);
  memcpy(&b, key + (n < 8 ? 0 : n - 8), 8);
  if (n < 8) a = b &= (UINT64_C(1) << 8 * n) - 1;
  unsigned i = (unsigned)(((a ^ b >> 7 ^ n) * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
  struct df_slot *s = &w->slots[i];
  if (s->len == n && memcmp(s->bytes, key, n) == 0) {
    lua_rawgeti(L, w->shared, (lua_Integer)i + 1); /* [key] */
    return field;
  }
  lua_pushlstring(L, key, n);                    /* [key] */
  lua_pushvalue(L, -1);                          /* [key, key] */
  lua_rawseti(L, w->shared, (lua_Integer)i + 1); /* [key] */
  memcpy(s->bytes, key, n);
  s->len = (unsigned char)n;
  return field;
}

void df_push_number(lua_State *L, const df_json *doc, df_json_ref at) {
  int64_t i;
  double d;
  size_t n;
  switch (df_json_number(doc, at, &i, &d)) {
    case DF_JSON_INT: lua_pushinteger(L, i); /* [i] */ break;
    case DF_JSON_DOUBLE: lua_pushnumber(L, d); /* [d] */ break;
    case DF_JSON_DIGITS: {
      const char *text = df_json_span(doc, at, &n);
      char *copy = lua_newuserdatauv(L, n + 1, 0); /* [u] */
      memcpy(copy, text, n);
      copy[n] = '\0';
      luaL_setmetatable(L, DF_JSON_NUMBER_MT); /* [u] */
    }
  }
}

int df_push_scalar(lua_State *L, df_json *doc, df_json_ref at) {
  switch (df_json_type(doc, at)) {
    case DF_JSON_ARRAY:
    case DF_JSON_OBJECT: return 0;
    case DF_JSON_FALSE: lua_pushboolean(L, 0); /* [b] */ break;
    case DF_JSON_TRUE: lua_pushboolean(L, 1); /* [b] */ break;
    case DF_JSON_NUMBER: df_push_number(L, doc, at); /* [n] */ break;
    case DF_JSON_STRING: push_text(L, doc, at); /* [s] */ break;
    case DF_JSON_NULL:
    case DF_JSON_BAD: lua_pushlightuserdata(L, NULL); /* [null] */ break;
  }
  return 1;
}

/* Pushes a string or number that is sensitive, or holds card numbers, as what a rule may see of it, and returns 1; 0 for others. */
static int push_guarded(df_walk *w, df_json_ref at) {
  lua_State *L = w->L;
  df_json_kind kind = df_json_type(w->doc, at);
  size_t n;
  if (kind != DF_JSON_STRING && (kind != DF_JSON_NUMBER || w->inside == NULL)) return 0;
  const char *text = kind == DF_JSON_STRING ? df_json_text(w->doc, at, &n) : df_json_span(w->doc, at, &n);
  if (text == NULL) luaL_error(L, "not enough memory");
  if (w->inside != NULL) {
    df_push_sensitive(L, w->list, w->inside, text, n); /* [v] */
    return 1;
  }
  if (!w->scan || n < 13) return 0;
  luaL_Buffer b;
  char *copy = luaL_buffinitsize(L, &b, n);
  memcpy(copy, text, n);
  df_sensitive_mask_cards(copy, n);
  luaL_pushresultsize(&b, n); /* [s] */
  return 1;
}

void df_walk_value(df_walk *w, df_json_ref at) {
  lua_State *L = w->L;
  if ((w->inside != NULL || w->scan) && push_guarded(w, at)) return; /* [v] */
  if (df_push_scalar(L, w->doc, at)) return; /* [v] */
  luaL_checkstack(L, 8, "JSON");
  uint32_t n = df_json_count(w->doc, at);
  df_json_ref child = at + 1;
  if (df_json_type(w->doc, at) == DF_JSON_OBJECT) {
    lua_createtable(L, 0, (int)n); /* [t] */
    const df_field *outer = w->inside;
    for (; n > 0; n--, child = df_json_after(w->doc, child)) {
      const df_field *field = df_walk_key(w, child++); /* [t, key] */
      w->inside = outer != NULL ? outer : field;
      df_walk_value(w, child); /* [t, key, v] */
      lua_rawset(L, -3);    /* [t] */
    }
    w->inside = outer;
    return;
  }
  lua_createtable(L, (int)n, 0);       /* [t] */
  lua_pushvalue(L, w->shared + 1);     /* [t, mark] */
  lua_setmetatable(L, -2);             /* [t] */
  for (uint32_t i = 1; i <= n; i++, child = df_json_after(w->doc, child)) {
    df_walk_value(w, child);  /* [t, v] */
    lua_rawseti(L, -2, i); /* [t] */
  }
}

df_walk df_walk_begin(lua_State *L, df_json *doc, int list) {
  luaL_checkstack(L, 16, "JSON");
  df_walk w = {.L = L, .doc = doc, .shared = lua_gettop(L) + 1, .list = list};
  if (list != 0) w.fields = df_opt_fields(L, list, &w.scan);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &shared); /* [shared] */
  lua_rawgeti(L, w.shared, CACHE);            /* [shared, slots] */
  w.slots = lua_touserdata(L, -1);
  lua_pop(L, 1);                      /* [shared] */
  lua_rawgeti(L, w.shared, ARRAY_MT); /* [shared, mark] */
  return w;
}

void df_push_record(lua_State *L, df_json *doc, df_json_ref at, int list) {
  df_walk w = df_walk_begin(L, doc, list); /* [shared, mark] */
  df_walk_value(&w, at);                   /* [shared, mark, v] */
  lua_replace(L, w.shared);                /* [v, mark] */
  lua_pop(L, 1);                           /* [v] */
}

void df_push_json(lua_State *L, df_json *doc, df_json_ref at) { df_push_record(L, doc, at, 0); }

void df_open_values(lua_State *L) {
  lua_createtable(L, ARRAY_MT, 0); /* [shared] */
  for (int i = 1; i <= SLOTS; i++) {
    lua_pushliteral(L, "");  /* [shared, ""] */
    lua_rawseti(L, -2, i); /* [shared] */
  }
  memset(lua_newuserdatauv(L, SLOTS * sizeof(struct df_slot), 0), 0, SLOTS * sizeof(struct df_slot)); /* [shared, slots] */
  lua_rawseti(L, -2, CACHE);                   /* [shared] */
  luaL_getmetatable(L, DF_JSON_ARRAY_MT);      /* [shared, mark] */
  lua_rawseti(L, -2, ARRAY_MT);                /* [shared] */
  lua_rawsetp(L, LUA_REGISTRYINDEX, &shared); /* [] */
}

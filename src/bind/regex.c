/* regex.c: core.regex: patterns of PCRE2 with limits. */
#include <stdint.h>
#include <string.h>

#include "bind/bind.h"
#include "io/regex.h"

#define REGEX "defendis.regex"
enum { HEAD = 16 }; /* keeps blocks aligned */

typedef struct holder {
  df_regex *regex;
  lua_Alloc alloc; /* the state's own, so that a script's patterns count against its memory */
  void *ud;
} holder;

static void *take(size_t n, void *data) {
  const holder *h = data;
  if (n > SIZE_MAX - HEAD) return NULL;
  char *block = h->alloc(h->ud, NULL, LUA_TUSERDATA, n + HEAD);
  if (block == NULL) return NULL;
  memcpy(block, &n, sizeof n);
  return block + HEAD;
}

static void give(void *block, void *data) {
  const holder *h = data;
  if (block == NULL) return;
  size_t n;
  char *head = (char *)block - HEAD;
  memcpy(&n, head, sizeof n);
  h->alloc(h->ud, head, n + HEAD, 0);
}

/* Frees the pattern; it cannot be used any more. */
static int l_close(lua_State *L) {
  holder *h = luaL_checkudata(L, 1, REGEX);
  df_regex_free(h->regex);
  h->regex = NULL;
  return 0;
}

/* Raises err with the place in Lua that asked: a rule that cannot decide must not look like one that said no. */
static int raise_error(lua_State *L, const df_error *err) {
  df_push_error(L, err);               /* [nil, e] */
  luaL_where(L, 1);                    /* [nil, e, where] */
  lua_pushstring(L, err->message);     /* [nil, e, where, message] */
  lua_concat(L, 2);                    /* [nil, e, text] */
  lua_setfield(L, -2, "message");      /* [nil, e] */
  return lua_error(L);
}

/* regex.new(pattern [, flags]) -> a pattern. flags: letters of i m s x (as in Perl) and u (UTF-8). Raises an error of kind "config",
   with the offset, when the pattern or a flag is wrong or PCRE2 is not there. */
static int l_new(lua_State *L) {
  size_t len;
  const char *pattern = luaL_checklstring(L, 1, &len);
  df_regex_options o = {.flags = luaL_optstring(L, 2, NULL), .take = take, .give = give};
  /* machine code lies where no budget sees it, and is not under the heap limit: for rules only */
  o.jit = df_context_of(L)->trusted;
  df_error err;
  holder *h = lua_newuserdatauv(L, sizeof *h, 0); /* [regex] */
  *h = (holder){0};
  h->alloc = df_base_alloc(L, &h->ud);
  luaL_setmetatable(L, REGEX); /* [regex] */
  o.data = h;
  if (df_regex_new(&h->regex, pattern, len, &o, &err) != 0) return raise_error(L, &err);
  lua_gc(L, LUA_GCSTEP, 1 + (int)(df_regex_size(h->regex) / 1024)); /* the collector does not know what `take` took */
  return 1;
}

/* Matches the text at 2 from the position at 3: how many groups, 0 for no match. */
static int run(lua_State *L, holder **out, const char **text) {
  size_t n;
  *out = luaL_checkudata(L, 1, REGEX);
  *text = luaL_checklstring(L, 2, &n);
  lua_Integer from = luaL_optinteger(L, 3, 1);
  luaL_argcheck(L, from >= 1, 3, "not below 1");
  if ((*out)->regex == NULL) return luaL_error(L, "the pattern is closed");
  if ((lua_Unsigned)from - 1 > n) return 0;
  df_error err;
  int groups = df_regex_match((*out)->regex, *text, n, (size_t)from - 1, &err);
  return groups < 0 ? raise_error(L, &err) : groups;
}

/* regex:test(text [, from]) -> whether it matches somewhere. Raises an error of kind "limit" when that takes too long. */
static int l_test(lua_State *L) {
  holder *h;
  const char *text;
  lua_pushboolean(L, run(L, &h, &text) > 0); /* [b] */
  return 1;
}

static void push_group(lua_State *L, const char *text, const size_t *groups, size_t i) {
  size_t from = groups[2 * i], to = groups[2 * i + 1];
  if (from == SIZE_MAX || to < from)
    lua_pushnil(L);
  else
    lua_pushlstring(L, text + from, to - from);
}

/* regex:match(text [, from]) -> captures of the first match, or nil: [0] is the whole, then by number and by name; a group that took
   no part is nil. Raises as test does. */
static int l_match(lua_State *L) {
  holder *h;
  const char *text;
  int count = run(L, &h, &text);
  if (count == 0) return 0;
  const size_t *groups = df_regex_groups(h->regex);
  lua_createtable(L, count, 1); /* [captures] */
  for (int i = 0; i < count; i++) {
    push_group(L, text, groups, (size_t)i); /* [captures, text] */
    lua_rawseti(L, -2, i);                  /* [captures] */
  }
  size_t group;
  const char *name;
  for (size_t i = 0; (name = df_regex_name(h->regex, i, &group)) != NULL; i++) {
    if (group >= (size_t)count) continue;
    push_group(L, text, groups, group); /* [captures, text] */
    if (!lua_isnil(L, -1))
      lua_setfield(L, -2, name); /* [captures] */
    else
      lua_pop(L, 1); /* [captures] */
  }
  return 1;
}

/* regex:find(text [, from]) -> first and last position of the first match, or nil. Raises as test does. */
static int l_find(lua_State *L) {
  holder *h;
  const char *text;
  if (run(L, &h, &text) == 0) return 0;
  const size_t *groups = df_regex_groups(h->regex);
  lua_pushinteger(L, (lua_Integer)groups[0] + 1); /* [first] */
  lua_pushinteger(L, (lua_Integer)groups[1]);     /* [first, last] */
  return 2;
}

int df_open_regex(lua_State *L) {
  static const luaL_Reg functions[] = {DF_REG(new), {NULL, NULL}};
  static const luaL_Reg methods[] = {DF_REG(test), DF_REG(match), DF_REG(find), {NULL, NULL}};
  df_open_class(L, REGEX, methods, l_close);
  luaL_newlib(L, functions); /* [regex] */
  return 1;
}

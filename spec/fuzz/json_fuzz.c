/* json_fuzz.c: libFuzzer: what decodes, encodes, and decodes to the same; pages give all their records; a Lua state
   that runs out of memory anywhere leaks nothing. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct budget {
  int failing;
  unsigned left; /* allocations until one fails */
} budget;

static void *allocate(void *ud, void *ptr, size_t osize, size_t nsize) {
  budget *b = ud;
  if (nsize == 0) return free(ptr), NULL;
  if (b->failing && (ptr == NULL || nsize > osize) && b->left-- == 0) return b->left = 0, NULL;
  return realloc(ptr, nsize);
}

static const char script[] =
    "local json, text = ...\n"
    "local sorted = { sort_keys = true }\n"
    "local value, err = json.decode(text)\n"
    "if err == nil then\n"
    "  local once = assert(json.encode(value, sorted))\n"
    "  local again = json.decode(once)\n"
    "  assert(json.encode(again, sorted) == once and utf8.len(once))\n"
    "  assert(json.encode(json.decode(json.encode(value)), sorted) == once)\n"
    "end\n"
    "local page = json.page(text, { max_record = 64, max_depth = 8 })\n"
    "if page then\n"
    "  for i = 1, page:len() do\n"
    "    local record, err = page:record(i)\n"
    "    local raw = page:raw(i)\n"
    "    assert(#raw > 0 and (err == nil) == (record ~= nil))\n"
    "    if err then assert(err.offset >= 1 and err.kind == 'decode')\n"
    "    else assert(json.encode(json.decode(raw), sorted) == json.encode(record, sorted)) end\n"
    "    page:field(i, 'a.b')\n"
    "  end\n"
    "  page:paging() page:hash() page:replaced()\n"
    "  local b = json.buffer() b:encode(page:paging()) b:add(text)\n"
    "end\n";

static int run(lua_State *L) {
  luaL_requiref(L, "_G", luaopen_base, 1);
  luaL_requiref(L, "utf8", luaopen_utf8, 1);
  lua_settop(L, 2);
  if (luaL_loadstring(L, script) != LUA_OK) return lua_error(L);
  df_open_json(L);
  lua_pushlstring(L, lua_touserdata(L, 1), (size_t)lua_tointeger(L, 2));
  lua_call(L, 2, 0);
  return 0;
}

static void one(const uint8_t *data, size_t size, budget b) {
  lua_State *L = lua_newstate(allocate, &b);
  if (L == NULL) return;
  lua_pushcfunction(L, run);
  lua_pushlightuserdata(L, (void *)(uintptr_t)data);
  lua_pushinteger(L, (lua_Integer)size);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK && !b.failing) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  b.failing = 0;
  lua_close(L);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  unsigned h = 17;
  for (size_t i = 0; i < size; i++) h = h * 31 + data[i];
  one(data, size, (budget){0});
  one(data, size, (budget){.failing = 1, .left = 150 + h % 600});
  return 0;
}

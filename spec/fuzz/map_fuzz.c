/* map_fuzz.c: libFuzzer: compiled maps over random records, and programs whose numbers were spoiled. Runs in the source tree, whose Lua
   compiles the maps.

   Input: which map; how many numbers are spoiled, and for each where (16 bits) and what it becomes (32 bits); records as JSON, between
   commas. The document of a sound map is JSON without the text that is sensitive. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/program.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int luaopen_defendis_core(lua_State *L);

enum { MAPS_MAX = 16, SPOILED_MAX = 8, COST_MAX = 20000, RECORD_MAX = 2048 };

static df_map_program maps[MAPS_MAX];
static size_t map_count;

static const char compile[] =
    "package.path = 'lua/?.lua;lua/?/init.lua'\n"
    "local expressions, map = require 'defendis.normalize.expressions', require 'defendis.normalize.map'\n"
    "local core = require 'defendis.core'\n"
    "local host = { null = core.json.null, hmac_key = 'key', hidden = function() return { 'secret' } end,\n"
    "  encode = function(v) return core.json.encode(v, { sort_keys = true }) end }\n"
    "local env, out = { null = host.null }, {}\n"
    "expressions.add(env)\n"
    "for _, text in ipairs{\n"
    "  '{ a = field \"a\", b = lower \"b.c\", l = each(\"l\", { x = field \"x\", r = field \"$.a\", i = each(\"l\", field \".\") }) }',\n"
    "  '{ h = host \"a\", s = scheme \"a\", d = domain \"a\", t = trim \"a\", u = upper \"a\","
    " m = millis \"a\", i = iso \"a\", n = number \"a\" }',\n"
    "  '{ j = join(\"l\", \", \"), p = split(\"a\", \"b\", 2), k = lookup(\"a\", { b = 1, c = \"x\", [\"1\"] = null }, 0),"
    " f = first_of(\"a\", \"b\", \"l[2].x\") }',\n"
    "  '{ w = when(equals(\"a\", \"b\", 1), { x = field \"b\" }, concat(\"-\", field \"a\", lower \"b\")),"
    " g = when(absent \"a\", 1), n = len \"l\", t = text \"b\" }',\n"
    "  '{ m = mask \"secret\", h = hmac \"secret\", c = length_class \"secret\","
    " a = { { b = field \"a[1]\" }, field \"a[3].b\", \"c\" }, [\"x.y.z\"] = field \"b.c.d\" }',\n"
    "  '{ a = each(\"l\", when(\"a\", concat(field \"a\", field \"b\"), { b = upper \"b\" })),"
    " b = each(\"l\", { a = lower \"c\" }), c = field \"b.a\" }',\n"
    "  '{ f = fn(function() end), a = field \"a\", l = each(\"b\", \"x\") }',\n"
    "} do\n"
    "  for _, unmapped in ipairs{ true, false } do\n"
    "    local options = { dataset = 'd', unmapped = unmapped, map = assert(load('return ' .. text, '=map', 't', env))() }\n"
    "    local made, message = map.compile(options, host)\n"
    "    out[#out + 1] = (made or error(message)).program\n"
    "  end\n"
    "end\n"
    "return out\n";

/* The texts and numbers of the program on top of the stack, for good. */
static void keep(lua_State *L, df_map_program *p) {
  lua_getfield(L, -1, "texts"); /* [program, texts] */
  p->text_count = (size_t)lua_rawlen(L, -1);
  df_span *texts = calloc(p->text_count + 1, sizeof *texts);
  for (size_t i = 0; i < p->text_count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1); /* [program, texts, s]: stays, and so does its text */
    texts[i].bytes = lua_tolstring(L, -1, &texts[i].len);
    lua_pop(L, 1); /* [program, texts] */
  }
  lua_getfield(L, -2, "code"); /* [program, texts, code] */
  p->len = (size_t)lua_rawlen(L, -1);
  int32_t *code = calloc(p->len + 1, sizeof *code);
  for (size_t i = 0; i < p->len; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1); /* [program, texts, code, n] */
    code[i] = (int32_t)lua_tointeger(L, -1);
    lua_pop(L, 1); /* [program, texts, code] */
  }
  lua_pop(L, 2); /* [program] */
  p->texts = texts;
  p->code = code;
  p->key = (df_span){"key", 3};
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  lua_State *L = luaL_newstate(); /* lives as long as the process: it holds the texts */
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_defendis_core);
  lua_setfield(L, -2, "defendis.core");
  if (luaL_dostring(L, compile) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  map_count = (size_t)lua_rawlen(L, -1);
  if (map_count > MAPS_MAX) abort();
  for (size_t i = 0; i < map_count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    keep(L, &maps[i]);
    lua_pop(L, 1);
  }
  lua_setfield(L, LUA_REGISTRYINDEX, "maps");
  return 0;
}

static int call(void *user, int which, df_buf *out, df_error *err) {
  (void)user;
  (void)err;
  if (which % 2 != 0) return 0;
  return df_buf_puts(out, "[1]") != 0 ? -1 : 1;
}

/* How many nodes a run may visit, capped: a program of few numbers can ask for very much, and none that we compile does. */
static int is_cheap(const df_map *m) {
  uint64_t *cost = calloc((size_t)m->node_count, sizeof *cost);
  for (int32_t i = 0; i < m->node_count; i++) {
    cost[i] = 1;
    for (int32_t k = 0; k < m->nodes[i].count && cost[i] < COST_MAX; k++) cost[i] += cost[m->nodes[i].kids[k]];
    if (m->nodes[i].op == OP_EACH) cost[i] *= 16;
    if (cost[i] > COST_MAX) cost[i] = COST_MAX;
  }
  int cheap = cost[m->node_count - 1] < COST_MAX;
  free(cost);
  return cheap;
}

static void check_document(const df_buf *out) {
  df_buf copy = {0};
  df_json *doc;
  df_error err;
  if (df_buf_add(&copy, out->data, out->len) != 0) abort();
  if (memmem(out->data, out->len, "HIDDEN", 6) != NULL) abort();
  if (df_json_parse(&doc, &copy, &(df_json_limits){.max_depth = 1000}, &err) != 0) {
    fprintf(stderr, "%s: %.*s\n", err.message, (int)out->len, out->data);
    abort();
  }
  df_json_free(doc);
}

static void run(df_map *m, const uint8_t *data, size_t size, int is_sound) {
  df_buf text = {0}, out = {0};
  df_json *doc;
  df_error err;
  /* the first record has something sensitive, which no document may show */
  static const char head[] = "{\"data\":[{\"secret\":\"HIDDEN\",\"a\":\"b\",\"l\":[{\"secret\":{\"x\":\"HIDDEN\"}}]},";
  if (df_buf_puts(&text, head) != 0 || df_buf_add(&text, data, size) != 0 || df_buf_puts(&text, "]}") != 0) abort();
  int hides = memmem(data, size, "HIDDEN", 6) == NULL;
  if (df_json_parse(&doc, &text, &(df_json_limits){.recover = 1}, &err) != 0) {
    df_buf_free(&text);
    return;
  }
  for (uint32_t i = 0; df_json_page(doc, &err) == 0 && i < df_json_records(doc); i++) {
    out.len = 0;
    if (df_buf_puts(&out, "x") != 0) abort();
    if (df_map_run(m, doc, df_json_record(doc, i), &out, call, NULL, &err) != 0) {
      if (out.len != 1) abort();
      continue;
    }
    df_buf document = {.data = out.data + 1, .len = out.len - 1};
    if (is_sound && hides) check_document(&document);
  }
  df_buf_free(&out);
  df_json_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2 || size > RECORD_MAX) return 0;
  df_map_program p = maps[data[0] % map_count];
  size_t spoiled = data[1] % (SPOILED_MAX + 1);
  data += 2;
  size -= 2;
  if (size < spoiled * 6) return 0;
  int32_t *code = malloc((p.len + 1) * sizeof *code);
  memcpy(code, p.code, p.len * sizeof *code);
  for (size_t i = 0; i < spoiled; i++, data += 6, size -= 6) {
    size_t at = (size_t)(data[0] | data[1] << 8);
    if (at >= 0x8000) p.len = at % (p.len + 1); /* cut off */
    else if (p.len > 0) memcpy(&code[at % p.len], data + 2, sizeof *code);
  }
  p.code = code;
  df_map *m;
  df_error err;
  if (df_map_new(&m, &p, &err) == 0 && (spoiled == 0 || is_cheap(m))) run(m, data, size, spoiled == 0);
  else if (m == NULL && spoiled == 0) abort();
  df_map_free(m);
  free(code);
  return 0;
}

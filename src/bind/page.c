/* page.c: JSON documents as Lua values, and pages of records that become values one by one. */
#include <string.h>

#include "base/clock.h"
#include "bind/bind.h"
#include "bind/value.h"
#include "io/hash.h"

#define PAGE "defendis.page"

/* Also what decode works in: C memory must hang on a userdata, for any Lua call may throw. */
typedef struct page {
  df_json *doc;
  df_buf text;
} page;

static page *new_page(lua_State *L) {
  page *p = lua_newuserdatauv(L, sizeof *p, 1); /* [page] */
  *p = (page){0};
  luaL_setmetatable(L, PAGE); /* [page] */
  return p;
}

/* page:close(): frees the document; records that were built stay. Twice is fine. Also __gc and __close. */
static int l_close(lua_State *L) {
  page *p = luaL_checkudata(L, 1, PAGE);
  df_json_free(p->doc);
  df_buf_free(&p->text);
  p->doc = NULL;
  return 0;
}

int df_push_page(lua_State *L, df_json *doc) {
  page *p = new_page(L); /* [page] */
  p->doc = doc;
  return 1;
}

df_json *df_page_document(lua_State *L, int idx) { return ((page *)luaL_checkudata(L, idx, PAGE))->doc; }

df_json *df_check_page(lua_State *L, int idx) {
  page *p = luaL_checkudata(L, idx, PAGE);
  if (p->doc == NULL) luaL_argerror(L, idx, "page is closed");
  return p->doc;
}

static int fill(page *p, const char *text, size_t n, const df_json_limits *limits, df_error *err) {
  if (df_buf_reserve(&p->text, n + 64) != 0) return df_fail(err, DF_LIMIT, "JSON: memory ran out");
  if (df_buf_add(&p->text, text, n) != 0) return -1;
  return df_json_parse(&p->doc, &p->text, limits, err);
}

static size_t limit(lua_State *L, int idx, const char *name, lua_Integer most) {
  if (lua_isnoneornil(L, idx)) return 0;
  int type = lua_getfield(L, idx, name); /* [v] */
  lua_Integer n = lua_tointeger(L, -1);
  if (type != LUA_TNIL && (n < 1 || n > most))
    luaL_argerror(L, idx, lua_pushfstring(L, "%s must be an integer from 1 to %I", name, most));
  lua_pop(L, 1); /* [] */
  return (size_t)n;
}

static df_json_limits check_limits(lua_State *L, int idx) {
  static const char *const known[] = {"max_bytes", "max_depth", "max_nodes", "max_record", NULL};
  df_check_options(L, idx, known);
  return (df_json_limits){.max_bytes = limit(L, idx, "max_bytes", UINT32_MAX - 64),
                          .max_depth = (uint32_t)limit(L, idx, "max_depth", 1000),
                          .max_nodes = (uint32_t)limit(L, idx, "max_nodes", (1 << 24) - 1),
                          .max_record = limit(L, idx, "max_record", UINT32_MAX - 64)};
}

/* decode(text[, {max_bytes, max_depth, max_nodes}]): the value, or nil and an error of kind "decode" or "limit". */
static int l_decode(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  df_json_limits limits = check_limits(L, 2);
  df_error err;
  page *p = new_page(L); /* [page] */
  int rc = fill(p, text, n, &limits, &err);
  if (rc == 0) df_push_json(L, p->doc, 0); /* [page, v] */
  df_json_free(p->doc);
  p->doc = NULL;
  df_buf_free(&p->text);
  return rc == 0 ? 1 : df_push_error(L, &err);
}

/* number(text): the value that decode gives for a number with exactly this text, or nil and an error. */
static int l_number(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  df_error err;
  page *p = new_page(L); /* [page] */
  if (n == 0 || (*text != '-' && (*text < '0' || *text > '9')) || text[n - 1] < '0' || text[n - 1] > '9')
    return df_fail(&err, DF_DECODE, "JSON: not a number"), df_push_error(L, &err);
  if (fill(p, text, n, NULL, &err) != 0) return df_push_error(L, &err);
  df_push_number(L, p->doc, 0); /* [page, n] */
  return 1;
}

/* page(text[, {max_bytes, max_depth, max_nodes, max_record}]): a page, or nil and an error. A record that cannot be
   parsed, or is larger than max_record bytes, costs only itself: see page:record. */
static int l_page(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  df_json_limits limits = check_limits(L, 2);
  limits.recover = 1;
  df_error err;
  page *p = new_page(L); /* [page] */
  if (fill(p, text, n, &limits, &err) != 0) return df_push_error(L, &err);
  return df_json_page(p->doc, &err) == 0 ? 1 : df_push_error(L, &err);
}

/* page:len(): how many records. */
static int l_len(lua_State *L) {
  lua_pushinteger(L, df_json_records(df_check_page(L, 1))); /* [n] */
  return 1;
}

static df_json_ref check_record(lua_State *L, df_json **doc) {
  *doc = df_check_page(L, 1);
  lua_Integer i = luaL_checkinteger(L, 2);
  luaL_argcheck(L, i >= 1 && i <= (lua_Integer)df_json_records(*doc), 2, "no such record");
  return df_json_record(*doc, (uint32_t)(i - 1));
}

static int push_bad(lua_State *L, const df_json *doc, df_json_ref at) {
  df_error err;
  size_t offset;
  const char *why = df_json_fault(doc, at, &offset);
  df_fail(&err, DF_DECODE, "record %d, byte %zu: %s", (int)lua_tointeger(L, 2), offset + 1, why);
  df_push_error(L, &err);                          /* [nil, e] */
  lua_pushinteger(L, (lua_Integer)(offset + 1)); /* [nil, e, n] */
  lua_setfield(L, -2, "offset");                  /* [nil, e] */
  return 2;
}

/* page:record(i[, fields]): the record, or nil and an error {kind = "decode", offset = position of the fault in raw(i)}. fields: from
   core.sensitive.fields; what they name comes as values that cannot be read. */
static int l_record(lua_State *L) {
  df_json *doc;
  df_json_ref at = check_record(L, &doc);
  if (df_json_type(doc, at) == DF_JSON_BAD) return push_bad(L, doc, at);
  df_push_record(L, doc, at, lua_isnoneornil(L, 3) ? 0 : 3); /* [v] */
  return 1;
}

/* page:read(i, reader): as page:record, but what scripts do not read of the record is not made: see core.json.reader. Such a record
   lasts as long as the page. */
static int l_read(lua_State *L) {
  df_json *doc;
  df_json_ref at = check_record(L, &doc);
  if (df_json_type(doc, at) == DF_JSON_BAD) return push_bad(L, doc, at);
  df_read_record(L, doc, at, 1, 3); /* [v] */
  return 1;
}

/* page:raw(i): the record's source text, also of one that cannot be parsed. */
static int l_raw(lua_State *L) {
  df_json *doc;
  size_t n;
  const char *text = df_json_span(doc, check_record(L, &doc), &n);
  lua_pushlstring(L, text, n); /* [s] */
  return 1;
}

/* The value at a path of keys, such as "a.b", or 0. */
static df_json_ref find(const df_json *doc, df_json_ref at, const char *path) {
  for (;;) {
    size_t n = strcspn(path, ".");
    at = df_json_get(doc, at, path, n);
    if (at == 0 || path[n] == '\0') return at;
    path += n + 1;
  }
}

/* page:field(i, "a.b"): the string, number, boolean or null at a path of keys, without building tables; nil when there
   is none. For a record that cannot be parsed, as page:record. */
static int l_field(lua_State *L) {
  df_json *doc;
  df_json_ref at = check_record(L, &doc);
  const char *path = luaL_checkstring(L, 3);
  if (df_json_type(doc, at) == DF_JSON_BAD) return push_bad(L, doc, at);
  at = find(doc, at, path);
  if (at == 0 || !df_push_scalar(L, doc, at)) lua_pushnil(L); /* [v] */
  return 1;
}

/* The text at a path, or NULL when it is missing, empty or no string. */
static const char *text_at(df_json *doc, df_json_ref at, const char *path, size_t *n) {
  at = find(doc, at, path);
  const char *text = at != 0 && df_json_type(doc, at) == DF_JSON_STRING ? df_json_text(doc, at, n) : NULL;
  return text != NULL && *n > 0 ? text : NULL;
}

/* page:identify(i, source, id_path [, time_path]): core.hash.key16(source, id), the id, and the time in ms. Nothing when the id is no
   text or the time not in the usual form: those are for the caller. */
static int l_identify(lua_State *L) {
  df_json *doc;
  df_json_ref at = check_record(L, &doc);
  df_hash_part parts[2];
  parts[0].bytes = luaL_checklstring(L, 3, &parts[0].len);
  const char *id_path = luaL_checkstring(L, 4), *time_path = luaL_optstring(L, 5, NULL), *text;
  int64_t ms = 0;
  size_t n;
  if (df_json_type(doc, at) == DF_JSON_BAD) return 0;
  if (time_path != NULL && ((text = text_at(doc, at, time_path, &n)) == NULL || df_time_parse(text, n, &ms) != 0)) return 0;
  if ((text = text_at(doc, at, id_path, &parts[1].len)) == NULL) return 0;
  parts[1].bytes = text;
  unsigned char key[DF_KEY_LEN];
  df_hash_key16(key, parts, 2);
  lua_pushlstring(L, (const char *)key, sizeof key); /* [key] */
  lua_pushlstring(L, text, parts[1].len);            /* [key, id] */
  if (time_path == NULL) return 2;
  lua_pushinteger(L, ms); /* [key, id, ms] */
  return 3;
}

/* page:paging(): the object `paging` as a table, nil when there is none. */
static int l_paging(lua_State *L) {
  df_json *doc = df_check_page(L, 1);
  df_json_ref at = df_json_paging(doc);
  if (at == 0 || df_json_type(doc, at) != DF_JSON_OBJECT) return lua_pushnil(L), 1;
  df_push_json(L, doc, at); /* [t] */
  return 1;
}

/* page:replaced(): characters replaced by U+FFFD in the strings read so far. */
static int l_replaced(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)df_json_replaced(df_check_page(L, 1))); /* [n] */
  return 1;
}

/* page:hash(): an integer that is equal for pages whose `data` has the same bytes. */
static int l_hash(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)df_json_data_hash(df_check_page(L, 1))); /* [n] */
  return 1;
}

/* page:bytes(): size of the page's text. */
static int l_bytes(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)df_json_bytes(df_check_page(L, 1))); /* [n] */
  return 1;
}

void df_open_page(lua_State *L) {
  static const luaL_Reg methods[] = {DF_REG(len),    DF_REG(record), DF_REG(read), DF_REG(raw),   DF_REG(field),    DF_REG(identify),
                                     DF_REG(paging), DF_REG(hash),   DF_REG(bytes), DF_REG(replaced), DF_REG(close), {NULL, NULL}};
  static const luaL_Reg functions[] = {DF_REG(decode), DF_REG(number), DF_REG(page), {NULL, NULL}};
  df_open_class(L, PAGE, methods, l_close);
  df_open_values(L);
  luaL_setfuncs(L, functions, 0);
  df_open_record(L);
}

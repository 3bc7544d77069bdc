/* sensitive.c: core.sensitive: leaked passwords, tokens and card numbers as values that Lua can compare and count, and never read. */
#include <string.h>

#include "bind/bind.h"
#include "engine/sensitive.h"
#include "io/hash.h"
#include "io/owned.h"

#define VALUE "defendis.sensitive"
#define FIELDS "defendis.sensitive.fields"

/* Which fields, under which key. Its user value is the function that decides who may read, or nil. */
typedef struct guard {
  df_fields *fields; /* NULL once closed, as is hmac */
  df_hmac *hmac;
  int scan;
} guard;

/* Its user value is the guard. Wiped when it is collected. */
typedef struct value {
  const guard *guard;
  const df_field *field;
  size_t len;
  int has_digest;
  unsigned char digest[DF_SHA256_LEN];
  char text[];
} value;

#define INSTEAD "use v:hmac(), v:length_class(), v:is_empty() or v:kind(), or v:reveal(why) with a grant"

static const guard *check_guard(lua_State *L, int at) {
  const guard *g = luaL_checkudata(L, at, FIELDS);
  if (g->fields == NULL) luaL_error(L, "the list of sensitive fields is closed");
  return g;
}

const df_fields *df_opt_fields(lua_State *L, int at, int *scan) {
  *scan = 0;
  if (lua_isnoneornil(L, at)) return NULL;
  const guard *g = check_guard(L, at);
  *scan = g->scan;
  return g->fields;
}

void df_push_sensitive(lua_State *L, int at, const df_field *field, const char *text, size_t n) {
  value *v = lua_newuserdatauv(L, sizeof *v + n, 1); /* [v] */
  *v = (value){.guard = lua_touserdata(L, at), .field = field, .len = n};
  memcpy(v->text, text, n);
  lua_pushvalue(L, at);        /* [v, guard] */
  lua_setiuservalue(L, -2, 1); /* [v] */
  luaL_setmetatable(L, VALUE); /* [v] */
}

static value *check(lua_State *L, int at) { return luaL_checkudata(L, at, VALUE); }

static const unsigned char *digest_of(lua_State *L, value *v) {
  if (v->has_digest) return v->digest;
  if (v->guard->hmac == NULL) luaL_error(L, "the list of sensitive fields is closed");
  char digits[DF_CARD_MAX + 1];
  size_t n = v->field->kind == DF_FIELD_CARD ? df_sensitive_digits(digits, v->text, v->len) : 0;
  df_hmac_of(v->digest, v->guard->hmac, n > 0 ? digits : v->text, n > 0 ? n : v->len);
  explicit_bzero(digits, sizeof digits);
  v->has_digest = 1;
  return v->digest;
}

int df_write_sensitive(lua_State *L, int at, df_buf *b) {
  value *v = luaL_testudata(L, at, VALUE);
  if (v == NULL) return 0;
  char hex[2 * DF_SHA256_LEN + 1];
  if (df_buf_add(b, "{", 1) != 0) return -1;
  if (v->field->kind != DF_FIELD_BARE) {
    df_hash_hex(hex, digest_of(L, v), DF_SHA256_LEN);
    if (df_buf_printf(b, "\"hmac\":\"%s\",", hex) != 0) return -1;
  }
  if (df_buf_puts(b, "\"mask\":") != 0) return -1;
  df_buf mask = {0};
  int rc = df_buf_printf(&mask, "[%s]", v->field->name) != 0 || df_json_write_string(b, mask.data, mask.len) != 0;
  df_buf_free(&mask);
  return rc || df_buf_add(b, "}", 1) != 0 ? -1 : 1;
}

/* v:hmac() -> 64 hexadecimal digits: HMAC-SHA-256 of the text, or of a card's digits, under the pipeline's key; nil for fields of
   few possible values. */
static int l_hmac(lua_State *L) {
  char hex[2 * DF_SHA256_LEN + 1];
  value *v = check(L, 1);
  if (v->field->kind == DF_FIELD_BARE) return lua_pushnil(L), 1;
  df_hash_hex(hex, digest_of(L, v), DF_SHA256_LEN);
  lua_pushlstring(L, hex, sizeof hex - 1); /* [hex] */
  return 1;
}

/* v:length_class() -> "0" | "1-7" | "8-11" | "12-15" | "16+": characters. */
static int l_length_class(lua_State *L) {
  const value *v = check(L, 1);
  lua_pushstring(L, df_sensitive_length(v->text, v->len)); /* [s] */
  return 1;
}

/* v:is_empty() -> boolean. */
static int l_is_empty(lua_State *L) {
  lua_pushboolean(L, check(L, 1)->len == 0); /* [b] */
  return 1;
}

/* v:kind() -> the kind of hash that it looks like ("md5", "sha1", "bcrypt", ...), or "clear". */
static int l_kind(lua_State *L) {
  const value *v = check(L, 1);
  lua_pushstring(L, df_sensitive_kind(v->text, v->len)); /* [s] */
  return 1;
}

/* v:luhn() -> boolean: 12 to 19 digits with the right check digit. */
static int l_luhn(lua_State *L) {
  const value *v = check(L, 1);
  char digits[DF_CARD_MAX + 1];
  size_t n = df_sensitive_digits(digits, v->text, v->len);
  lua_pushboolean(L, df_sensitive_luhn(digits, n)); /* [b] */
  explicit_bzero(digits, sizeof digits);
  return 1;
}

static int push_part(lua_State *L, const char *what, size_t count, int behind) {
  const value *v = check(L, 1);
  char digits[DF_CARD_MAX + 1];
  if (v->field->kind != DF_FIELD_CARD)
    return luaL_error(L, "%s is for card numbers, and [%s] is none; list it in sensitive.cards", what, v->field->name);
  size_t n = df_sensitive_digits(digits, v->text, v->len);
  if (n > 0) lua_pushlstring(L, behind ? digits + n - count : digits, count); /* [s] */
  else lua_pushnil(L);                                                      /* [nil] */
  explicit_bzero(digits, sizeof digits);
  return 1;
}

/* v:bin() -> the first six digits of a card number, nil when it is none. Only for fields that hold card numbers. */
static int l_bin(lua_State *L) { return push_part(L, "bin()", 6, 0); }

/* v:last4() -> the last four digits of a card number, nil when it is none. Only for fields that hold card numbers. */
static int l_last4(lua_State *L) { return push_part(L, "last4()", 4, 1); }

/* v:reveal(why) -> the text, when the list's function says true to (field, why, hmac); it raises when there is no grant. */
static int l_reveal(lua_State *L) {
  value *v = check(L, 1);
  size_t n;
  luaL_checklstring(L, 2, &n);
  luaL_argcheck(L, n > 0, 2, "say why, for the audit");
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, 1); /* [v, why, guard] */
  if (lua_getiuservalue(L, 3, 1) != LUA_TFUNCTION) return luaL_error(L, "[%s] cannot be revealed here", v->field->name);
  lua_pushstring(L, v->field->name); /* [v, why, guard, f, name] */
  lua_pushvalue(L, 2);               /* [.., f, name, why] */
  lua_pushcfunction(L, l_hmac);      /* [.., f, name, why, hmac] */
  lua_pushvalue(L, 1);               /* [.., f, name, why, hmac, v] */
  lua_call(L, 1, 1);                 /* [.., f, name, why, hex] */
  lua_call(L, 3, 1);                 /* [.., b] */
  if (!lua_toboolean(L, -1)) return luaL_error(L, "[%s] cannot be revealed here", v->field->name);
  lua_pushlstring(L, v->text, v->len); /* [.., text] */
  return 1;
}

/* tostring(v): the field's name, and nothing of the value. */
static int l_tostring(lua_State *L) {
  lua_pushfstring(L, "[%s]", check(L, 1)->field->name); /* [s] */
  return 1;
}

/* a .. b: with the mask in the place of what is sensitive. */
static int l_concat(lua_State *L) {
  luaL_tolstring(L, 1, NULL); /* [a, b, s] */
  luaL_tolstring(L, 2, NULL); /* [a, b, s, s] */
  lua_concat(L, 2);           /* [a, b, s] */
  return 1;
}

/* By HMAC; a value equals no text, so that nobody learns by guessing. */
static int l_eq(lua_State *L) {
  value *a = luaL_testudata(L, 1, VALUE), *b = luaL_testudata(L, 2, VALUE);
  lua_pushboolean(L, a != NULL && b != NULL && memcmp(digest_of(L, a), digest_of(L, b), DF_SHA256_LEN) == 0); /* [b] */
  return 1;
}

/* In the place of every operator that would tell something. */
static int l_refuse(lua_State *L) { return luaL_error(L, "a sensitive value is neither measured, ordered nor counted with; " INSTEAD); }

/* What a value does not have, as a method: (methods, name). */
static int l_missing(lua_State *L) {
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
  return luaL_error(L, "a sensitive value has no '%s'; " INSTEAD, name);
}

/* __gc. */
static int l_wipe(lua_State *L) {
  value *v = check(L, 1);
  explicit_bzero(v->text, v->len);
  v->len = 0;
  return 0;
}

/* __gc only: values hold on to the names for as long as they live. */
static int l_collect(lua_State *L) {
  guard *g = luaL_checkudata(L, 1, FIELDS);
  df_hmac_free(g->hmac);
  df_fields_free(g->fields);
  *g = (guard){0};
  return 0;
}

static void add_names(lua_State *L, guard *g, const char *key, df_field_kind kind) {
  df_error err;
  if (lua_getfield(L, 1, key) != LUA_TNIL) { /* [names] */
    luaL_checktype(L, -1, LUA_TTABLE);
    for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++, lua_pop(L, 1)) { /* [names, name] */
      size_t n;
      const char *name = luaL_checklstring(L, -1, &n);
      if (df_fields_add(g->fields, name, n, kind, &err) != 0) luaL_error(L, "%s", err.message);
    }
    lua_pop(L, 1); /* [names] */
  }
  lua_pop(L, 1); /* [] */
}

static int set_key(lua_State *L, guard *g, df_error *err) {
  enum { LEAST = 16 };
  const df_secret *s = df_opt_secret(L, 1, "key");
  if (s != NULL && df_secret_length(s) < LEAST)
    return df_fail(err, DF_CONFIG, "the key of sensitive values has less than 16 bytes; make one with: openssl rand -hex 32");
  if (s != NULL) return df_hmac_new(&g->hmac, df_secret_bytes(s), df_secret_length(s), err);
  char key[DF_RANDOM_KEY + 1];
  int rc = df_owned_random(key, err) != 0 || df_hmac_new(&g->hmac, key, DF_RANDOM_KEY, err) != 0 ? -1 : 0;
  explicit_bzero(key, sizeof key);
  return rc;
}

/* sensitive.fields{names = {...}, cards = {...}, bare = {...}, key = secret (a random one), scan = boolean,
   reveal = function(field, why, hmac) -> boolean} -> what page:record takes; or nil, err. Names match at any
   depth, without regard to case. scan: card numbers within other texts are masked. */
static int l_fields(lua_State *L) {
  static const char *const known[] = {"names", "cards", "bare", "key", "reveal", "scan", NULL};
  luaL_checktype(L, 1, LUA_TTABLE);
  df_check_options(L, 1, known);
  lua_settop(L, 1);
  guard *g = lua_newuserdatauv(L, sizeof *g, 1); /* [t, g] */
  *g = (guard){0};
  luaL_setmetatable(L, FIELDS); /* [t, g] */
  df_error err;
  if (set_key(L, g, &err) != 0 || df_fields_new(&g->fields, &err) != 0) return df_push_error(L, &err);
  add_names(L, g, "cards", DF_FIELD_CARD);
  add_names(L, g, "bare", DF_FIELD_BARE);
  add_names(L, g, "names", DF_FIELD_TEXT);
  lua_getfield(L, 1, "scan"); /* [t, g, scan] */
  g->scan = lua_toboolean(L, -1);
  lua_getfield(L, 1, "reveal"); /* [t, g, scan, reveal] */
  lua_setiuservalue(L, 2, 1);   /* [t, g, scan] */
  lua_settop(L, 2);             /* [t, g] */
  return 1;
}

/* sensitive.is(v) -> boolean: is it a sensitive value? */
static int l_is(lua_State *L) {
  lua_pushboolean(L, luaL_testudata(L, 1, VALUE) != NULL); /* [.., b] */
  return 1;
}

/* sensitive.matches(fields, name) -> is a field of this name listed? */
static int l_matches(lua_State *L) {
  const guard *g = check_guard(L, 1);
  size_t n;
  const char *name = luaL_checklstring(L, 2, &n);
  lua_pushboolean(L, df_fields_find(g->fields, name, n) != NULL); /* [.., b] */
  return 1;
}

/* sensitive.key_file(path) -> true | nil, err: makes a file with a random key that only its owner can read, unless there is one. */
static int l_key_file(lua_State *L) {
  df_error err;
  if (df_owned_key(luaL_checkstring(L, 1), &err) != 0) return df_push_error(L, &err);
  lua_pushboolean(L, 1); /* [path, true] */
  return 1;
}

/* sensitive.append(path, text) -> true | nil, err: adds to a file of mode 0600. */
static int l_append(lua_State *L) {
  df_error err;
  size_t n;
  const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &n);
  if (df_owned_append(path, text, n, &err) != 0) return df_push_error(L, &err);
  lua_pushboolean(L, 1); /* [path, text, true] */
  return 1;
}

static void open_value(lua_State *L) {
  static const luaL_Reg methods[] = {DF_REG(hmac), DF_REG(length_class), DF_REG(is_empty), DF_REG(kind), DF_REG(luhn),
                                     DF_REG(bin),  DF_REG(last4),        DF_REG(reveal),   {NULL, NULL}};
  static const char *const refused[] = {"__len", "__add", "__sub", "__mul", "__div",  "__mod", "__pow", "__unm", "__idiv", "__band",
                                        "__bor", "__bxor", "__shl", "__shr", "__bnot", "__lt",  "__le",  "__call", "__newindex"};
  df_open_class(L, VALUE, methods, l_wipe);
  luaL_getmetatable(L, VALUE);       /* [mt] */
  lua_pushnil(L);                    /* [mt, nil] */
  lua_setfield(L, -2, "__close");    /* [mt] */
  lua_pushcfunction(L, l_tostring);  /* [mt, f] */
  lua_setfield(L, -2, "__tostring"); /* [mt] */
  lua_pushcfunction(L, l_concat);    /* [mt, f] */
  lua_setfield(L, -2, "__concat");   /* [mt] */
  lua_pushcfunction(L, l_eq);        /* [mt, f] */
  lua_setfield(L, -2, "__eq");       /* [mt] */
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    lua_pushcfunction(L, l_refuse);   /* [mt, f] */
    lua_setfield(L, -2, refused[i]); /* [mt] */
  }
  lua_pushliteral(L, "sensitive value: " INSTEAD); /* [mt, name]: what the library's functions call it when they refuse it */
  lua_setfield(L, -2, "__name");                   /* [mt] */
  lua_getfield(L, -1, "__index");                  /* [mt, methods] */
  lua_createtable(L, 0, 1);                        /* [mt, methods, mt] */
  lua_pushcfunction(L, l_missing);                 /* [mt, methods, mt, f] */
  lua_setfield(L, -2, "__index");                  /* [mt, methods, mt] */
  lua_setmetatable(L, -2);                         /* [mt, methods] */
  lua_pop(L, 2);                                   /* [] */
}

int df_open_sensitive(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg functions[] = {DF_REG(fields), DF_REG(is), DF_REG(matches), DF_REG(key_file), DF_REG(append), {NULL, NULL}};
  open_value(L);
  df_open_class(L, FIELDS, none, l_collect);
  luaL_getmetatable(L, FIELDS);   /* [mt] */
  lua_pushnil(L);                 /* [mt, nil] */
  lua_setfield(L, -2, "__close"); /* [mt] */
  lua_pop(L, 1);                  /* [] */
  luaL_newlib(L, functions);      /* [sensitive] */
  return 1;
}

/* secret.c: core.secret: secrets that Lua can hand on and sign with, and never read. */
#include <string.h>

#include "base/base64.h"
#include "bind/bind.h"
#include "io/hash.h"

#define SECRET "defendis.secret"

typedef struct holder {
  df_secret *s; /* NULL once closed */
} holder;

static holder *push(lua_State *L) {
  holder *h = lua_newuserdatauv(L, sizeof *h, 0); /* [h] */
  h->s = NULL;
  luaL_setmetatable(L, SECRET);
  return h;
}

static const df_secret *check_secret(lua_State *L, int at) {
  holder *h = luaL_checkudata(L, at, SECRET);
  if (h->s == NULL) luaL_error(L, "the secret is closed");
  return h->s;
}

const df_secret *df_opt_secret(lua_State *L, int at, const char *key) {
  const df_secret *s = NULL;
  if (lua_getfield(L, at, key) != LUA_TNIL) { /* [..., s]: stays anchored in the table */
    if (luaL_testudata(L, -1, SECRET) == NULL)
      luaL_error(L, "%s must be a secret, not a %s; write secret.env \"NAME\" or secret.file \"PATH\"", key,
                 luaL_typename(L, -1));
    s = check_secret(L, lua_gettop(L));
  }
  lua_pop(L, 1);
  return s;
}

/* secret.env(name) -> secret | nil, err: what the environment variable holds. */
static int l_env(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  df_error err;
  if (df_secret_from_env(&push(L)->s, name, &err) != 0) return df_push_error(L, &err);
  return 1;
}

/* secret.file(path) -> secret | nil, err: what a file holds that only its owner can read. */
static int l_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  df_error err;
  if (df_secret_from_file(&push(L)->s, path, "secret", &err) != 0) return df_push_error(L, &err);
  return 1;
}

/* secret.take_stdin() -> true | nil, err: reads the API key for those who name "-" as its file, before anybody else reads stdin. */
static int l_take_stdin(lua_State *L) {
  df_error err;
  if (df_secret_take_stdin(&err) != 0) return df_push_error(L, &err);
  lua_pushboolean(L, 1); /* [true] */
  return 1;
}

/* secret.is(value) -> boolean: is it a secret? */
static int l_is(lua_State *L) {
  lua_pushboolean(L, luaL_testudata(L, 1, SECRET) != NULL); /* [.., b] */
  return 1;
}

/* The key that a secret stands for: "whsec_" and base64 for these bytes, any other text for itself. */
static int signing_key(df_buf *key, const df_secret *s) {
  static const char prefix[] = "whsec_";
  const char *text = df_secret_bytes(s);
  size_t n = df_secret_length(s), skip = sizeof prefix - 1;
  if (df_buf_reserve(key, n + 4) != 0) return -1; /* it never moves, so that no copy is left behind */
  if (n <= skip || strncmp(text, prefix, skip) != 0) return df_buf_add(key, text, n);
  return df_base64_decode(key, text + skip, n - skip) == 0 && key->len > 0 ? 0 : -1;
}

/* secret:sign(text) -> base64 of HMAC-SHA-256 (RFC 2104), or nil, err when what follows "whsec_" is not base64. */
static int l_sign(lua_State *L) {
  const df_secret *s = check_secret(L, 1);
  size_t n;
  const char *text = luaL_checklstring(L, 2, &n);
  df_buf key = {0}, out = {0};
  unsigned char digest[DF_SHA256_LEN];
  int rc = signing_key(&key, s);
  if (rc == 0) df_hash_hmac_sha256(digest, key.data, key.len, text, n);
  if (key.data != NULL) explicit_bzero(key.data, key.cap);
  df_buf_free(&key);
  if (rc != 0) {
    df_error err;
    df_fail(&err, DF_CONFIG, "a signing secret that begins with whsec_ must be base64 behind that; copy it again from where it was shown");
    return df_push_error(L, &err);
  }
  char encoded[(DF_SHA256_LEN + 2) / 3 * 4];
  if (df_base64_encode(&out, digest, sizeof digest) != 0) return luaL_error(L, "not enough memory");
  memcpy(encoded, out.data, sizeof encoded);
  df_buf_free(&out);
  lua_pushlstring(L, encoded, sizeof encoded); /* [s, text, encoded] */
  return 1;
}

/* tostring(secret): says that it is one, and nothing of it. */
static int l_mask(lua_State *L) {
  lua_pushliteral(L, "secret(***)"); /* [text] */
  return 1;
}

/* secret:close(): wipes it; twice is fine. Also __gc and __close. */
static int l_close(lua_State *L) {
  holder *h = luaL_checkudata(L, 1, SECRET);
  df_secret_free(h->s);
  h->s = NULL;
  return 0;
}

int df_open_secret(lua_State *L) {
  static const luaL_Reg methods[] = {DF_REG(sign), DF_REG(close), {NULL, NULL}};
  static const luaL_Reg functions[] = {DF_REG(env), DF_REG(file), DF_REG(take_stdin), DF_REG(is), {NULL, NULL}};
  df_open_class(L, SECRET, methods, l_close);
  luaL_getmetatable(L, SECRET);         /* [mt] */
  lua_pushcfunction(L, l_mask);         /* [mt, f] */
  lua_setfield(L, -2, "__tostring");    /* [mt] */
  lua_pop(L, 1);                        /* [] */
  luaL_newlib(L, functions);            /* [secret] */
  return 1;
}

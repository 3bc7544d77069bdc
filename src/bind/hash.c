/* hash.c: core.hash: digests, deterministic ids and keys. */
#include "bind/bind.h"
#include "io/hash.h"

enum { MAX_PARTS = 16 };

static int push_hex(lua_State *L, const unsigned char digest[DF_SHA256_LEN]) {
  char hex[2 * DF_SHA256_LEN + 1];
  df_hash_hex(hex, digest, DF_SHA256_LEN);
  lua_pushlstring(L, hex, 2 * DF_SHA256_LEN); /* [hex] */
  return 1;
}

/* hash.sha256(text) -> 64 hexadecimal digits. */
static int l_sha256(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  unsigned char digest[DF_SHA256_LEN];
  df_hash_sha256(digest, text, n);
  return push_hex(L, digest);
}

/* hash.hmac_sha256(key, text) -> 64 hexadecimal digits (RFC 2104). */
static int l_hmac_sha256(lua_State *L) {
  size_t key_len, n;
  const char *key = luaL_checklstring(L, 1, &key_len);
  const char *text = luaL_checklstring(L, 2, &n);
  unsigned char digest[DF_SHA256_LEN];
  df_hash_hmac_sha256(digest, key, key_len, text, n);
  return push_hex(L, digest);
}

/* hash.uuid5(namespace, name) -> UUID text (RFC 9562, version 5), or nil, err when namespace is no UUID. */
static int l_uuid5(lua_State *L) {
  size_t n;
  const char *space = luaL_checkstring(L, 1);
  const char *name = luaL_checklstring(L, 2, &n);
  char uuid[DF_UUID_LEN + 1];
  df_error err;
  if (df_hash_uuid5(uuid, space, name, n, &err) != 0) return df_push_error(L, &err);
  lua_pushlstring(L, uuid, DF_UUID_LEN); /* [uuid] */
  return 1;
}

/* hash.key16(part, ...) -> 16 bytes that stand for this list of at most 16 strings or numbers and no other. */
static int l_key16(lua_State *L) {
  df_hash_part parts[MAX_PARTS];
  int n = lua_gettop(L);
  luaL_argcheck(L, n >= 1 && n <= MAX_PARTS, n, "1 to 16 parts expected");
  for (int i = 0; i < n; i++) parts[i].bytes = luaL_checklstring(L, i + 1, &parts[i].len);
  unsigned char key[DF_KEY_LEN];
  df_hash_key16(key, parts, (size_t)n);
  lua_pushlstring(L, (const char *)key, sizeof key); /* [key] */
  return 1;
}

int df_open_hash(lua_State *L) {
  static const luaL_Reg functions[] = {DF_REG(sha256), DF_REG(hmac_sha256), DF_REG(uuid5), DF_REG(key16), {NULL, NULL}};
  luaL_newlib(L, functions); /* [hash] */
  return 1;
}

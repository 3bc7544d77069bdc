/* names.c: core.names: host names, as libidn2 and the public suffix list see them. */
#include <string.h>

#include "bind/bind.h"
#include "io/idn.h"
#include "io/psl.h"

/* The host at stack index 1, or NULL with err set. */
static const char *read_host(lua_State *L, df_error *err) {
  size_t n;
  const char *host = luaL_checklstring(L, 1, &n);
  if (n <= DF_IDN_MAX && strlen(host) == n) return host;
  df_fail(err, DF_INVALID, "not a host name: %s", n > DF_IDN_MAX ? "too long" : "a NUL byte");
  return NULL;
}

/* names.ascii(host) -> the host as A-labels, or nil, err: kind "invalid", or "config" when libidn2 is not there. */
static int l_ascii(lua_State *L) {
  char out[DF_HOST_MAX + 1];
  df_error err;
  const char *host = read_host(L, &err);
  if (host == NULL || df_idn_ascii(out, host, &err) != 0) return df_push_error(L, &err);
  lua_pushstring(L, out); /* [text] */
  return 1;
}

/* names.registrable(host) -> what its owner has registered, or nil, err: kind "invalid" when the host is a public suffix, "config" when
   there is no list. The host is in lower case and A-labels. */
static int l_registrable(lua_State *L) {
  const char *out;
  df_error err;
  const char *host = read_host(L, &err);
  if (host == NULL || df_psl_registrable(&out, host, &err) != 0) return df_push_error(L, &err);
  if (out == NULL) {
    df_fail(&err, DF_INVALID, "a public suffix, below which others register");
    return df_push_error(L, &err);
  }
  lua_pushstring(L, out); /* [text] */
  return 1;
}

int df_open_names(lua_State *L) {
  static const luaL_Reg functions[] = {DF_REG(ascii), DF_REG(registrable), {NULL, NULL}};
  luaL_newlib(L, functions); /* [names] */
  return 1;
}

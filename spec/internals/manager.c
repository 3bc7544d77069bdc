/* manager.c: for tests: the socket on which a service manager listens (sd_notify(3)). */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "internals.h"

#define MANAGER "internals.manager"

static int l_close(lua_State *L) {
  int *fd = luaL_checkudata(L, 1, MANAGER);
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return 0;
}

/* manager.listen(path) -> manager; a path that begins with @ is an abstract name */
static int l_listen(lua_State *L) {
  size_t n;
  const char *path = luaL_checklstring(L, 1, &n);
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  luaL_argcheck(L, n < sizeof at.sun_path, 1, "too long");
  memcpy(at.sun_path, path, n);
  if (path[0] == '@') at.sun_path[0] = '\0';
  int *fd = lua_newuserdatauv(L, sizeof *fd, 0); /* [path, m] */
  *fd = -1;
  luaL_setmetatable(L, MANAGER);
  *fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (*fd < 0 || bind(*fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) != 0)
    return luaL_error(L, "listen: %s", strerror(errno));
  return 1;
}

/* manager:receive(ms) -> the next message, or nil when none comes in that time */
static int l_receive(lua_State *L) {
  int *fd = luaL_checkudata(L, 1, MANAGER);
  struct pollfd p = {.fd = *fd, .events = POLLIN};
  char text[4096];
  if (poll(&p, 1, (int)luaL_checkinteger(L, 2)) <= 0) return 0;
  ssize_t n = recv(*fd, text, sizeof text, 0);
  if (n < 0) return luaL_error(L, "receive: %s", strerror(errno));
  lua_pushlstring(L, text, (size_t)n); /* [text] */
  return 1;
}

int internals_open_manager(lua_State *L) {
  static const luaL_Reg functions[] = {{"listen", l_listen}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"receive", l_receive}, {"close", l_close}, {NULL, NULL}};
  luaL_newmetatable(L, MANAGER);  /* [mt] */
  luaL_newlib(L, methods);        /* [mt, methods] */
  lua_setfield(L, -2, "__index"); /* [mt] */
  lua_pushcfunction(L, l_close);  /* [mt, close] */
  lua_setfield(L, -2, "__gc");    /* [mt] */
  lua_pop(L, 1);                  /* [] */
  luaL_newlib(L, functions);      /* [functions] */
  return 1;
}

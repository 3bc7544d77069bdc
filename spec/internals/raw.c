/* raw.c: for tests: bytes to a loopback port, and every byte that comes back. */
#include <arpa/inet.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

int internals_open_raw(lua_State *L);

typedef struct conn {
  int fd; /* -1 once closed */
} conn;

#define CONN "internals.raw"

/* connection:close(["rst"]) */
static int l_close(lua_State *L) {
  conn *c = luaL_checkudata(L, 1, CONN);
  if (c->fd >= 0 && lua_type(L, 2) == LUA_TSTRING) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
  return 0;
}

/* raw.connect(port) -> connection */
static int l_connect(lua_State *L) {
  struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)luaL_checkinteger(L, 1))};
  addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  conn *c = lua_newuserdatauv(L, sizeof *c, 0); /* [port, c] */
  c->fd = -1;
  luaL_setmetatable(L, CONN);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&addr, sizeof addr) != 0)
    return luaL_error(L, "connect: %s", strerror(errno));
  return 1;
}

/* raw.listen() -> what accepts connections on loopback */
static int l_listen(lua_State *L) {
  struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  conn *c = lua_newuserdatauv(L, sizeof *c, 0); /* [c] */
  c->fd = -1;
  luaL_setmetatable(L, CONN);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&addr, sizeof addr) != 0 || listen(c->fd, 16) != 0)
    return luaL_error(L, "listen: %s", strerror(errno));
  return 1;
}

/* listener:port() */
static int l_port(lua_State *L) {
  conn *c = luaL_checkudata(L, 1, CONN);
  struct sockaddr_in addr;
  socklen_t size = sizeof addr;
  if (getsockname(c->fd, (struct sockaddr *)&addr, &size) != 0) return luaL_error(L, "port: %s", strerror(errno));
  lua_pushinteger(L, ntohs(addr.sin_port)); /* [c, n] */
  return 1;
}

/* listener:accept() -> connection, waiting for one */
static int l_accept(lua_State *L) {
  conn *listener = luaL_checkudata(L, 1, CONN);
  conn *c = lua_newuserdatauv(L, sizeof *c, 0); /* [l, c] */
  c->fd = -1;
  luaL_setmetatable(L, CONN);
  c->fd = accept(listener->fd, NULL, NULL);
  if (c->fd < 0) return luaL_error(L, "accept: %s", strerror(errno));
  return 1;
}

/* connection:send(bytes). Raises when the peer does not take them all. */
static int l_send(lua_State *L) {
  conn *c = luaL_checkudata(L, 1, CONN);
  size_t n;
  const char *bytes = luaL_checklstring(L, 2, &n);
  while (n > 0) {
    ssize_t sent = send(c->fd, bytes, n, MSG_NOSIGNAL);
    if (sent < 0) return luaL_error(L, "send: %s", strerror(errno));
    bytes += sent;
    n -= (size_t)sent;
  }
  return 0;
}

/* connection:receive([timeout_ms = 2000]) -> bytes, "closed" | "timeout": what comes until the end or the time is up.
   timeout_ms 0 takes what is there. */
static int l_receive(lua_State *L) {
  conn *c = luaL_checkudata(L, 1, CONN);
  int64_t until = df_clock_mono_ms() + luaL_optinteger(L, 2, 2000);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (;;) {
    int64_t left = until - df_clock_mono_ms();
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    int ready = poll(&p, 1, left > 0 ? (int)left : 0);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) break;
    char *room = luaL_prepbuffer(&b);
    ssize_t n = recv(c->fd, room, LUAL_BUFFERSIZE, 0);
    if (n <= 0) {
      luaL_pushresult(&b);           /* [.., bytes] */
      lua_pushliteral(L, "closed"); /* [.., bytes, why] */
      return 2;
    }
    luaL_addsize(&b, (size_t)n);
  }
  luaL_pushresult(&b);            /* [.., bytes] */
  lua_pushliteral(L, "timeout"); /* [.., bytes, why] */
  return 2;
}

/* raw.exchange(port, bytes [, timeout_ms]) -> bytes, why: connect, send, receive, close. */
static int l_exchange(lua_State *L) {
  lua_settop(L, 3);
  lua_pushcfunction(L, l_connect); /* [port, bytes, t, f] */
  lua_pushvalue(L, 1);             /* [port, bytes, t, f, port] */
  lua_call(L, 1, 1);               /* [port, bytes, t, c] */
  lua_toclose(L, 4);
  lua_pushcfunction(L, l_send); /* [.., f] */
  lua_pushvalue(L, 4);          /* [.., f, c] */
  lua_pushvalue(L, 2);          /* [.., f, c, bytes] */
  lua_call(L, 2, 0);            /* [port, bytes, t, c] */
  lua_pushcfunction(L, l_receive); /* [.., f] */
  lua_pushvalue(L, 4);             /* [.., f, c] */
  lua_pushvalue(L, 3);             /* [.., f, c, t] */
  lua_call(L, 2, 2);               /* [port, bytes, t, c, answer, why] */
  return 2;
}

int internals_open_raw(lua_State *L) {
  static const luaL_Reg methods[] = {{"send", l_send}, {"receive", l_receive}, {"close", l_close},
                                     {"port", l_port}, {"accept", l_accept},   {NULL, NULL}};
  static const luaL_Reg functions[] = {{"connect", l_connect}, {"listen", l_listen}, {"exchange", l_exchange}, {NULL, NULL}};
  luaL_newmetatable(L, CONN); /* [mt] */
  lua_newtable(L);            /* [mt, methods] */
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index"); /* [mt] */
  lua_pushcfunction(L, l_close);  /* [mt, f] */
  lua_setfield(L, -2, "__gc");    /* [mt] */
  lua_pushcfunction(L, l_close);  /* [mt, f] */
  lua_setfield(L, -2, "__close"); /* [mt] */
  lua_pop(L, 1);                  /* [] */
  luaL_newlib(L, functions);      /* [raw] */
  return 1;
}

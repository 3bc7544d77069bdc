/* hostile.c: for tests: a server on loopback that answers as its script says, however wrong that is. */
#include <arpa/inet.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "internals.h"

#define SERVER "internals.hostile"
enum { MAX_SEEN = 4096, MAX_BYTES = 8 << 20, MAX_REQUEST = 2 << 20, MAX_ANSWERS = 512 };

typedef enum ending { KEEP, CLOSE, RESET } ending;

typedef struct answer {
  const char *bytes; /* in the Lua state, which the child has a copy of */
  size_t len;
  ending end;
  int echo; /* a good answer that names the request's target, in place of bytes */
  long delay_ms, spread_ms, drip_ms;
  size_t drip_bytes;
} answer;

/* What the child's processes tell the test: one piece of memory, written without locks because any of them may be
   killed at any point. */
typedef struct board {
  atomic_int requests, connections, in_flight, peak;
  atomic_size_t used;
  struct {
    atomic_int ready;
    int connection;
    int64_t ms;
    size_t at, len;
  } seen[MAX_SEEN];
  char bytes[MAX_BYTES];
} board;

typedef struct server {
  board *board;
  pid_t pid; /* 0 once closed; leads the group of all its processes */
  int port;
} server;

static void pause_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  while (ms > 0 && nanosleep(&t, &t) != 0 && errno == EINTR) {
  }
}

/* Length of the first whole request in text (NUL-terminated), 0 while it is not whole. */
static size_t whole_request(const char *text, size_t n) {
  const char *end = strstr(text, "\r\n\r\n");
  if (end == NULL) return 0;
  size_t head = (size_t)(end - text) + 4, body = 0;
  for (const char *line = text; line < end; line = strstr(line, "\r\n") + 2)
    if (strncasecmp(line, "content-length:", 15) == 0) body = strtoul(line + 15, NULL, 10);
  return head + body <= n ? head + body : 0;
}

static size_t read_request(int fd, char *text) {
  size_t n = 0, whole;
  for (;;) {
    ssize_t got = recv(fd, text + n, MAX_REQUEST - 1 - n, 0);
    if (got <= 0) return 0;
    n += (size_t)got;
    text[n] = '\0';
    if ((whole = whole_request(text, n)) > 0) return whole;
  }
}

/* Returns the request's number, from 0. */
static int note(board *b, const char *text, size_t len, int connection) {
  int n = atomic_fetch_add(&b->requests, 1);
  size_t at = atomic_fetch_add(&b->used, len);
  if (n < MAX_SEEN && at + len <= MAX_BYTES) {
    memcpy(b->bytes + at, text, len);
    b->seen[n].at = at;
    b->seen[n].len = len;
    b->seen[n].connection = connection;
    b->seen[n].ms = df_clock_mono_ms();
    atomic_store(&b->seen[n].ready, 1);
  }
  return n;
}

static int send_all(int fd, const char *bytes, size_t n, size_t piece, long gap_ms) {
  while (n > 0) {
    ssize_t sent = send(fd, bytes, piece > 0 && piece < n ? piece : n, MSG_NOSIGNAL);
    if (sent < 0) return -1;
    bytes += sent;
    n -= (size_t)sent;
    if (n > 0) pause_ms(gap_ms);
  }
  return 0;
}

static int send_echo(int fd, const char *request) {
  char body[1024], text[1280];
  const char *from = strchr(request, ' ') + 1;
  int len = snprintf(body, sizeof body, "{\"target\":\"%.*s\"}", (int)strcspn(from, " "), from);
  int n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len, body);
  return send_all(fd, text, (size_t)n, 0, 0);
}

static void serve_connection(board *b, int fd, int connection, const answer *script, int count) {
  static char text[MAX_REQUEST];
  for (size_t len; (len = read_request(fd, text)) > 0;) {
    int n = note(b, text, len, connection), now = atomic_fetch_add(&b->in_flight, 1) + 1, peak = atomic_load(&b->peak);
    while (now > peak && !atomic_compare_exchange_weak(&b->peak, &peak, now)) {
    }
    const answer *a = &script[n < count ? n : count - 1];
    pause_ms(a->delay_ms + (a->spread_ms > 0 ? (n * 7919L) % a->spread_ms : 0));
    atomic_fetch_sub(&b->in_flight, 1);
    if ((a->echo ? send_echo(fd, text) : send_all(fd, a->bytes, a->len, a->drip_bytes, a->drip_ms)) != 0) return;
    if (a->end == RESET) setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    if (a->end != KEEP) return;
  }
}

/* One process accepts and one more serves each connection; none outlives the test. */
static void serve(board *b, int listener, const answer *script, int count) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGCHLD, SIG_IGN);
  for (int fd = 3; fd < 1024; fd++) /* connections of the test's own client must not stay open here */
    if (fd != listener) close(fd);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) continue;
    int connection = atomic_fetch_add(&b->connections, 1) + 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      close(listener);
      serve_connection(b, fd, connection, script, count);
      _exit(0);
    }
    close(fd);
  }
}

static lua_Integer integer_field(lua_State *L, const char *name) {
  lua_getfield(L, -1, name); /* [..., n] */
  lua_Integer n = luaL_optinteger(L, -1, 0);
  lua_pop(L, 1);
  return n;
}

/* The answer in the table on top of the stack. */
static answer read_answer(lua_State *L) {
  luaL_checktype(L, -1, LUA_TTABLE);
  answer a = {.bytes = "", .delay_ms = (long)integer_field(L, "delay_ms"), .spread_ms = (long)integer_field(L, "spread_ms")};
  if (lua_getfield(L, -1, "bytes") != LUA_TNIL) a.bytes = luaL_checklstring(L, -1, &a.len); /* [..., bytes] */
  lua_getfield(L, -2, "close");                                                             /* [..., bytes, close] */
  a.end = lua_type(L, -1) == LUA_TSTRING ? RESET : lua_toboolean(L, -1) ? CLOSE : KEEP;
  lua_getfield(L, -3, "echo"); /* [..., bytes, close, echo] */
  a.echo = lua_toboolean(L, -1);
  lua_pop(L, 3);
  if (lua_getfield(L, -1, "drip") == LUA_TTABLE) { /* [..., drip] */
    a.drip_bytes = (size_t)integer_field(L, "bytes");
    a.drip_ms = (long)integer_field(L, "ms");
  }
  lua_pop(L, 1);
  return a;
}

static int listen_on_loopback(int *port) {
  struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof addr;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, size) == 0 && listen(fd, 256) == 0 &&
      getsockname(fd, (struct sockaddr *)&addr, &size) == 0) {
    *port = ntohs(addr.sin_port);
    return fd;
  }
  if (fd >= 0) close(fd);
  return -1;
}

/* hostile.serve{answer...} -> server. answer: {bytes =, close = true|"rst", delay_ms =, spread_ms = up to this much more,
   drip = {bytes =, ms =}, echo = true}. Each request, once it is whole, gets the next answer; the last one repeats. Empty
   bytes without close: silence. */
static int l_serve(lua_State *L) {
  static answer script[MAX_ANSWERS];
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer count = luaL_len(L, 1);
  luaL_argcheck(L, count >= 1 && count <= MAX_ANSWERS, 1, "1 to 512 answers");
  for (int i = 0; i < count; i++) {
    lua_geti(L, 1, i + 1); /* [t, answer] */
    script[i] = read_answer(L);
    lua_pop(L, 1); /* [t] */
  }
  server *s = lua_newuserdatauv(L, sizeof *s, 0); /* [t, s] */
  *s = (server){0};
  luaL_setmetatable(L, SERVER);
  s->board = mmap(NULL, sizeof(board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int listener = s->board == MAP_FAILED ? -1 : listen_on_loopback(&s->port);
  if (listener < 0) return luaL_error(L, "hostile server: %s", strerror(errno));
  s->pid = fork();
  if (s->pid == 0) serve(s->board, listener, script, (int)count);
  if (s->pid > 0) setpgid(s->pid, s->pid); /* in both: whoever comes first */
  close(listener);
  if (s->pid < 0) return luaL_error(L, "hostile server: %s", strerror(errno));
  return 1;
}

static server *check_server(lua_State *L) { return luaL_checkudata(L, 1, SERVER); }

/* server:close(): ends its processes; what they saw stays readable. */
static int l_close(lua_State *L) {
  server *s = check_server(L);
  if (s->pid > 0) {
    kill(-s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
  }
  s->pid = 0;
  return 0;
}

static int l_gc(lua_State *L) {
  server *s = check_server(L);
  l_close(L);
  if (s->board != NULL && s->board != MAP_FAILED) munmap(s->board, sizeof(board));
  s->board = NULL;
  return 0;
}

static int l_port(lua_State *L) {
  lua_pushinteger(L, check_server(L)->port); /* [n] */
  return 1;
}

/* server:requests() -> array of texts, in the order in which they were whole */
static int l_requests(lua_State *L) {
  board *b = check_server(L)->board;
  int count = atomic_load(&b->requests);
  lua_createtable(L, count, 0); /* [.., texts] */
  for (int i = 0, n = 0; i < count && i < MAX_SEEN; i++) {
    if (!atomic_load(&b->seen[i].ready)) continue;
    lua_pushlstring(L, b->bytes + b->seen[i].at, b->seen[i].len); /* [.., texts, text] */
    lua_seti(L, -2, ++n);
  }
  return 1;
}

/* server:arrivals() -> array of {ms = monotonic, connection = number of it, from 1} */
static int l_arrivals(lua_State *L) {
  board *b = check_server(L)->board;
  int count = atomic_load(&b->requests);
  lua_createtable(L, count, 0); /* [.., list] */
  for (int i = 0, n = 0; i < count && i < MAX_SEEN; i++) {
    if (!atomic_load(&b->seen[i].ready)) continue;
    lua_createtable(L, 0, 2);                      /* [.., list, a] */
    lua_pushinteger(L, b->seen[i].ms);             /* [.., list, a, ms] */
    lua_setfield(L, -2, "ms");                     /* [.., list, a] */
    lua_pushinteger(L, b->seen[i].connection);     /* [.., list, a, c] */
    lua_setfield(L, -2, "connection");             /* [.., list, a] */
    lua_seti(L, -2, ++n);
  }
  return 1;
}

/* server:count() -> requests so far, connections so far, most requests that waited for their answer at once */
static int l_count(lua_State *L) {
  board *b = check_server(L)->board;
  lua_pushinteger(L, atomic_load(&b->requests));    /* [n] */
  lua_pushinteger(L, atomic_load(&b->connections)); /* [n, c] */
  lua_pushinteger(L, atomic_load(&b->peak));        /* [n, c, p] */
  return 3;
}

int internals_open_hostile(lua_State *L) {
  static const luaL_Reg methods[] = {{"port", l_port},         {"requests", l_requests}, {"arrivals", l_arrivals},
                                     {"count", l_count},       {"close", l_close},       {NULL, NULL}};
  static const luaL_Reg functions[] = {{"serve", l_serve}, {NULL, NULL}};
  luaL_newmetatable(L, SERVER);   /* [mt] */
  lua_newtable(L);                /* [mt, methods] */
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index"); /* [mt] */
  lua_pushcfunction(L, l_gc);     /* [mt, f] */
  lua_setfield(L, -2, "__gc");    /* [mt] */
  lua_pushcfunction(L, l_close);  /* [mt, f] */
  lua_setfield(L, -2, "__close"); /* [mt] */
  lua_pop(L, 1);                  /* [] */
  luaL_newlib(L, functions);      /* [hostile] */
  return 1;
}

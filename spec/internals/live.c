/* live.c: for tests: what the C core holds in bytes, libcurl and SQLite too. The linker sends every malloc of this module, which
   carries the core, here (--wrap, see the Makefile); the one that is shipped knows nothing of it. */
#include <curl/curl.h>
#include <dlfcn.h>
#include <lauxlib.h>
#include <lua.h>
#include <malloc.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "internals.h"
#include "job/job.h"
#include "job/local.h"

static atomic_llong core_bytes, curl_bytes;

void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void __real_free(void *);
char *__real_strdup(const char *);
void *__real_mmap(void *, size_t, int, int, int, off_t);
int __real_munmap(void *, size_t);
void *__real_dlsym(void *, const char *);
void *__wrap_malloc(size_t);
void *__wrap_calloc(size_t, size_t);
void *__wrap_realloc(void *, size_t);
void __wrap_free(void *);
char *__wrap_strdup(const char *);
void *__wrap_mmap(void *, size_t, int, int, int, off_t);
int __wrap_munmap(void *, size_t);
void *__wrap_dlsym(void *, const char *);

static void *gained(atomic_llong *count, void *block) {
  atomic_fetch_add(count, (long long)malloc_usable_size(block));
  return block;
}

static void *resized(atomic_llong *count, void *block, size_t n) {
  long long before = (long long)malloc_usable_size(block);
  void *fresh = __real_realloc(block, n);
  if (fresh == NULL && n > 0) return NULL;
  atomic_fetch_sub(count, before);
  return gained(count, fresh);
}

static void lost(atomic_llong *count, void *block) {
  atomic_fetch_sub(count, (long long)malloc_usable_size(block));
  __real_free(block);
}

void *__wrap_malloc(size_t n) { return gained(&core_bytes, __real_malloc(n)); }
void *__wrap_calloc(size_t n, size_t size) { return gained(&core_bytes, __real_calloc(n, size)); }
void *__wrap_realloc(void *block, size_t n) { return resized(&core_bytes, block, n); }
void __wrap_free(void *block) { lost(&core_bytes, block); }
char *__wrap_strdup(const char *text) { return gained(&core_bytes, __real_strdup(text)); }

void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
  void *p = __real_mmap(at, n, protection, flags, fd, offset);
  if (p != MAP_FAILED) atomic_fetch_add(&core_bytes, (long long)n);
  return p;
}

int __wrap_munmap(void *p, size_t n) {
  atomic_fetch_sub(&core_bytes, (long long)n);
  return __real_munmap(p, n);
}

static void *curl_malloc(size_t n) { return gained(&curl_bytes, __real_malloc(n)); }
static void *curl_calloc(size_t n, size_t size) { return gained(&curl_bytes, __real_calloc(n, size)); }
static void *curl_realloc(void *block, size_t n) { return resized(&curl_bytes, block, n); }
static void curl_release(void *block) { lost(&curl_bytes, block); }
static char *curl_strdup(const char *text) { return gained(&curl_bytes, __real_strdup(text)); }

static __typeof__(&curl_global_init_mem) global_init_mem;

static CURLcode global_init(long flags) {
  return global_init_mem(flags, curl_malloc, curl_release, curl_realloc, curl_strdup, curl_calloc);
}

/* libcurl is told to count when the core starts it. */
void *__wrap_dlsym(void *lib, const char *name) {
  void *symbol = __real_dlsym(lib, name);
  if (strcmp(name, "curl_global_init") != 0) return symbol;
  void *with_mem = __real_dlsym(lib, "curl_global_init_mem");
  __typeof__(&curl_global_init) counting = global_init;
  memcpy(&global_init_mem, &with_mem, sizeof with_mem);
  memcpy(&symbol, &counting, sizeof counting);
  return symbol;
}

static int open_clients;
static df_port real_port;

static int open_client(df_port *p, uint32_t *client, const df_client_options *o, df_error *err) {
  int rc = real_port.open_client(p, client, o, err);
  open_clients += rc == 0;
  return rc;
}

static void close_client(df_port *p, uint32_t client) {
  open_clients--;
  real_port.close_client(p, client);
}

int __real_df_local_new(df_port **out, df_error *err);
int __wrap_df_local_new(df_port **out, df_error *err);

int __wrap_df_local_new(df_port **out, df_error *err) {
  if (__real_df_local_new(out, err) != 0) return -1;
  real_port = **out;
  (*out)->open_client = open_client;
  (*out)->close_client = close_client;
  return 0;
}

/* live.held() -> bytes of the core, of libcurl, of SQLite, open clients, calls (1: some are under way or not collected). What a
   port keeps for its next request (addresses, sockets of libcurl) goes first, when no client and no call is there any more. */
static int l_held(lua_State *L) {
  df_context *context = df_context_of(L);
  int calls = context->port->pending(context->port, context, 0);
  df_error err;
  if (open_clients == 0 && !calls) {
    context->port->free(context->port);
    if (df_local_new(&context->port, &err) != 0) return luaL_error(L, "%s", err.message);
  }
  /* without the port itself: equal blocks may differ in size by 16 bytes */
  lua_pushinteger(L, atomic_load(&core_bytes) - (long long)malloc_usable_size(context->port)); /* [core] */
  lua_pushinteger(L, atomic_load(&curl_bytes));                                               /* [core, curl] */
  lua_pushinteger(L, sqlite3_memory_used());                                                  /* [core, curl, sqlite] */
  lua_pushinteger(L, open_clients); /* [core, curl, sqlite, clients] */
  lua_pushinteger(L, calls);        /* [core, curl, sqlite, clients, calls] */
  return 5;
}

/* live.drop(): ends every call, so that one test's is not held against the next. */
static int l_drop(lua_State *L) {
  df_context *context = df_context_of(L);
  context->port->abandon(context->port, context);
  return 0;
}

static char *kept;

/* live.leak(n): takes n bytes that are not freed before the process ends */
static int l_leak(lua_State *L) {
  kept = malloc((size_t)luaL_checkinteger(L, 1));
  if (kept == NULL) return luaL_error(L, "out of memory");
  return 0;
}

/* for valgrind, which looks after that */
__attribute__((destructor)) static void forget(void) { free(kept); }

/* live.adopt(): an orphan of a child becomes a child of this process. */
static int l_adopt(lua_State *L) {
  (void)L;
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  return 0;
}

/* live.reap(): takes leave of children that have ended, after a moment in which more may end. */
static int l_reap(lua_State *L) {
  (void)L;
  poll(NULL, 0, 10);
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
  return 0;
}

int internals_open_live(lua_State *L) {
  static const luaL_Reg functions[] = {{"held", l_held},   {"drop", l_drop}, {"leak", l_leak},
                                       {"adopt", l_adopt}, {"reap", l_reap}, {NULL, NULL}};
  luaL_newlib(L, functions); /* [live] */
  return 1;
}

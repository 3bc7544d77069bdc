/* budget.c: core.budget: what one call of a rule's function may take, where nothing else bounds it.

   A rule runs in the program's own state, millions of times. Counting each instruction would slow every rule, so that nothing is counted
   at first: a timer of this thread's CPU time looks whether the same call still runs, and from then on the call's instructions are. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bind/bind.h"

#define BUDGET "defendis.budget"

enum { TICK_MS = 10, LOOKS = 2, COUNT_EVERY = 1000, STUCK_MS = 10000 };

typedef struct budget {
  lua_State *volatile L; /* where the call runs; NULL outside of one */
  volatile sig_atomic_t calls, seen, ticks, ticking;
  int64_t instructions, counted;
  int64_t memory, used; /* bytes; used: since the call began, below 0 when it freed what was before it */
  lua_Integer stuck_ticks;
  int is_refused, has_timer;
  lua_Alloc alloc; /* the state's own */
  void *ud;
  timer_t timer;
} budget;

static _Thread_local budget *volatile active;

static void *allocate(void *ud, void *ptr, size_t old, size_t size) {
  budget *b = ud;
  int64_t more = (int64_t)size - (int64_t)(ptr == NULL ? 0 : old);
  if (more > 0 && b->used + more > b->memory) {
    b->is_refused = 1;
    return NULL;
  }
  void *block = b->alloc(b->ud, ptr, old, size);
  if (block != NULL || size == 0) b->used += more;
  return block;
}

lua_Alloc df_base_alloc(lua_State *L, void **ud) {
  lua_Alloc alloc = lua_getallocf(L, ud);
  if (alloc != allocate) return alloc;
  budget *b = *ud;
  *ud = b->ud;
  return b->alloc;
}

/* From the end of its budget on every instruction raises, so that a rule's own pcall cannot carry on. */
static void on_count(lua_State *L, lua_Debug *ar) {
  (void)ar;
  budget *b = active;
  if (b == NULL || b->L != L) return;
  b->ticks = LOOKS; /* it is not stuck */
  b->counted += COUNT_EVERY;
  if (b->counted < b->instructions) return;
  lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
  luaL_where(L, 0);                                                                   /* [where] */
  lua_pushfstring(L, "over its budget of %I instructions", (LUAI_UACINT)b->instructions); /* [where, what] */
  lua_concat(L, 2);                                                                   /* [message] */
  lua_error(L);
}

/* A C function that never returns cannot be left: the state file is whole at every moment, so that the program may end. */
static void end_stuck(lua_State *L) {
  lua_Debug ar;
  char line[256];
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    if (lua_getinfo(L, "Sl", &ar) == 0 || ar.currentline <= 0) continue;
    int n = snprintf(line, sizeof line, "defendis: %s:%d: a rule is in a call that does not return; mend its pattern\n", ar.short_src,
                     ar.currentline);
    if (write(STDERR_FILENO, line, n < (int)sizeof line ? (size_t)n : sizeof line - 1) < 0) break;
    break;
  }
  _exit(df_kind_exit_code(DF_LIMIT));
}

static void set_timer(budget *b, long ms) {
  struct itimerspec when = {.it_value = {.tv_nsec = ms * 1000000}, .it_interval = {.tv_nsec = ms * 1000000}};
  timer_settime(b->timer, 0, &when, NULL);
}

static void on_tick(int signal) {
  (void)signal;
  budget *b = active;
  if (b == NULL) return;
  if (b->calls != b->seen) {
    b->seen = b->calls;
    b->ticks = 0;
  } else if (b->L == NULL) {
    b->ticking = 0; /* no rule has run since the last look */
    set_timer(b, 0);
  } else if (++b->ticks == LOOKS) {
    lua_sethook(b->L, on_count, LUA_MASKCOUNT, COUNT_EVERY);
  } else if (b->ticks > b->stuck_ticks) {
    end_stuck(b->L);
  }
}

static void start_timer(lua_State *L, budget *b) {
  struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGVTALRM};
  event._sigev_un._tid = gettid();
  if (!b->has_timer) {
    sigaction(SIGVTALRM, &action, NULL);
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &b->timer) != 0) luaL_error(L, "no timer for the budget of rules");
    b->has_timer = 1;
  }
  b->ticking = 1;
  set_timer(b, TICK_MS);
}

/* The call f(...) of budget.new: as pcall(f, ...), within the budget. */
static int l_call(lua_State *L) {
  budget *b = lua_touserdata(L, lua_upvalueindex(1));
  luaL_checkany(L, 1);
  if (b->L != NULL) return luaL_error(L, "a call within a budget begins another");
  if (!b->ticking) start_timer(L, b);
  lua_pushboolean(L, 1); /* [f, ..., true] */
  lua_insert(L, 1);      /* [true, f, ...] */
  b->alloc = lua_getallocf(L, &b->ud);
  b->counted = b->used = 0;
  b->is_refused = 0;
  b->calls = (b->calls + 1) & 0xffffff;
  active = b;
  b->L = L;
  lua_setallocf(L, allocate, b);
  int rc = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0); /* [true, results or message] */
  lua_setallocf(L, b->alloc, b->ud);
  b->L = NULL;
  if (lua_gethook(L) == on_count) lua_sethook(L, NULL, 0, 0);
  if (rc == LUA_OK) return lua_gettop(L);
  lua_pushboolean(L, 0); /* [true, message, false] */
  if (rc == LUA_ERRMEM && b->is_refused) lua_pushfstring(L, "over its budget of %I MiB of memory", (LUAI_UACINT)(b->memory >> 20));
  else lua_pushvalue(L, -2);
  return 2;
}

/* __gc and __close: no tick comes any more. */
static int l_close(lua_State *L) {
  budget *b = luaL_checkudata(L, 1, BUDGET);
  if (active == b) active = NULL;
  if (b->has_timer) timer_delete(b->timer);
  b->has_timer = b->ticking = 0;
  return 0;
}

/* budget.new(instructions, bytes [, ms]) -> call: as pcall, but what takes more than that of either fails. Instructions are counted from
   when a call has taken some 20 ms of CPU time. A C function that does not return within ms (10 s) of it ends the program. */
static int l_new(lua_State *L) {
  lua_Integer instructions = luaL_checkinteger(L, 1), bytes = luaL_checkinteger(L, 2);
  luaL_argcheck(L, instructions > 0, 1, "above 0");
  luaL_argcheck(L, bytes > 0, 2, "above 0");
  lua_Integer ms = luaL_optinteger(L, 3, STUCK_MS);
  budget *b = lua_newuserdatauv(L, sizeof *b, 0); /* [b] */
  *b = (budget){.instructions = instructions, .memory = bytes, .stuck_ticks = ms / TICK_MS};
  luaL_setmetatable(L, BUDGET);      /* [b] */
  lua_pushcclosure(L, l_call, 1);    /* [call] */
  return 1;
}

int df_open_budget(lua_State *L) {
  static const luaL_Reg methods[] = {{NULL, NULL}};
  static const luaL_Reg functions[] = {DF_REG(new), {NULL, NULL}};
  df_open_class(L, BUDGET, methods, l_close);
  luaL_newlib(L, functions); /* [budget] */
  return 1;
}

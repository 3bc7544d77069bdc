/* job.c: one Lua state, its budgets, and what it waits for. */
#include "job/job.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "job/local.h"
#include "job/pool.h"
#include "job/sandbox.h"

enum { HOOK_EVERY = 1000, DEFAULT_TIMEOUT_MS = 30000 };
static const size_t default_memory = (size_t)64 << 20;
static const int64_t default_instructions = 1000000000;

struct df_job {
  df_context context;
  lua_State *L;
  lua_State *co; /* the coroutine that runs main */
  df_pool pool;
  df_find_module find;
  df_job_status status;
  int args_on_stack;
  uint64_t waiting_for;
  size_t memory_used, memory_limit; /* limit 0: none */
  size_t refused;                   /* bytes that the allocator did not give; Lua collects and asks once more */
  int64_t instructions_left;        /* -1: none are counted */
  int64_t deadline;                 /* INT64_MAX: none */
  const char *exceeded;             /* sticky: the budget that ended this job */
  char where[96];                   /* " at file:line", where known */
  int64_t timeout, instructions;    /* the budgets as they were given */
  const char *result; /* main's, in the state or in number */
  size_t result_len;
  char number[24];
  df_error error;
};

static df_job *job_of(lua_State *L) { return *(df_job **)lua_getextraspace(L); }

/* Over the limit when the same request comes again, after Lua's emergency collection. Buffers of lauxlib do not ask again:
   they raise a memory error, which ends the job when nothing catches it. */
static void *refuse(df_job *job, size_t nsize) {
  if (job->refused == nsize) job->exceeded = "memory";
  job->refused = nsize;
  return NULL;
}

static int is_over(const df_job *job, size_t more) {
  return job->memory_limit > 0 && (job->memory_used > job->memory_limit || more > job->memory_limit - job->memory_used);
}

/* A new block's osize is a type tag, and a shrink is never refused. */
static void *allocate(void *ud, void *ptr, size_t osize, size_t nsize) {
  df_job *job = ud;
  size_t old = ptr == NULL ? 0 : osize;
  if (job->memory_limit == 0) return df_pool_resize(&job->pool, ptr, old, nsize); /* trusted: nothing is counted */
  if (nsize == 0) {
    job->memory_used -= old;
    return df_pool_resize(&job->pool, ptr, old, 0);
  }
  if (nsize > old && is_over(job, nsize - old)) return refuse(job, nsize);
  void *block = df_pool_resize(&job->pool, ptr, old, nsize);
  if (block != NULL) job->memory_used = job->memory_used - old + nsize;
  if (nsize > old) job->refused = 0;
  return block;
}

static int context_key;

/* The job of this state; NULL in stock Lua, also while the state ends: then nothing must be made any more. */
static df_job *own_job(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &context_key); /* [context or nil] */
  df_context *c = lua_touserdata(L, -1);
  lua_pop(L, 1); /* [] */
  return c != NULL ? c->job : NULL;
}

int df_job_account(lua_State *L, size_t before, size_t after) {
  df_job *job = own_job(L);
  if (job == NULL) return 0;
  job->memory_used = job->memory_used - before + after;
  if (after <= before || job->memory_limit == 0) return 0;
  lua_gc(L, LUA_GCSTEP, (int)((after - before) >> 10)); /* lets the collector know what its garbage weighs */
  if (!is_over(job, 0)) return 0;
  lua_gc(L, LUA_GCCOLLECT);
  if (!is_over(job, 0)) return 0;
  job->exceeded = "memory";
  return -1;
}

static void note_where(df_job *job, lua_State *L) {
  lua_Debug ar;
  for (int level = 0; job->where[0] == '\0' && lua_getstack(L, level, &ar); level++)
    if (lua_getinfo(L, "Sl", &ar) && ar.currentline > 0)
      snprintf(job->where, sizeof job->where, " at %s:%d", ar.short_src, ar.currentline);
}

/* Once a budget is gone every further instruction raises, so that pcall cannot carry on. */
static void on_count(lua_State *L, lua_Debug *ar) {
  (void)ar;
  df_job *job = job_of(L);
  if (job->exceeded == NULL) {
    job->instructions_left -= HOOK_EVERY;
    if (job->instructions_left <= 0)
      job->exceeded = "instructions";
    else if (df_clock_mono_ms() >= job->deadline)
      job->exceeded = "time";
  }
  if (job->exceeded != NULL) {
    note_where(job, L);
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    luaL_error(L, "the script is over its budget of %s", job->exceeded);
  }
}

void df_job_charge(lua_State *L) { on_count(L, NULL); }

/* Loads the carried module named by argument 1, or returns what to say when there is none. */
static int find_carried(lua_State *L) {
  const char *name = luaL_checkstring(L, 1), *text;
  size_t len;
  if (job_of(L)->find(name, &text, &len) != 0) {
    lua_pushfstring(L, "no module '%s' in this program", name); /* [message] */
    return 1;
  }
  lua_pushfstring(L, "@%s", name);                                                   /* [chunkname] */
  if (luaL_loadbufferx(L, text, len, lua_tostring(L, -1), "t") != LUA_OK) return lua_error(L); /* [chunkname, chunk] */
  lua_pushvalue(L, -2);                                                              /* [chunkname, chunk, chunkname] */
  return 2;
}

/* require for scripts: carried modules only. */
static int l_require(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE); /* [name, loaded] */
  if (lua_getfield(L, 2, name) != LUA_TNIL) return 1;       /* [name, loaded, module] */
  lua_settop(L, 2);
  lua_pushcfunction(L, find_carried); /* [name, loaded, f] */
  lua_pushvalue(L, 1);                /* [name, loaded, f, name] */
  lua_call(L, 1, LUA_MULTRET);        /* [name, loaded, chunk, chunkname] or [name, loaded, message] */
  if (!lua_isfunction(L, 3)) return luaL_error(L, "%s; a script can require what the host carries", lua_tostring(L, 3));
  lua_settop(L, 3);
  lua_pushvalue(L, 1); /* [name, loaded, chunk, name] */
  lua_call(L, 1, 1);   /* [name, loaded, module] */
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushboolean(L, 1); /* [name, loaded, true] */
  }
  lua_pushvalue(L, -1);     /* [name, loaded, module, module] */
  lua_setfield(L, 2, name); /* [name, loaded, module] */
  return 1;
}

static void set_up(lua_State *L, const df_job_options *o) {
  lua_pushlightuserdata(L, &job_of(L)->context);                     /* [context] */
  lua_rawsetp(L, LUA_REGISTRYINDEX, &context_key);                   /* [] */
  if (o->trusted) {
    df_sandbox_open_all(L);
    lua_getglobal(L, "package");                                     /* [package] */
    lua_getfield(L, -1, "searchers");                                /* [package, searchers] */
    for (lua_Integer i = luaL_len(L, -1); i >= 2; i--) {
      lua_geti(L, -1, i);                                            /* [package, searchers, s] */
      lua_seti(L, -2, i + 1);                                        /* [package, searchers] */
    }
    lua_pushcfunction(L, find_carried);                              /* [package, searchers, f] */
    lua_seti(L, -2, 2);                                              /* [package, searchers] */
    lua_pop(L, 2);                                                   /* [] */
  } else {
    df_sandbox_open_listed(L);
    lua_register(L, "require", l_require);
  }
  luaL_requiref(L, "defendis.core", o->open_core, 0);                /* [core] */
  lua_pop(L, 1);                                                     /* [] */
}

static int protected_set_up(lua_State *L) {
  set_up(L, lua_touserdata(L, 1));
  df_job *job = job_of(L);
  job->co = lua_newthread(L); /* [co] */
  lua_setfield(L, LUA_REGISTRYINDEX, "defendis.main");
  return 0;
}

static int fail_over(const df_job *job, df_error *err) {
  char budget[48];
  if (strcmp(job->exceeded, "time") == 0)
    snprintf(budget, sizeof budget, "%.15g s", (double)job->timeout / 1000);
  else if (strcmp(job->exceeded, "memory") == 0)
    snprintf(budget, sizeof budget, "%zu KiB", job->memory_limit / 1024);
  else
    snprintf(budget, sizeof budget, "%lld", (long long)job->instructions);
  return df_fail(err, DF_LIMIT, "the script is over its budget of %s (%s)%s", job->exceeded, budget, job->where);
}

/* Why a call in the job's own state, outside of any script, did not end well: its error is on the stack. */
static int fail_inside(df_job *job, int rc, df_error *err) {
  const char *message = lua_tostring(job->L, -1);
  if (rc == LUA_ERRMEM) job->exceeded = "memory";
  if (job->exceeded != NULL) return fail_over(job, err);
  return df_fail(err, DF_SCRIPT, "%s", message != NULL ? message : "the Lua state cannot be set up");
}

int df_job_new(df_job **out, const df_job_options *o, df_error *err) {
  df_job *job = calloc(1, sizeof *job);
  if (job == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  job->context = (df_context){.port = o->port, .job = job, .trusted = o->trusted};
  job->find = o->find;
  job->deadline = INT64_MAX;
  job->instructions_left = -1;
  if (o->trusted) {
    job->context.run_script = o->run_script;
    job->context.host = o->host;
  } else {
    job->memory_limit = o->memory > 0 ? o->memory : default_memory;
    job->instructions_left = o->instructions > 0 ? o->instructions : default_instructions;
    job->instructions = job->instructions_left;
    job->timeout = o->timeout_ms > 0 ? o->timeout_ms : DEFAULT_TIMEOUT_MS;
    job->deadline = df_clock_mono_ms() + job->timeout;
  }
  job->L = lua_newstate(allocate, job);
  if (job->L == NULL) {
    df_pool_free(&job->pool);
    free(job);
    return df_fail(err, DF_LIMIT, "no memory for a Lua state; raise the memory budget");
  }
  *(df_job **)lua_getextraspace(job->L) = job;
  lua_gc(job->L, LUA_GCGEN, 0, 0);
  lua_pushcfunction(job->L, protected_set_up);            /* [f] */
  lua_pushlightuserdata(job->L, (void *)(uintptr_t)o);    /* [f, options] */
  int rc = lua_pcall(job->L, 1, 0, 0);                    /* [] or [message] */
  if (rc != LUA_OK) {
    fail_inside(job, rc, err);
    df_job_free(job);
    return -1;
  }
  *out = job;
  return 0;
}

void df_job_free(df_job *job) {
  if (job == NULL) return;
  lua_close(job->L);
  df_pool_free(&job->pool);
  job->context.port->abandon(job->context.port, job);
  free(job);
}

typedef struct start_args {
  const char *module;
  int argc;
  const char *const *argv;
  const size_t *lens;
} start_args;

/* Leaves main and its arguments on the stack. */
static int find_main(lua_State *L) {
  const start_args *a = lua_touserdata(L, 1);
  luaL_checkstack(L, a->argc + 4, "too many arguments");
  lua_getglobal(L, "require");     /* [a, require] */
  lua_pushstring(L, a->module);    /* [a, require, module] */
  lua_call(L, 1, 1);               /* [a, m] */
  lua_getfield(L, -1, "main");     /* [a, m, main] */
  for (int i = 0; i < a->argc; i++) lua_pushlstring(L, a->argv[i], a->lens != NULL ? a->lens[i] : strlen(a->argv[i]));
  return 1 + a->argc;
}

int df_job_start(df_job *job, const char *module, int argc, const char *const *argv, const size_t *lens, df_error *err) {
  start_args args = {module, argc, argv, lens};
  lua_State *L = job->L;
  lua_pushcfunction(L, find_main); /* [f] */
  lua_pushlightuserdata(L, &args); /* [f, args] */
  int rc = lua_pcall(L, 1, LUA_MULTRET, 0);
  if (rc != LUA_OK || !lua_checkstack(job->co, argc + 4)) {
    fail_inside(job, rc, err);
    lua_settop(L, 0);
    return -1;
  }
  lua_xmove(L, job->co, argc + 1); /* co: [main, ...] */
  job->args_on_stack = argc;
  job->status = DF_JOB_READY;
  if (!job->context.trusted) lua_sethook(job->co, on_count, LUA_MASKCOUNT, HOOK_EVERY);
  return 0;
}

/* Reads a text field of an error table without metamethods. */
static void copy_field(lua_State *L, int at, const char *name, char *to, size_t size) {
  lua_pushstring(L, name); /* [..., name] */
  lua_rawget(L, at);       /* [..., value] */
  if (lua_type(L, -1) == LUA_TSTRING) snprintf(to, size, "%s", lua_tostring(L, -1));
  lua_pop(L, 1);
}

static int describe_error(lua_State *L) {
  df_job *job = job_of(L);
  char kind[32] = "script", message[480] = "the script raised a table without a message";
  lua_settop(L, 1);
  if (lua_istable(L, 1)) {
    copy_field(L, 1, "kind", kind, sizeof kind);
    copy_field(L, 1, "message", message, sizeof message);
  } else if (lua_isstring(L, 1)) {
    snprintf(message, sizeof message, "%s", lua_tostring(L, 1));
  } else {
    snprintf(message, sizeof message, "the script raised a %s value", luaL_typename(L, 1));
  }
  df_kind known = df_kind_from_name(kind);
  df_fail(&job->error, known != DF_NONE ? known : DF_SCRIPT, "%s", message);
  if (lua_istable(L, 1)) {
    copy_field(L, 1, "request_id", job->error.request_id, sizeof job->error.request_id);
    lua_pushliteral(L, "status"); /* [e, "status"] */
    lua_rawget(L, 1);             /* [e, status] */
    job->error.status = (int)lua_tointeger(L, -1);
  }
  return 0;
}

static void set_limit_error(df_job *job) {
  fail_over(job, &job->error);
  job->status = DF_JOB_FAILED;
}

static void fail_from_lua(df_job *job) {
  if (job->exceeded != NULL) {
    set_limit_error(job);
    return;
  }
  job->status = DF_JOB_FAILED;
  df_fail(&job->error, DF_SCRIPT, "the script failed");
  lua_xmove(job->co, job->L, 1);                /* L: [e] */
  lua_pushcfunction(job->L, describe_error);    /* L: [e, f] */
  lua_insert(job->L, -2);                       /* L: [f, e] */
  if (lua_pcall(job->L, 1, 0, 0) != LUA_OK) lua_pop(job->L, 1);
}

/* Keeps main's first result, the last thing that is asked of this state. */
static void keep_result(df_job *job, int results) {
  lua_State *co = job->co;
  job->status = DF_JOB_DONE;
  job->result = "";
  job->result_len = 0;
  if (results == 0) return;
  int at = lua_gettop(co) - results + 1;
  if (lua_isinteger(co, at)) {
    job->result_len = (size_t)snprintf(job->number, sizeof job->number, "%lld", (long long)lua_tointeger(co, at));
    job->result = job->number;
  } else if (lua_type(co, at) == LUA_TSTRING) {
    job->result = lua_tolstring(co, at, &job->result_len);
  }
}

df_job_status df_job_resume(df_job *job) {
  int results = 0;
  int rc = lua_resume(job->co, NULL, job->args_on_stack, &results);
  job->args_on_stack = 0;
  if (rc == LUA_ERRMEM) job->exceeded = "memory";
  if (rc != LUA_OK && rc != LUA_YIELD)
    fail_from_lua(job);
  else if (job->exceeded != NULL)
    set_limit_error(job); /* also a limit that pcall swallowed at the very end */
  else if (rc == LUA_OK)
    keep_result(job, results);
  else {
    lua_pop(job->co, results);
    job->status = DF_JOB_WAITING;
  }
  return job->status;
}

df_job_status df_job_poll(df_job *job, int64_t now_ms) {
  if (job->status != DF_JOB_WAITING) return job->status;
  if (now_ms >= job->deadline) {
    job->exceeded = "time";
    snprintf(job->where, sizeof job->where, " while waiting for an answer");
    set_limit_error(job);
  } else if (job->context.port->ready(job->context.port, job, job->waiting_for)) {
    job->status = DF_JOB_READY;
  }
  return job->status;
}

int64_t df_job_deadline(const df_job *job) { return job->deadline; }

size_t df_job_memory(const df_job *job) { return job->memory_limit; }

const char *df_job_result(const df_job *job, size_t *len) {
  *len = job->result_len;
  return job->result;
}

const df_error *df_job_error(const df_job *job) { return &job->error; }

void df_job_await(df_job *job, uint64_t id) { job->waiting_for = id; }

int df_context_can_yield(const df_context *c, lua_State *L) { return c->job != NULL && c->job->co == L && lua_isyieldable(L); }

/* Stock Lua: the context is a userdata that ends its port with the state. */
static int free_stock(lua_State *L) {
  df_context *c = lua_touserdata(L, 1);
  if (c->port != NULL) c->port->free(c->port);
  c->port = NULL;
  return 0;
}

df_context *df_context_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &context_key); /* [context or nil] */
  df_context *c = lua_touserdata(L, -1);
  lua_pop(L, 1); /* [] */
  if (c != NULL) return c;
  c = lua_newuserdatauv(L, sizeof *c, 0); /* [context] */
  memset(c, 0, sizeof *c);
  c->trusted = 1;
  lua_createtable(L, 0, 1);            /* [context, mt] */
  lua_pushcfunction(L, free_stock);    /* [context, mt, f] */
  lua_setfield(L, -2, "__gc");         /* [context, mt] */
  lua_setmetatable(L, -2);             /* [context] */
  df_error err;
  if (df_local_new(&c->port, &err) != 0) luaL_error(L, "%s", err.message);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &context_key); /* [] */
  return c;
}

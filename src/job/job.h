/* job.h: one Lua state, its budgets, and what it waits for. */
#ifndef DF_JOB_JOB_H
#define DF_JOB_JOB_H

#include <lua.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "job/port.h"

typedef struct df_job df_job;

typedef enum df_job_status { DF_JOB_READY, DF_JOB_WAITING, DF_JOB_DONE, DF_JOB_FAILED } df_job_status;

/* Finds the source of a Lua module that the program carries. 0, or -1 when there is none of that name. */
typedef int (*df_find_module)(const char *name, const char **text, size_t *len);

/* A script to run in a sandbox, for callers that cannot make jobs themselves. */
typedef struct df_job_script {
  const char *name;  /* for messages */
  const char *text;  /* Lua source */
  size_t text_len;
  const char *input; /* JSON text */
  size_t input_len;
  const char *args;  /* JSON object of text values */
  size_t args_len;
  int64_t timeout_ms;    /* wall clock; 0: 30 s */
  size_t memory;         /* bytes; 0: 64 MiB */
  int64_t instructions;  /* 0: 1,000,000,000 */
} df_job_script;

typedef struct df_job_options {
  df_port *port;             /* borrowed */
  int trusted;               /* all libraries, no budgets: the command line itself */
  lua_CFunction open_core;   /* opens `require "defendis.core"` */
  df_find_module find;
  int64_t timeout_ms;        /* budgets of a job that is not trusted; 0: the defaults of df_job_script */
  size_t memory;
  int64_t instructions;
  /* runs a script in a sandbox and waits for it; only trusted jobs are given it */
  int (*run_script)(void *host, df_buf *output, const df_job_script *script, df_error *err);
  void *host;
} df_job_options;

/* What the code in a state stands on. In stock Lua there is no job: calls block. */
typedef struct df_context {
  df_port *port;
  df_job *job;
  int trusted;
  int (*run_script)(void *host, df_buf *output, const df_job_script *script, df_error *err);
  void *host;
} df_context;

/* The context of this state; in stock Lua it is made, with a local port, when first asked for. Raises on failure. */
df_context *df_context_of(lua_State *L);

/* May code running in L yield to the scheduler? Only the job's own coroutine may; a coroutine of a script blocks. */
int df_context_can_yield(const df_context *c, lua_State *L);

/* Notes that the job waits for a completion of id (0: any of its own). */
void df_job_await(df_job *job, uint64_t id);

/* Counts memory that C code holds for a script: before and after are bytes of one block. -1 when the script is now over
   its budget; it fails whatever it does then. */
int df_job_account(lua_State *L, size_t before, size_t after);

/* Takes a thousand instructions off the budget, for what costs time without running any; raises when a budget is gone. */
void df_job_charge(lua_State *L);

/* Makes a state with its libraries; a sandbox unless o->trusted. 0, or -1: DF_LIMIT when the memory budget is too small. */
int df_job_new(df_job **out, const df_job_options *o, df_error *err);

/* Ends the state and drops what it has under way at the port. NULL is fine. */
void df_job_free(df_job *job);

/* Makes the job ready to call `main(args...)` of a carried module; args are strings. */
int df_job_start(df_job *job, const char *module, int argc, const char *const *argv, const size_t *lens, df_error *err);

/* Runs the job until it waits or ends. Only the scheduler calls it. */
df_job_status df_job_resume(df_job *job);

/* Where the job stands now: a waiting job whose completion has come is ready; one past its deadline has failed. */
df_job_status df_job_poll(df_job *job, int64_t now_ms);

/* When a waiting job fails by itself: monotonic ms, INT64_MAX for never. */
int64_t df_job_deadline(const df_job *job);

/* Its memory budget in bytes, 0 for none. */
size_t df_job_memory(const df_job *job);

/* After DF_JOB_DONE: what main returned, as text (an integer in decimal). Valid until the job is freed. */
const char *df_job_result(const df_job *job, size_t *len);

/* After DF_JOB_FAILED. */
const df_error *df_job_error(const df_job *job);

#endif

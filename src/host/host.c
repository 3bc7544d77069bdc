/* host.c: the scheduler, and the embedding API over it. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"
#include "bind/open.h"
#include "host/carried.h"
#include "host/guard.h"
#include "job/job.h"
#include "job/local.h"

enum { GRACE_MS = 500 };
static const size_t c_memory = (size_t)128 << 20; /* what answers and C code may take beside the script's own memory */

struct df_host {
  df_port *port;
  df_job **jobs;
  int count, cap;
};

static int find_carried(const char *name, const char **text, size_t *len) {
  for (const df_carried *c = df_carried_modules; c->name != NULL; c++)
    if (strcmp(c->name, name) == 0) {
      *text = c->text;
      *len = c->len;
      return 0;
    }
  return -1;
}

int df_host_open(df_host **out, const df_host_options *options, df_error *err) {
  df_host *h = calloc(1, sizeof *h);
  if (h == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  if (df_local_new(&h->port, err) != 0 ||
      (options != NULL && df_local_set_defaults(h->port, options->base_url, options->api_key_file, err) != 0)) {
    df_host_close(h);
    return -1;
  }
  *out = h;
  return 0;
}

void df_host_close(df_host *h) {
  if (h == NULL) return;
  for (int i = 0; i < h->count; i++) df_job_free(h->jobs[i]);
  free(h->jobs);
  if (h->port != NULL) h->port->free(h->port);
  free(h);
}

/* Steps every job until target has ended, or all have when target is NULL. A job that is running is not touched:
   it may be the one that asked. */
static void schedule(df_host *h, const df_job *target, const df_job *running) {
  for (;;) {
    int64_t until = INT64_MAX;
    int waiting = 0, ran = 0;
    for (int i = 0; i < h->count; i++) {
      df_job *job = h->jobs[i];
      if (job == running) continue;
      df_job_status status = df_job_poll(job, df_clock_mono_ms());
      if (status == DF_JOB_READY) {
        status = df_job_resume(job);
        ran = 1;
      }
      if (status == DF_JOB_FAILED || status == DF_JOB_DONE) {
        if (job == target) return;
        continue;
      }
      waiting = 1;
      if (df_job_deadline(job) < until) until = df_job_deadline(job);
    }
    if (!waiting) return;
    if (!ran) h->port->run(h->port, until);
  }
}

static int add_job(df_host *h, df_job **out, const df_job_options *o, df_error *err) {
  if (h->count == h->cap) {
    int cap = h->cap == 0 ? 8 : h->cap * 2;
    df_job **jobs = realloc(h->jobs, (size_t)cap * sizeof *jobs);
    if (jobs == NULL) return df_fail(err, DF_LIMIT, "out of memory");
    h->jobs = jobs;
    h->cap = cap;
  }
  if (df_job_new(out, o, err) != 0) return -1;
  h->jobs[h->count++] = *out;
  return 0;
}

static void drop_last(df_host *h) { df_job_free(h->jobs[--h->count]); }

static int start_script(df_host *h, df_job **out, const df_job_script *s, df_error *err) {
  df_job_options o = {.port = h->port,
                      .open_core = df_open_core,
                      .find = find_carried,
                      .timeout_ms = s->timeout_ms,
                      .memory = s->memory,
                      .instructions = s->instructions};
  if (add_job(h, out, &o, err) != 0) return -1;
  const char *argv[] = {s->name, s->text, s->input, s->args};
  const size_t lens[] = {strlen(s->name), s->text_len, s->input_len, s->args_len};
  if (df_job_start(*out, "defendis.runner", 4, argv, lens, err) == 0) return 0;
  drop_last(h);
  return -1;
}

/* For the command line, from inside its own job. */
static int run_script(void *host, df_buf *output, const df_job_script *s, df_error *err) {
  df_host *h = host;
  df_job *job, *caller = h->jobs[0];
  if (start_script(h, &job, s, err) != 0) return -1;
  df_guard_start(df_job_deadline(job) + GRACE_MS, 2 * df_job_memory(job) + c_memory);
  schedule(h, job, caller);
  df_guard_stop();
  int rc = 0;
  if (df_job_poll(job, 0) == DF_JOB_DONE) {
    size_t len;
    const char *text = df_job_result(job, &len);
    if (df_buf_add(output, text, len) != 0) rc = df_fail(err, DF_LIMIT, "out of memory");
  } else {
    *err = *df_job_error(job);
    rc = -1;
  }
  drop_last(h);
  return rc;
}

static size_t length_of(const char *text, size_t len) { return len > 0 ? len : strlen(text); }

int df_host_spawn(df_host *h, int *number, const df_script *s, df_error *err) {
  if (s->name == NULL || s->text == NULL) return df_fail(err, DF_CONFIG, "a script needs a name and a text");
  const char *input = s->input != NULL ? s->input : "null", *args = s->args != NULL ? s->args : "{}";
  df_job_script full = {.name = s->name,
                        .text = s->text,
                        .text_len = length_of(s->text, s->text_len),
                        .input = input,
                        .input_len = length_of(input, s->input != NULL ? s->input_len : 0),
                        .args = args,
                        .args_len = strlen(args),
                        .timeout_ms = s->timeout_ms,
                        .memory = s->memory,
                        .instructions = s->instructions};
  df_job *job;
  if (start_script(h, &job, &full, err) != 0) return -1;
  *number = h->count - 1;
  return 0;
}

void df_host_run(df_host *h) { schedule(h, NULL, NULL); }

int df_host_result(df_host *h, int number, const char **json, size_t *len, df_error *err) {
  if (number < 0 || number >= h->count) return df_fail(err, DF_CONFIG, "no script has the number %d", number);
  df_job *job = h->jobs[number];
  df_job_status status = df_job_poll(job, 0);
  if (status == DF_JOB_FAILED) {
    *err = *df_job_error(job);
    return -1;
  }
  if (status != DF_JOB_DONE) return df_fail(err, DF_CONFIG, "script %d has not run; call df_host_run first", number);
  *json = df_job_result(job, len);
  return 0;
}

int df_host_command(df_host *h, int argc, const char *const *argv, int *exit_code, df_error *err) {
  df_job_options o = {.port = h->port, .trusted = 1, .open_core = df_open_core, .find = find_carried, .run_script = run_script, .host = h};
  df_job *job;
  if (h->count != 0) return df_fail(err, DF_CONFIG, "the command line runs in a host of its own");
  df_secret_take_env();
  if (add_job(h, &job, &o, err) != 0 || df_job_start(job, "defendis.cli", argc, argv, NULL, err) != 0) return -1;
  schedule(h, job, NULL);
  df_secret_drop_kept();
  if (df_job_poll(job, 0) != DF_JOB_DONE) {
    *err = *df_job_error(job);
    return -1;
  }
  size_t len;
  *exit_code = (int)strtol(df_job_result(job, &len), NULL, 10);
  return 0;
}

/* trace.h: what was asked and answered, attempt by attempt: in the log, and in a file of JSON lines. */
#ifndef DF_JOB_TRACE_H
#define DF_JOB_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* One attempt. Texts are borrowed, and may hold secrets: they are redacted here. */
typedef struct df_attempt {
  const char *method, *url; /* url: path and query, or host and path of an endpoint */
  const char *outcome;      /* "answered", or what went wrong */
  const char *request_id;
  const char *decision;     /* "done", "retry", "fail" */
  int status, attempt, reused;
  int64_t ms, wait_ms;      /* wait_ms: until the next attempt */
  size_t bytes;             /* of the answer's body */
  const df_buf *request;    /* bodies, or NULL */
  const char *answer;
  size_t answer_len;
  const char (*headers)[160]; /* of the answer, by names */
  const char *const *names;
  size_t header_count;
} df_attempt;

/* Appends to a file from now on, which is made with mode 0600; process-wide. bodies: bodies and headers too. */
int df_trace_open(const char *path, int bodies, df_error *err);

/* The file says nothing more. 0, or -1 when a line could not be written. */
int df_trace_close(df_error *err);

/* Is there a file? */
int df_trace_is_open(void);

/* Tells of one attempt. */
void df_trace_attempt(const df_attempt *a);

#endif

/* defendis.h: embedding the defendis scripting host in a C program. */
#ifndef DEFENDIS_H
#define DEFENDIS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DEFENDIS_VERSION "0.1.0"

/* What went wrong, in the words a script sees as err.kind. */
typedef enum df_kind {
  DF_NONE,
  DF_CONFIG,      /* the caller's settings: base URL, key, options */
  DF_AUTH,        /* 401 */
  DF_SCOPE,       /* 403: outside the workspace's watchlists */
  DF_BILLING,     /* 403: billing access denied */
  DF_QUOTA,       /* 409 on a write */
  DF_NOT_FOUND,   /* 404 */
  DF_INVALID,     /* 400 and other refusals of the request */
  DF_RATE_LIMIT,  /* 429, or a wait longer than allowed */
  DF_UNAVAILABLE, /* 5xx */
  DF_NETWORK,     /* no whole answer came */
  DF_TIMEOUT,     /* a deadline passed */
  DF_DECODE,      /* the answer is not what the contract says */
  DF_INCOMPLETE,  /* a window or a sink is behind */
  DF_LIMIT,       /* a budget (time, memory, instructions, output, size) was exceeded */
  DF_SCRIPT,      /* a script raised an error */
  DF_STORE        /* the state file */
} df_kind;

/* A failure. A fixed buffer: reporting never allocates. The message is one line without secrets. */
typedef struct df_error {
  df_kind kind;
  int status;           /* HTTP status, 0 when there was none */
  int attempts;         /* requests sent for this call */
  int retryable;        /* 1 when the same call may succeed later */
  int64_t retry_at_ms;  /* wall clock, Unix milliseconds, when to come back; 0 unknown */
  char request_id[132]; /* x-request-id of the last answer, or "" */
  char message[512];
} df_error;

/* Name of a kind as scripts see it ("config", "auth", ...). Never NULL. */
const char *df_kind_name(df_kind kind);

/* Process exit code for a kind: 1 script, 2 configuration, 3 refused, 4 not reachable, 5 budget, 6 incomplete. */
int df_kind_exit_code(df_kind kind);

#ifdef __cplusplus
}
#endif
#endif

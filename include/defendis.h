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

/* A host: a scheduler for scripts, and the client they share. Not for use from two threads at once. */
typedef struct df_host df_host;

typedef struct df_host_options {
  const char *base_url;     /* NULL: $DEFENDIS_BASE_URL, else https://api.defendis.ai */
  const char *api_key_file; /* NULL: the environment's; the key is read when a script first makes a client */
} df_host_options;

/* A script to run in a sandbox of its own. Zero means default. All is copied. */
typedef struct df_script {
  const char *name;      /* for messages, such as the file's name; required */
  const char *text;      /* Lua source; required */
  size_t text_len;       /* bytes; 0: up to the NUL */
  const char *input;     /* JSON text that the script gets as `input`; NULL: null */
  size_t input_len;      /* bytes; 0: up to the NUL */
  const char *args;      /* JSON object of text values that the script gets as `args`; NULL: {} */
  int64_t timeout_ms;    /* wall clock; 0: 30,000 */
  size_t memory;         /* bytes; 0: 64 MiB */
  int64_t instructions;  /* Lua VM instructions; 0: 1,000,000,000 */
} df_script;

/* Makes a host. options may be NULL. 0, or -1 and *err says why. */
int df_host_open(df_host **out, const df_host_options *options, df_error *err);

/* Adds a script; it starts with df_host_run. *job gets a number for df_host_result. 0 or -1. */
int df_host_spawn(df_host *host, int *job, const df_script *script, df_error *err);

/* Runs every script that was added until each has ended; their calls to the API overlap. */
void df_host_run(df_host *host);

/* What a script returned, as JSON text that stays valid until df_host_close. -1 with *err when it failed or has not run. */
int df_host_result(df_host *host, int job, const char **json, size_t *len, df_error *err);

/* Ends the host and all its scripts. NULL is fine. */
void df_host_close(df_host *host);

/* The command line: runs `defendis` with these arguments. *exit_code is set when 0 is returned. */
int df_host_command(df_host *host, int argc, const char *const *argv, int *exit_code, df_error *err);

#ifdef __cplusplus
}
#endif
#endif

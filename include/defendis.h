/* defendis.h: the Defendis API's client, and the scripting host over it, for C programs. */
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

/* ---- The client: requests and lists of the API, as JSON text. No Lua runs behind it.

   Calls block, waits and retries included, until timeout_ms at most. Nothing here may be used from two threads at once, not even
   two clients. Strings that are passed in are copied or read during the call only. The API may add fields at any time: what is
   given back is the text that the server sent, with all of them. */
typedef struct df_api df_api;

/* Zero means default. */
typedef struct df_api_options {
  const char *base_url;     /* NULL: $DEFENDIS_BASE_URL, else https://api.defendis.ai; http to loopback only */
  const char *api_key;      /* the key itself; it is copied to locked memory, and the caller may wipe its own */
  const char *api_key_file; /* else this file, of mode 0600; NULL: $DEFENDIS_API_KEY_FILE, systemd's credential, $DEFENDIS_API_KEY */
  int64_t timeout_ms;       /* milliseconds for one call with its retries; 120,000 */
  int max_attempts;         /* requests for one call; 5 */
  double per_second;        /* requests started per second; no limit until the server says otherwise */
} df_api_options;

typedef struct df_api_param {
  const char *name, *value; /* text, not percent-encoded */
} df_api_param;

/* One request. Zero means default. */
typedef struct df_api_request {
  const char *method;         /* GET (the default), POST, PUT, DELETE or PATCH */
  const char *path;           /* "/api/v1/..."; required. It cannot lead to another host */
  const df_api_param *params; /* of the query, 64 at most */
  size_t param_count;
  const char *body; /* JSON text; NULL: none */
  size_t body_len;  /* bytes; 0: up to the NUL */
  int64_t timeout_ms;
  int no_key; /* 1: send no key (/health needs none) */
} df_api_request;

/* What came. The caller frees it with df_api_answer_free, whatever df_api_call returned. */
typedef struct df_api_answer {
  int status;           /* HTTP status of the last answer, 0 when none came */
  int attempts;         /* requests sent */
  int64_t elapsed_ms;   /* milliseconds, waits included */
  char request_id[132]; /* x-request-id, or "" */
  const char *body;     /* JSON text, no NUL behind it; "" when there is none. After a failure: what the server said, JSON or not */
  size_t body_len;      /* bytes */
  struct df_completion *held; /* owns the body */
} df_api_answer;

/* Makes a client; nothing is sent. options may be NULL. A key that is missing is the error of the first call that needs one.
   0, or -1 and *err says why (DF_CONFIG: the URL). */
int df_api_open(df_api **out, const df_api_options *options, df_error *err);

/* One call, with retries: 429 always, 5xx and broken transfers for GET only. 0 for a 2xx answer, else -1 with *err. *answer is
   filled in both cases; the fields of a refusal (reason, metric, used, limit) stand in its body. */
int df_api_call(df_api *api, df_api_answer *answer, const df_api_request *request, df_error *err);

/* Frees what an answer holds and empties it. NULL and empty ones are fine. */
void df_api_answer_free(df_api_answer *answer);

/* A walk over the pages of a list. It must be closed before its client. */
typedef struct df_api_list df_api_list;

/* Prepares the walk; nothing is sent. path: of a list endpoint; params: its inputs and filters (pageSize: 100 without one), sent
   with each page; `page` is the walk's own. 0 or -1. */
int df_api_list_open(df_api_list **out, df_api *api, const char *path, const df_api_param *params, size_t count, df_error *err);

/* Fetches the next page and lets go of the one before. 1: there is one. 0: the list came to its end, and was whole. -1: *err says
   why not; DF_INCOMPLETE or DF_DECODE: the pages contradict each other, also when asked for again. After 0 and -1 there is no page;
   after -1 the next call asks for the same one. */
int df_api_list_next(df_api_list *list, df_error *err);

/* Of the page that df_api_list_next fetched; text is valid until the next call of it, and has no NUL behind it. */
const char *df_api_list_text(const df_api_list *list, size_t *len); /* the whole page as the server sent it; NULL when there is none */
size_t df_api_list_count(const df_api_list *list);                  /* records on it */
int64_t df_api_list_total(const df_api_list *list);                 /* records in the whole list as the server says, -1 unknown */
const char *df_api_list_request_id(const df_api_list *list);        /* its x-request-id, or "" */

/* The text of one record of the page, i from 0. 0, or -1: DF_DECODE when this record is no JSON (the others are still good),
   DF_CONFIG when there is no such record; *json and *len are set for a damaged one too. */
int df_api_list_record(const df_api_list *list, size_t i, const char **json, size_t *len, df_error *err);

/* Ends a walk, or a client with its connections. NULL is fine. */
void df_api_list_close(df_api_list *list);
void df_api_close(df_api *api);

/* ---- The host: scripts in Lua.

   A scheduler for scripts, and the client they share. Not for use from two threads at once. */
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

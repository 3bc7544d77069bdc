/* http.h: HTTP transfers, many at a time, on libcurl. */
#ifndef DF_IO_HTTP_H
#define DF_IO_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "io/connection.h"

#define DF_HTTP_WAIT_MAX 32

typedef struct df_http df_http;

/* How a transfer ended below HTTP. */
typedef enum df_http_outcome {
  DF_HTTP_OK,      /* a whole answer came */
  DF_HTTP_CONNECT, /* nothing was sent: name, route, connection or handshake failed */
  DF_HTTP_TLS,     /* nothing was sent: the peer could not prove who it is */
  DF_HTTP_TIMEOUT, /* too slow, at any stage */
  DF_HTTP_BROKEN,  /* the connection ended inside the answer, or the answer is not HTTP */
  DF_HTTP_TOO_BIG, /* body or headers over their cap */
  DF_HTTP_FORBIDDEN /* nothing was sent: the address is one that no_link_local refuses */
} df_http_outcome;

/* The connections and TLS sessions of one client. No request goes out on another client's. */
typedef struct df_http_pool df_http_pool;

typedef struct df_http_request {
  const char *method;
  const char *url;
  const char *scheme; /* "Bearer "...: what stands before the secret in Authorization */
  const char *secret; /* API key or token, or NULL for none */
  const char *content_type; /* NULL: application/json */
  const char *lines; /* further header lines, each ended by a NUL */
  size_t lines_len;
  const char *body;   /* or NULL for none */
  size_t body_len;
  const char *ca_file;             /* PEM; who signs for the peer, instead of the system's authorities */
  const char *cert_file, *key_file; /* PEM; the client's own certificate and its key */
  int64_t timeout_ms; /* for the whole transfer, over 0 */
  size_t max_body;    /* cap on the decompressed body, bytes; 0: 64 MiB */
  int plain;          /* http may be spoken, and no proxy is asked */
  int repeatable;     /* may arrive twice: a used connection is good enough, as it is for GET */
  int no_link_local;  /* refuses link-local addresses, where cloud machines serve their keys; looked at after the name's resolution */
  int connect_only;   /* sends nothing and hands out the connection; asks no proxy. url: https for TLS, http for TCP */
  df_http_pool *pool; /* borrowed; NULL: the connections that belong to nobody. With connect_only: its own, taken over on success */
  void *tag;          /* handed back with the answer */
} df_http_request;

/* The headers that decisions read. */
typedef enum df_http_header {
  DF_H_CONTENT_TYPE,
  DF_H_REQUEST_ID,
  DF_H_RETRY_AFTER,
  DF_H_RATE_COMBINED, /* RateLimit */
  DF_H_RATE_REMAINING,
  DF_H_RATE_RESET,
  DF_H_LOCATION,
  DF_H_COUNT
} df_http_header;

/* Their names, in this order. */
#define DF_HTTP_HEADER_NAMES \
  "content-type", "x-request-id", "retry-after", "ratelimit", "ratelimit-remaining", "ratelimit-reset", "location"

typedef struct df_http_answer {
  void *tag;
  df_http_outcome outcome;
  int status;
  int reused; /* the connection had been used before */
  char headers[DF_H_COUNT][160]; /* "" where absent; the last one where repeated; printable ASCII only, live secrets masked */
  df_buf body;
  df_connection *connection; /* of a connect_only request that succeeded; whoever takes it sets NULL */
  char detail[160]; /* what libcurl says of a failed transfer */
} df_http_answer;

/* Loads libcurl on first use in the process. */
int df_http_new(df_http **out, df_error *err);

/* Ends every transfer without an answer. NULL is fine. */
void df_http_free(df_http *h);

/* A pool needs a df_http to have been made before. It ends, with its connections, after its last transfer. */
int df_http_pool_new(df_http_pool **out, df_error *err);
void df_http_pool_free(df_http_pool *pool);

/* Starts a transfer. What is neither a GET nor repeatable gets a connection of its own and is never sent twice.
   Redirects are never followed, certificates always checked, TLS 1.2 or newer. */
int df_http_start(df_http *h, const df_http_request *r, df_error *err);

/* Drops the transfer with this tag, if it is under way. */
void df_http_cancel(df_http *h, const void *tag);

/* Moves transfers on; waits up to wait_ms for something to happen, also to what df_watch_add watches, when nothing is ready, or for
   one of n descriptors (DF_HTTP_WAIT_MAX of them at most) to take bytes. */
void df_http_poll(df_http *h, int wait_ms, const int *writing, size_t n);

/* The next finished transfer, or NULL. Free it with df_http_answer_free. */
df_http_answer *df_http_next(df_http *h);

/* Frees an answer with its body. NULL is fine. */
void df_http_answer_free(df_http_answer *a);

#endif

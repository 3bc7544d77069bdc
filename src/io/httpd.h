/* httpd.h: a single-threaded HTTP/1.1 server on 127.0.0.1 that can also misbehave on purpose. */
#ifndef DF_IO_HTTPD_H
#define DF_IO_HTTPD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define DF_HTTPD_BODY_MAX (1024 * 1024) /* a longer request body is answered with 413 and never handed out */

typedef struct df_httpd df_httpd;

typedef enum df_httpd_pair_kind { DF_HTTPD_QUERY, DF_HTTPD_HEADER } df_httpd_pair_kind;

/* Keys and values are percent-decoded for the query, as sent for headers. A query key without "=" has value_len 0. */
typedef struct df_httpd_pair {
  df_httpd_pair_kind kind;
  const char *key;
  size_t key_len;
  const char *value;
  size_t value_len;
} df_httpd_pair;

/* A complete request. Pointers are valid until it is answered or the server is stopped. */
typedef struct df_httpd_request {
  uint64_t id;
  const char *method;
  const char *path; /* percent-decoded, without the query */
  const df_httpd_pair *pairs;
  size_t n_pairs;
  const char *body;
  size_t body_len;
} df_httpd_request;

typedef struct df_httpd_header {
  const char *name;
  const char *value;
} df_httpd_header;

typedef struct df_httpd_answer {
  int status; /* 0: 200 */
  const df_httpd_header *headers;
  size_t n_headers;
  const char *body; /* copied */
  size_t body_len;
  int delay_ms;       /* wait this long before the first byte */
  int truncate;       /* 1: announce the whole body, send truncate_at bytes of it, close the connection */
  size_t truncate_at;
  size_t slow_bytes; /* not 0: send the body in chunks of this size ... */
  int slow_ms;       /* ... with this pause between them */
} df_httpd_answer;

/* Listens on 127.0.0.1:port (0: any free port). Loads libmicrohttpd on first use. 0, or DF_CONFIG. */
int df_httpd_start(df_httpd **out, int port, df_error *err);

/* The port in use. */
int df_httpd_port(const df_httpd *h);

/* Moves all connections forward and waits up to timeout_ms for a complete request. 1: *out is filled; 0: none came in
   time, or a signal asked to stop (df_httpd_signalled). Answers are sent only while this runs. */
int df_httpd_step(df_httpd *h, df_httpd_request *out, int timeout_ms);

/* When df_httpd_step has something to do: as soon as *fd is readable, or after the returned ms at the latest. */
int df_httpd_wants(const df_httpd *h, int *fd);

/* Answers the request with that id, once. 0; DF_CONFIG when there is none or the answer is not a legal one. */
int df_httpd_answer_to(df_httpd *h, uint64_t id, const df_httpd_answer *answer, df_error *err);

/* Drops every connection and frees the server. NULL is fine. */
void df_httpd_stop(df_httpd *h);

/* From now on the first SIGINT or SIGTERM ends df_httpd_step and sets df_httpd_signalled; the second one kills as
   usual. For a program whose business is serving; the setting is the process's. */
void df_httpd_on_signals(void);
int df_httpd_signalled(void);

#endif

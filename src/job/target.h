/* target.h: whom a client talks to, and with which secret, headers and certificates. */
#ifndef DF_JOB_TARGET_H
#define DF_JOB_TARGET_H

#include "base/secret.h"
#include "io/http.h"
#include "job/key.h"
#include "job/port.h"

typedef struct df_target {
  char *url;
  df_base kind;
  int stream, no_link_local;
  df_secret *secret;     /* an endpoint's; NULL: none is wanted */
  df_key key;            /* the API's */
  char scheme[40];       /* with a space behind it */
  df_buf lines;          /* header lines of every request */
  char *ca_file, *cert_file, *key_file;
} df_target;

/* Fills a zeroed target. url and key_file: what counts where o names none, or NULL. Free it also after a failure. */
int df_target_init(df_target *t, const df_client_options *o, const char *url, const char *key_file, df_error *err);
void df_target_free(df_target *t);

/* For messages and the log: "GET /api/v1/x", or "POST host:port/x" for an endpoint: more of its URL may be a secret. */
void df_target_describe(char *to, size_t size, const df_target *t, const df_call *k);

/* Makes the URL of a call and all its header lines. */
int df_target_prepare(df_target *t, const df_call *k, df_buf *url, df_buf *lines, df_error *err);

/* Sets the fields of a request that are the target's own, with the key as it is now. Pointers are borrowed. */
void df_target_apply(df_target *t, df_http_request *r);

#endif

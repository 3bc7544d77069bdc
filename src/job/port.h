/* port.h: the one way from a job to the world: submit a request, collect its completion by id. */
#ifndef DF_JOB_PORT_H
#define DF_JOB_PORT_H

#include <stddef.h>
#include <stdint.h>

#include "api/request.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"

typedef struct df_port df_port;

/* Settings of a client. Zero means default. A port may refuse what its jobs must not choose (base URL, key file). */
typedef struct df_client_options {
  const char *base_url;     /* NULL: $DEFENDIS_BASE_URL, else the vendor's */
  const char *api_key_file; /* NULL: df_secret_find_api_key's order */
  int64_t timeout_ms;       /* one call with all its attempts; default 120,000 */
  int max_attempts;         /* default 5 */
  double per_second;        /* requests started per second; 0: unlimited until the server says otherwise */
  int max_in_flight;        /* requests on the wire at once; default 8 */
} df_client_options;

/* How the body of a successful answer is wanted. */
typedef enum df_decode { DF_DECODE_JSON, DF_DECODE_PAGE } df_decode;

/* One request. Everything is copied by submit. */
typedef struct df_call {
  uint32_t client;      /* from df_port_open_client; 0: none, then this is a timer that completes after timeout_ms */
  const void *owner;    /* whose completion this will be */
  const char *method;   /* GET POST PUT DELETE PATCH */
  const char *path;     /* begins with one '/' */
  const df_param *params;
  size_t param_count;
  const char *body; /* JSON, or NULL */
  size_t body_len;
  int64_t timeout_ms; /* 0: the client's */
  int fd;             /* of a timer: over 0, a descriptor of df_watch_add that ends it when it is readable */
  df_decode decode;
  int no_key; /* send no Authorization (health) */
} df_call;

/* What came of a request. */
typedef struct df_completion {
  uint64_t id;
  int rc;          /* 0, or -1 and error says why */
  df_error error;
  int status;      /* HTTP status of the last answer, 0 when there was none */
  int attempts;
  int64_t elapsed_ms;
  char request_id[132];
  df_decode decode; /* what was asked for, and what doc is */
  df_json *doc;     /* decoded body of a success, or NULL */
  df_buf body;      /* the text of an error's body */
} df_completion;

/* Frees what collect returned, with its document or body. NULL is fine. */
void df_completion_free(df_completion *c);

struct df_port {
  int (*open_client)(df_port *p, uint32_t *client, const df_client_options *o, df_error *err);
  /* Its requests under way complete with an error. */
  void (*close_client)(df_port *p, uint32_t client);
  int (*submit)(df_port *p, uint64_t *id, const df_call *call, df_error *err);
  /* Is there a completion of this owner (with this id, when id is not 0)? */
  int (*ready)(df_port *p, const void *owner, uint64_t id);
  /* Takes it; NULL when there is none. Free it with df_completion_free. */
  df_completion *(*collect)(df_port *p, const void *owner, uint64_t id);
  /* Is anything of this owner (with this id, when id is not 0) under way or ready? */
  int (*pending)(df_port *p, const void *owner, uint64_t id);
  /* Drops one request of this owner, under way or ready. */
  void (*cancel)(df_port *p, const void *owner, uint64_t id);
  /* Drops whatever this owner has under way or ready. */
  void (*abandon)(df_port *p, const void *owner);
  /* Moves requests on, until one completes or until_ms (monotonic; in the past: do not wait) has come. */
  void (*run)(df_port *p, int64_t until_ms);
  void (*free)(df_port *p);
};

#endif

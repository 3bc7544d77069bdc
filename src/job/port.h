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

/* Where a sink sends to. Strings and bytes are copied. */
typedef struct df_endpoint_options {
  const char *scheme; /* "Bearer", "Splunk", "ApiKey"...: stands before the secret in Authorization; "Basic": the secret is user:password */
  const char *secret; /* NULL: none is sent */
  const df_header *headers; /* of every request */
  size_t header_count;
  const char *ca_file, *cert_file, *key_file; /* see df_http_request */
  int insecure_http; /* http to any host, not to loopback only */
  int link_local;    /* allows link-local addresses; a stream has them always. See df_http_request */
  int stream;        /* bytes over TCP (http:) or TLS (https:), no HTTP */
} df_endpoint_options;

/* Settings of a client. Zero means default. A port may refuse what its jobs must not choose (base URL, key file). */
typedef struct df_client_options {
  const char *base_url;     /* NULL: $DEFENDIS_BASE_URL, else the vendor's */
  const char *api_key;      /* comes before all else; NULL: none */
  const char *api_key_file; /* NULL: see df_key_init */
  const char *api_key_command; /* a program that prints the key, with its arguments; instead of the file */
  const char *ca_file, *cert_file, *key_file; /* see df_http_request; NULL: $DEFENDIS_CA_FILE, ..._CERT_FILE, ..._KEY_FILE */
  int64_t timeout_ms;       /* one call with all its attempts; default 120,000 */
  int max_attempts;         /* default 5 */
  double per_second;        /* requests started per second; 0: unlimited until the server says otherwise */
  int max_in_flight;        /* requests on the wire at once; default 8 */
  const df_endpoint_options *endpoint; /* NULL: the vendor's API; else base_url is the endpoint's and the API key is not sent */
} df_client_options;

/* How the body of a successful answer is wanted. TEXT: as it is, with whatever status it has, once no attempt is left that could
   change that. */
typedef enum df_decode { DF_DECODE_JSON, DF_DECODE_PAGE, DF_DECODE_TEXT } df_decode;

/* What is asked of a client. CONNECT, SEND and CHECK are for one whose endpoint has `stream` set, one after the other. */
typedef enum df_op {
  DF_OP_REQUEST,
  DF_OP_CONNECT,
  DF_OP_SEND, /* completes when all of body was handed to the network */
  DF_OP_CHECK /* status: 1 while the peer is there, 0 once it has closed; what it sent is dropped */
} df_op;

/* One request. Everything is copied by submit. */
typedef struct df_call {
  df_op op;
  uint32_t client;      /* from df_port_open_client; 0: none, then this is a timer that completes after timeout_ms */
  const void *owner;    /* whose completion this will be */
  const char *method;   /* GET POST PUT DELETE PATCH */
  const char *path;     /* begins with one '/'; may be "" for an endpoint */
  const df_param *params;
  size_t param_count;
  const char *body; /* or NULL */
  size_t body_len;
  const char *content_type; /* NULL: application/json */
  const df_header *headers;
  size_t header_count;
  int64_t timeout_ms; /* 0: the client's */
  int fd;             /* of a timer: over 0, a descriptor of df_watch_add that ends it when it is readable */
  df_decode decode;
  int no_key;     /* send no Authorization (health) */
  int repeatable; /* may arrive twice, so that it is tried again like a GET */
  int bulk;   /* of many: goes on the wire after all that are not */
} df_call;

/* What came of a request. */
typedef struct df_completion {
  uint64_t id;
  int rc;          /* 0, or -1 and error says why */
  df_error error;
  int status;      /* HTTP status of the last answer, 0 when there was none */
  int attempts;
  int64_t elapsed_ms;
  int64_t retry_after_ms; /* what the last answer asked to wait, 0 when it did not */
  char request_id[132];
  df_decode decode; /* what was asked for, and what doc is */
  df_json *doc;     /* decoded body of a success, or NULL */
  df_buf body;      /* the text of an error's body, or of any with DF_DECODE_TEXT; live secrets masked */
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

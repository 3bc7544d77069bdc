/* fetch.h: one logical call as a state machine: limit, send, judge, retry. */
#ifndef DF_API_FETCH_H
#define DF_API_FETCH_H

#include <stdint.h>

#include "api/backoff.h"
#include "api/ratelimit.h"

/* How the exchange itself ended. */
typedef enum df_transport {
  DF_TRANSPORT_OK,        /* a whole answer came */
  DF_TRANSPORT_UNSENT,    /* the server never saw the request: name lookup, connect, a refused stream */
  DF_TRANSPORT_TIMEOUT,   /* too slow, after the request may have gone out */
  DF_TRANSPORT_BROKEN,    /* the connection ended early, or the answer is garbled */
  DF_TRANSPORT_TOO_LARGE, /* the answer is over the size limit */
  DF_TRANSPORT_TLS,       /* the server could not prove who it is */
  DF_TRANSPORT_FORBIDDEN  /* it is at an address that requests do not go to */
} df_transport;

typedef enum df_body { DF_BODY_JSON, DF_BODY_BAD, DF_BODY_EMPTY } df_body;

/* One answer. Strings are NULL when absent, and are only read during df_fetch_answer. */
typedef struct df_answer {
  df_transport transport;
  const char *detail;      /* the transport's own words for what went wrong */
  int status;              /* 0 when no header came */
  df_body body;            /* BAD: not decodable as JSON */
  const char *retry_after; /* headers */
  const char *request_id;
  const char *content_type;
  const char *location;
  df_rate_headers rate;
  const char *error; /* text fields of an error's body */
  const char *message;
  const char *reason;
  const char *state; /* "status" in the body */
  const char *metric;
  const char *used; /* numbers as text */
  const char *limit;
  const char *increment; /* "requestedIncrement" */
} df_answer;

typedef struct df_fetch_policy {
  int max_attempts; /* requests at most; 0: 5 */
  int64_t deadline; /* monotonic ms that no wait passes; 0: none */
  int64_t max_wait; /* ms; a longer single wait is an error that says when to come back; 0: 300 s */
  int idempotent;   /* GET: may be sent again after 5xx and broken connections */
  int allow_empty;  /* 204 is a success */
  int any_status;   /* an answer that is not tried again is DONE whatever its status and body: the caller judges it */
  int tls_is_config; /* a server that cannot prove who it is is an error of the settings, not of the network */
  const char *what; /* "GET /api/v1/...", for messages; copied */
} df_fetch_policy;

typedef enum df_fetch_step { DF_FETCH_WAIT, DF_FETCH_SEND, DF_FETCH_DONE, DF_FETCH_FAILED } df_fetch_step;

typedef struct df_fetch {
  df_fetch_policy policy;
  df_ratelimit *limiter; /* shared by the client's calls; must outlive the fetch */
  df_rng rng;
  char what[128];
  df_fetch_step step; /* WAIT until resume_at, SEND while a request is out, or how it ended */
  int64_t resume_at;  /* monotonic ms */
  int attempts;
  int spent;             /* retry tokens, given back when the call succeeds */
  int status;            /* of the last answer, 0 when no header came */
  int64_t retry_after;   /* ms that the last answer asked to wait, 0 when it did not */
  char request_id[132]; /* of the last answer: printable, 128 bytes at most */
  df_error error;       /* filled once, when the step is FAILED */
} df_fetch;

/* Prepares a call; nothing is sent yet. policy is copied, seed starts the jitter of its waits. */
void df_fetch_init(df_fetch *f, const df_fetch_policy *policy, df_ratelimit *limiter, uint64_t seed);

/* What the call wants at monotonic time now (wall: Unix ms at the same moment).
   WAIT: ask again at *until. SEND: send one request (no longer than until the deadline), then df_fetch_answer; until
   then this asks to WAIT for the deadline. DONE, FAILED: it is over. */
df_fetch_step df_fetch_next(df_fetch *f, int64_t now, int64_t wall, int64_t *until);

/* Sends the request that is out once more, at once and at no cost: its answer only said that the key has been replaced. */
void df_fetch_again(df_fetch *f, int64_t now, int64_t wall, const df_answer *a);

/* Judges the answer to the request that is out: done, failed, or tried again later. */
void df_fetch_answer(df_fetch *f, int64_t now, int64_t wall, const df_answer *a);

#endif

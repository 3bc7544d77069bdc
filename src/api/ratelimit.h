/* ratelimit.h: when a client may send: its own rate, the server's quota, and a budget for retries. */
#ifndef DF_API_RATELIMIT_H
#define DF_API_RATELIMIT_H

#include <stdint.h>

#include "base/error.h"

/* A server's word holds a client back this long at most, so that one wrong header cannot stop a daemon for good. */
#define DF_HOLD_MAX_MS 3600000

/* One per client, shared by all its calls. */
typedef struct df_ratelimit {
  int64_t rate;        /* millionths of a token per millisecond; 0 unlimited */
  int64_t burst;       /* the bucket's size, millionths of a token */
  int64_t tokens;      /* what is in it */
  int64_t filled_at;   /* monotonic ms of the last refill */
  int64_t hold_until;  /* monotonic ms: nothing is sent before */
  int64_t quota;       /* requests the server still grants until quota_until */
  int64_t quota_until; /* monotonic ms; in the past: the server's quota is not known */
  int retry_tokens;    /* the retry budget, 0..100 */
} df_ratelimit;

/* The headers of one answer that speak of its rate limit, or NULL each. */
typedef struct df_rate_headers {
  const char *remaining; /* X-RateLimit-Remaining or RateLimit-Remaining */
  const char *reset;     /* X-RateLimit-Reset or RateLimit-Reset: seconds from now, or Unix time (s or ms) */
  const char *combined;  /* RateLimit: `"name";r=0;t=30` or `limit=10, remaining=0, reset=30` */
} df_rate_headers;

/* per_second 0: unlimited; burst 0: one second's worth, at least 1. Negative, NaN, over a million: DF_CONFIG. */
int df_ratelimit_init(df_ratelimit *r, double per_second, double burst, df_error *err);

/* 0: may send now (a token is taken); else the milliseconds to wait before asking again. */
int64_t df_ratelimit_next(df_ratelimit *r, int64_t now);

/* Learns from the headers of an answer, good or bad: `remaining` requests until the reset, then hold. */
void df_ratelimit_headers(df_ratelimit *r, int64_t now, int64_t wall, const df_rate_headers *h);

/* Holds all sending for ms (a 429's Retry-After speaks to the whole client). */
void df_ratelimit_hold(df_ratelimit *r, int64_t now, int64_t ms);

/* Pays for a retry: 5 of 100 tokens, 10 after a timeout. What it cost, or 0 when the budget is used up: fail fast. */
int df_ratelimit_retry(df_ratelimit *r, int after_timeout);

/* A call succeeded: what its retries cost comes back, and without retries one token. So calls that get through in the end
   never use the budget up; only those that fail do. (As AWS SDKs do in their standard mode.) */
void df_ratelimit_success(df_ratelimit *r, int spent);

#endif

/* backoff.h: how long to wait before the next attempt. */
#ifndef DF_API_BACKOFF_H
#define DF_API_BACKOFF_H

#include <stdint.h>

#define DF_BACKOFF_BASE_MS 1000
#define DF_BACKOFF_CAP_MS 60000

/* splitmix64. Any seed will do, but each client needs its own: equal seeds retry in step. */
typedef struct df_rng {
  uint64_t state;
} df_rng;

/* The next 64 random bits. */
uint64_t df_rng_next(df_rng *rng);

/* Full jitter: uniform in 0..min(60 s, 1 s * 2^n), milliseconds. n counts retries from 0; negative is 0. */
int64_t df_backoff_delay(df_rng *rng, int n);

/* Reads an HTTP date in any of the three forms of RFC 9110 section 5.6.7 into Unix milliseconds. wall resolves the
   two-digit year of the RFC 850 form. 0, or -1 when text is not one. */
int df_http_date_parse(int64_t *ms, const char *text, int64_t wall);

/* Milliseconds that a Retry-After value (RFC 9110 section 10.2.3: seconds or a date) asks to wait at the Unix time
   wall; not clamped. -1 when it asks for nothing usable: NULL, not a number or date, a past date, over 68 years. */
int64_t df_retry_after(const char *text, int64_t wall);

#endif

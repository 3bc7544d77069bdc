/* retry_after_fuzz.c: no header a server sends makes a wait negative or endless.
   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iinclude -Isrc spec/fuzz/retry_after_fuzz.c
         src/api/{backoff,ratelimit,fetch}.c src/base/{clock,error}.c */
#include <stdlib.h>
#include <string.h>

#include "api/fetch.h"

#define REQUIRE(x) \
  if (!(x)) abort()
#define WALL INT64_C(1767225600000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void headers(const char *text) {
  df_rate_headers all[] = {{text, "30", NULL}, {"0", text, NULL}, {text, text, NULL}, {NULL, NULL, text}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    df_ratelimit r;
    REQUIRE(df_ratelimit_init(&r, 0, 0, NULL) == 0);
    df_ratelimit_headers(&r, 1000, WALL, &all[i]);
    int64_t wait = df_ratelimit_next(&r, 1000);
    REQUIRE(wait >= 0 && wait <= DF_HOLD_MAX_MS);
    if (wait > 0) REQUIRE(df_ratelimit_next(&r, 1000 + wait) == 0);
  }
}

/* One call against a server that puts the text everywhere. */
static void call(const char *text, int status) {
  df_ratelimit r;
  df_fetch f;
  df_fetch_policy policy = {.idempotent = 1, .deadline = 500000};
  df_answer a = {.status = status,
                 .retry_after = text,
                 .request_id = text,
                 .content_type = text,
                 .location = text,
                 .rate = {text, text, text},
                 .error = text,
                 .message = text,
                 .reason = text,
                 .state = text,
                 .metric = text,
                 .used = text,
                 .limit = text,
                 .body = DF_BODY_BAD};
  int64_t now = 0, until;
  REQUIRE(df_ratelimit_init(&r, 0, 0, NULL) == 0);
  df_fetch_init(&f, &policy, &r, (uint64_t)status);
  for (int steps = 0;; steps++) {
    df_fetch_step step = df_fetch_next(&f, now, WALL + now, &until);
    REQUIRE(steps < 50 && now < policy.deadline);
    if (step == DF_FETCH_SEND) df_fetch_answer(&f, now, WALL + now, &a);
    if (step == DF_FETCH_FAILED) break;
    REQUIRE(step != DF_FETCH_DONE && until >= now);
    now = until;
  }
  REQUIRE(f.error.kind != DF_NONE && strlen(f.error.request_id) <= 128 && strlen(f.error.message) < 511);
  REQUIRE(f.error.retry_at_ms == 0 || f.error.retry_at_ms >= WALL + now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const int statuses[] = {200, 302, 403, 409, 422, 429, 503};
  char *text = strndup(data == NULL ? "" : (const char *)data, size);
  int64_t wait = df_retry_after(text, WALL), date;
  REQUIRE(wait >= -1 && wait <= (int64_t)INT32_MAX * 1000);
  if (df_http_date_parse(&date, text, WALL) == 0)
    REQUIRE(date > INT64_C(-62200000000000) && date < INT64_C(253500000000000));
  headers(text);
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) call(text, statuses[i]);
  free(text);
  return 0;
}

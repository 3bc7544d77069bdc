/* request_fuzz.c: no base URL, path or parameter may lead a request to another host; libcurl's parser is the judge.
   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iinclude -Isrc spec/fuzz/request_fuzz.c
         src/api/request.c src/base/buffer.c src/base/error.c -lcurl */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/request.h"

#define REQUIRE(x) \
  if (!(x)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *part(const char *url, CURLUPart what) {
  CURLU *u = curl_url();
  char *value = NULL;
  REQUIRE(curl_url_set(u, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK);
  REQUIRE(curl_url_get(u, what, &value, CURLU_DEFAULT_PORT) == CURLUE_OK);
  curl_url_cleanup(u);
  return value;
}

static void same_part(const char *a, const char *b, CURLUPart what) {
  char *x = part(a, what), *y = part(b, what);
  REQUIRE(strcmp(x, y) == 0);
  curl_free(x);
  curl_free(y);
}

/* Takes bytes up to the next 0xff. */
static const char *take(const uint8_t **data, size_t *size, size_t *n) {
  const uint8_t *end = *size == 0 ? NULL : memchr(*data, 0xff, *size);
  *n = end == NULL ? *size : (size_t)(end - *data);
  const char *text = (const char *)*data;
  size_t used = *n + (end != NULL);
  *data += used;
  *size -= used;
  return text;
}

static void check(const df_request *rq) {
  df_buf out = {0};
  df_error err;
  if (df_request_url(&out, rq, &err) == 0) {
    REQUIRE(out.data[out.len] == '\0' && strlen(out.data) == out.len && out.len <= DF_URL_MAX);
    REQUIRE(strpbrk(out.data, " \t\r\n\\@#") == NULL && strstr(out.data, "/../") == NULL);
    same_part(rq->base, out.data, CURLUPART_HOST);
    same_part(rq->base, out.data, CURLUPART_PORT);
    same_part(rq->base, out.data, CURLUPART_SCHEME);
  } else {
    REQUIRE(out.len == 0 && (err.kind == DF_INVALID || err.kind == DF_CONFIG) && err.message[0] != '\0');
  }
  df_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  df_param params[3];
  size_t n;
  const char *first = take(&data, &size, &n);
  char *base = strndup(first == NULL ? "" : first, n);
  df_request rq = {.base = base, .params = params};
  rq.path = take(&data, &size, &rq.path_len);
  for (; size > 0 && rq.n_params < 3; rq.n_params++) {
    df_param *p = &params[rq.n_params];
    p->name = take(&data, &size, &p->name_len);
    p->value = take(&data, &size, &p->value_len);
  }
  if (df_base_url_check(base, DF_BASE_API, NULL) == 0) {
    char *host = part(base, CURLUPART_HOST);
    REQUIRE(strncasecmp(base, "https://", 8) == 0 || strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
            strncmp(host, "127.", 4) == 0);
    curl_free(host);
    check(&rq);
  }
  rq.base = "https://api.defendis.ai/p/";
  check(&rq);
  free(base);
  return 0;
}

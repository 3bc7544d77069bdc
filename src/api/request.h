/* request.h: which URL a call goes to; no path and no parameter can lead it to another host. */
#ifndef DF_API_REQUEST_H
#define DF_API_REQUEST_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

#define DF_URL_MAX 8192
#define DF_PARAMS_MAX 64

typedef struct df_param {
  const char *name;
  size_t name_len;
  const char *value;
  size_t value_len;
} df_param;

typedef struct df_request {
  const char *base; /* as df_base_url_check accepts it */
  const char *path; /* "/api/v1/...", percent-encoded where needed */
  size_t path_len;
  const df_param *params;
  size_t n_params;
} df_request;

/* 0 when url is https://host[:port][/prefix], or the same with http and a loopback host; else DF_CONFIG. */
int df_base_url_check(const char *url, df_error *err);

/* 0 when method is GET, POST, PUT, DELETE or PATCH; else DF_INVALID. */
int df_method_check(const char *method, df_error *err);

/* Replaces out by the request's URL, NUL-terminated, parameters sorted by name (equal names keep their order), so that
   equal requests have equal URLs. A path or parameter that could change the host, the path's depth or the header lines
   is refused: DF_INVALID; out is then empty. */
int df_request_url(df_buf *out, const df_request *rq, df_error *err);

/* Appends bytes with all but RFC 3986's unreserved characters percent-encoded. 0, or -1 when memory runs out. */
int df_percent_encode(df_buf *out, const char *bytes, size_t n);

#endif

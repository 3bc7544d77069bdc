/* request.h: which URL a call goes to, and its header lines; no path and no parameter can lead it to another host. */
#ifndef DF_API_REQUEST_H
#define DF_API_REQUEST_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

#define DF_URL_MAX 8192
#define DF_PARAMS_MAX 64
#define DF_CONTENT_TYPE_MAX 64

typedef struct df_param {
  const char *name;
  size_t name_len;
  const char *value;
  size_t value_len;
} df_param;

typedef struct df_header {
  const char *name, *value;
} df_header;

typedef enum df_base {
  DF_BASE_API,           /* the vendor's */
  DF_BASE_ENDPOINT,      /* where a sink sends to */
  DF_BASE_ENDPOINT_PLAIN /* the same, and http is allowed to any host */
} df_base;

typedef struct df_request {
  const char *base; /* as df_base_url_check accepts it */
  df_base kind;
  const char *path; /* "/api/v1/...", percent-encoded where needed; may be empty for an endpoint */
  size_t path_len;
  const df_param *params;
  size_t n_params;
} df_request;

/* 0 when url is https://host[:port][/prefix], or the same with http and a loopback host; else DF_CONFIG. */
int df_base_url_check(const char *url, df_base kind, df_error *err);

/* 0 when method is GET, POST, PUT, DELETE or PATCH; else DF_INVALID. */
int df_method_check(const char *method, df_error *err);

/* Replaces out by the request's URL, NUL-terminated, parameters sorted by name (equal names keep their order), so that
   equal requests have equal URLs. A path or parameter that could change the host, the path's depth or the header lines
   is refused: DF_INVALID; out is then empty. */
int df_request_url(df_buf *out, const df_request *rq, df_error *err);

/* 0 when text can stand behind "Content-Type: "; else DF_CONFIG. */
int df_content_type_check(const char *text, df_error *err);

/* Appends "name: value" and a NUL. A header that the transfer itself sets, that carries credentials (they go through a
   secret), or that would break the lines: DF_CONFIG. */
int df_header_add(df_buf *lines, const df_header *header, df_error *err);

/* Appends bytes with all but RFC 3986's unreserved characters percent-encoded. 0, or -1 when memory runs out. */
int df_percent_encode(df_buf *out, const char *bytes, size_t n);

#endif

/* target.c: whom a client talks to, and with which secret, headers and certificates. */
#include "job/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/base64.h"

#define VENDOR_URL "https://api.defendis.ai"

static const char *first_text(const char *a, const char *b, const char *c, const char *d) {
  if (a != NULL) return a;
  if (b != NULL) return b;
  return c != NULL && *c != '\0' ? c : d;
}

void df_target_free(df_target *t) {
  df_secret_free(t->secret);
  df_key_free(&t->key);
  df_buf_free(&t->lines);
  free(t->url);
  free(t->ca_file);
  free(t->cert_file);
  free(t->key_file);
}

/* Basic sends user:password encoded: that text is what must not be printed either, so it becomes the secret. */
static int keep_basic(df_target *t, const char *login, df_error *err) {
  df_buf text = {0};
  size_t n = strlen(login);
  if (strchr(login, ':') == NULL) return df_fail(err, DF_CONFIG, "scheme \"Basic\": the secret must be user:password, and has no ':'");
  if (df_buf_reserve(&text, n * 2 + 4) != 0 || df_base64_encode(&text, login, n) != 0) {
    df_buf_free(&text);
    return df_fail(err, DF_LIMIT, "out of memory");
  }
  int rc = df_secret_new(&t->secret, text.data, text.len, "the secret", err);
  explicit_bzero(text.data, text.cap);
  df_buf_free(&text);
  return rc;
}

static int keep_secret(df_target *t, const df_endpoint_options *e, df_error *err) {
  const char *scheme = e->scheme != NULL ? e->scheme : "Bearer";
  size_t n = strspn(scheme, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
  if (n == 0 || scheme[n] != '\0' || n + 2 > sizeof t->scheme)
    return df_fail(err, DF_CONFIG, "scheme \"%.40s\": must be one word such as Bearer, Splunk, ApiKey or Basic", scheme);
  snprintf(t->scheme, sizeof t->scheme, "%s ", scheme);
  if (e->secret == NULL) return 0;
  if (strcasecmp(scheme, "Basic") == 0) return keep_basic(t, e->secret, err);
  return df_secret_new(&t->secret, e->secret, strlen(e->secret), "the secret", err);
}

/* Said now and with its name; libcurl would say it on the first request, and with less words. */
static int keep_file(char **to, const char *name, const char *path, df_error *err) {
  if (path == NULL) return 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return df_fail(err, DF_CONFIG, "%s: cannot read %.300s: %s", name, path, strerror(errno));
  close(fd);
  *to = strdup(path);
  return *to != NULL ? 0 : df_fail(err, DF_LIMIT, "out of memory");
}

static int keep_files(df_target *t, const char *ca, const char *cert, const char *key, df_error *err) {
  if (key != NULL && cert == NULL) return df_fail(err, DF_CONFIG, "key_file: needs cert_file, the certificate it belongs to");
  if (keep_file(&t->ca_file, "ca_file", ca, err) != 0 || keep_file(&t->cert_file, "cert_file", cert, err) != 0) return -1;
  return keep_file(&t->key_file, "key_file", key, err);
}

static int init_endpoint(df_target *t, const df_endpoint_options *e, df_error *err) {
  for (size_t i = 0; i < e->header_count; i++)
    if (df_header_add(&t->lines, &e->headers[i], err) != 0) return -1;
  if (keep_files(t, e->ca_file, e->cert_file, e->key_file, err) != 0) return -1;
  return keep_secret(t, e, err);
}

static const char *setting(const char *given, const char *variable) { return first_text(given, NULL, getenv(variable), NULL); }

int df_target_init(df_target *t, const df_client_options *o, const char *url, const char *key_file, df_error *err) {
  const df_endpoint_options *e = o->endpoint;
  if (e == NULL) url = first_text(o->base_url, url, getenv("DEFENDIS_BASE_URL"), VENDOR_URL);
  else url = o->base_url;
  t->kind = e == NULL ? DF_BASE_API : e->insecure_http ? DF_BASE_ENDPOINT_PLAIN : DF_BASE_ENDPOINT;
  if (df_base_url_check(url, t->kind, err) != 0) return -1;
  if ((t->url = strdup(url)) == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  t->stream = e != NULL && e->stream;
  t->no_link_local = e != NULL && !e->stream && !e->link_local;
  if (e != NULL) return init_endpoint(t, e, err);
  snprintf(t->scheme, sizeof t->scheme, "Bearer ");
  if (keep_files(t, setting(o->ca_file, "DEFENDIS_CA_FILE"), setting(o->cert_file, "DEFENDIS_CERT_FILE"),
                 setting(o->key_file, "DEFENDIS_KEY_FILE"), err) != 0)
    return -1;
  if (o->api_key != NULL) return df_secret_new(&t->key.secret, o->api_key, strlen(o->api_key), "API key", err);
  return df_key_init(&t->key, o->api_key_file == NULL && o->api_key_command == NULL ? key_file : o->api_key_file, o->api_key_command, err);
}

void df_target_describe(char *to, size_t size, const df_target *t, const df_call *k) {
  const char *host = strstr(t->url, "://") + 3;
  int width = t->kind == DF_BASE_API ? 0 : (int)strcspn(host, "/");
  snprintf(to, size, "%s %.*s%s", k->op == DF_OP_REQUEST ? k->method : "connect", width, host, k->path);
}

int df_target_prepare(df_target *t, const df_call *k, df_buf *url, df_buf *lines, df_error *err) {
  if (t->kind == DF_BASE_API && !k->no_key) {
    df_key_refresh(&t->key);
    if (t->key.secret == NULL) {
      *err = t->key.error;
      return -1;
    }
  }
  df_request rq = {.base = t->url, .kind = t->kind, .path = k->path, .path_len = strlen(k->path)};
  rq.params = k->params;
  rq.n_params = k->param_count;
  if (k->content_type != NULL && df_content_type_check(k->content_type, err) != 0) return -1;
  if (df_method_check(k->method, err) != 0 || df_request_url(url, &rq, err) != 0) return -1;
  if (df_buf_add(lines, t->lines.data, t->lines.len) != 0) return df_fail(err, DF_LIMIT, "out of memory");
  for (size_t i = 0; i < k->header_count; i++)
    if (df_header_add(lines, &k->headers[i], err) != 0) return -1;
  return 0;
}

void df_target_apply(df_target *t, df_http_request *r) {
  if (t->kind == DF_BASE_API) df_key_refresh(&t->key);
  const df_secret *secret = t->kind == DF_BASE_API ? t->key.secret : t->secret;
  r->plain = strncasecmp(t->url, "http:", 5) == 0;
  r->no_link_local = t->no_link_local;
  r->scheme = t->scheme;
  r->secret = secret != NULL ? df_secret_bytes(secret) : NULL;
  r->ca_file = t->ca_file;
  r->cert_file = t->cert_file;
  r->key_file = t->key_file;
}

/* connection.c: a byte stream over TCP or TLS, on libcurl's CONNECT_ONLY.

   libcurl 7.88 finds such a connection by looking through its cache, and drops idle ones from there when other transfers use
   the same cache or when they are older than those allow. So each has a cache (a pool) of its own. */
#include "io/connection.h"

#include <stdlib.h>

#include "io/curl.h"
#include "io/http.h"

struct df_connection {
  CURLM *multi; /* where the handle must stay as long as it is used */
  CURL *easy;
  df_http_pool *pool;
  curl_socket_t fd;
};

df_connection *df_connection_adopt(CURLM *multi, CURL *easy, df_http_pool *pool) {
  df_connection *c = calloc(1, sizeof *c);
  if (c == NULL) return NULL;
  *c = (df_connection){multi, easy, pool, CURL_SOCKET_BAD};
  df_curl.easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &c->fd);
  /* these belong to the transfer, which ends here */
  df_curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
  df_curl.easy_setopt(easy, CURLOPT_PRIVATE, NULL);
  df_curl.easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
  return c;
}

long df_connection_send(df_connection *c, const char *bytes, size_t n, df_error *err) {
  size_t sent = 0;
  CURLcode code = df_curl.easy_send(c->easy, bytes, n, &sent);
  if (code == CURLE_OK) return (long)sent;
  if (code == CURLE_AGAIN) return 0;
  return df_fail(err, DF_NETWORK, "the connection broke while sending: %s", df_curl.easy_strerror(code));
}

int df_connection_alive(df_connection *c) {
  char dropped[4096];
  for (;;) {
    size_t n = 0;
    CURLcode code = df_curl.easy_recv(c->easy, dropped, sizeof dropped, &n);
    if (code == CURLE_AGAIN) return 1;
    if (code != CURLE_OK || n == 0) return 0;
  }
}

int df_connection_descriptor(const df_connection *c) { return c->fd; }

void df_connection_free(df_connection *c) {
  if (c == NULL) return;
  df_curl.multi_remove_handle(c->multi, c->easy);
  df_curl.easy_cleanup(c->easy);
  df_http_pool_free(c->pool);
  free(c);
}

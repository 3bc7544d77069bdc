/* curl.h: libcurl's functions, for this folder only. */
#ifndef DF_IO_CURL_H
#define DF_IO_CURL_H

#include <curl/curl.h>

#include "io/connection.h"
#include "io/http.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt
#undef curl_share_setopt
#define DF_CURL_FUNCTIONS(X)                                                                                    \
  X(global_init) X(multi_init) X(multi_cleanup) X(multi_add_handle) X(multi_remove_handle) X(multi_perform)     \
  X(multi_poll) X(multi_info_read) X(multi_setopt) X(easy_init) X(easy_cleanup) X(easy_setopt) X(easy_getinfo)  \
  X(easy_strerror) X(easy_send) X(easy_recv) X(slist_append) X(slist_free_all) X(share_init) X(share_setopt)    \
  X(share_cleanup)

/* Filled by df_curl_load. */
extern struct df_curl {
#define X(name) __typeof__(&curl_##name) name;
  DF_CURL_FUNCTIONS(X)
#undef X
} df_curl;

/* Loads libcurl on the first call in the process. NULL, or what is wrong. */
const char *df_curl_load(void);

/* For CURLOPT_SSL_CTX_FUNCTION: what libcurl has no option for. Does nothing with another TLS library than OpenSSL 3. */
CURLcode df_curl_tls(CURL *easy, void *context, void *user);

/* A connection of a handle that has connected and stays in multi; owns the handle and the pool. NULL when memory runs out. */
df_connection *df_connection_adopt(CURLM *multi, CURL *easy, df_http_pool *pool);

#endif

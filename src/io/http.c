/* http.c: HTTP transfers, many at a time, on libcurl. */
#include "io/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/secret.h"
#include "io/curl.h"
#include "io/watch.h"

enum { BUFFER_BYTES = 128 * 1024, MAX_HEADER_BYTES = 256 * 1024, MAX_CONNECTIONS = 64 };
enum { CONNECT_MS = 10000, SLOW_BYTES = 100, SLOW_SECONDS = 30, MAX_AGE_SECONDS = 118 };
static const size_t default_max_body = (size_t)64 << 20;

typedef struct transfer {
  df_http_answer *answer;
  CURL *easy;
  struct curl_slist *headers;
  size_t max_body;
  size_t header_bytes;
  int too_big, connect_only;
  char forbidden[INET6_ADDRSTRLEN]; /* the address that was refused, or "" */
  df_http_pool *pool;
  char fault[CURL_ERROR_SIZE]; /* libcurl's words, more exact than those for its code */
  struct transfer *next;
} transfer;

struct df_http {
  CURLM *multi;
  transfer *active;
  df_http_answer **done; /* finished answers, first to last */
  size_t done_first, done_count, done_cap, active_count;
};

int df_http_new(df_http **out, df_error *err) {
  const char *fault = df_curl_load();
  if (fault != NULL) return df_fail(err, DF_CONFIG, "%s", fault);
  df_http *h = calloc(1, sizeof *h);
  if (h == NULL || (h->multi = df_curl.multi_init()) == NULL) {
    free(h);
    return df_fail(err, DF_LIMIT, "out of memory");
  }
  df_curl.multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)MAX_CONNECTIONS);
  *out = h;
  return 0;
}

int df_http_pool_new(df_http_pool **out, df_error *err) {
  CURLSH *share = df_curl.share_init();
  if (share == NULL || df_curl.share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) != CURLSHE_OK ||
      df_curl.share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK) {
    if (share != NULL) df_curl.share_cleanup(share);
    return df_fail(err, DF_LIMIT, "out of memory");
  }
  *out = (df_http_pool *)share;
  return 0;
}

void df_http_pool_free(df_http_pool *pool) {
  if (pool != NULL) df_curl.share_cleanup((CURLSH *)pool);
}

void df_http_answer_free(df_http_answer *a) {
  if (a == NULL) return;
  df_connection_free(a->connection);
  df_buf_free(&a->body);
  free(a);
}

/* Unlinks t, takes it off libcurl and frees all but its answer. */
static df_http_answer *finish(df_http *h, transfer *t) {
  for (transfer **p = &h->active; *p != NULL; p = &(*p)->next)
    if (*p == t) {
      *p = t->next;
      break;
    }
  h->active_count--;
  df_http_answer *a = t->answer;
  if (t->easy != NULL && a->connection == NULL) {
    df_curl.multi_remove_handle(h->multi, t->easy);
    df_curl.easy_cleanup(t->easy);
  }
  /* the Authorization line is in this list */
  for (struct curl_slist *s = t->headers; s != NULL; s = s->next) explicit_bzero(s->data, strlen(s->data));
  df_curl.slist_free_all(t->headers);
  free(t);
  return a;
}

void df_http_free(df_http *h) {
  if (h == NULL) return;
  while (h->active != NULL) df_http_answer_free(finish(h, h->active));
  for (df_http_answer *a; (a = df_http_next(h)) != NULL;) df_http_answer_free(a);
  free(h->done);
  df_curl.multi_cleanup(h->multi);
  free(h);
}

/* Room for what was announced, once: growing step by step would move a page several times. A wrong figure does no harm. */
static void reserve_body(transfer *t) {
  curl_off_t announced = 0;
  if (df_curl.easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced) == CURLE_OK && announced > 0 &&
      (uint64_t)announced <= t->max_body)
    (void)df_buf_reserve(&t->answer->body, (size_t)announced);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg) {
  transfer *t = arg;
  if (size * n > t->max_body - t->answer->body.len) {
    t->too_big = 1;
    return 0;
  }
  if (t->answer->body.len == 0) reserve_body(t);
  return df_buf_add(&t->answer->body, data, size * n) == 0 ? size * n : 0;
}

static void keep_header(df_http_answer *a, const char *line, size_t len) {
  static const struct {
    const char *name;
    df_http_header at;
  } wanted[] = {{"content-type", DF_H_CONTENT_TYPE},
                {"x-request-id", DF_H_REQUEST_ID},
                {"retry-after", DF_H_RETRY_AFTER},
                {"ratelimit", DF_H_RATE_COMBINED},
                {"x-ratelimit-remaining", DF_H_RATE_REMAINING},
                {"ratelimit-remaining", DF_H_RATE_REMAINING},
                {"x-ratelimit-reset", DF_H_RATE_RESET},
                {"ratelimit-reset", DF_H_RATE_RESET},
                {"location", DF_H_LOCATION}};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    size_t n = strlen(wanted[i].name);
    if (len <= n || line[n] != ':' || strncasecmp(line, wanted[i].name, n) != 0) continue;
    df_buf value = {0};
    for (n++; n < len; n++)
      if (line[n] >= 0x20 && line[n] < 0x7f && (line[n] != ' ' || value.len > 0) && df_buf_add(&value, &line[n], 1) != 0) break;
    df_secret_redact(&value); /* before the cut below, which could leave the first part of an echoed key */
    while (value.len > 0 && value.data[value.len - 1] == ' ') value.len--;
    snprintf(a->headers[wanted[i].at], sizeof a->headers[0], "%.*s", (int)value.len, value.len > 0 ? value.data : "");
    df_buf_free(&value);
    return;
  }
}

static size_t on_header(char *data, size_t size, size_t n, void *arg) {
  transfer *t = arg;
  size_t len = size * n;
  t->header_bytes += len;
  if (t->header_bytes > MAX_HEADER_BYTES) {
    t->too_big = 1;
    return 0;
  }
  if (len > 5 && strncmp(data, "HTTP/", 5) == 0) /* a new answer begins (after 1xx): forget the former one's headers */
    memset(t->answer->headers, 0, sizeof t->answer->headers);
  else
    keep_header(t->answer, data, len);
  return len;
}

/* 169.254.0.0/16 (also mapped into IPv6), fe80::/10, and where AWS serves its metadata over IPv6. */
static int is_link_local(const struct sockaddr *sa, char text[INET6_ADDRSTRLEN]) {
  static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
  static const unsigned char aws[16] = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
  struct sockaddr_in6 six;
  struct sockaddr_in four;
  if (sa->sa_family == AF_INET) {
    memcpy(&four, sa, sizeof four);
    inet_ntop(AF_INET, &four.sin_addr, text, INET6_ADDRSTRLEN);
    return ntohl(four.sin_addr.s_addr) >> 16 == 0xa9fe;
  }
  if (sa->sa_family != AF_INET6) return 0;
  memcpy(&six, sa, sizeof six);
  const unsigned char *b = six.sin6_addr.s6_addr;
  inet_ntop(AF_INET6, b, text, INET6_ADDRSTRLEN);
  if (memcmp(b, mapped, sizeof mapped) == 0) return b[12] == 0xa9 && b[13] == 0xfe;
  return (b[0] == 0xfe && (b[1] & 0xc0) == 0x80) || memcmp(b, aws, sizeof aws) == 0;
}

static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a) {
  transfer *t = arg;
  char text[INET6_ADDRSTRLEN] = "";
  (void)purpose;
  if (is_link_local(&a->addr, text)) {
    memcpy(t->forbidden, text, sizeof text);
    return CURL_SOCKET_BAD;
  }
  return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* A line of up to three parts. It is made in one piece, so that no copy of a secret stays in memory given back. */
static int add_header(transfer *t, const char *a, const char *b, const char *c) {
  df_buf line = {0};
  int rc = -1;
  if (df_buf_reserve(&line, strlen(a) + strlen(b) + strlen(c) + 1) == 0 && df_buf_puts(&line, a) == 0 && df_buf_puts(&line, b) == 0 &&
      df_buf_puts(&line, c) == 0 && df_buf_str(&line) != NULL) {
    struct curl_slist *more = df_curl.slist_append(t->headers, line.data);
    if (more != NULL) {
      t->headers = more;
      rc = 0;
    }
  }
  if (line.data != NULL) explicit_bzero(line.data, line.cap);
  df_buf_free(&line);
  return rc;
}

static int add_headers(transfer *t, const df_http_request *r) {
  static const char json[] = "application/json";
  if (add_header(t, "Accept: ", json, "") != 0) return -1;
  if (r->secret != NULL && add_header(t, "Authorization: ", r->scheme, r->secret) != 0) return -1;
  if (r->body != NULL && (add_header(t, "Content-Type: ", r->content_type != NULL ? r->content_type : json, "") != 0 ||
                          add_header(t, "Expect:", "", "") != 0))
    return -1;
  for (const char *line = r->lines; line < r->lines + r->lines_len; line += strlen(line) + 1)
    if (add_header(t, line, "", "") != 0) return -1;
  return 0;
}

/* libcurl's own sockets would be inherited by whatever a script's host starts. */
static curl_socket_t open_socket(void *unused, curlsocktype purpose, struct curl_sockaddr *to) {
  (void)unused;
  (void)purpose;
  return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static void set_connect_only(CURL *e) {
  df_curl.easy_setopt(e, CURLOPT_CONNECT_ONLY, 1L);
  df_curl.easy_setopt(e, CURLOPT_PROXY, "");
  df_curl.easy_setopt(e, CURLOPT_SSL_ENABLE_ALPN, 0L); /* what is spoken here has no name there */
  df_curl.easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
  df_curl.easy_setopt(e, CURLOPT_NOSIGNAL, 0L); /* or sending into a closed TLS connection may raise SIGPIPE */
}

static void set_options(transfer *t, const df_http_request *r) {
  CURL *e = t->easy;
  df_curl.easy_setopt(e, CURLOPT_URL, r->url);
  df_curl.easy_setopt(e, CURLOPT_PRIVATE, t);
  df_curl.easy_setopt(e, CURLOPT_ERRORBUFFER, t->fault);
  if (r->pool != NULL) df_curl.easy_setopt(e, CURLOPT_SHARE, (CURLSH *)r->pool);
  df_curl.easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
  df_curl.easy_setopt(e, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
  df_curl.easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
#if LIBCURL_VERSION_NUM >= 0x075500
  df_curl.easy_setopt(e, CURLOPT_PROTOCOLS_STR, r->plain ? "http,https" : "https");
#else
  df_curl.easy_setopt(e, CURLOPT_PROTOCOLS, r->plain ? (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS) : (long)CURLPROTO_HTTPS);
#endif
  df_curl.easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
  df_curl.easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
  df_curl.easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
  df_curl.easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  df_curl.easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, df_curl_tls);
  df_curl.easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  df_curl.easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
  df_curl.easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
#if LIBCURL_VERSION_NUM >= 0x075700
  df_curl.easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* or a transfer whose time is up waits for a resolver that does not answer */
#endif
  df_curl.easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES);
  df_curl.easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)SLOW_SECONDS);
  df_curl.easy_setopt(e, CURLOPT_MAXAGE_CONN, (long)MAX_AGE_SECONDS);
  df_curl.easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "");
  df_curl.easy_setopt(e, CURLOPT_USERAGENT, "defendis/" DEFENDIS_VERSION);
  df_curl.easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
  df_curl.easy_setopt(e, CURLOPT_WRITEDATA, t);
  df_curl.easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
  df_curl.easy_setopt(e, CURLOPT_HEADERDATA, t);
  df_curl.easy_setopt(e, CURLOPT_HTTPHEADER, t->headers);
  /* a proxy would see the key of a plain-http request */
  if (r->plain) df_curl.easy_setopt(e, CURLOPT_PROXY, "");
  if (r->no_link_local) df_curl.easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket);
  df_curl.easy_setopt(e, CURLOPT_OPENSOCKETDATA, t);
  if (r->connect_only) set_connect_only(e);
  if (r->body != NULL) {
    df_curl.easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
    df_curl.easy_setopt(e, CURLOPT_COPYPOSTFIELDS, r->body);
  }
  if (r->ca_file != NULL) {
    df_curl.easy_setopt(e, CURLOPT_CAINFO, r->ca_file);
    df_curl.easy_setopt(e, CURLOPT_CAPATH, NULL); /* or the system's authorities would count as well */
  }
  if (r->cert_file != NULL) df_curl.easy_setopt(e, CURLOPT_SSLCERT, r->cert_file);
  if (r->key_file != NULL) df_curl.easy_setopt(e, CURLOPT_SSLKEY, r->key_file);
  if (strcmp(r->method, "GET") != 0) {
    df_curl.easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->method);
    /* a request that dies without an answer on a used connection is sent again by libcurl; a write may have been done */
    if (!r->repeatable) df_curl.easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
  }
}

/* An answer must not be lost for want of memory: there is room for it before its request goes out. */
static int reserve_done(df_http *h) {
  size_t wanted = h->done_count + h->active_count + 1;
  if (wanted <= h->done_cap) return 0;
  df_http_answer **more = realloc(h->done, wanted * 2 * sizeof *more);
  if (more == NULL) return -1;
  h->done = more;
  h->done_cap = wanted * 2;
  return 0;
}

int df_http_start(df_http *h, const df_http_request *r, df_error *err) {
  transfer *t = calloc(1, sizeof *t);
  if (t == NULL || reserve_done(h) != 0 || (t->answer = calloc(1, sizeof *t->answer)) == NULL) {
    free(t);
    return df_fail(err, DF_LIMIT, "out of memory");
  }
  t->answer->tag = r->tag;
  t->connect_only = r->connect_only;
  t->pool = r->pool;
  t->max_body = r->max_body > 0 ? r->max_body : default_max_body;
  t->next = h->active;
  h->active = t;
  h->active_count++;
  int ok = (t->easy = df_curl.easy_init()) != NULL && add_headers(t, r) == 0;
  if (ok) {
    set_options(t, r);
    ok = df_curl.multi_add_handle(h->multi, t->easy) == CURLM_OK;
  }
  if (!ok) {
    df_http_answer_free(finish(h, t));
    return df_fail(err, DF_LIMIT, "out of memory while starting a request");
  }
  return 0;
}

void df_http_cancel(df_http *h, const void *tag) {
  for (transfer *t = h->active; t != NULL; t = t->next)
    if (t->answer->tag == tag) {
      df_http_answer_free(finish(h, t));
      return;
    }
}

static df_http_outcome judge(const transfer *t, CURLcode code) {
  if (t->too_big) return DF_HTTP_TOO_BIG;
  if (code == CURLE_COULDNT_CONNECT && t->forbidden[0] != '\0') return DF_HTTP_FORBIDDEN;
  switch (code) {
    case CURLE_OK:
      return DF_HTTP_OK;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
      return DF_HTTP_CONNECT;
    case CURLE_SSL_CONNECT_ERROR: /* the handshake broke off; no certificate was judged. Time does not bring a newer TLS */
      if (strstr(t->fault, "protocol version") != NULL || strstr(t->fault, "unsupported protocol") != NULL) return DF_HTTP_TLS;
      return DF_HTTP_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
      return DF_HTTP_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return DF_HTTP_TLS;
    case CURLE_OUT_OF_MEMORY: /* also what a header line over libcurl's own limit is called */
      return DF_HTTP_TOO_BIG;
    default:
      return DF_HTTP_BROKEN;
  }
}

static void keep_done(df_http *h, df_http_answer *a) {
  if (h->done_first == h->done_count) h->done_first = h->done_count = 0;
  h->done[h->done_count++] = a;
}

void df_http_poll(df_http *h, int wait_ms, const int *writing, size_t n) {
  int running = 0, queued = 0;
  struct curl_waitfd fds[DF_HTTP_WAIT_MAX + 1];
  for (size_t i = 0; i < n; i++) fds[i] = (struct curl_waitfd){.fd = writing[i], .events = CURL_WAIT_POLLOUT};
  df_curl.multi_perform(h->multi, &running);
  if (wait_ms > 0 && h->done_first == h->done_count) {
    for (transfer *t = h->active; t != NULL; t = t->next) queued++;
    /* running < queued: something has ended already and waits to be read */
    if (running == queued) {
      if (df_watch_fd() >= 0) fds[n++] = (struct curl_waitfd){.fd = df_watch_fd(), .events = CURL_WAIT_POLLIN};
      df_curl.multi_poll(h->multi, n > 0 ? fds : NULL, (unsigned)n, wait_ms, NULL);
      df_curl.multi_perform(h->multi, &running);
    }
  }
  for (CURLMsg *m; (m = df_curl.multi_info_read(h->multi, &queued)) != NULL;) {
    if (m->msg != CURLMSG_DONE) continue;
    transfer *t = NULL;
    long status = 0, connects = 1;
    CURLcode code = m->data.result;
    df_curl.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
    df_curl.easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &status);
    df_curl.easy_getinfo(m->easy_handle, CURLINFO_NUM_CONNECTS, &connects);
    t->answer->reused = connects == 0;
    t->answer->outcome = judge(t, code);
    t->answer->status = (int)status;
    if (code != CURLE_OK)
      snprintf(t->answer->detail, sizeof t->answer->detail, "%.159s", t->fault[0] != '\0' ? t->fault : df_curl.easy_strerror(code));
    if (t->answer->outcome == DF_HTTP_FORBIDDEN) snprintf(t->answer->detail, sizeof t->answer->detail, "%s", t->forbidden);
    if (code == CURLE_OK && t->connect_only && (t->answer->connection = df_connection_adopt(h->multi, t->easy, t->pool)) == NULL)
      t->answer->outcome = DF_HTTP_TOO_BIG;
    keep_done(h, finish(h, t));
  }
}

df_http_answer *df_http_next(df_http *h) { return h->done_first < h->done_count ? h->done[h->done_first++] : NULL; }

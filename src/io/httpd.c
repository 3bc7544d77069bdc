/* httpd.c: a single-threaded HTTP/1.1 server on 127.0.0.1 that can also misbehave on purpose. */
#include "io/httpd.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/clock.h"

/* The library and what it pulls in (TLS, big numbers) cost milliseconds of every start when linked. */
#define MHD_FUNCTIONS(X)                                                                                    \
  X(start_daemon) X(stop_daemon) X(run) X(get_timeout) X(get_daemon_info) X(suspend_connection)             \
  X(resume_connection) X(get_connection_values_n) X(create_response_from_buffer)                            \
  X(create_response_from_buffer_with_free_callback) X(create_response_from_callback)                        \
  X(add_response_header) X(queue_response) X(destroy_response)

static struct {
#define FIELD(name) __typeof__(&MHD_##name) name;
  MHD_FUNCTIONS(FIELD)
#undef FIELD
  int loaded;
} mhd;

typedef enum { RECEIVING, READY, TAKEN, ANSWERED, SENDING } phase;

/* One HTTP request from its first header to its last byte; the library carries the pointer and says when it is over. */
typedef struct request {
  struct request *prev, *next;
  df_httpd *server;
  struct MHD_Connection *connection;
  struct MHD_Response *response; /* from the answer until it is queued */
  uint64_t id;
  char *method, *path;
  df_buf body;
  df_httpd_pair *pairs;
  size_t n_pairs, cap_pairs;
  int failed; /* status to answer without asking anybody, or 0 */
  int status;
  phase phase;
  int suspended;
  int64_t due_ms; /* when suspended and answered: resume at this time */
} request;

/* A body that is sent in part or in pieces. Owned by the response. */
typedef struct reader {
  request *req;
  size_t end;   /* bytes really sent */
  size_t piece; /* bytes per turn, or 0 */
  int pause_ms;
  uint64_t turn_end; /* this turn sends up to here */
  char bytes[];
} reader;

struct df_httpd {
  struct MHD_Daemon *daemon;
  request *first, *last;
  uint64_t last_id;
  int epoll_fd;
  int port;
};

static volatile sig_atomic_t signalled;
static int signals_on;

static void note_signal(int number) {
  (void)number;
  signalled = 1;
}

void df_httpd_on_signals(void) {
  struct sigaction act = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND};
  sigemptyset(&act.sa_mask);
  signalled = 0;
  signals_on = 1;
  sigaction(SIGINT, &act, NULL);
  sigaction(SIGTERM, &act, NULL);
}

int df_httpd_signalled(void) {
  return signalled;
}

static int load(df_error *err) {
  if (mhd.loaded) return 0;
  void *lib = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL);
  if (lib == NULL)
    return df_fail(err, DF_CONFIG, "the HTTP server needs libmicrohttpd.so.12 (Debian package libmicrohttpd12): %s",
                   dlerror());
#define LOAD(name)                                                                                  \
  do {                                                                                              \
    void *symbol = dlsym(lib, "MHD_" #name);                                                        \
    if (symbol == NULL) return df_fail(err, DF_CONFIG, "libmicrohttpd is too old: no MHD_" #name); \
    memcpy(&mhd.name, &symbol, sizeof symbol);                                                      \
  } while (0);
  MHD_FUNCTIONS(LOAD)
#undef LOAD
  mhd.loaded = 1;
  return 0;
}

static void suspend(request *r, int64_t due_ms) {
  r->suspended = 1;
  r->due_ms = due_ms;
  mhd.suspend_connection(r->connection);
}

static void resume(request *r) {
  r->suspended = 0;
  mhd.resume_connection(r->connection);
}

static void request_free(request *r) {
  df_httpd *h = r->server;
  *(r->prev != NULL ? &r->prev->next : &h->first) = r->next;
  *(r->next != NULL ? &r->next->prev : &h->last) = r->prev;
  if (r->response != NULL) mhd.destroy_response(r->response);
  df_buf_free(&r->body);
  free(r->pairs);
  free(r->method);
  free(r->path);
  free(r);
}

static request *request_new(df_httpd *h, struct MHD_Connection *connection, const char *method, const char *path) {
  request *r = calloc(1, sizeof *r);
  if (r == NULL) return NULL;
  r->server = h;
  r->connection = connection;
  r->id = ++h->last_id;
  r->prev = h->last;
  *(h->last != NULL ? &h->last->next : &h->first) = r;
  h->last = r;
  r->method = strdup(method);
  r->path = strdup(path);
  if (r->method != NULL && r->path != NULL) return r;
  request_free(r);
  return NULL;
}

static enum MHD_Result add_pair(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_len, const char *value,
                                size_t value_len) {
  request *r = cls;
  if (r->n_pairs == r->cap_pairs) {
    size_t cap = r->cap_pairs != 0 ? 2 * r->cap_pairs : 16;
    df_httpd_pair *grown = realloc(r->pairs, cap * sizeof *grown);
    if (grown == NULL) {
      r->failed = 500;
      return MHD_NO;
    }
    r->pairs = grown;
    r->cap_pairs = cap;
  }
  df_httpd_pair_kind ours = kind == MHD_HEADER_KIND ? DF_HTTPD_HEADER : DF_HTTPD_QUERY;
  r->pairs[r->n_pairs++] = (df_httpd_pair){ours, key, key_len, value != NULL ? value : "", value_len};
  return MHD_YES;
}

static enum MHD_Result queue(request *r) {
  enum MHD_Result ok = mhd.queue_response(r->connection, (unsigned)r->status, r->response);
  mhd.destroy_response(r->response);
  r->response = NULL;
  r->phase = SENDING;
  return ok;
}

static enum MHD_Result refuse(request *r) {
  static char text[] = "{\"error\":\"Request body too large\"}", broken[] = "{\"error\":\"Out of memory\"}";
  char *body = r->failed == 413 ? text : broken;
  r->response = mhd.create_response_from_buffer(strlen(body), body, MHD_RESPMEM_PERSISTENT);
  if (r->response == NULL) return MHD_NO;
  r->status = r->failed;
  mhd.add_response_header(r->response, "content-type", "application/json");
  return queue(r);
}

static void take_body(request *r, const char *data, size_t n) {
  if (r->failed != 0) return;
  if (n > DF_HTTPD_BODY_MAX - r->body.len)
    r->failed = 413;
  else if (df_buf_add(&r->body, data, n) != 0)
    r->failed = 500;
  if (r->failed != 0) df_buf_free(&r->body);
}

/* Called with the headers, with each piece of the body, at the end of the body, and again after a resume. */
static enum MHD_Result on_access(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                 const char *version, const char *data, size_t *data_len, void **con_cls) {
  (void)version;
  request *r = *con_cls;
  if (r == NULL) {
    r = request_new(cls, connection, method, url);
    *con_cls = r;
    return r != NULL ? MHD_YES : MHD_NO;
  }
  if (*data_len > 0) {
    take_body(r, data, *data_len);
    *data_len = 0;
    return MHD_YES;
  }
  if (r->phase == ANSWERED) return queue(r);
  if (r->failed == 0) mhd.get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, add_pair, r);
  if (r->failed == 0) mhd.get_connection_values_n(connection, MHD_HEADER_KIND, add_pair, r);
  if (r->failed != 0) return refuse(r);
  r->phase = READY;
  suspend(r, INT64_MAX);
  return MHD_YES;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode why) {
  (void)cls;
  (void)connection;
  (void)why;
  if (*con_cls != NULL) request_free(*con_cls);
  *con_cls = NULL;
}

int df_httpd_start(df_httpd **out, int port, df_error *err) {
  *out = NULL;
  if (load(err) != 0) return -1;
  if (port < 0 || port > 65535) return df_fail(err, DF_CONFIG, "port %d is not between 0 and 65535", port);
  df_httpd *h = calloc(1, sizeof *h);
  if (h == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  errno = 0;
  h->daemon = mhd.start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, (uint16_t)port, NULL, NULL, on_access, h,
                               MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&addr, MHD_OPTION_NOTIFY_COMPLETED,
                               on_completed, h, MHD_OPTION_CONNECTION_TIMEOUT, 60U, MHD_OPTION_END);
  if (h->daemon == NULL) {
    free(h);
    return df_fail(err, DF_CONFIG, "cannot listen on 127.0.0.1:%d: %s", port, errno != 0 ? strerror(errno) : "refused");
  }
  h->port = mhd.get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
  h->epoll_fd = mhd.get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
  *out = h;
  return 0;
}

int df_httpd_port(const df_httpd *h) {
  return h->port;
}

/* Resumes what is due; returns when the next one is. */
static int64_t wake(df_httpd *h, int64_t now) {
  int64_t next = INT64_MAX;
  for (request *r = h->first; r != NULL; r = r->next) {
    if (!r->suspended) continue;
    if (r->due_ms <= now)
      resume(r);
    else if (r->due_ms < next)
      next = r->due_ms;
  }
  return next;
}

/* Waits for the sockets or until `until`. A stop signal is held back until ppoll, which it ends, so that none falls
   between the look at the flag and the wait. */
static void wait_for_events(df_httpd *h, int64_t now, int64_t until) {
  MHD_UNSIGNED_LONG_LONG own;
  if (mhd.get_timeout(h->daemon, &own) == MHD_YES && own < (unsigned long long)(until - now))
    until = now + (int64_t)own;
  struct timespec wait = {.tv_sec = (until - now) / 1000, .tv_nsec = (until - now) % 1000 * 1000000};
  struct pollfd fd = {.fd = h->epoll_fd, .events = POLLIN};
  if (!signals_on) {
    (void)!ppoll(&fd, 1, &wait, NULL);
    return;
  }
  sigset_t stops, before;
  sigemptyset(&stops);
  sigaddset(&stops, SIGINT);
  sigaddset(&stops, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stops, &before);
  if (!signalled) (void)!ppoll(&fd, 1, &wait, &before);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int df_httpd_step(df_httpd *h, df_httpd_request *out, int timeout_ms) {
  int64_t deadline = df_clock_mono_ms() + (timeout_ms > 0 ? timeout_ms : 0);
  for (;;) {
    int64_t now = df_clock_mono_ms(), next = wake(h, now);
    mhd.run(h->daemon);
    for (request *r = h->first; r != NULL; r = r->next) {
      if (r->phase != READY) continue;
      r->phase = TAKEN;
      const char *body = r->body.len > 0 ? r->body.data : "";
      *out = (df_httpd_request){r->id, r->method, r->path, r->pairs, r->n_pairs, body, r->body.len};
      return 1;
    }
    if (signalled || now >= deadline) return 0;
    next = wake(h, now); /* the run may have paused a slow body */
    wait_for_events(h, now, next < deadline ? next : deadline);
  }
}

int df_httpd_wants(const df_httpd *h, int *fd) {
  MHD_UNSIGNED_LONG_LONG own;
  *fd = h->epoll_fd;
  return mhd.get_timeout(h->daemon, &own) == MHD_YES && own < 1000 ? (int)own : 1000;
}

static ssize_t read_body(void *cls, uint64_t pos, char *buf, size_t max) {
  reader *b = cls;
  if (pos >= b->end) return MHD_CONTENT_READER_END_WITH_ERROR;
  uint64_t stop = b->end;
  if (b->piece != 0) {
    if (pos >= b->turn_end) {
      int64_t now = df_clock_mono_ms();
      if (pos != 0 && now < b->req->due_ms) {
        suspend(b->req, b->req->due_ms);
        return 0;
      }
      b->turn_end = pos + b->piece;
      b->req->due_ms = now + b->pause_ms;
    }
    if (b->turn_end < stop) stop = b->turn_end;
  }
  size_t n = stop - pos < max ? (size_t)(stop - pos) : max;
  memcpy(buf, b->bytes + pos, n);
  return (ssize_t)n;
}

static struct MHD_Response *make_response(request *r, const df_httpd_answer *a) {
  if (!a->truncate && a->slow_bytes == 0) {
    char *copy = malloc(a->body_len + 1);
    if (copy == NULL) return NULL;
    if (a->body_len > 0) memcpy(copy, a->body, a->body_len);
    struct MHD_Response *response = mhd.create_response_from_buffer_with_free_callback(a->body_len, copy, free);
    if (response == NULL) free(copy);
    return response;
  }
  reader *b = malloc(sizeof *b + a->body_len);
  if (b == NULL) return NULL;
  *b = (reader){.req = r, .end = a->body_len, .piece = a->slow_bytes, .pause_ms = a->slow_ms};
  if (a->truncate && a->truncate_at < b->end) b->end = a->truncate_at;
  if (a->body_len > 0) memcpy(b->bytes, a->body, a->body_len);
  size_t block = a->slow_bytes != 0 && a->slow_bytes < 16384 ? a->slow_bytes : 16384;
  struct MHD_Response *response = mhd.create_response_from_callback(a->body_len, block, read_body, b, free);
  if (response == NULL) free(b);
  return response;
}

int df_httpd_answer_to(df_httpd *h, uint64_t id, const df_httpd_answer *a, df_error *err) {
  request *r = h->first;
  while (r != NULL && (r->id != id || r->phase != TAKEN)) r = r->next;
  if (r == NULL) return df_fail(err, DF_CONFIG, "this request was answered already");
  r->status = a->status != 0 ? a->status : 200;
  if (r->status < 200 || r->status > 599)
    return df_fail(err, DF_CONFIG, "status %d is not between 200 and 599", r->status);
  struct MHD_Response *response = make_response(r, a);
  if (response == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  for (size_t i = 0; i < a->n_headers; i++) {
    if (mhd.add_response_header(response, a->headers[i].name, a->headers[i].value) == MHD_YES) continue;
    mhd.destroy_response(response);
    return df_fail(err, DF_CONFIG, "\"%s: %s\" cannot be a response header", a->headers[i].name, a->headers[i].value);
  }
  r->response = response;
  r->phase = ANSWERED;
  if (a->delay_ms > 0)
    r->due_ms = df_clock_mono_ms() + a->delay_ms;
  else
    resume(r);
  return 0;
}

void df_httpd_stop(df_httpd *h) {
  if (h == NULL) return;
  for (request *r = h->first; r != NULL; r = r->next)
    if (r->suspended) resume(r); /* the library aborts the process when it stops over suspended connections */
  mhd.stop_daemon(h->daemon);
  free(h);
}

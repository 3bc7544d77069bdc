/* local.c: a port in this process, with its own clients and transfers. */
#include "job/local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/fetch.h"
#include "base/clock.h"
#include "base/secret.h"
#include "io/http.h"
#include "io/watch.h"
#include "job/tally.h"
#include "job/tape.h"
#include "job/target.h"
#include "job/trace.h"
#include "job/words.h"

enum { DEFAULT_TIMEOUT_MS = 120000, DEFAULT_IN_FLIGHT = 8, TAPE_WAIT_MS = 5 };

typedef struct client {
  uint32_t id;
  df_target target;
  df_ratelimit limiter;
  int64_t timeout_ms;
  int max_attempts, max_in_flight, in_flight;
  df_http_pool *pool; /* NULL until a request is sent */
  df_connection *connection; /* of a stream, NULL while it is closed */
  struct call *sending;      /* its bytes are going out */
  struct client *next;
} client;

typedef struct call {
  const void *owner;
  client *client; /* NULL: a timer */
  df_op op;
  df_fetch fetch;
  char method[8];
  df_buf url, lines, body;
  char content_type[DF_CONTENT_TYPE_MAX];
  size_t sent; /* of body, on a stream */
  size_t taped; /* where the path begins in the URL of a call that the tape is told of, or 0 */
  int no_key, repeatable, bulk, on_wire, done, fd, renewed;
  uint64_t key_generation; /* of the key that it was sent with */
  int64_t started, due, sent_at;
  df_completion *completion;
  struct call *next;
} call;

typedef struct local {
  df_port port;
  df_http *http; /* NULL until a request is sent */
  client *clients;
  call *first, **last; /* in the order of submission */
  uint32_t last_client;
  uint64_t last_call, seed;
  char *default_url, *default_key_file;
} local;

void df_completion_free(df_completion *c) {
  if (c == NULL) return;
  df_json_free(c->doc);
  df_buf_free(&c->body);
  free(c);
}

static char *copy_text(const char *text) { return text != NULL ? strdup(text) : NULL; }

static void free_client(client *c) {
  df_connection_free(c->connection);
  df_http_pool_free(c->pool);
  df_target_free(&c->target);
  free(c);
}

static void take_off_wire(local *l, call *c) {
  if (!c->on_wire) return;
  df_http_cancel(l->http, c);
  c->on_wire = 0;
  c->client->in_flight--;
}

/* What was to follow on it must not: half a message may be out. */
static void drop_connection(client *c) {
  df_connection_free(c->connection);
  c->connection = NULL;
  c->sending = NULL;
}

static void free_call(local *l, call *c) {
  for (call **p = &l->first; *p != NULL; p = &(*p)->next)
    if (*p == c) {
      *p = c->next;
      if (l->last == &c->next) l->last = p;
      break;
    }
  take_off_wire(l, c);
  if (c->client != NULL && c->client->sending == c) drop_connection(c->client);
  df_completion_free(c->completion);
  df_buf_free(&c->url);
  df_buf_free(&c->lines);
  df_buf_free(&c->body);
  free(c);
}

static int open_client(df_port *port, uint32_t *id, const df_client_options *o, df_error *err) {
  local *l = (local *)port;
  client *c = calloc(1, sizeof *c);
  if (c == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  c->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : DEFAULT_TIMEOUT_MS;
  c->max_attempts = o->max_attempts;
  c->max_in_flight = o->max_in_flight > 0 ? o->max_in_flight : DEFAULT_IN_FLIGHT;
  if (df_target_init(&c->target, o, l->default_url, l->default_key_file, err) != 0 ||
      df_ratelimit_init(&c->limiter, o->per_second, 0, err) != 0) {
    free_client(c);
    return -1;
  }
  c->id = *id = ++l->last_client;
  c->next = l->clients;
  l->clients = c;
  return 0;
}

static client *find_client(local *l, uint32_t id) {
  client *c = l->clients;
  while (c != NULL && c->id != id) c = c->next;
  return c;
}

static int prepare(local *l, call *c, const df_call *k, df_error *err) {
  c->client = find_client(l, k->client);
  if (c->client == NULL) return df_fail(err, DF_CONFIG, "the client is closed");
  if ((c->op != DF_OP_REQUEST) != c->client->target.stream)
    return df_fail(err, DF_CONFIG, "requests are not for a stream, and bytes for nothing else");
  df_call keyless = *k;
  keyless.no_key |= df_tape_is() == DF_TAPE_PLAY;
  if (df_target_prepare(&c->client->target, &keyless, &c->url, &c->lines, err) != 0 || df_buf_str(&c->url) == NULL) return -1;
  if (df_tape_is() != DF_TAPE_OFF && c->client->target.kind == DF_BASE_API) c->taped = strlen(c->client->target.url);
  c->done = c->taped > 0 && df_tape_is() == DF_TAPE_PLAY;
  if (k->body != NULL && (df_buf_add(&c->body, k->body, k->body_len) != 0 || df_buf_str(&c->body) == NULL))
    return df_fail(err, DF_LIMIT, "out of memory");
  snprintf(c->method, sizeof c->method, "%s", k->method);
  if (k->content_type != NULL) snprintf(c->content_type, sizeof c->content_type, "%s", k->content_type);
  char what[128];
  df_target_describe(what, sizeof what, &c->client->target, k);
  int is_get = strcmp(k->method, "GET") == 0;
  c->repeatable = is_get || k->repeatable;
  df_fetch_policy policy = {.max_attempts = c->client->max_attempts,
                            .deadline = c->started + (k->timeout_ms > 0 ? k->timeout_ms : c->client->timeout_ms),
                            .idempotent = c->repeatable,
                            .allow_empty = !is_get,
                            .any_status = k->decode == DF_DECODE_TEXT,
                            .tls_is_config = c->client->target.kind == DF_BASE_API,
                            .what = what};
  df_fetch_init(&c->fetch, &policy, &c->client->limiter, l->seed ^ (l->last_call * UINT64_C(0x9E3779B97F4A7C15)));
  return 0;
}

static int submit(df_port *port, uint64_t *id, const df_call *k, df_error *err) {
  local *l = (local *)port;
  call *c = calloc(1, sizeof *c);
  if (c == NULL || (c->completion = calloc(1, sizeof *c->completion)) == NULL) {
    free(c);
    return df_fail(err, DF_LIMIT, "out of memory");
  }
  c->owner = k->owner;
  c->op = k->op;
  c->no_key = k->no_key;
  c->bulk = k->bulk;
  c->fd = k->fd;
  c->started = df_clock_mono_ms();
  c->due = c->started + (df_tape_is() == DF_TAPE_PLAY && k->timeout_ms > TAPE_WAIT_MS ? TAPE_WAIT_MS : k->timeout_ms);
  c->completion->decode = k->decode;
  c->completion->id = *id = ++l->last_call;
  *l->last = c;
  l->last = &c->next;
  if (k->client != 0 && prepare(l, c, k, err) != 0) {
    c->client = NULL;
    free_call(l, c);
    if (err != NULL) df_secret_redact_text(err->message); /* it may quote the path */
    return -1;
  }
  return 0;
}

static call *find_done(local *l, const void *owner, uint64_t id) {
  for (call *c = l->first; c != NULL; c = c->next)
    if (c->done && c->owner == owner && (id == 0 || c->completion->id == id)) return c;
  return NULL;
}

static int ready(df_port *port, const void *owner, uint64_t id) { return find_done((local *)port, owner, id) != NULL; }

static df_completion *collect(df_port *port, const void *owner, uint64_t id) {
  call *c = find_done((local *)port, owner, id);
  if (c == NULL) return NULL;
  df_completion *done = c->completion;
  c->completion = NULL;
  if (c->taped > 0 && df_tape_is() != DF_TAPE_OFF) df_tape_pass(c->method, c->url.data + c->taped, &c->body, done);
  free_call((local *)port, c);
  return done;
}

static int pending(df_port *port, const void *owner, uint64_t id) {
  for (call *c = ((local *)port)->first; c != NULL; c = c->next)
    if (c->owner == owner && (id == 0 || c->completion->id == id)) return 1;
  return 0;
}

static void abandon(df_port *port, const void *owner) {
  local *l = (local *)port;
  for (call *c = l->first, *next; c != NULL; c = next) {
    next = c->next;
    if (c->owner == owner) free_call(l, c);
  }
}

static void cancel(df_port *port, const void *owner, uint64_t id) {
  local *l = (local *)port;
  for (call *c = l->first; c != NULL; c = c->next)
    if (c->owner == owner && c->completion->id == id) {
      free_call(l, c);
      return;
    }
}

static void complete(call *c, int64_t now) {
  df_completion *d = c->completion;
  c->done = 1;
  d->elapsed_ms = now - c->started;
  if (c->client == NULL) return;
  d->attempts = c->fetch.attempts;
  d->status = c->fetch.status;
  d->retry_after_ms = c->fetch.retry_after;
  df_secret_redact(&d->body); /* a server may echo what it was sent */
  if (c->fetch.step == DF_FETCH_FAILED) {
    d->rc = -1;
    d->error = c->fetch.error;
    df_secret_redact_text(d->error.message);
    df_json_free(d->doc);
    d->doc = NULL;
  }
}

/* Whoever waits for one of its requests is told. */
static void close_client(df_port *port, uint32_t id) {
  local *l = (local *)port;
  client *c = find_client(l, id);
  if (c == NULL) return;
  int64_t now = df_clock_mono_ms();
  for (call *k = l->first; k != NULL; k = k->next) {
    if (k->client != c) continue;
    if (!k->done) {
      take_off_wire(l, k);
      k->fetch.step = DF_FETCH_FAILED;
      df_fail(&k->fetch.error, DF_CONFIG, "the client was closed while this request was under way");
      complete(k, now);
    }
    k->client = NULL;
  }
  for (client **p = &l->clients; *p != NULL; p = &(*p)->next)
    if (*p == c) {
      *p = c->next;
      break;
    }
  free_client(c);
}

static int start_request(local *l, call *c, int64_t now, df_error *err) {
  int64_t left = c->fetch.policy.deadline - now;
  df_http_request r = {.method = c->method,
                       .url = c->url.data,
                       .content_type = c->content_type[0] != '\0' ? c->content_type : NULL,
                       .lines = c->lines.data,
                       .lines_len = c->lines.len,
                       .body = c->body.data,
                       .body_len = c->body.len,
                       .timeout_ms = left > 0 ? left : 1,
                       .repeatable = c->repeatable,
                       .tag = c};
  df_target_apply(&c->client->target, &r);
  c->key_generation = c->client->target.key.generation;
  if (c->no_key) r.secret = NULL;
  if (l->http == NULL && df_http_new(&l->http, err) != 0) return -1;
  if (c->client->pool == NULL && df_http_pool_new(&c->client->pool, err) != 0) return -1;
  r.pool = c->client->pool;
  r.connect_only = c->op == DF_OP_CONNECT;
  return df_http_start(l->http, &r, err);
}

static void send_request(local *l, call *c, int64_t now) {
  df_error err;
  c->sent_at = now;
  if (start_request(l, c, now, &err) == 0) {
    c->on_wire = 1;
    c->client->in_flight++;
  } else {
    c->fetch.step = DF_FETCH_FAILED;
    c->fetch.error = err;
    complete(c, now);
  }
}

static void keep_text(call *c, df_http_answer *a) {
  df_buf_free(&c->completion->body);
  c->completion->body = a->body;
  a->body = (df_buf){0};
}

static void trace(const call *c, const df_http_answer *a, size_t bytes, int64_t now) {
  static const char *const decisions[] = {"retry", "retry", "done", "fail"}, *const names[] = {DF_HTTP_HEADER_NAMES};
  const df_completion *d = c->completion;
  int is_api = c->client->target.kind == DF_BASE_API;
  df_attempt t = {.method = c->method,
                  .url = is_api ? c->url.data + strlen(c->client->target.url) : strchr(c->fetch.what, ' ') + 1,
                  .outcome = a->outcome == DF_HTTP_OK ? "answered" : a->detail,
                  .request_id = d->request_id,
                  .decision = decisions[c->fetch.step],
                  .status = a->status,
                  .attempt = c->fetch.attempts,
                  .reused = a->reused,
                  .ms = now - c->sent_at,
                  .wait_ms = c->fetch.step == DF_FETCH_WAIT ? c->fetch.resume_at - now : 0,
                  .bytes = bytes,
                  .request = &c->body,
                  .answer = d->body.data,
                  .answer_len = d->body.len,
                  .headers = a->headers, .names = names, .header_count = DF_H_COUNT};
  if (d->doc != NULL) t.answer = df_json_span(d->doc, 0, &t.answer_len);
  df_trace_attempt(&t);
}

/* A key that was replaced while the request was under way, or a moment before: once, and nothing was done yet. */
static int must_renew(call *c, const df_http_answer *a) {
  if (a->outcome != DF_HTTP_OK || a->status != 401 || c->no_key || c->renewed || c->client->target.kind != DF_BASE_API) return 0;
  c->renewed = df_key_renew(&c->client->target.key, c->key_generation);
  return c->renewed;
}

static void on_answer(call *c, df_http_answer *a) {
  size_t bytes = a->body.len;
  int64_t now = df_clock_mono_ms(), wall = df_clock_wall_ms();
  c->on_wire = 0;
  c->client->in_flight--;
  df_answer out = df_answer_of(a);
  df_completion *d = c->completion;
  if (c->client->target.kind == DF_BASE_API) df_tally_add(a->outcome == DF_HTTP_OK ? a->status : 0, c->fetch.attempts > 1);
  snprintf(d->request_id, sizeof d->request_id, "%.128s", a->headers[DF_H_REQUEST_ID]);
  df_json_free(d->doc);
  d->doc = NULL;
  if (a->connection != NULL) {
    drop_connection(c->client);
    c->client->connection = a->connection;
    c->client->pool = NULL; /* it went with the connection */
    a->connection = NULL;
    out.status = 200; /* what is told of a connection that stands */
  }
  if (must_renew(c, a)) {
    df_fetch_again(&c->fetch, now, wall, &out);
  } else if (d->decode == DF_DECODE_TEXT) {
    df_fetch_answer(&c->fetch, now, wall, &out);
    keep_text(c, a);
  } else if (a->outcome == DF_HTTP_OK && a->status >= 200 && a->status < 300) {
    df_decode_body(d, a, &out);
    df_fetch_answer(&c->fetch, now, wall, &out);
  } else {
    df_words words;
    df_words_read(&words, &out, &a->body);
    df_fetch_answer(&c->fetch, now, wall, &out);
    keep_text(c, a);
  }
  trace(c, a, bytes, now);
}

/* Sends or checks on a stream, as far as it goes without waiting. */
static void step_stream(call *c, int64_t now, int64_t *until) {
  client *k = c->client;
  df_error *err = &c->fetch.error, why;
  int64_t deadline = c->fetch.policy.deadline;
  long n = 1;
  if (k->sending != NULL && k->sending != c) return;
  if (k->connection == NULL) {
    n = df_fail(err, DF_NETWORK, "%s: the connection is closed", c->fetch.what);
  } else if (c->op == DF_OP_CHECK) {
    c->fetch.status = df_connection_alive(k->connection);
    if (c->fetch.status == 0) drop_connection(k);
  } else {
    k->sending = c;
    while (c->sent < c->body.len && (n = df_connection_send(k->connection, c->body.data + c->sent, c->body.len - c->sent, &why)) > 0)
      c->sent += (size_t)n;
    if (n == 0 && now < deadline) {
      if (deadline < *until) *until = deadline;
      return;
    }
    if (n < 0) df_fail(err, why.kind, "%s: %s", c->fetch.what, why.message);
    if (n == 0) n = df_fail(err, DF_TIMEOUT, "%s: the peer did not take all within the time limit", c->fetch.what);
    k->sending = NULL;
  }
  c->fetch.step = n < 0 ? DF_FETCH_FAILED : DF_FETCH_DONE;
  if (n < 0) {
    err->retryable = 1;
    drop_connection(k);
  }
  complete(c, now);
}

/* Asks a call what it wants. */
static void step_call(local *l, call *c, int64_t now, int64_t wall, int64_t *until) {
  int64_t at = INT64_MAX;
  if (c->client == NULL) {
    if (now >= c->due || (c->fd > 0 && df_watch_ready(c->fd))) complete(c, now);
    else at = c->due;
  } else if (c->op == DF_OP_SEND || c->op == DF_OP_CHECK) {
    step_stream(c, now, until);
  } else if (c->client->in_flight >= c->client->max_in_flight && now < c->fetch.policy.deadline) {
    at = c->fetch.policy.deadline;
  } else {
    df_fetch_step wish = df_fetch_next(&c->fetch, now, wall, &at);
    if (wish == DF_FETCH_SEND) send_request(l, c, now);
    else if (wish != DF_FETCH_WAIT) complete(c, now);
    if (wish != DF_FETCH_WAIT) at = INT64_MAX;
  }
  if (at < *until) *until = at;
}

/* Asks each call, those that somebody waits for before those of bulk work. Returns 1 when one completed; *until shrinks to the next
   moment of interest. */
static int step(local *l, int64_t *until) {
  int completed = 0;
  int64_t now = df_clock_mono_ms(), wall = df_clock_wall_ms();
  for (int bulk = 0; bulk < 2; bulk++) {
    for (call *c = l->first; c != NULL; c = c->next) {
      if (c->done || c->on_wire || c->bulk != bulk) continue;
      step_call(l, c, now, wall, until);
      completed |= c->done;
    }
  }
  return completed;
}

/* The descriptors of streams whose peers take no more now. */
static size_t blocked(const local *l, int *fds) {
  size_t n = 0;
  for (const client *c = l->clients; c != NULL && n < DF_HTTP_WAIT_MAX; c = c->next)
    if (c->sending != NULL) fds[n++] = df_connection_descriptor(c->connection);
  return n;
}

static void run(df_port *port, int64_t until) {
  local *l = (local *)port;
  for (;;) {
    int64_t wake = until;
    int completed = step(l, &wake), answered = 0;
    int64_t now = df_clock_mono_ms(), wait = !completed && wake > now ? wake - now : 0;
    if (l->http != NULL) {
      int fds[DF_HTTP_WAIT_MAX];
      df_http_poll(l->http, wait > 1000 ? 1000 : (int)wait, fds, blocked(l, fds));
      for (df_http_answer *a; (a = df_http_next(l->http)) != NULL; answered = 1) {
        on_answer(a->tag, a);
        df_http_answer_free(a);
      }
    } else if (wait > 0) {
      df_watch_wait(wait > 1000 ? 1000 : (int)wait);
    }
    if (completed || (!answered && df_clock_mono_ms() >= until)) return;
  }
}

static void free_local(df_port *port) {
  local *l = (local *)port;
  while (l->first != NULL) free_call(l, l->first);
  while (l->clients != NULL) close_client(port, l->clients->id);
  df_http_free(l->http);
  free(l->default_url);
  free(l->default_key_file);
  free(l);
}

int df_local_set_defaults(df_port *port, const char *base_url, const char *api_key_file, df_error *err) {
  local *l = (local *)port;
  free(l->default_url);
  free(l->default_key_file);
  l->default_url = copy_text(base_url);
  l->default_key_file = copy_text(api_key_file);
  if ((base_url != NULL && l->default_url == NULL) || (api_key_file != NULL && l->default_key_file == NULL))
    return df_fail(err, DF_LIMIT, "out of memory");
  return 0;
}

int df_local_new(df_port **out, df_error *err) {
  local *l = calloc(1, sizeof *l);
  if (l == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  l->port = (df_port){open_client, close_client, submit, ready, collect, pending, cancel, abandon, run, free_local};
  l->last = &l->first;
  l->seed = (uint64_t)df_clock_wall_ms() << 20 ^ (uint64_t)getpid() ^ (uint64_t)(uintptr_t)l;
  *out = &l->port;
  return 0;
}

/* local.c: a port in this process, with its own clients and transfers. */
#include "job/local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/fetch.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "io/http.h"
#include "io/watch.h"
#include "job/tally.h"

#define VENDOR_URL "https://api.defendis.ai"
enum { DEFAULT_TIMEOUT_MS = 120000, DEFAULT_IN_FLIGHT = 8 };

typedef struct client {
  uint32_t id;
  char *base_url;
  df_secret *key;     /* NULL: key_error says why there is none */
  df_error key_error;
  df_ratelimit limiter;
  int64_t timeout_ms;
  int max_attempts, max_in_flight, in_flight;
  df_http_pool *pool; /* NULL until a request is sent */
  struct client *next;
} client;

typedef struct call {
  const void *owner;
  client *client; /* NULL: a timer */
  df_fetch fetch;
  char method[8];
  df_buf url, body;
  int no_key, on_wire, done, fd;
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
  df_http_pool_free(c->pool);
  df_secret_free(c->key);
  free(c->base_url);
  free(c);
}

static void take_off_wire(local *l, call *c) {
  if (!c->on_wire) return;
  df_http_cancel(l->http, c);
  c->on_wire = 0;
  c->client->in_flight--;
}

static void free_call(local *l, call *c) {
  for (call **p = &l->first; *p != NULL; p = &(*p)->next)
    if (*p == c) {
      *p = c->next;
      if (l->last == &c->next) l->last = p;
      break;
    }
  take_off_wire(l, c);
  df_completion_free(c->completion);
  df_buf_free(&c->url);
  df_buf_free(&c->body);
  free(c);
}

static const char *first_text(const char *a, const char *b, const char *c, const char *d) {
  if (a != NULL) return a;
  if (b != NULL) return b;
  return c != NULL && *c != '\0' ? c : d;
}

static int open_client(df_port *port, uint32_t *id, const df_client_options *o, df_error *err) {
  local *l = (local *)port;
  const char *url = first_text(o->base_url, l->default_url, getenv("DEFENDIS_BASE_URL"), VENDOR_URL);
  if (df_base_url_check(url, err) != 0) return -1;
  client *c = calloc(1, sizeof *c);
  if (c == NULL || (c->base_url = strdup(url)) == NULL) {
    free(c);
    return df_fail(err, DF_LIMIT, "out of memory");
  }
  c->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : DEFAULT_TIMEOUT_MS;
  c->max_attempts = o->max_attempts;
  c->max_in_flight = o->max_in_flight > 0 ? o->max_in_flight : DEFAULT_IN_FLIGHT;
  if (df_ratelimit_init(&c->limiter, o->per_second, 0, err) != 0) {
    free_client(c);
    return -1;
  }
  /* a call that needs no key works without one; the others say what is wrong with it */
  if (df_secret_find_api_key(&c->key, o->api_key_file != NULL ? o->api_key_file : l->default_key_file, &c->key_error) != 0) c->key = NULL;
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
  if (!k->no_key && c->client->key == NULL) {
    *err = c->client->key_error;
    return -1;
  }
  df_request rq = {.base = c->client->base_url, .path = k->path, .path_len = strlen(k->path), .params = k->params, .n_params = k->param_count};
  if (df_method_check(k->method, err) != 0 || df_request_url(&c->url, &rq, err) != 0) return -1;
  if (k->body != NULL && (df_buf_add(&c->body, k->body, k->body_len) != 0 || df_buf_str(&c->body) == NULL))
    return df_fail(err, DF_LIMIT, "out of memory");
  snprintf(c->method, sizeof c->method, "%s", k->method);
  char what[128];
  snprintf(what, sizeof what, "%s %s", k->method, k->path);
  int is_get = strcmp(k->method, "GET") == 0;
  df_fetch_policy policy = {.max_attempts = c->client->max_attempts,
                            .deadline = c->started + (k->timeout_ms > 0 ? k->timeout_ms : c->client->timeout_ms),
                            .idempotent = is_get,
                            .allow_empty = !is_get,
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
  c->no_key = k->no_key;
  c->fd = k->fd;
  c->started = df_clock_mono_ms();
  c->due = c->started + k->timeout_ms;
  c->completion->decode = k->decode;
  c->completion->id = *id = ++l->last_call;
  *l->last = c;
  l->last = &c->next;
  if (k->client != 0 && prepare(l, c, k, err) != 0) {
    c->client = NULL;
    free_call(l, c);
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
  if (c->fetch.step == DF_FETCH_FAILED) {
    d->rc = -1;
    d->error = c->fetch.error;
    df_secret_redact_text(d->error.message); /* a server may echo what it was sent */
    df_secret_redact(&d->body);
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
                       .bearer = c->no_key ? NULL : df_secret_bytes(c->client->key),
                       .body = c->body.data,
                       .body_len = c->body.len,
                       .timeout_ms = left > 0 ? left : 1,
                       .loopback = strncmp(c->client->base_url, "http:", 5) == 0,
                       .tag = c};
  if (l->http == NULL && df_http_new(&l->http, err) != 0) return -1;
  if (c->client->pool == NULL && df_http_pool_new(&c->client->pool, err) != 0) return -1;
  r.pool = c->client->pool;
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

/* Text of one member of an error's body: a string, or a number as it is written. NULL when there is none. A server may
   echo what it was sent: secrets go before the text is cut, or the first part of one could stay. */
static const char *member(df_json *doc, const char *name, char *to, size_t size) {
  size_t len;
  df_json_ref at = df_json_get(doc, 0, name, strlen(name));
  df_json_kind kind = df_json_type(doc, at);
  if (at == 0 || (kind != DF_JSON_STRING && kind != DF_JSON_NUMBER)) return NULL;
  const char *text = kind == DF_JSON_STRING ? df_json_text(doc, at, &len) : df_json_span(doc, at, &len);
  df_buf whole = {0};
  if (text == NULL || df_buf_add(&whole, text, len) != 0) return NULL;
  df_secret_redact(&whole);
  snprintf(to, size, "%.*s", (int)(whole.len < size ? whole.len : size - 1), whole.len > 0 ? whole.data : "");
  df_buf_free(&whole);
  return to;
}

static void decode_body(call *c, df_http_answer *a, df_answer *out) {
  df_completion *d = c->completion;
  df_error err;
  df_json_limits limits = {.recover = d->decode == DF_DECODE_PAGE};
  out->body = a->body.len == 0 ? DF_BODY_EMPTY : DF_BODY_JSON;
  if (a->body.len == 0) return;
  if (df_json_parse(&d->doc, &a->body, &limits, &err) != 0)
    d->doc = NULL;
  else if (d->decode != DF_DECODE_PAGE || df_json_page(d->doc, &err) == 0)
    return;
  out->body = DF_BODY_BAD;
  if (err.kind == DF_LIMIT) out->transport = DF_TRANSPORT_TOO_LARGE; /* asking again would not make it smaller */
  snprintf(a->detail, sizeof a->detail, "%.150s", err.message);
}

static const df_transport transports[] = {[DF_HTTP_OK] = DF_TRANSPORT_OK,           [DF_HTTP_CONNECT] = DF_TRANSPORT_UNSENT,
                                          [DF_HTTP_TLS] = DF_TRANSPORT_TLS,         [DF_HTTP_TIMEOUT] = DF_TRANSPORT_TIMEOUT,
                                          [DF_HTTP_BROKEN] = DF_TRANSPORT_BROKEN,   [DF_HTTP_TOO_BIG] = DF_TRANSPORT_TOO_LARGE};

/* The fields of an error's body go to the judge as text; the body itself to the caller. */
static void judge_error_body(call *c, df_http_answer *a, df_answer *out, int64_t now, int64_t wall) {
  char text[7][512];
  df_json *doc = NULL;
  df_buf copy = {0};
  df_error err;
  if (a->body.len > 0 && df_buf_add(&copy, a->body.data, a->body.len) == 0 && df_json_parse(&doc, &copy, NULL, &err) == 0 &&
      df_json_type(doc, 0) == DF_JSON_OBJECT) {
    out->error = member(doc, "error", text[0], sizeof text[0]);
    out->message = member(doc, "message", text[1], sizeof text[1]);
    out->reason = member(doc, "reason", text[2], sizeof text[2]);
    out->state = member(doc, "status", text[3], sizeof text[3]);
    out->metric = member(doc, "metric", text[4], sizeof text[4]);
    out->used = member(doc, "used", text[5], sizeof text[5]);
    out->limit = member(doc, "limit", text[6], sizeof text[6]);
  }
  df_fetch_answer(&c->fetch, now, wall, out);
  df_json_free(doc);
  df_buf_free(&copy);
  df_buf_free(&c->completion->body);
  c->completion->body = a->body;
  a->body = (df_buf){0};
}

static const char *header(const df_http_answer *a, df_http_header h) { return a->headers[h][0] != '\0' ? a->headers[h] : NULL; }

static void on_answer(call *c, df_http_answer *a) {
  int64_t now = df_clock_mono_ms(), wall = df_clock_wall_ms();
  c->on_wire = 0;
  c->client->in_flight--;
  df_answer out = {.transport = transports[a->outcome],
                   .detail = a->detail,
                   .status = a->status,
                   .retry_after = header(a, DF_H_RETRY_AFTER),
                   .request_id = header(a, DF_H_REQUEST_ID),
                   .content_type = header(a, DF_H_CONTENT_TYPE),
                   .location = header(a, DF_H_LOCATION),
                   .rate = {header(a, DF_H_RATE_REMAINING), header(a, DF_H_RATE_RESET), header(a, DF_H_RATE_COMBINED)}};
  df_completion *d = c->completion;
  df_tally_add(a->outcome == DF_HTTP_OK ? a->status : 0, c->fetch.attempts > 1);
  snprintf(d->request_id, sizeof d->request_id, "%.128s", a->headers[DF_H_REQUEST_ID]);
  df_json_free(d->doc);
  d->doc = NULL;
  if (a->outcome == DF_HTTP_OK && a->status >= 200 && a->status < 300) {
    decode_body(c, a, &out);
    df_fetch_answer(&c->fetch, now, wall, &out);
  } else {
    judge_error_body(c, a, &out, now, wall);
  }
  df_log_field fields[] = {{"method", c->method, 0},
                           {"url", c->url.data + strlen(c->client->base_url), 0},
                           {"status", NULL, a->status},
                           {"outcome", a->outcome == DF_HTTP_OK ? "answered" : a->detail, 0},
                           {"request_id", d->request_id, 0},
                           {"attempt", NULL, c->fetch.attempts},
                           {"ms", NULL, now - c->sent_at}};
  df_log(1, "request", fields, sizeof fields / sizeof *fields);
}

/* Asks each call what it wants. Returns 1 when one completed; *until shrinks to the next moment of interest. */
static int step(local *l, int64_t *until) {
  int completed = 0;
  int64_t now = df_clock_mono_ms(), wall = df_clock_wall_ms();
  for (call *c = l->first; c != NULL; c = c->next) {
    if (c->done || c->on_wire) continue;
    if (c->client == NULL) {
      if (now >= c->due || (c->fd > 0 && df_watch_ready(c->fd))) complete(c, now);
      else if (c->due < *until) *until = c->due;
    } else if (c->client->in_flight >= c->client->max_in_flight && now < c->fetch.policy.deadline) {
      if (c->fetch.policy.deadline < *until) *until = c->fetch.policy.deadline;
    } else {
      int64_t at = INT64_MAX;
      switch (df_fetch_next(&c->fetch, now, wall, &at)) {
        case DF_FETCH_SEND:
          send_request(l, c, now);
          break;
        case DF_FETCH_WAIT:
          if (at < *until) *until = at;
          break;
        case DF_FETCH_DONE:
        case DF_FETCH_FAILED:
          complete(c, now);
          break;
      }
    }
    completed |= c->done;
  }
  return completed;
}

static void run(df_port *port, int64_t until) {
  local *l = (local *)port;
  for (;;) {
    int64_t wake = until;
    if (step(l, &wake)) return;
    int64_t now = df_clock_mono_ms(), wait = wake > now ? wake - now : 0;
    int answered = 0;
    if (l->http != NULL) {
      df_http_poll(l->http, wait > 1000 ? 1000 : (int)wait);
      for (df_http_answer *a; (a = df_http_next(l->http)) != NULL; answered = 1) {
        on_answer(a->tag, a);
        df_http_answer_free(a);
      }
    } else if (wait > 0) {
      df_watch_wait(wait > 1000 ? 1000 : (int)wait);
    }
    if (!answered && df_clock_mono_ms() >= until) return;
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

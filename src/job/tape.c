/* tape.c: recorded answers of the API: a folder with a file per call, redacted; played, they stand in the place of the network. */
#include "job/tape.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/hash.h"
#include "io/stream.h"
#include "job/redact.h"
#include "job/trace.h"

/* A call that was recorded: its key is method, path, sorted query and the digest of the body. */
typedef struct cassette {
  char *key, *name;
  int played;
} cassette;

static struct {
  df_tape_mode mode;
  char *dir;
  int64_t now;
  uint64_t calls;
  cassette *list; /* by key, then by name */
  size_t n;
  df_error fault; /* the first one of a recording */
} g;

df_tape_mode df_tape_is(void) { return g.mode; }

int64_t df_tape_now(void) { return g.now; }

static void drop(void) {
  for (size_t i = 0; i < g.n; i++) {
    free(g.list[i].key);
    free(g.list[i].name);
  }
  free(g.list);
  free(g.dir);
  g.list = NULL;
  g.dir = NULL;
  g.n = 0;
  g.mode = DF_TAPE_OFF;
  g.now = 0;
  g.calls = 0;
}

int df_tape_close(uint64_t *calls, df_error *err) {
  int rc = g.mode == DF_TAPE_RECORD && g.fault.kind != DF_NONE ? -1 : 0;
  *calls = g.calls;
  if (rc != 0) *err = g.fault;
  drop();
  return rc;
}

static int write_file(const char *name, const df_buf *b, df_error *err) {
  char draft[4096], path[4096];
  snprintf(draft, sizeof draft, "%s/.draft", g.dir);
  snprintf(path, sizeof path, "%s/%s", g.dir, name);
  int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return df_fail(err, DF_STORE, "cannot write the tape %.300s: %s", draft, strerror(errno));
  ssize_t w = 0;
  for (size_t at = 0; w >= 0 && at < b->len; at += (size_t)(w > 0 ? w : 0)) {
    w = write(fd, b->data + at, b->len - at);
    if (w < 0 && errno == EINTR) w = 0;
  }
  if (close(fd) != 0 || w < 0 || rename(draft, path) != 0) return df_fail(err, DF_STORE, "cannot write the tape %.300s: %s", path,
                                                                         strerror(errno));
  return 0;
}

static int keep_dir(const char *dir, df_error *err) {
  drop();
  df_error_clear(&g.fault);
  return (g.dir = strdup(dir)) != NULL ? 0 : df_fail(err, DF_LIMIT, "out of memory");
}

int df_tape_record(const char *dir, int64_t now, df_error *err) {
  df_buf names = {0}, b = {0};
  char stamp[32];
  if (df_stream_mkdir(dir, err) != 0 || df_stream_list(&names, dir, "", err) != 0 || keep_dir(dir, err) != 0) {
    df_buf_free(&names);
    return -1;
  }
  size_t filled = names.len;
  df_buf_free(&names);
  if (filled > 0) {
    drop();
    return df_fail(err, DF_CONFIG, "--record %.300s: the folder is not empty; give another one", dir);
  }
  df_time_format(now, stamp);
  int rc = df_buf_printf(&b, "{\"tape\":1,\"now\":\"%s\",\"now_ms\":%lld}\n", stamp, (long long)now) != 0
               ? df_fail(err, DF_LIMIT, "out of memory") : write_file("tape.json", &b, err);
  df_buf_free(&b);
  if (rc != 0) {
    drop();
    return -1;
  }
  g.now = now;
  g.mode = DF_TAPE_RECORD;
  return 0;
}

/* The key: of what was redacted, so that it is the same when the tape is played. */
static int add_key(df_buf *key, const char *method, const char *url, size_t n, const df_buf *body) {
  unsigned char digest[DF_SHA256_LEN];
  char hex[2 * DF_SHA256_LEN + 1];
  if (df_buf_printf(key, "%s %.*s", method, (int)n, url) != 0) return -1;
  if (body->len > 0) {
    df_hash_sha256(digest, body->data, body->len);
    df_hash_hex(hex, digest, sizeof digest);
    if (df_buf_printf(key, " body %.16s", hex) != 0) return -1;
  }
  return df_buf_str(key) != NULL ? 0 : -1;
}

static int add_string(df_buf *b, const char *name, const char *text) {
  char copy[512];
  if (*text == '\0') return 0;
  snprintf(copy, sizeof copy, "%s", text);
  df_redact_text(copy, sizeof copy, DF_REDACT_STAND_IN);
  return df_buf_printf(b, ",\n  \"%s\": ", name) | df_json_write_string(b, copy, strlen(copy));
}

static int add_answer(df_buf *b, df_completion *d) {
  size_t n = d->body.len;
  const char *text = d->doc != NULL ? df_json_span(d->doc, 0, &n) : d->body.data;
  df_buf body = {0};
  int rc = df_buf_printf(b, "\"answer\": {\n  \"status\": %d, \"attempts\": %d, \"elapsed_ms\": %lld, \"retry_after_ms\": %lld", d->status,
                         d->attempts, (long long)d->elapsed_ms, (long long)d->retry_after_ms);
  rc |= add_string(b, "request_id", d->request_id);
  if (d->rc != 0) {
    rc |= df_buf_printf(b, ",\n  \"error\": \"%s\", \"error_status\": %d, \"error_attempts\": %d, \"retryable\": %d, \"retry_at_ms\": %lld",
                        df_kind_name(d->error.kind), d->error.status, d->error.attempts, d->error.retryable,
                        (long long)d->error.retry_at_ms);
    rc |= add_string(b, "message", d->error.message) | add_string(b, "error_request_id", d->error.request_id);
  }
  int bad = n > 0 ? df_redact_json(&body, text, n, DF_REDACT_STAND_IN, 0) : 0;
  if (n > 0) rc |= df_buf_puts(b, bad > 0 ? ",\n  \"body_text\": " : ",\n  \"body\": ");
  rc |= bad > 0 ? df_json_write_string(b, body.data, body.len) : df_buf_add(b, body.data, body.len);
  df_buf_free(&body);
  return rc | (bad < 0 ? -1 : 0) | df_buf_puts(b, "}");
}

/* "000012-GET-dataleaks-credentials.json": in the order in which the calls were answered. */
static void name_file(char *out, size_t size, const char *method, const char *url) {
  static const char prefix[] = "/api/v1";
  if (strncmp(url, prefix, sizeof prefix - 1) == 0) url += sizeof prefix - 1;
  int at = snprintf(out, size, "%06llu-%s", (unsigned long long)g.calls, method);
  for (size_t n = strcspn(url, "?"), i = 0; i < n && i < 60 && (size_t)at + 8 < size; i++)
    out[at++] = isalnum((unsigned char)url[i]) ? url[i] : '-';
  snprintf(out + at, size - (size_t)at, ".json");
}

static void record(const char *method, const df_buf *url, const df_buf *body, df_completion *d) {
  df_buf b = {0};
  char name[128];
  const char *query = strchr(url->data, '?');
  int rc = df_buf_printf(&b, "{\"request\": {\n  \"method\": \"%s\",\n  \"path\": ", method);
  rc |= df_json_write_string(&b, url->data, strcspn(url->data, "?")) | df_buf_puts(&b, ",\n  \"query\": ");
  rc |= df_json_write_string(&b, query != NULL ? query + 1 : "", query != NULL ? strlen(query + 1) : 0);
  if (body->len > 0) rc |= df_buf_puts(&b, ",\n  \"body\": ") | df_buf_add(&b, body->data, body->len);
  rc |= df_buf_puts(&b, "},\n") | add_answer(&b, d) | df_buf_puts(&b, "}\n");
  name_file(name, sizeof name, method, url->data);
  df_error err;
  if (rc != 0) df_fail(&err, DF_LIMIT, "out of memory: the tape is not whole");
  else rc = write_file(name, &b, &err);
  if (rc != 0 && g.fault.kind == DF_NONE) g.fault = err;
  df_buf_free(&b);
}

/* ---- playing */

static int read_all(df_buf *b, const char *name, df_error *err) {
  char path[4096], bytes[65536];
  snprintf(path, sizeof path, "%s/%s", g.dir, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = -1;
  while (fd >= 0 && (n = read(fd, bytes, sizeof bytes)) > 0)
    if (df_buf_add(b, bytes, (size_t)n) != 0) break;
  if (fd >= 0) close(fd);
  return n == 0 ? 0 : df_fail(err, DF_CONFIG, "cannot read the tape %.300s: %s", path, n > 0 ? "out of memory" : strerror(errno));
}

static int damaged(const char *name, const char *why, df_error *err) {
  return df_fail(err, DF_CONFIG, "the tape %.200s/%.100s is damaged: %.120s; record it again", g.dir, name, why);
}

/* Parses a file of the tape. */
static int parse(df_json **out, const char *name, df_error *err) {
  df_buf b = {0};
  df_error why;
  df_json_limits limits = {.max_bytes = (size_t)256 << 20};
  if (read_all(&b, name, err) != 0) return df_buf_free(&b), -1;
  if (df_json_parse(out, &b, &limits, &why) == 0) return 0;
  df_buf_free(&b);
  return damaged(name, why.message, err);
}

/* The text of a member, "" when there is none. Good until the next call. */
static const char *text_of(df_json *doc, df_json_ref object, const char *key, size_t *n) {
  df_json_ref at = df_json_get(doc, object, key, strlen(key));
  const char *text = at != 0 && df_json_type(doc, at) == DF_JSON_STRING ? df_json_text(doc, at, n) : NULL;
  if (text == NULL) *n = 0;
  return text != NULL ? text : "";
}

static int64_t number_of(const df_json *doc, df_json_ref object, const char *key) {
  df_json_ref at = df_json_get(doc, object, key, strlen(key));
  int64_t i = 0;
  double d;
  if (at == 0 || df_json_type(doc, at) != DF_JSON_NUMBER || df_json_number(doc, at, &i, &d) != DF_JSON_INT) return 0;
  return i;
}

/* The same as a C string, cut where there is no room. Returns to. */
static const char *copy_of(char *to, size_t size, df_json *doc, df_json_ref object, const char *key) {
  size_t n;
  const char *text = text_of(doc, object, key, &n);
  snprintf(to, size, "%.*s", (int)n, text);
  return to;
}

/* The key of a recorded call. */
static int key_of(df_buf *key, df_json *doc, df_json_ref request) {
  df_buf url = {0}, body = {0};
  char method[16];
  size_t n = 0;
  const char *text = text_of(doc, request, "path", &n);
  int rc = df_buf_add(&url, text, n);
  text = text_of(doc, request, "query", &n);
  if (n > 0) rc |= df_buf_puts(&url, "?") | df_buf_add(&url, text, n);
  df_json_ref at = df_json_get(doc, request, "body", 4);
  text = at != 0 ? df_json_span(doc, at, &n) : NULL;
  if (text != NULL) rc |= df_buf_add(&body, text, n);
  if (rc == 0) rc = add_key(key, copy_of(method, sizeof method, doc, request, "method"), url.data, url.len, &body);
  df_buf_free(&url);
  df_buf_free(&body);
  return rc;
}

static int load(const char *name, df_error *err) {
  df_json *doc = NULL;
  df_buf key = {0};
  size_t n = 0, m = 0;
  if (parse(&doc, name, err) != 0) return -1;
  df_json_ref request = df_json_get(doc, 0, "request", 7);
  if (request != 0) text_of(doc, request, "path", &n), text_of(doc, request, "method", &m);
  int rc = 0;
  if (n == 0 || m == 0 || df_json_get(doc, 0, "answer", 6) == 0) rc = damaged(name, "it holds no call", err);
  else if (key_of(&key, doc, request) != 0) rc = df_fail(err, DF_LIMIT, "out of memory");
  if (rc == 0) {
    g.list[g.n] = (cassette){.key = key.data, .name = strdup(name)};
    if (g.list[g.n++].name == NULL) rc = df_fail(err, DF_LIMIT, "out of memory");
  } else {
    df_buf_free(&key);
  }
  df_json_free(doc);
  return rc;
}

static int by_key(const void *a, const void *b) {
  const cassette *x = a, *y = b;
  int order = strcmp(x->key, y->key);
  return order != 0 ? order : strcmp(x->name, y->name);
}

static int load_head(df_error *err) {
  df_json *doc = NULL;
  if (parse(&doc, "tape.json", err) != 0) return -1;
  int64_t version = number_of(doc, 0, "tape");
  g.now = number_of(doc, 0, "now_ms");
  df_json_free(doc);
  return version == 1 && g.now > 0 ? 0 : damaged("tape.json", "it is no tape of this version", err);
}

int df_tape_play(const char *dir, df_error *err) {
  df_buf names = {0};
  size_t count = 0;
  if (keep_dir(dir, err) != 0) return -1;
  int rc = load_head(err);
  if (rc == 0) rc = df_stream_list(&names, dir, ".json", err);
  for (size_t at = 0; at < names.len; at += strlen(names.data + at) + 1) count++;
  if (rc == 0 && (g.list = calloc(count + 1, sizeof *g.list)) == NULL) rc = df_fail(err, DF_LIMIT, "out of memory");
  for (size_t at = 0; rc == 0 && at < names.len; at += strlen(names.data + at) + 1)
    if (strcmp(names.data + at, "tape.json") != 0) rc = load(names.data + at, err);
  df_buf_free(&names);
  if (rc != 0) {
    drop();
    return -1;
  }
  qsort(g.list, g.n, sizeof *g.list, by_key);
  g.mode = DF_TAPE_PLAY;
  return 0;
}

static size_t alike(const char *a, const char *b) {
  size_t n = 0, m = 0, la = strlen(a), lb = strlen(b);
  while (n < la && n < lb && a[n] == b[n]) n++;
  while (n + m < la && n + m < lb && a[la - 1 - m] == b[lb - 1 - m]) m++;
  return n + m;
}

static int fail_missing(const char *key, df_error *err) {
  const cassette *nearest = NULL;
  for (size_t i = 0; i < g.n; i++)
    if (nearest == NULL || alike(g.list[i].key, key) > alike(nearest->key, key)) nearest = &g.list[i];
  return df_fail(err, DF_CONFIG, "%.180s is not on the tape %.80s; the nearest there is %.180s", key, g.dir,
                 nearest != NULL ? nearest->key : "none");
}

/* The next answer to a call; or NULL, and err says what is nearest. */
static cassette *next_of(const char *key, df_error *err) {
  size_t low = 0, high = g.n, at;
  while (low < high) { /* the first one that is not before key */
    size_t mid = low + (high - low) / 2;
    if (strcmp(g.list[mid].key, key) < 0) low = mid + 1;
    else high = mid;
  }
  for (at = low; at < g.n && strcmp(g.list[at].key, key) == 0; at++)
    if (!g.list[at].played) return g.list[at].played = 1, &g.list[at];
  if (at == low) fail_missing(key, err);
  else df_fail(err, DF_CONFIG, "%.230s was asked once more than the %zu times on the tape %.120s", key, at - low, g.dir);
  return NULL;
}

static int fill_body(df_json *doc, df_json_ref answer, df_completion *d, const char *name, df_error *err) {
  df_json_ref at = df_json_get(doc, answer, "body", 4);
  size_t n = 0;
  const char *text = at != 0 ? df_json_span(doc, at, &n) : text_of(doc, answer, "body_text", &n);
  if (df_buf_add(&d->body, text, n) != 0) return df_fail(err, DF_LIMIT, "out of memory");
  if (n == 0 || d->rc != 0 || d->decode == DF_DECODE_TEXT) return 0;
  df_json_limits limits = {.recover = d->decode == DF_DECODE_PAGE};
  df_error why;
  if (df_json_parse(&d->doc, &d->body, &limits, &why) != 0 || (d->decode == DF_DECODE_PAGE && df_json_page(d->doc, &why) != 0))
    return damaged(name, why.message, err);
  return 0;
}

static int fill(df_completion *d, const char *name, df_error *err) {
  df_json *doc = NULL;
  char kind[32], message[512];
  if (parse(&doc, name, err) != 0) return -1;
  df_json_ref answer = df_json_get(doc, 0, "answer", 6);
  d->status = (int)number_of(doc, answer, "status");
  d->attempts = (int)number_of(doc, answer, "attempts");
  d->elapsed_ms = number_of(doc, answer, "elapsed_ms");
  d->retry_after_ms = number_of(doc, answer, "retry_after_ms");
  copy_of(d->request_id, sizeof d->request_id, doc, answer, "request_id");
  if (*copy_of(kind, sizeof kind, doc, answer, "error") != '\0') {
    d->rc = df_fail(&d->error, df_kind_from_name(kind), "%s", copy_of(message, sizeof message, doc, answer, "message"));
    d->error.status = (int)number_of(doc, answer, "error_status");
    d->error.attempts = (int)number_of(doc, answer, "error_attempts");
    d->error.retryable = (int)number_of(doc, answer, "retryable");
    d->error.retry_at_ms = number_of(doc, answer, "retry_at_ms");
    copy_of(d->error.request_id, sizeof d->error.request_id, doc, answer, "error_request_id");
  }
  int rc = fill_body(doc, answer, d, name, err);
  df_json_free(doc);
  return rc;
}

/* A trace that says nothing of what was played would look as if nothing had been asked. */
static void tell(const char *method, const char *url, const df_buf *body, const df_completion *d) {
  df_attempt a = {.method = method, .url = url, .outcome = d->rc == 0 ? "played" : d->error.message, .request_id = d->request_id,
                  .decision = d->rc == 0 ? "done" : "fail", .status = d->status, .attempt = d->attempts, .request = body,
                  .answer = d->body.data, .answer_len = d->body.len};
  if (d->doc != NULL) a.answer = df_json_span(d->doc, 0, &a.answer_len);
  a.bytes = a.answer_len;
  df_trace_attempt(&a);
}

static void play(const char *key, df_completion *d) {
  df_error err;
  cassette *c = next_of(key, &err);
  if (c != NULL && fill(d, c->name, &err) == 0) return;
  df_json_free(d->doc);
  d->doc = NULL;
  df_buf_free(&d->body);
  d->rc = -1;
  d->error = err;
}

void df_tape_pass(const char *method, const char *url, const df_buf *body, df_completion *d) {
  df_buf redacted = {0}, json = {0}, key = {0};
  df_redact_begin();
  int rc = df_redact_url(&redacted, url) != 0 || df_buf_str(&redacted) == NULL;
  if (rc == 0 && body->len > 0) rc = df_redact_json(&json, body->data, body->len, DF_REDACT_MASK, 1) < 0;
  if (rc == 0) rc = add_key(&key, method, redacted.data, redacted.len, &json);
  g.calls++;
  if (rc != 0) {
    if (g.fault.kind == DF_NONE) df_fail(&g.fault, DF_LIMIT, "out of memory: the tape is not whole");
    if (g.mode == DF_TAPE_PLAY) d->rc = df_fail(&d->error, DF_LIMIT, "out of memory");
  } else if (g.mode == DF_TAPE_PLAY) {
    play(key.data, d);
    tell(method, url, body, d);
  } else {
    record(method, &redacted, &json, d);
  }
  df_buf_free(&redacted);
  df_buf_free(&json);
  df_buf_free(&key);
}

/* trace.c: what was asked and answered, attempt by attempt: in the log, and in a file of JSON lines. */
#include "job/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "job/redact.h"

static struct {
  int fd, bodies; /* fd 0: none */
  char path[300];
  int fault; /* errno of the line that could not be written */
} g;

int df_trace_open(const char *path, int bodies, df_error *err) {
  int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  struct stat st;
  if (fd < 0) return df_fail(err, DF_CONFIG, "cannot open the trace %.300s: %s", path, strerror(errno));
  if (fstat(fd, &st) != 0 || (S_ISREG(st.st_mode) && fchmod(fd, 0600) != 0)) {
    close(fd);
    return df_fail(err, DF_CONFIG, "cannot keep the trace %.300s from others: %s", path, strerror(errno));
  }
  g.fd = fd;
  g.bodies = bodies;
  g.fault = 0;
  snprintf(g.path, sizeof g.path, "%s", path);
  return 0;
}

int df_trace_is_open(void) { return g.fd > 0; }

int df_trace_close(df_error *err) {
  int fault = g.fault;
  if (g.fd > 0 && close(g.fd) != 0 && fault == 0) fault = errno;
  g.fd = 0;
  return fault == 0 ? 0 : df_fail(err, DF_STORE, "the trace %s is not whole: %s", g.path, strerror(fault));
}

static void add_text(df_buf *b, const char *key, const char *text, size_t room) {
  char copy[512];
  snprintf(copy, room < sizeof copy ? room : sizeof copy, "%s", text);
  df_redact_text(copy, sizeof copy, DF_REDACT_MASK);
  df_buf_printf(b, ",\"%s\":", key);
  df_json_write_string(b, copy, strlen(copy));
}

static void add_body(df_buf *b, const char *key, const char *text, size_t n, int sorted) {
  if (n == 0) return;
  df_buf copy = {0};
  df_redact_json(&copy, text, n, DF_REDACT_MASK, sorted);
  for (size_t i = 0; i < copy.len; i++)
    if (copy.data[i] == '\n' || copy.data[i] == '\r') copy.data[i] = ' '; /* between values: inside of texts they are escaped */
  df_buf_printf(b, ",\"%s\":", key);
  df_buf_add(b, copy.data, copy.len);
  df_buf_free(&copy);
}

static void add_bodies(df_buf *b, const df_attempt *a) {
  if (a->request != NULL) add_body(b, "request_body", a->request->data, a->request->len, 1);
  df_buf_puts(b, ",\"headers\":{");
  size_t from = b->len;
  for (size_t i = 0; i < a->header_count; i++)
    if (a->headers[i][0] != '\0') add_text(b, a->names[i], a->headers[i], sizeof a->headers[i]);
  if (b->len > from) b->data[from] = ' '; /* the first comma */
  df_buf_puts(b, "}");
  add_body(b, "body", a->answer, a->answer_len, 0);
}

static void write_line(const df_attempt *a) {
  df_buf b = {0}, url = {0};
  char stamp[32];
  df_time_format(df_clock_wall_ms(), stamp);
  df_redact_begin();
  df_redact_url(&url, a->url);
  df_buf_printf(&b, "{\"time\":\"%s\",\"method\":\"%s\",\"url\":", stamp, a->method);
  df_json_write_string(&b, url.data != NULL ? url.data : "", url.len);
  df_buf_printf(&b, ",\"status\":%d,\"ms\":%lld,\"bytes\":%zu,\"attempt\":%d,\"decision\":\"%s\"", a->status, (long long)a->ms, a->bytes,
                a->attempt, a->decision);
  if (a->wait_ms > 0) df_buf_printf(&b, ",\"wait_ms\":%lld", (long long)a->wait_ms);
  df_buf_printf(&b, ",\"reused\":%s", a->reused ? "true" : "false");
  if (g.bodies) add_bodies(&b, a);
  add_text(&b, "outcome", a->outcome, 512);
  add_text(&b, "request_id", a->request_id, 512);
  if (df_buf_puts(&b, "}\n") != 0) g.fault = ENOMEM;
  else if (write(g.fd, b.data, b.len) != (ssize_t)b.len && g.fault == 0) g.fault = errno != 0 ? errno : ENOSPC;
  df_buf_free(&b);
  df_buf_free(&url);
}

void df_trace_attempt(const df_attempt *a) {
  df_log_field fields[] = {{"method", a->method, 0},
                           {"url", a->url, 0},
                           {"status", NULL, a->status},
                           {"outcome", a->outcome, 0},
                           {"request_id", a->request_id, 0},
                           {"attempt", NULL, a->attempt},
                           {"ms", NULL, a->ms}};
  df_log(1, "request", fields, sizeof fields / sizeof *fields);
  if (g.fd > 0) write_line(a);
}

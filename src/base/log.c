/* log.c: JSON lines on stderr, without secrets. */
#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/secret.h"

static atomic_int current;

void df_log_set_level(int level) { current = level; }

int df_log_level(void) { return current; }

/* Secrets go first: once escaped, they would not be found. */
static void add_string(df_buf *b, const char *s) {
  df_buf text = {0};
  df_buf_puts(&text, s);
  df_secret_redact(&text);
  df_buf_add(b, "\"", 1);
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.data[i];
    if (c == '"' || c == '\\')
      df_buf_printf(b, "\\%c", c);
    else if (c < 0x20 || c >= 0x7f)
      df_buf_printf(b, "\\u%04x", c); /* bytes over 0x7f as Latin-1: a log line is always valid and printable */
    else
      df_buf_add(b, &text.data[i], 1);
  }
  df_buf_add(b, "\"", 1);
  df_buf_free(&text);
}

void df_log(int level, const char *event, const df_log_field *fields, int n) {
  if (level > current) return;
  df_buf b = {0};
  int64_t now = df_clock_wall_ms();
  time_t seconds = (time_t)(now / 1000);
  struct tm t;
  char stamp[32];
  gmtime_r(&seconds, &t);
  strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &t);
  df_buf_printf(&b, "{\"time\":\"%s.%03dZ\",\"event\":", stamp, (int)(now % 1000));
  add_string(&b, event);
  for (int i = 0; i < n; i++) {
    df_buf_add(&b, ",", 1);
    add_string(&b, fields[i].key);
    df_buf_add(&b, ":", 1);
    if (fields[i].text != NULL)
      add_string(&b, fields[i].text);
    else
      df_buf_printf(&b, "%lld", (long long)fields[i].number);
  }
  df_buf_add(&b, "}\n", 2);
  if (b.data != NULL && write(STDERR_FILENO, b.data, b.len) < 0) { /* nowhere left to say it */
  }
  df_buf_free(&b);
}

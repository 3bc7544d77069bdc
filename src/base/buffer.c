/* buffer.c: bytes that grow. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int df_buf_grow(df_buf *b, size_t extra) {
  if (extra > SIZE_MAX / 2 - b->len) return -1;
  size_t cap = b->cap < 64 ? 64 : b->cap;
  while (cap < b->len + extra) cap += cap / 2;
  char *data = realloc(b->data, cap);
  if (data == NULL) return -1;
  b->data = data;
  b->cap = cap;
  return 0;
}

int df_buf_puts(df_buf *b, const char *text) { return df_buf_add(b, text, strlen(text)); }

int df_buf_printf(df_buf *b, const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  int rc = -1;
  if (n >= 0 && df_buf_reserve(b, (size_t)n + 1) == 0) {
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
    b->len += (size_t)n;
    rc = 0;
  }
  va_end(again);
  return rc;
}

char *df_buf_str(df_buf *b) {
  if (df_buf_reserve(b, 1) != 0) return NULL;
  b->data[b->len] = '\0';
  return b->data;
}

void df_buf_free(df_buf *b) {
  free(b->data);
  *b = (df_buf){0};
}

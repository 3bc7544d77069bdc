/* buffer.h: bytes that grow. */
#ifndef DF_BASE_BUFFER_H
#define DF_BASE_BUFFER_H

#include <stddef.h>
#include <string.h>

typedef struct df_buf {
  char *data; /* NULL while nothing was added; not NUL-terminated unless df_buf_str was called */
  size_t len;
  size_t cap;
} df_buf;

/* What df_buf_reserve does when there is no room. */
int df_buf_grow(df_buf *b, size_t extra);

/* Makes room for extra more bytes. 0, or -1 when memory runs out (the buffer is unchanged). */
static inline int df_buf_reserve(df_buf *b, size_t extra) { return extra <= b->cap - b->len ? 0 : df_buf_grow(b, extra); }

/* Appends n bytes. 0 or -1. */
static inline int df_buf_add(df_buf *b, const void *bytes, size_t n) {
  if (n == 0) return 0;
  if (df_buf_reserve(b, n) != 0) return -1;
  memcpy(b->data + b->len, bytes, n);
  b->len += n;
  return 0;
}

/* Appends a C string. 0 or -1. */
int df_buf_puts(df_buf *b, const char *text);

/* Appends formatted text. 0 or -1. */
int df_buf_printf(df_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts a NUL behind the bytes (not counted in len) and returns them, or NULL when memory runs out. */
char *df_buf_str(df_buf *b);

/* Frees the bytes; the buffer is empty and usable again. */
void df_buf_free(df_buf *b);

#endif

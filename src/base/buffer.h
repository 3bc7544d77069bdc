/* buffer.h: bytes that grow. */
#ifndef DF_BASE_BUFFER_H
#define DF_BASE_BUFFER_H

#include <stddef.h>

typedef struct df_buf {
  char *data; /* NULL while nothing was added; not NUL-terminated unless df_buf_str was called */
  size_t len;
  size_t cap;
} df_buf;

/* Makes room for extra more bytes. 0, or -1 when memory runs out (the buffer is unchanged). */
int df_buf_reserve(df_buf *b, size_t extra);

/* Appends n bytes. 0 or -1. */
int df_buf_add(df_buf *b, const void *bytes, size_t n);

/* Appends a C string. 0 or -1. */
int df_buf_puts(df_buf *b, const char *text);

/* Appends formatted text. 0 or -1. */
int df_buf_printf(df_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts a NUL behind the bytes (not counted in len) and returns them, or NULL when memory runs out. */
char *df_buf_str(df_buf *b);

/* Frees the bytes; the buffer is empty and usable again. */
void df_buf_free(df_buf *b);

#endif

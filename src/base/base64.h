/* base64.h: RFC 4648 section 4, with padding. */
#ifndef DF_BASE_BASE64_H
#define DF_BASE_BASE64_H

#include <stddef.h>

#include "base/buffer.h"

/* Appends n bytes encoded. 0, or -1 when memory runs out. */
int df_base64_encode(df_buf *out, const void *bytes, size_t n);

/* Appends what n characters stand for; padding may be missing. 0, or -1: not base64, or memory ran out (out is unchanged). */
int df_base64_decode(df_buf *out, const char *text, size_t n);

#endif

/* base64.c: RFC 4648 section 4, with padding. */
#include "base/base64.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int df_base64_encode(df_buf *out, const void *bytes, size_t n) {
  const unsigned char *s = bytes;
  if (n > SIZE_MAX / 2 || df_buf_reserve(out, (n + 2) / 3 * 4) != 0) return -1;
  for (size_t i = 0; i < n; i += 3) {
    size_t left = n - i;
    unsigned v = (unsigned)s[i] << 16 | (left > 1 ? (unsigned)s[i + 1] << 8 : 0) | (left > 2 ? s[i + 2] : 0u);
    char *to = out->data + out->len;
    to[0] = digits[v >> 18];
    to[1] = digits[v >> 12 & 63];
    to[2] = left > 1 ? digits[v >> 6 & 63] : '=';
    to[3] = left > 2 ? digits[v & 63] : '=';
    out->len += 4;
  }
  return 0;
}

static int value_of(char c) {
  const char *at = c != '\0' ? memchr(digits, c, 64) : NULL;
  return at != NULL ? (int)(at - digits) : -1;
}

int df_base64_decode(df_buf *out, const char *text, size_t n) {
  size_t from = out->len;
  if (n > 0 && n % 4 == 0)
    for (int pad = 0; pad < 2 && text[n - 1] == '='; pad++) n--;
  if (n % 4 == 1 || df_buf_reserve(out, n / 4 * 3 + 3) != 0) return -1;
  unsigned bits = 0;
  int count = 0;
  for (size_t i = 0; i < n; i++) {
    int v = value_of(text[i]);
    if (v < 0) {
      out->len = from;
      return -1;
    }
    bits = (bits << 6 | (unsigned)v) & 0xffffff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out->data[out->len++] = (char)(bits >> count & 0xff);
  }
  return 0;
}

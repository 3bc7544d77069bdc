/* map_text.c: what maps do with texts, in place at the end of a buffer. */
#include <string.h>

#include "engine/program.h"

/* Keeps the bytes from p to end of what begins at start. */
static int keep(df_buf *b, size_t start, const char *p, const char *end) {
  size_t n = (size_t)(end - p);
  memmove(b->data + start, p, n);
  b->len = start + n;
  return n > 0;
}

static int is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static int is_digit(char c) { return c >= '0' && c <= '9'; }

static int is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

int df_map_lower(df_buf *b, size_t start) {
  for (size_t i = start; i < b->len; i++)
    if (b->data[i] >= 'A' && b->data[i] <= 'Z') b->data[i] = (char)(b->data[i] + 32);
  return 1;
}

int df_map_upper(df_buf *b, size_t start) {
  for (size_t i = start; i < b->len; i++)
    if (b->data[i] >= 'a' && b->data[i] <= 'z') b->data[i] = (char)(b->data[i] - 32);
  return 1;
}

int df_map_trim(df_buf *b, size_t start) {
  const char *p = b->data + start, *end = b->data + b->len;
  while (p < end && is_blank(*p)) p++;
  while (p < end && is_blank(end[-1])) end--;
  return keep(b, start, p, end);
}

/* Where the text behind "scheme://" begins, or NULL. */
static const char *behind_scheme(const char *p, const char *end) {
  const char *at = p;
  if (at == end || !is_letter(*at)) return NULL;
  while (at < end && (is_letter(*at) || is_digit(*at) || *at == '+' || *at == '-' || *at == '.')) at++;
  return end - at >= 3 && memcmp(at, "://", 3) == 0 ? at + 3 : NULL;
}

/* RFC 3986, 3.2.2, and tolerant of what has no scheme. */
int df_map_host(df_buf *b, size_t start) {
  if (b->len == start || !df_map_trim(b, start)) return 0;
  const char *p = b->data + start, *end = b->data + b->len, *behind = behind_scheme(p, end);
  if (behind != NULL) p = behind;
  for (const char *c = p; c < end; c++)
    if (*c == '/' || *c == '?' || *c == '#' || *c == '\\') end = c;
  for (const char *c = end; c > p; c--)
    if (c[-1] == '@') {
      p = c;
      break;
    }
  if (p < end && *p == '[') {
    const char *close = memchr(p, ']', (size_t)(end - p));
    if (close == NULL) return 0;
    p++;
    end = close;
  } else {
    const char *colon = memchr(p, ':', (size_t)(end - p));
    if (colon != NULL) end = colon;
  }
  return keep(b, start, p, end) && df_map_lower(b, start);
}

int df_map_scheme(df_buf *b, size_t start) {
  if (b->len == start) return 0;
  const char *p = b->data + start, *behind = behind_scheme(p, b->data + b->len);
  return behind != NULL && keep(b, start, p, behind - 3) && df_map_lower(b, start);
}

int df_map_domain(df_buf *b, size_t start) {
  if (b->len == start || !df_map_trim(b, start)) return 0;
  const char *p = b->data + start, *end = b->data + b->len, *at = end;
  while (at > p && at[-1] != '@') at--;
  return at - p >= 2 && keep(b, start, at, end) && df_map_lower(b, start);
}

int df_map_split(df_buf *b, size_t start, const df_span *sep, int32_t n) {
  if (b->len == start) return 0;
  const char *p = b->data + start, *end = b->data + b->len;
  for (;; n--) {
    const char *stop = memmem(p, (size_t)(end - p), sep->bytes, sep->len);
    if (n == 1) return keep(b, start, p, stop != NULL ? stop : end);
    if (stop == NULL) return 0;
    p = stop + sep->len;
  }
}

int df_map_is_number(const char *p, size_t len) {
  const char *end = p + len;
  if (p < end && *p == '-') p++;
  if (p == end || !is_digit(*p) || (*p == '0' && p + 1 < end && is_digit(p[1]))) return 0;
  while (p < end && is_digit(*p)) p++;
  if (p < end && *p == '.') {
    if (++p == end || !is_digit(*p)) return 0;
    while (p < end && is_digit(*p)) p++;
  }
  if (p < end && (*p == 'e' || *p == 'E')) {
    p++;
    if (p < end && (*p == '+' || *p == '-')) p++;
    if (p == end || !is_digit(*p)) return 0;
    while (p < end && is_digit(*p)) p++;
  }
  return p == end;
}

/* json_write.c: writing JSON, and what reading and writing share: UTF-8 and numbers. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/json.h"

enum { DIGITS = 17 }; /* a double's shortest text never has more */

/* digits * 10^exponent, without zeros at either end of the digits. */
typedef struct decimal {
  char digits[DIGITS + 1];
  int n;
  int64_t exponent;
} decimal;

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

const char *df_json_ascii(const char *p, const char *end) {
  const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
  for (uint64_t w; end - p >= 8; p += 8) {
    memcpy(&w, p, 8);
    const uint64_t other = w ^ ones * '\\';
    if ((w | (other - ones)) & tops) break; /* also for what only may be a backslash */
  }
  while (p < end && (signed char)*p >= 0 && *p != '\\') p++;
  return p;
}

int df_json_sequence(const char *text, const char *end) {
  const unsigned char *p = (const unsigned char *)text;
  unsigned low = *p == 0xe0 ? 0xa0 : *p == 0xf0 ? 0x90 : 0x80, high = *p == 0xed ? 0x9f : *p == 0xf4 ? 0x8f : 0xbf;
  int n = *p < 0x80 ? 1 : *p < 0xc2 ? -1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : -1;
  for (int i = 1; i < n; i++) {
    if (text + i >= end || p[i] < low || p[i] > high) return -i;
    low = 0x80;
    high = 0xbf;
  }
  return n;
}

/* Reads an unsigned JSON number. 0, or -1 when it has more digits than any double's shortest text. */
static int read_decimal(decimal *out, const char *p, const char *end) {
  int64_t zeros = 0, shift = 0; /* zeros met since the last other digit; digits behind the point */
  int point = 0;
  *out = (decimal){0};
  for (; p < end && *p != 'e' && *p != 'E'; p++) {
    if (*p < '0' || *p > '9') {
      point = 1;
      continue;
    }
    shift += point;
    if (*p == '0') {
      zeros += out->n > 0;
      continue;
    }
    if (out->n + zeros >= DIGITS) return -1;
    for (; zeros > 0; zeros--) out->digits[out->n++] = '0';
    out->digits[out->n++] = *p;
  }
  int64_t e = 0;
  int negative = p + 1 < end && p[1] == '-';
  for (p += p < end; p < end; p++)
    if (*p >= '0' && *p <= '9' && e < INT64_C(1000000000000)) e = e * 10 + (*p - '0');
  out->exponent = (negative ? -e : e) + zeros - shift;
  return 0;
}

/* Text of an unsigned number of up to 20 digits, the last `places` of them behind a point. */
static size_t write_digits(char *out, uint64_t u, int places) {
  char text[24], *p = text + sizeof text;
  for (int n = 0; u != 0 || n <= places; n++, u /= 10) {
    if (n > 0 && n == places) *--p = '.';
    *--p = (char)('0' + u % 10);
  }
  size_t n = (size_t)(text + sizeof text - p);
  memcpy(out, p, n);
  return n;
}

/* Shortest text of d, always with a point: the process locale may have a comma, or more than one byte. */
static size_t write_shortest(char out[64], double d) {
  char text[64];
  double size = fabs(d);
  for (int places = 0; places < 5 && size * powers[places] < 1e15; places++) { /* mostly enough */
    double m = size * powers[places];
    if (m != floor(m) || m / powers[places] != size) continue;
    out[0] = '-';
    int sign = signbit(d) != 0;
    return (size_t)sign + write_digits(out + sign, (uint64_t)m, places);
  }
  for (int digits = 15; digits <= DIGITS; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, d);
    if (digits == DIGITS || strtod(text, NULL) == d) break;
  }
  size_t n = 0;
  for (const char *p = text; *p != '\0'; p++) {
    if ((*p >= '0' && *p <= '9') || *p == '-' || *p == '+' || *p == 'e') out[n++] = *p;
    else if (n > 0 && out[n - 1] != '.') out[n++] = '.';
  }
  return n;
}

static int read_int(int64_t *out, const char *p, const char *end) {
  int negative = *p == '-';
  p += negative;
  if (end - p > 19 || (negative && *p == '0')) return -1;
  uint64_t u = 0;
  for (; p < end; p++) {
    if (*p < '0' || *p > '9') return -1;
    u = u * 10 + (uint64_t)(*p - '0');
  }
  if (u > (uint64_t)INT64_MAX + (uint64_t)negative) return -1;
  *out = negative ? (int64_t)(0 - u) : (int64_t)u;
  return 0;
}

/* d for v, 0 when no double says exactly that. */
static int exact_double(double *d, const decimal *v) {
  if (v->n == 0) return *d = 0, 1;
  if (v->n <= DBL_DIG && v->exponent >= -22 && v->exponent <= 22) { /* exact operands: one rounding */
    double m = 0;
    for (int i = 0; i < v->n; i++) m = m * 10 + (v->digits[i] - '0');
    *d = v->exponent < 0 ? m / powers[-v->exponent] : m * powers[v->exponent];
    return 1;
  }
  if (v->exponent < -400 || v->exponent > 400) return 0;
  char text[64];
  snprintf(text, sizeof text, "%se%d", v->digits, (int)v->exponent); /* no point, so no locale in it */
  *d = strtod(text, NULL);
  if (!isfinite(*d)) return 0;
  decimal back;
  size_t n = write_shortest(text, *d);
  return read_decimal(&back, text, text + n) == 0 && back.n == v->n && back.exponent == v->exponent &&
         memcmp(back.digits, v->digits, (size_t)v->n) == 0;
}

df_json_exact df_json_read_number(const char *text, size_t len, int64_t *i, double *d) {
  const char *end = text + len;
  if (read_int(i, text, end) == 0) return DF_JSON_INT;
  int negative = *text == '-';
  decimal v;
  if (read_decimal(&v, text + negative, end) != 0 || !exact_double(d, &v)) return DF_JSON_DIGITS;
  if (negative) *d = -*d;
  return DF_JSON_DOUBLE;
}

#ifdef __SSE2__
/* A bit for each of 16 bytes that needs care: quotes, backslashes, `<`, controls and all beyond ASCII. */
static unsigned special_of(__m128i x) {
  __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
  hit = _mm_or_si128(hit, _mm_cmpeq_epi8(x, _mm_set1_epi8('<')));
  hit = _mm_or_si128(hit, _mm_cmplt_epi8(x, _mm_set1_epi8(0x20))); /* signed: also everything beyond ASCII */
  return (unsigned)_mm_movemask_epi8(hit);
}

static unsigned copy_16(char *out, const char *p) {
  __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
  _mm_storeu_si128((__m128i *)(void *)out, x);
  return special_of(x);
}

/* As copy_plain, for 8 to 15 bytes: its two halves overlap. */
static size_t copy_8(char *out, const char *p, size_t n) {
  int64_t low, high;
  memcpy(&low, p, 8);
  memcpy(&high, p + n - 8, 8);
  memcpy(out, &low, 8);
  memcpy(out + n - 8, &high, 8);
  unsigned stop = special_of(_mm_set_epi64x(high, low));
  if (stop == 0) return n;
  size_t at = (size_t)__builtin_ctz(stop);
  return at < 8 ? at : n - 16 + at;
}
#endif

/* Copies bytes that need no care; returns how many. No more than n are written. */
static size_t copy_plain(char *out, const char *p, size_t n) {
  size_t i = 0;
#ifdef __SSE2__
  for (; n - i >= 16; i += 16) {
    unsigned stop = copy_16(out + i, p + i);
    if (stop != 0) return i + (size_t)__builtin_ctz(stop);
  }
  if (i < n && n >= 16) {
    unsigned stop = copy_16(out + n - 16, p + n - 16);
    return stop == 0 ? n : n - 16 + (size_t)__builtin_ctz(stop);
  }
  if (n >= 8) return i == n ? n : copy_8(out, p, n);
#endif
  for (; i < n; i++) {
    signed char c = (signed char)p[i];
    if (c < 0x20 || c == '"' || c == '\\' || c == '<') break;
    out[i] = p[i];
  }
  return i;
}

/* Writes the character at *p, escaped if need be: at most 6 bytes. */
static size_t write_special(char *out, const char **p, const char *end) {
  static const char hex[] = "0123456789abcdef", names[] = "btn.fr";
  const char *at = *p;
  unsigned char c = (unsigned char)*at;
  int n = df_json_sequence(at, end);
  *p += n < 0 ? -n : n;
  if (n < 0) return memcpy(out, "\xef\xbf\xbd", 3), 3;
  if (n == 3 && memcmp(at, "\xe2\x80", 2) == 0 && (unsigned char)(at[2] & 0xfe) == 0xa8)
    return memcpy(out, at[2] & 1 ? "\\u2029" : "\\u2028", 6), 6;
  if (n > 1) return memcpy(out, at, (size_t)n), (size_t)n;
  out[0] = '\\';
  out[1] = c >= '\b' && c <= '\r' && c != '\v' ? names[c - '\b'] : (char)c;
  if (c == '"' || c == '\\' || out[1] != (char)c) return 2;
  memcpy(out + 1, "u00", 3);
  out[4] = hex[c >> 4];
  out[5] = hex[c & 15];
  return 6;
}

int df_json_write_string(df_buf *b, const char *text, size_t len) {
  enum { STEP = 1024 };
  const char *p = text, *end = text + len;
  if (len <= STEP) { /* most are short and plain */
    if (df_buf_reserve(b, len + 2) != 0) return -1;
    char *out = b->data + b->len;
    *out = '"';
    if (copy_plain(out + 1, p, len) == len) {
      out[len + 1] = '"';
      b->len += len + 2;
      return 0;
    }
  }
  if (df_buf_reserve(b, 1) != 0) return -1;
  b->data[b->len++] = '"';
  do {
    size_t step = end - p < STEP ? (size_t)(end - p) : STEP;
    if (df_buf_reserve(b, step * 6 + 1) != 0) return -1; /* the longest escapes, the quote */
    char *out = b->data + b->len;
    for (const char *stop = p + step; p < stop;) {
      size_t n = copy_plain(out, p, (size_t)(stop - p));
      p += n;
      out += n;
      if (p < stop) out += write_special(out, &p, end);
    }
    b->len = (size_t)(out - b->data);
  } while (p < end);
  b->data[b->len++] = '"';
  return 0;
}

int df_json_write_key(df_buf *b, int first, const char *text, size_t len) {
  if (!first && df_buf_add(b, ",", 1) != 0) return -1;
  return df_json_write_string(b, text, len) != 0 ? -1 : df_buf_add(b, ":", 1);
}

int df_json_write_int(df_buf *b, int64_t value) {
  static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
                              "4950515253545556575859606162636465666768697071727374757677787980818283848586878889909192939495969798"
                              "99";
  if (value >= 0 && value < 10) return df_buf_add(b, (const char[]){(char)('0' + value)}, 1);
  char text[24], *p = text + sizeof text;
  uint64_t u = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  for (; u > 9; u /= 100) { /* by characters: a checked memcpy of two bytes costs a call */
    *--p = pairs[u % 100 * 2 + 1];
    *--p = pairs[u % 100 * 2];
  }
  if (u > 0) *--p = (char)('0' + u);
  if (value < 0) *--p = '-';
  return df_buf_add(b, p, (size_t)(text + sizeof text - p));
}

int df_json_write_double(df_buf *b, double value) {
  if (!isfinite(value)) return -1;
  char text[64];
  size_t n = write_shortest(text, value);
  int integral = memchr(text, '.', n) == NULL && memchr(text, 'e', n) == NULL;
  return df_buf_add(b, text, n) != 0 || (integral && df_buf_puts(b, ".0") != 0) ? -1 : 0;
}

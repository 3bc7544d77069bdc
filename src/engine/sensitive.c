/* sensitive.c: which fields hold secrets of people, and what may be told of such a value without telling it. */
#include "engine/sensitive.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct df_fields {
  uint64_t lengths[256]; /* by a key's ends: bit n is set when a name of n bytes has them; of 63 and more, bit 63 */
  df_field *list;
  size_t n;
};

static uint64_t bit_of(size_t n) { return UINT64_C(1) << (n < 63 ? n : 63); }

/* The same for a letter in either case; for other bytes it may be the same by chance. */
static unsigned char ends_of(const char *key, size_t n) { return (unsigned char)((key[0] | 0x20) + 31 * (key[n - 1] | 0x20)); }

int df_fields_new(df_fields **out, df_error *err) {
  *out = calloc(1, sizeof **out);
  return *out != NULL ? 0 : df_fail(err, DF_LIMIT, "out of memory");
}

void df_fields_free(df_fields *f) {
  if (f == NULL) return;
  for (size_t i = 0; i < f->n; i++) free(f->list[i].name);
  free(f->list);
  free(f);
}

int df_fields_add(df_fields *f, const char *name, size_t n, df_field_kind kind, df_error *err) {
  if (n == 0 || df_fields_find(f, name, n) != NULL) return 0;
  df_field *grown = realloc(f->list, (f->n + 1) * sizeof *grown);
  if (grown == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  f->list = grown;
  df_field *added = &f->list[f->n];
  *added = (df_field){.name = malloc(n + 1), .len = n, .kind = kind};
  if (added->name == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  memcpy(added->name, name, n);
  added->name[n] = '\0';
  f->n++;
  f->lengths[ends_of(name, n)] |= bit_of(n);
  return 0;
}

const df_field *df_fields_find(const df_fields *f, const char *key, size_t n) {
  if (n == 0 || (f->lengths[ends_of(key, n)] & bit_of(n)) == 0) return NULL;
  for (size_t i = 0; i < f->n; i++)
    if (f->list[i].len == n && strncasecmp(f->list[i].name, key, n) == 0) return &f->list[i];
  return NULL;
}

/* Kinds of hashes that say themselves what they are, by the names of helpers/shapes.lua. */
static const struct {
  const char *prefix, *kind;
} marked[] = {
    {"$2$", "bcrypt"},        {"$2a$", "bcrypt"},       {"$2b$", "bcrypt"},       {"$2x$", "bcrypt"},
    {"$2y$", "bcrypt"},       {"$argon2", "argon2"},    {"$S$", "drupal7"},       {"$scrypt$", "scrypt"},
    {"scrypt:", "scrypt"},    {"$7$", "scrypt"},        {"$y$", "yescrypt"},      {"$6$", "sha512crypt"},
    {"$5$", "sha256crypt"},   {"$1$", "md5crypt"},      {"$apr1$", "apr1"},       {"$P$", "phpass"},
    {"$H$", "phpass"},        {"$pbkdf2", "pbkdf2"},    {"pbkdf2_", "pbkdf2"},    {"pbkdf2:", "pbkdf2"},
    {"{SSHA", "ssha"},        {"{SHA", "sha"},          {"$krb5", "kerberos"},
};

const char *df_sensitive_kind(const char *text, size_t n) {
  for (size_t i = 0; i < sizeof marked / sizeof *marked; i++) {
    size_t len = strlen(marked[i].prefix);
    if (n > len + 8 && memcmp(text, marked[i].prefix, len) == 0) return marked[i].kind;
  }
  size_t from = n == 41 && *text == '*', letters = 0;
  for (size_t i = from; i < n; i++) {
    if (!isxdigit((unsigned char)text[i])) return "clear";
    if (isalpha((unsigned char)text[i])) letters++;
  }
  if (letters == 0) return "clear"; /* digits alone: chance would be against a hash */
  if (from == 1) return "mysql41";
  switch (n) {
    case 32: return "md5";
    case 40: return "sha1";
    case 56: return "sha224";
    case 64: return "sha256";
    case 96: return "sha384";
    case 128: return "sha512";
    default: return "clear";
  }
}

const char *df_sensitive_length(const char *text, size_t n) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) count += ((unsigned char)text[i] & 0xc0) != 0x80;
  return count == 0 ? "0" : count < 8 ? "1-7" : count < 12 ? "8-11" : count < 16 ? "12-15" : "16+";
}

size_t df_sensitive_digits(char out[DF_CARD_MAX + 1], const char *text, size_t n) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) {
    if (text[i] == ' ' || text[i] == '-') continue;
    if (!isdigit((unsigned char)text[i]) || count == DF_CARD_MAX) return 0;
    out[count++] = text[i];
  }
  out[count] = '\0';
  return count >= DF_CARD_MIN ? count : 0;
}

int df_sensitive_luhn(const char *digits, size_t n) {
  int sum = 0;
  for (size_t i = 0; i < n; i++) {
    int d = digits[n - 1 - i] - '0';
    if (i % 2 == 1) d = d > 4 ? 2 * d - 9 : 2 * d;
    sum += d;
  }
  return n > 0 && sum % 10 == 0;
}

/* Ranges of the first four digits, and which lengths are issued in them. */
static const struct {
  int from, to, least, most;
} ranges[] = {
    {2221, 2720, 16, 16}, {3000, 3059, 14, 14}, {3095, 3095, 14, 14}, {3400, 3499, 15, 15}, {3528, 3589, 16, 19},
    {3600, 3699, 14, 19}, {3700, 3799, 15, 15}, {3800, 3999, 14, 19}, {4000, 4999, 13, 19}, {5018, 5038, 13, 19},
    {5100, 5599, 16, 16}, {6011, 6011, 16, 19}, {6200, 6299, 16, 19}, {6304, 6304, 13, 19}, {6440, 6599, 16, 19},
    {6759, 6763, 13, 19},
};

static int is_issued(const char *digits, size_t n) {
  int first = (digits[0] - '0') * 1000 + (digits[1] - '0') * 100 + (digits[2] - '0') * 10 + digits[3] - '0';
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
    if (first >= ranges[i].from && first <= ranges[i].to) {
      size_t least = (size_t)ranges[i].least, most = (size_t)ranges[i].most;
      if (ranges[i].from == 4000 && n != 13 && n != 16 && n != 19) return 0;
      return n >= least && n <= most && df_sensitive_luhn(digits, n);
    }
  return 0;
}

/* Whether a number may stand beside this byte: not in a longer number, a word, an id or a path. */
static int is_edge(char c) { return !isalnum((unsigned char)c) && c != '_' && c != '.' && c != '-' && c != '/'; }

static int may_end(const char *text, size_t n, size_t at) {
  if (at == n || is_edge(text[at])) return 1;
  return text[at] == '.' && (at + 1 == n || !isalnum((unsigned char)text[at + 1])); /* a sentence's end */
}

/* Where the card number that begins at `from` ends, or 0. Groups of digits have one blank or dash between them. */
static size_t card_end(const char *text, size_t n, size_t from, size_t *digits) {
  char d[DF_CARD_MAX];
  *digits = 0;
  for (size_t at = from; at < n;) {
    for (; at < n && isdigit((unsigned char)text[at]); at++) {
      if (*digits == DF_CARD_MAX) return 0;
      d[(*digits)++] = text[at];
    }
    if (*digits >= 13 && may_end(text, n, at) && is_issued(d, *digits)) return at;
    if (at + 1 >= n || (text[at] != ' ' && text[at] != '-') || !isdigit((unsigned char)text[at + 1])) return 0;
    at++;
  }
  return 0;
}

size_t df_sensitive_mask_cards(char *text, size_t n) {
  size_t found = 0, digits;
  for (size_t i = 0; i < n;) {
    if (!isdigit((unsigned char)text[i])) {
      i++;
      continue;
    }
    size_t end = i == 0 || is_edge(text[i - 1]) ? card_end(text, n, i, &digits) : 0;
    for (size_t at = i, seen = 0; at < end; at++)
      if (isdigit((unsigned char)text[at]) && ++seen > 6 && seen <= digits - 4) text[at] = '*';
    if (end > 0) found++;
    for (i = end > 0 ? end : i; i < n && isdigit((unsigned char)text[i]);) i++; /* on to the next group */
  }
  return found;
}

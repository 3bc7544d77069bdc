/* standin.c: for each value another one of the same form and length; the same for the same value as long as the process lives. */
#include "job/standin.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sensitive.h"
#include "io/hash.h"

enum { DIGITS_MAX = 18, HEAD = 6, TAIL = 4 };

typedef enum form { TEXT, DIGITS, NUMBER, CARD, FORMS } form;

/* What is kept of a value is a digest of it. */
typedef struct entry {
  unsigned char key[DF_KEY_LEN];
  uint64_t number; /* 0: the place is free */
} entry;

static struct {
  entry *list; /* open addressing; cap is a power of two */
  size_t n, cap;
  uint64_t last[FORMS][DIGITS_MAX + 2];
} g;

static entry *place_of(entry *list, size_t cap, const unsigned char *key) {
  uint64_t h;
  memcpy(&h, key, sizeof h);
  size_t at = (size_t)h & (cap - 1);
  while (list[at].number != 0 && memcmp(list[at].key, key, DF_KEY_LEN) != 0) at = (at + 1) & (cap - 1);
  return &list[at];
}

static int grow(void) {
  size_t cap = g.cap == 0 ? 256 : g.cap * 2;
  entry *list = calloc(cap, sizeof *list);
  if (list == NULL) return -1;
  for (size_t i = 0; i < g.cap; i++)
    if (g.list[i].number != 0) *place_of(list, cap, g.list[i].key) = g.list[i];
  free(g.list);
  g.list = list;
  g.cap = cap;
  return 0;
}

/* The place of a value; its number is 0 when it is new. NULL when memory runs out. */
static entry *find(form f, const char *text, size_t n) {
  unsigned char key[DF_KEY_LEN], kind = (unsigned char)f;
  df_hash_part parts[] = {{&kind, 1}, {text, n}};
  if (g.n * 2 >= g.cap && grow() != 0) return NULL;
  df_hash_key16(key, parts, 2);
  entry *e = place_of(g.list, g.cap, key);
  memcpy(e->key, key, sizeof key);
  return e;
}

static int all_digits(const char *text, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!isdigit((unsigned char)text[i])) return 0;
  return n > 0;
}

static int all_hex(const char *text, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!isxdigit((unsigned char)text[i])) return 0;
  return n >= 32;
}

/* Length of what says which kind of hash a text is, such as "$2b$"; of others 0. */
static size_t mark_of(const char *text, size_t n) {
  const char *kind = df_sensitive_kind(text, n);
  char trial[] = "xxxxxxxxxxxxxxxxxxxxxxxx";
  if (strcmp(kind, "clear") == 0 || isxdigit((unsigned char)text[0])) return 0;
  for (size_t i = 0; i < 8 && i < n; i++) {
    trial[i] = text[i];
    if (strcmp(df_sensitive_kind(trial, sizeof trial - 1), kind) == 0) return i + 1;
  }
  return 0;
}

int df_standin_text(df_buf *out, const char *text, size_t n, int is_number) {
  form f = is_number ? NUMBER : all_digits(text, n) && n <= DIGITS_MAX ? DIGITS : TEXT;
  size_t length = f == TEXT ? 0 : n < DIGITS_MAX ? n : DIGITS_MAX;
  entry *e = find(f, text, n);
  char number[24];
  if (e == NULL) return -1;
  if (e->number == 0) {
    e->number = ++g.last[f][length];
    g.n++;
  }
  uint64_t value = e->number;
  if (f == NUMBER) { /* no zero in front */
    uint64_t least = 1;
    for (size_t i = 1; i < length; i++) least *= 10;
    return df_buf_printf(out, "%" PRIu64, length > 1 ? least + value - 1 : value - 1);
  }
  size_t digits = (size_t)snprintf(number, sizeof number, "%" PRIu64, value), kept = f == TEXT ? mark_of(text, n) : 0;
  if (df_buf_add(out, text, kept) != 0) return -1;
  for (size_t i = kept + digits; i < n; i++)
    if (df_buf_add(out, f == DIGITS ? "0" : all_hex(text, n) ? "a" : "x", 1) != 0) return -1;
  return df_buf_add(out, number, digits);
}

/* Puts number into the digits between head and tail. */
static void set_middle(char *digits, size_t n, uint64_t number) {
  for (size_t i = n - TAIL; i-- > HEAD; number /= 10) digits[i] = (char)('0' + number % 10);
}

static int stand_for(char *digits, size_t n) {
  entry *e = find(CARD, digits, n);
  int right = df_sensitive_luhn(digits, n);
  char own[DF_CARD_MAX + 1];
  if (e == NULL) return -1;
  memcpy(own, digits, n);
  if (e->number == 0) {
    uint64_t at = g.last[CARD][0];
    do set_middle(digits, n, ++at);
    while (memcmp(digits, own, n) == 0 || df_sensitive_luhn(digits, n) != right);
    e->number = g.last[CARD][0] = at;
    g.n++;
  }
  set_middle(digits, n, e->number);
  explicit_bzero(own, sizeof own);
  return 0;
}

int df_standin_card(char *text, size_t n, int with_digits) {
  char digits[DF_CARD_MAX + 1];
  size_t count = df_sensitive_digits(digits, text, n), seen = 0;
  if (count == 0) return 0;
  int rc = with_digits ? stand_for(digits, count) : 0;
  for (size_t i = 0; i < n; i++) {
    if (!isdigit((unsigned char)text[i])) continue;
    if (seen >= HEAD && seen < count - TAIL) text[i] = with_digits ? digits[seen] : '*';
    seen++;
  }
  explicit_bzero(digits, sizeof digits);
  return rc;
}

int df_standin_cards(df_buf *b, int with_digits, uint64_t *count) {
  df_buf copy = {0};
  size_t digits = 0;
  for (size_t i = 0; i < b->len; i++) digits += isdigit((unsigned char)b->data[i]) != 0;
  if (digits < 13) return 0;
  if (df_buf_add(&copy, b->data, b->len) != 0) return -1;
  int rc = 0;
  *count += df_sensitive_mask_cards(copy.data, copy.len);
  for (size_t i = 0; rc == 0 && i < b->len; i++) {
    if (copy.data[i] == b->data[i]) continue;
    size_t from = i, to = i, last = i; /* from the first masked digit, six to the left; from the last one, four to the right */
    for (; to < b->len && (copy.data[to] != b->data[to] || copy.data[to] == ' ' || copy.data[to] == '-'); to++)
      if (copy.data[to] != b->data[to]) last = to;
    for (int seen = 0; seen < HEAD && from > 0;) seen += isdigit((unsigned char)b->data[--from]) != 0;
    for (int seen = 0; seen < TAIL && last + 1 < b->len;) seen += isdigit((unsigned char)b->data[++last]) != 0;
    rc = df_standin_card(b->data + from, last + 1 - from, with_digits);
    i = last;
  }
  df_buf_free(&copy);
  return rc;
}

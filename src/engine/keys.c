/* keys.c: a fixed set of texts, in a table that is mostly empty. */
#include "engine/keys.h"

#include <stdlib.h>
#include <string.h>

enum { LOWER_MAX = 128 };

static uint32_t hash(const char *p, size_t n) {
  uint64_t a = 0, b = 0;
  if (n >= 8) {
    for (const char *q = p + 8; q + 8 < p + n; q += 8) { /* the middle of long ones */
      memcpy(&a, q, 8);
      b = (b ^ a) * UINT64_C(0x94d049bb133111eb);
    }
    const uint64_t middle = b;
    memcpy(&a, p, 8);
    memcpy(&b, p + n - 8, 8);
    b ^= middle;
  } else if (n >= 4) {
    memcpy(&a, p, 4);
    memcpy(&b, p + n - 4, 4);
  } else if (n > 0) {
    a = (unsigned char)p[0];
    b = (uint64_t)(unsigned char)p[n / 2] << 8 | (unsigned char)p[n - 1];
  }
  return (uint32_t)((a * UINT64_C(0x9e3779b97f4a7c15) ^ (b + n) * UINT64_C(0xd6e8feb86659fd93)) >> 32);
}

int df_keys_make(df_keys *out, const df_key *keys, size_t n) {
  uint32_t size = 4;
  *out = (df_keys){0};
  if (n == 0) return 0;
  while (size < 4 * n) size *= 2;
  out->slots = calloc(size, sizeof *out->slots);
  if (out->slots == NULL) return -1;
  out->mask = size - 1;
  for (size_t i = 0; i < n; i++) {
    uint32_t at = hash(keys[i].text, keys[i].len) & out->mask;
    if (df_keys_find(out, keys[i].text, keys[i].len) >= 0) continue;
    while (out->slots[at].text != NULL) at = (at + 1) & out->mask;
    out->slots[at] = keys[i];
  }
  return 0;
}

/* The slot of the text, or the free one where the search ends. */
static const df_key *slot_of(const df_keys *set, const char *text, size_t len) {
  for (uint32_t at = hash(text, len) & set->mask;; at = (at + 1) & set->mask) {
    const df_key *k = &set->slots[at];
    if (k->text == NULL || (k->len == len && memcmp(k->text, text, len) == 0)) return k;
  }
}

int df_keys_find(const df_keys *set, const char *text, size_t len) {
  if (set->slots == NULL) return -1;
  const df_key *k = slot_of(set, text, len);
  return k->text == NULL ? -1 : k->value;
}

int df_keys_find_next(const df_keys *set, uint32_t *guess, const char *text, size_t len) {
  if (set->slots == NULL) return -1;
  const df_key *k = &set->slots[*guess & set->mask];
  if (k->text == NULL || k->len != len || memcmp(k->text, text, len) != 0) {
    k = slot_of(set, text, len);
    *guess = (uint32_t)(k - set->slots);
  }
  return k->text == NULL ? -1 : k->value;
}

int df_keys_find_lower(const df_keys *set, const char *text, size_t len) {
  char lower[LOWER_MAX];
  if (set->slots == NULL || len > sizeof lower) return -1;
  for (size_t i = 0; i < len; i++) lower[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i]);
  return df_keys_find(set, lower, len);
}

void df_keys_free(df_keys *set) {
  free(set->slots);
  *set = (df_keys){0};
}

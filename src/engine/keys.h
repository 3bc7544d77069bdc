/* keys.h: a fixed set of texts, and which of them a text is. */
#ifndef DF_ENGINE_KEYS_H
#define DF_ENGINE_KEYS_H

#include <stddef.h>
#include <stdint.h>

typedef struct df_key {
  const char *text; /* not copied; NULL where a slot is free */
  size_t len;
  int value;
} df_key;

/* All zero is an empty set. */
typedef struct df_keys {
  df_key *slots;
  uint32_t mask;
} df_keys;

/* Makes the set; of equal texts the first counts. 0, or -1 when memory runs out. */
int df_keys_make(df_keys *out, const df_key *keys, size_t n);

/* The value of the text, or -1. */
int df_keys_find(const df_keys *set, const char *text, size_t len);

/* The same where texts come in an order: *guess is the slot of the last text that stood there, and becomes that of this one. */
int df_keys_find_next(const df_keys *set, uint32_t *guess, const char *text, size_t len);

/* The same without regard to ASCII case; the set's texts are in lower case. */
int df_keys_find_lower(const df_keys *set, const char *text, size_t len);

/* Frees the set, not its texts; it is then empty. */
void df_keys_free(df_keys *set);

#endif

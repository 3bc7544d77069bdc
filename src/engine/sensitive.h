/* sensitive.h: which fields hold secrets of people, and what may be told of such a value without telling it. */
#ifndef DF_ENGINE_SENSITIVE_H
#define DF_ENGINE_SENSITIVE_H

#include <stddef.h>

#include "base/error.h"

typedef struct df_fields df_fields;

typedef enum df_field_kind {
  DF_FIELD_TEXT,
  DF_FIELD_CARD, /* card numbers: what stands between the digits says nothing */
  DF_FIELD_BARE  /* so few values are possible that one known pair of value and HMAC would tell many others: it has no HMAC */
} df_field_kind;

/* A field that is listed. */
typedef struct df_field {
  char *name;
  size_t len;
  df_field_kind kind;
} df_field;

/* An empty list. */
int df_fields_new(df_fields **out, df_error *err);

/* Frees it with its names. NULL is fine. */
void df_fields_free(df_fields *f);

/* Adds a name; one that is there stays as it is. What df_fields_find has returned before is no longer good. */
int df_fields_add(df_fields *f, const char *name, size_t n, df_field_kind kind, df_error *err);

/* The listed field that a record's key names, without regard to the case of ASCII letters, or NULL. Cheap for keys that are none. */
const df_field *df_fields_find(const df_fields *f, const char *key, size_t n);

/* What kind of text this is: the name of the kind of hash that it looks like ("md5" is NTLM too), else "clear". */
const char *df_sensitive_kind(const char *text, size_t n);

/* "0", "1-7", "8-11", "12-15" or "16+" characters (UTF-8). */
const char *df_sensitive_length(const char *text, size_t n);

enum { DF_CARD_MIN = 12, DF_CARD_MAX = 19 };

/* The digits of a card number, without blanks and dashes between them, and a NUL: their count, or 0 when the text is none. */
size_t df_sensitive_digits(char out[DF_CARD_MAX + 1], const char *text, size_t n);

/* Whether the check digit is right (ISO/IEC 7812-1, annex B). */
int df_sensitive_luhn(const char *digits, size_t n);

/* Overwrites with '*' what stands between the first six and the last four digits of each card number in text: 13 to 19 digits
   of a scheme's range and length, with single blanks or dashes between them, no digit or letter around, and the right check digit. Returns
   how many. */
size_t df_sensitive_mask_cards(char *text, size_t n);

#endif

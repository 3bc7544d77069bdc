/* error.c: one failure, set once where it is seen. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  int exit_code;
} kinds[] = {
    [DF_NONE] = {"none", 0},
    [DF_CONFIG] = {"config", 2},
    [DF_AUTH] = {"auth", 3},
    [DF_SCOPE] = {"scope", 3},
    [DF_BILLING] = {"billing", 3},
    [DF_QUOTA] = {"quota", 3},
    [DF_NOT_FOUND] = {"not_found", 3},
    [DF_INVALID] = {"invalid", 3},
    [DF_RATE_LIMIT] = {"rate_limit", 4},
    [DF_UNAVAILABLE] = {"unavailable", 4},
    [DF_NETWORK] = {"network", 4},
    [DF_TIMEOUT] = {"timeout", 4},
    [DF_DECODE] = {"decode", 4},
    [DF_INCOMPLETE] = {"incomplete", 6},
    [DF_LIMIT] = {"limit", 5},
    [DF_SCRIPT] = {"script", 1},
    [DF_STORE] = {"store", 2},
};

const char *df_kind_name(df_kind kind) {
  return (size_t)kind < sizeof kinds / sizeof *kinds ? kinds[kind].name : "none";
}

int df_kind_exit_code(df_kind kind) {
  return (size_t)kind < sizeof kinds / sizeof *kinds ? kinds[kind].exit_code : 1;
}

df_kind df_kind_from_name(const char *name) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(kinds[i].name, name) == 0) return (df_kind)i;
  return DF_SCRIPT;
}

void df_error_clear(df_error *err) {
  if (err != NULL) memset(err, 0, sizeof *err);
}

/* Text that had to be cut may end inside a UTF-8 character, which would make all of it ill-formed. */
static void drop_cut_character(char *text, size_t len) {
  size_t lead = len - 1;
  while (lead > len - 4 && ((unsigned char)text[lead] & 0xc0) == 0x80) lead--;
  unsigned char c = (unsigned char)text[lead];
  size_t whole = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
  if (lead + whole > len) text[lead] = '\0';
}

int df_fail(df_error *err, df_kind kind, const char *fmt, ...) {
  if (err == NULL) return -1;
  df_error_clear(err);
  err->kind = kind;
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(err->message, sizeof err->message, fmt, ap);
  va_end(ap);
  if (n >= (int)sizeof err->message) drop_cut_character(err->message, sizeof err->message - 1);
  for (char *p = err->message; *p != '\0'; p++)
    if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = ' ';
  return -1;
}

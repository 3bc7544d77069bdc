/* regex.h: regular expressions that end: PCRE2 with limits, loaded when it is first needed. */
#ifndef DF_IO_REGEX_H
#define DF_IO_REGEX_H

#include <stddef.h>

#include "base/error.h"

typedef struct df_regex df_regex;

enum { DF_REGEX_MATCHES = 5000000, DF_REGEX_DEPTH = 100000, DF_REGEX_HEAP_KIB = 16384, DF_REGEX_PATTERN = 16384 };

typedef struct df_regex_options {
  const char *flags; /* letters: i m s x as in Perl, u for UTF-8; NULL: none */
  int jit;           /* compile to machine code, whose memory `take` does not see */
  void *(*take)(size_t, void *);
  void (*give)(void *, void *);
  void *data; /* of take and give, which live as long as the regex; NULL: malloc and free */
} df_regex_options;

/* Compiles a pattern. DF_CONFIG: it or a flag is wrong (with the offset), or PCRE2 is not there; DF_LIMIT: no memory. */
int df_regex_new(df_regex **out, const char *pattern, size_t len, const df_regex_options *o, df_error *err);

/* Looks for the first match at or behind `from`: how many groups it has (the whole match is the first), 0 for none. -1, DF_LIMIT: it
   took more than the limits above allow; the message names the pattern. */
int df_regex_match(df_regex *r, const char *text, size_t n, size_t from, df_error *err);

/* Of the last match: begin and end of each group, both (size_t)-1 for one that took no part. */
const size_t *df_regex_groups(const df_regex *r);

/* The i-th named group, from 0: its name and number, or NULL behind the last. */
const char *df_regex_name(const df_regex *r, size_t i, size_t *group);

/* Bytes that the pattern takes. */
size_t df_regex_size(const df_regex *r);

/* NULL is fine. */
void df_regex_free(df_regex *r);

#endif

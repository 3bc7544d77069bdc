/* redact.h: copies of requests and answers, for files that people read, without what is secret in them. */
#ifndef DF_JOB_REDACT_H
#define DF_JOB_REDACT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "engine/sensitive.h"

/* How a value is hidden. STAND_IN: by another one of the same form and length, the same for the same value as long as the process
   lives, so that what is equal stays equal; MASK: by "***", which is also the same in another process. */
typedef enum df_redact_mode { DF_REDACT_MASK, DF_REDACT_STAND_IN } df_redact_mode;

/* Lists a field, in any case and at any depth, also as the name of a query's parameter. Process-wide, as are the stand-ins. */
int df_redact_field(const char *name, size_t n, df_field_kind kind, df_error *err);

/* Lists what a name of a text may be made of, without its marks and capitals: a part of it, or (whole) all of it. */
int df_redact_word(const char *word, size_t n, int whole, df_error *err);

/* The passwords of the proxies in the environment are live secrets from now on. */
int df_redact_proxies(df_error *err);

/* A call begins: forgets the values of the one before, which the functions below look for in what follows. */
void df_redact_begin(void);

/* Appends a path with its query; parameters by name in the order of their bytes. -1 when memory runs out. */
int df_redact_url(df_buf *out, const char *url);

/* Appends the copy of a JSON text. Values under a listed name are hidden, also where another text of the same record holds them (from 6
   bytes on, of letters, digits and marks at least two kinds), card numbers and live secrets wherever a text holds them. Ids, paging and
   whatever is no text stay. sorted: members in the order of their names. What is no JSON is replaced by its length as a JSON string;
   of an array `data`, the elements that are none by {!}. Returns 0, 1 when there was such an element, -1 when memory runs out. */
int df_redact_json(df_buf *out, const char *text, size_t n, df_redact_mode mode, int sorted);

/* Hides the same in a text, in place of a C string that is no longer afterwards. */
void df_redact_text(char *text, size_t size, df_redact_mode mode);

/* Values that got a stand-in so far. */
uint64_t df_redact_count(void);

#endif

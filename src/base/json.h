/* json.h: JSON (RFC 8259) read strictly into a tape of nodes, and written. */
#ifndef DF_BASE_JSON_H
#define DF_BASE_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* A parsed document. It owns its source text; strings and numbers are converted when they are asked for. */
typedef struct df_json df_json;

/* A value in a document. The root is 0; no other value is, so 0 also says "absent". */
typedef uint32_t df_json_ref;

typedef enum df_json_kind {
  DF_JSON_NULL,
  DF_JSON_FALSE,
  DF_JSON_TRUE,
  DF_JSON_NUMBER,
  DF_JSON_STRING,
  DF_JSON_ARRAY,
  DF_JSON_OBJECT,
  DF_JSON_BAD /* a record that could not be parsed, see df_json_limits.recover */
} df_json_kind;

/* What a number's exact value fits into. */
typedef enum df_json_exact {
  DF_JSON_INT,    /* an int64 */
  DF_JSON_DOUBLE, /* a double whose shortest text equals the source in value; -0 is one */
  DF_JSON_DIGITS  /* neither: only the source text says it all */
} df_json_exact;

/* Zero means default. */
typedef struct df_json_limits {
  size_t max_bytes;   /* 64 MiB; never more than 4 GiB - 64 */
  uint32_t max_depth; /* 128; never more than 1,000 */
  uint32_t max_nodes; /* 8 Mi values and keys; never more than 16 Mi - 1 */
  size_t max_record;  /* 16 MiB, only with recover */
  int recover;        /* a fault inside one element of the root's array `data` costs that element only: it becomes
                         DF_JSON_BAD, provided that its end can be told */
} df_json_limits;

/* Parses text, whose bytes move into *out on success (the buffer is then empty) and stay on failure. limits may be
   NULL. Fails with DF_DECODE, or DF_LIMIT for a cap; the message gives the byte, counted from 1. */
int df_json_parse(df_json **out, df_buf *text, const df_json_limits *limits, df_error *err);

/* Frees a document and its text. NULL is fine. */
void df_json_free(df_json *doc);

/* Kind of a value. */
df_json_kind df_json_type(const df_json *doc, df_json_ref at);

/* Elements of an array, members of an object, 0 for anything else. */
uint32_t df_json_count(const df_json *doc, df_json_ref at);

/* Walking: the first child is at + 1, and `after` gives what follows a value and all it holds. An object's children are
   key, value, key, value; count says when to stop. */
df_json_ref df_json_after(const df_json *doc, df_json_ref at);

/* The member of an object (the last one, if its key is repeated), or 0. */
df_json_ref df_json_get(const df_json *doc, df_json_ref object, const char *key, size_t len);

/* Value of a string, always valid UTF-8: what is ill-formed, and each lone surrogate, is read as U+FFFD. Points into
   the document, good until the next call. NULL when memory runs out. */
const char *df_json_text(df_json *doc, df_json_ref at, size_t *len);

/* Whether a string's value is what stands in the source between the quotes, and all ASCII. */
int df_json_plain(const df_json *doc, df_json_ref at);

/* Value of a number, in *i or *d as the result says. */
df_json_exact df_json_number(const df_json *doc, df_json_ref at, int64_t *i, double *d);

/* The same for a number's text, which must be one as JSON writes them. */
df_json_exact df_json_read_number(const char *text, size_t len, int64_t *i, double *d);

/* Source bytes of a value, quotes included. */
const char *df_json_span(const df_json *doc, df_json_ref at, size_t *len);

/* Why a DF_JSON_BAD is one, and how many of its bytes lie before the fault. */
const char *df_json_fault(const df_json *doc, df_json_ref at, size_t *offset);

/* Replacements made so far; a string that is read twice counts once. */
size_t df_json_replaced(const df_json *doc);

/* Length of the source text. */
size_t df_json_bytes(const df_json *doc);

/* Checks that the document is a page: an object with one array `data` and at most one `paging`. Needed before the calls
   below. */
int df_json_page(df_json *doc, df_error *err);
uint32_t df_json_records(const df_json *doc);
df_json_ref df_json_record(const df_json *doc, uint32_t i); /* i from 0, in constant time */
df_json_ref df_json_paging(const df_json *doc);             /* 0 when there is none */

/* Hash of the source bytes of `data`: equal pages have equal hashes. No defence against forged ones. */
uint64_t df_json_data_hash(const df_json *doc);

/* Behind the ASCII characters from p on, of which none is a backslash. */
const char *df_json_ascii(const char *p, const char *end);

/* Length of the UTF-8 sequence at p (p < end); negative when it is ill-formed: that many bytes stand for one U+FFFD
   (Unicode, 3.9, maximal subparts). */
int df_json_sequence(const char *p, const char *end);

/* Writers append to b; 0, or -1 when memory runs out. Raw text is df_buf_add. */

/* A string in quotes, always valid UTF-8 (as df_json_text). Also `<`, U+2028 and U+2029 are escaped, so that the text
   may stand inside HTML and JavaScript. */
int df_json_write_string(df_buf *b, const char *text, size_t len);

/* A member's key with what stands around it: a comma unless it is the first, the key as a string, a colon. */
int df_json_write_key(df_buf *b, int first, const char *text, size_t len);
int df_json_write_int(df_buf *b, int64_t value);

/* The shortest of 15, 16 or 17 digits that reads back as the same double; an integral value keeps ".0" or an exponent.
   -1 also for NaN and infinities, which JSON cannot say. */
int df_json_write_double(df_buf *b, double value);

#endif

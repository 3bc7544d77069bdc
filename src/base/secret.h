/* secret.h: a key in locked memory, and its removal from whatever is printed. */
#ifndef DF_BASE_SECRET_H
#define DF_BASE_SECRET_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

typedef struct df_secret df_secret;

/* Keeps a copy of n bytes in a page that is locked, left out of core dumps and wiped when freed. White space at the
   end is dropped. `what` names the secret in errors. Empty, over 4096 bytes, or with control characters: DF_CONFIG. */
int df_secret_new(df_secret **out, const char *bytes, size_t n, const char *what, df_error *err);

/* Reads a secret from a file that only its owner can read (mode 0600 or stricter, a regular file). `what`: "API key",
   for errors. */
int df_secret_from_file(df_secret **out, const char *path, const char *what, df_error *err);

/* Reads a secret from an environment variable. Not set: DF_CONFIG. */
int df_secret_from_env(df_secret **out, const char *name, df_error *err);

/* Where the API key is: file when given, else $DEFENDIS_API_KEY_FILE, else $CREDENTIALS_DIRECTORY/defendis-api-key when that is there.
   NULL when no file is to be read. path is room for the last of them. */
const char *df_secret_api_key_file(char *path, size_t size, const char *file);

/* Finds the API key: df_secret_api_key_file, else $DEFENDIS_API_KEY. "-" is stdin's first line. None of them: DF_CONFIG. */
int df_secret_find_api_key(df_secret **out, const char *file, df_error *err);

/* For the program, before any other thread runs: keeps $DEFENDIS_API_KEY for df_secret_find_api_key, and wipes it out of the
   environment. */
void df_secret_take_env(void);

/* Reads the first line of stdin, once, and keeps it for those who name "-" as the file. Nothing behind it is read. */
int df_secret_take_stdin(df_error *err);

/* Wipes what these two keep. */
void df_secret_drop_kept(void);

/* The bytes, NUL-terminated. Only for the place that sends them. */
const char *df_secret_bytes(const df_secret *s);
size_t df_secret_length(const df_secret *s);

/* Wipes and frees. NULL is fine. */
void df_secret_free(df_secret *s);

/* Overwrites each occurrence of a live secret in b, plain, percent-encoded, escaped as in JSON or in base64, with "***". */
void df_secret_redact(df_buf *b);

/* The same for a C string in place; the text never grows. */
void df_secret_redact_text(char *text);

#endif

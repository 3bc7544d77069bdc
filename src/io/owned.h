/* owned.h: files that only their owner can read: a key that is made once, lines that are added. */
#ifndef DF_IO_OWNED_H
#define DF_IO_OWNED_H

#include <stddef.h>

#include "base/error.h"

enum { DF_RANDOM_KEY = 64 };

/* 256 bits of the system's randomness as hexadecimal digits, and a NUL. */
int df_owned_random(char out[DF_RANDOM_KEY + 1], df_error *err);

/* Makes the file with a random key and a line end in it, mode 0600 and on disk, unless there is one already; of several
   processes at once one makes it. */
int df_owned_key(const char *path, df_error *err);

/* Appends n bytes in one write to a file of mode 0600, which is made when missing; they are the system's on return. */
int df_owned_append(const char *path, const void *bytes, size_t n, df_error *err);

#endif

/* error.h: one failure, set once where it is seen. */
#ifndef DF_BASE_ERROR_H
#define DF_BASE_ERROR_H

#include "defendis.h"

/* Fills err (may be NULL) with kind and a one-line message; control characters become spaces. Returns -1. */
int df_fail(df_error *err, df_kind kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The kind of that name; DF_SCRIPT for a name that is none. */
df_kind df_kind_from_name(const char *name);

/* Sets err to "no failure". */
void df_error_clear(df_error *err);

#endif

/* psl.h: the registrable domain of a host by the public suffix list, on libpsl, which is loaded when it is first needed. */
#ifndef DF_IO_PSL_H
#define DF_IO_PSL_H

#include "base/error.h"

/* The registrable domain of a host (lower case, A-labels): the end of `host`, or NULL when the host is itself a public suffix.
   The list is the file $DEFENDIS_PUBLIC_SUFFIX_LIST, or that of Debian's package publicsuffix, read once in the process;
   DF_CONFIG when it or libpsl is not there. */
int df_psl_registrable(const char **out, const char *host, df_error *err);

#endif

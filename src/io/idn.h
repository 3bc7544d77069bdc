/* idn.h: international host names to A-labels (IDNA2008), on libidn2, which is loaded when it is first needed. */
#ifndef DF_IO_IDN_H
#define DF_IO_IDN_H

#include "base/error.h"

enum { DF_IDN_MAX = 1023, DF_HOST_MAX = 255 };

/* Writes the A-labels of a host in UTF-8 of at most DF_IDN_MAX bytes; upper case becomes lower. DF_INVALID: no host name;
   DF_CONFIG: libidn2 is not there. */
int df_idn_ascii(char out[DF_HOST_MAX + 1], const char *host, df_error *err);

#endif

/* signals.h: signals as bytes to be read, so that waits end and nothing is cut in two. */
#ifndef DF_IO_SIGNALS_H
#define DF_IO_SIGNALS_H

#include "base/error.h"

/* From now on SIGTERM and SIGINT, and SIGHUP when hangup is set, are noted. The first SIGTERM or SIGINT leaves the next one its
   usual effect. The setting is the process's. Returns a descriptor that is readable while one is noted, or -1. */
int df_signals_catch(int hangup, df_error *err);

/* The next one that was noted, or 0. */
int df_signals_next(void);

#endif

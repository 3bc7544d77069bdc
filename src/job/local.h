/* local.h: a port in this process, with its own clients and transfers. */
#ifndef DF_JOB_LOCAL_H
#define DF_JOB_LOCAL_H

#include "job/port.h"

/* A port for stock Lua and for the trusted command line. */
int df_local_new(df_port **out, df_error *err);

/* What clients that name no base URL or key file get; copied. NULL leaves the environment's. */
int df_local_set_defaults(df_port *port, const char *base_url, const char *api_key_file, df_error *err);

#endif

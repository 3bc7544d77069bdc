/* connection.h: a byte stream over TCP or TLS, which df_http has opened. */
#ifndef DF_IO_CONNECTION_H
#define DF_IO_CONNECTION_H

#include <stddef.h>

#include "base/error.h"

/* Close it before the df_http that it came from. */
typedef struct df_connection df_connection;

/* Sends up to n bytes without waiting. Returns how many were taken, 0 when none can be now, -1 when the connection is gone. */
long df_connection_send(df_connection *c, const char *bytes, size_t n, df_error *err);

/* Reads and drops what came. 1 while the peer is there, 0 once it has closed or reset the connection. */
int df_connection_alive(df_connection *c);

/* The descriptor, to wait for. */
int df_connection_descriptor(const df_connection *c);

/* Closes it. NULL is fine. */
void df_connection_free(df_connection *c);

#endif

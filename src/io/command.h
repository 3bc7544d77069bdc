/* command.h: a secret that another program prints. */
#ifndef DF_IO_COMMAND_H
#define DF_IO_COMMAND_H

#include <stdint.h>

#include "base/secret.h"

/* Runs a program without a shell and keeps what it prints on stdout. line: its name or path and its arguments, parted by blanks (no
   quotes). Its stdin is empty; it is killed, with what it has started in its group, after timeout_ms. DF_CONFIG when it fails or
   prints no key. */
int df_command_secret(df_secret **out, const char *line, int64_t timeout_ms, df_error *err);

#endif

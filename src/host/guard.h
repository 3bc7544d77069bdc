/* guard.h: what the operating system enforces while the command line runs one script. */
#ifndef DF_HOST_GUARD_H
#define DF_HOST_GUARD_H

#include <stddef.h>
#include <stdint.h>

/* A function of C that does not return (string.find with a bad pattern) escapes the interpreter's budgets. So at at_ms
   (monotonic) the process says so, as one JSON document on stdout, and ends with exit code 5; and from now on it gets no
   more than `memory` bytes on top of what it has. Uses SIGALRM: for `defendis run` alone, never for an embedded host. */
void df_guard_start(int64_t at_ms, size_t memory);

/* Takes both back. */
void df_guard_stop(void);

#endif

/* carried.h: the Lua modules that are compiled into the program. */
#ifndef DF_HOST_CARRIED_H
#define DF_HOST_CARRIED_H

#include <stddef.h>

typedef struct df_carried {
  const char *name; /* as in require */
  const char *text;
  size_t len;
} df_carried;

/* Made by the build from lua/; ends with a NULL name. */
extern const df_carried df_carried_modules[];

#endif

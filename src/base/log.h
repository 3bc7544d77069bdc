/* log.h: JSON lines on stderr, without secrets. */
#ifndef DF_BASE_LOG_H
#define DF_BASE_LOG_H

#include <stdint.h>

typedef struct df_log_field {
  const char *key;
  const char *text; /* a string value, or NULL: then number is the value */
  int64_t number;
} df_log_field;

/* 0 quiet (warnings only), 1 requests (-v), 2 everything. Process-wide. */
void df_log_set_level(int level);
int df_log_level(void);

/* Writes {"time":...,"event":event,...} in one write when level is enabled. Live secrets are masked. */
void df_log(int level, const char *event, const df_log_field *fields, int n);

#endif

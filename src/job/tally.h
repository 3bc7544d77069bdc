/* tally.h: how many answers the API gave, for who watches over the process. */
#ifndef DF_JOB_TALLY_H
#define DF_JOB_TALLY_H

#include <stdint.h>

/* [1] to [5]: answers by the first digit of their status; [0]: requests that got none; [6]: how many of all were retries. */
enum { DF_TALLY_COUNT = 7, DF_TALLY_RETRIES = 6 };

/* Counts one request that has ended. status: 0 for no answer. */
void df_tally_add(int status, int is_retry);

/* The counts since the process began. */
void df_tally_read(uint64_t counts[DF_TALLY_COUNT]);

#endif

/* tally.c: how many answers the API gave, for who watches over the process. */
#include "job/tally.h"

#include <stdatomic.h>

static atomic_uint_fast64_t counted[DF_TALLY_COUNT]; /* the process's: hosts may be in several threads */

void df_tally_add(int status, int is_retry) {
  int class = status / 100;
  atomic_fetch_add_explicit(&counted[class >= 1 && class <= 5 ? class : 0], 1, memory_order_relaxed);
  if (is_retry) atomic_fetch_add_explicit(&counted[DF_TALLY_RETRIES], 1, memory_order_relaxed);
}

void df_tally_read(uint64_t counts[DF_TALLY_COUNT]) {
  for (int i = 0; i < DF_TALLY_COUNT; i++) counts[i] = atomic_load_explicit(&counted[i], memory_order_relaxed);
}

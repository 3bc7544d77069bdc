/* pool.h: small blocks by size class, for one Lua state. */
#ifndef DF_JOB_POOL_H
#define DF_JOB_POOL_H

#include <stddef.h>

#define DF_POOL_STEP 16
#define DF_POOL_MAX 512

/* Zero-initialized is empty. */
typedef struct df_pool {
  void *free_blocks[DF_POOL_MAX / DF_POOL_STEP]; /* one list per class, linked through the blocks */
  char *room;                                    /* rest of the newest chunk */
  size_t room_left;
  void *chunks; /* all chunks, linked through their first word */
} df_pool;

/* As a Lua allocator: a new size of 0 frees, old size 0 makes. NULL when the system has no memory; the old block
   then stays. */
void *df_pool_resize(df_pool *p, void *block, size_t old_size, size_t new_size);

/* Frees everything at once. */
void df_pool_free(df_pool *p);

#endif

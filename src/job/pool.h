/* pool.h: small blocks by size class, for one Lua state. */
#ifndef DF_JOB_POOL_H
#define DF_JOB_POOL_H

#include <stddef.h>
#include <string.h>

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
void *df_pool_resize_slowly(df_pool *p, void *block, size_t old_size, size_t new_size);

/* Under AddressSanitizer and valgrind every block is malloc's own, so that they see what is done to them. */
#if defined(__SANITIZE_ADDRESS__) || defined(DF_POOL_OFF)
static inline int df_pool_small(size_t size) { return (void)size, 0; }
#else
static inline int df_pool_small(size_t size) { return size - 1 < DF_POOL_MAX; }
#endif

static inline size_t df_pool_class(size_t size) { return (size - 1) / DF_POOL_STEP; }

/* Nearly every call is one of these two: a small block dropped, or taken from those that were. */
static inline void *df_pool_resize(df_pool *p, void *block, size_t old_size, size_t new_size) {
  if (new_size == 0 && df_pool_small(old_size)) {
    memcpy(block, &p->free_blocks[df_pool_class(old_size)], sizeof(void *));
    p->free_blocks[df_pool_class(old_size)] = block;
    return NULL;
  }
  if (old_size == 0 && df_pool_small(new_size)) {
    void **first = &p->free_blocks[df_pool_class(new_size)], *taken = *first;
    if (taken != NULL) {
      memcpy(first, taken, sizeof(void *));
      return taken;
    }
  }
  return df_pool_resize_slowly(p, block, old_size, new_size);
}

/* Frees everything at once. */
void df_pool_free(df_pool *p);

#endif

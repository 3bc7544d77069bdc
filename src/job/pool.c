/* pool.c: small blocks by size class, for one Lua state. A state makes and drops millions of them, mostly of the same few sizes. */
#include "job/pool.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64 * 1024 };

static size_t class_of(size_t size) { return (size - 1) / DF_POOL_STEP; }

/* Under AddressSanitizer and valgrind every block is malloc's own, so that they see what is done to them. */
#if defined(__SANITIZE_ADDRESS__) || defined(DF_POOL_OFF)
static int is_small(size_t size) { return (void)size, 0; }
#else
static int is_small(size_t size) { return size > 0 && size <= DF_POOL_MAX; }
#endif

static void *take(df_pool *p, size_t size) {
  size_t class = class_of(size), bytes = (class + 1) * DF_POOL_STEP;
  void *block = p->free_blocks[class];
  if (block != NULL) {
    memcpy(&p->free_blocks[class], block, sizeof(void *));
    return block;
  }
  if (p->room_left < bytes) {
    char *chunk = malloc(CHUNK);
    if (chunk == NULL) return NULL;
    memcpy(chunk, &p->chunks, sizeof(void *));
    p->chunks = chunk;
    p->room = chunk + DF_POOL_STEP; /* keeps blocks aligned to 16 */
    p->room_left = CHUNK - DF_POOL_STEP;
  }
  block = p->room;
  p->room += bytes;
  p->room_left -= bytes;
  return block;
}

static void give(df_pool *p, void *block, size_t size) {
  size_t class = class_of(size);
  memcpy(block, &p->free_blocks[class], sizeof(void *));
  p->free_blocks[class] = block;
}

void *df_pool_resize(df_pool *p, void *block, size_t old_size, size_t new_size) {
  int was_small = is_small(old_size);
  if (old_size == 0 && is_small(new_size)) return take(p, new_size);
  if (new_size == 0) {
    if (was_small) give(p, block, old_size);
    else free(block);
    return NULL;
  }
  if (!was_small && !is_small(new_size)) return realloc(block, new_size);
  if (was_small && is_small(new_size) && class_of(old_size) == class_of(new_size)) return block;
  void *fresh = is_small(new_size) ? take(p, new_size) : malloc(new_size);
  if (fresh == NULL) return NULL;
  if (old_size > 0) {
    memcpy(fresh, block, old_size < new_size ? old_size : new_size);
    if (was_small) give(p, block, old_size);
    else free(block);
  }
  return fresh;
}

void df_pool_free(df_pool *p) {
  for (char *chunk = p->chunks; chunk != NULL;) {
    char *next;
    memcpy(&next, chunk, sizeof next);
    free(chunk);
    chunk = next;
  }
  memset(p, 0, sizeof *p);
}

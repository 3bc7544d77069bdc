/* disk.c: a disk in memory that knows what would survive a power loss: what was synced surely, all else by chance. */
#include "disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A write of len bytes at `at`, or with bytes NULL a change of the length to `at`. */
typedef struct change {
  size_t at, len;
  unsigned char *bytes;
  struct change *next;
} change;

struct disk_node {
  int is_folder, is_shm; /* SQLite's -shm is memory that has a name: never on the disk */
  int touched;
  char *path;            /* of a folder */
  unsigned char *data;   /* on the disk */
  size_t len;
  change *first, **last; /* not yet synced, in order */
};

typedef struct name {
  char *path;
  disk_node *node;
} name;

/* One directory operation: a rename changes two names at once. */
typedef struct naming {
  int n, done;
  name set[2];
} naming;

typedef struct table {
  name *at;
  size_t n;
} table;

static table live, durable;
static naming *namings;
static size_t n_namings;
static unsigned long long state;

static void *grown(void *p, size_t size) {
  p = realloc(p, size);
  if (p == NULL && size > 0) abort();
  return p;
}

static name *entry(const table *t, const char *path) {
  for (size_t i = 0; i < t->n; i++)
    if (strcmp(t->at[i].path, path) == 0) return &t->at[i];
  return NULL;
}

static void set(table *t, const char *path, disk_node *node) {
  name *e = entry(t, path);
  if (e == NULL) {
    t->at = grown(t->at, (t->n + 1) * sizeof *t->at);
    e = &t->at[t->n++];
    e->path = strdup(path);
  }
  e->node = node;
}

disk_node *disk_find(const char *path) {
  const name *e = entry(&live, path);
  return e != NULL ? e->node : NULL;
}

static disk_node *new_node(const char *path, int is_folder) {
  disk_node *n = grown(NULL, sizeof *n);
  size_t len = strlen(path);
  *n = (disk_node){.is_folder = is_folder, .path = strdup(path), .last = &n->first};
  n->is_shm = len > 4 && strcmp(path + len - 4, "-shm") == 0;
  return n;
}

static void note(int n, const char *a, disk_node *node_a, const char *b, disk_node *node_b) {
  namings = grown(namings, (n_namings + 1) * sizeof *namings);
  naming *m = &namings[n_namings++];
  *m = (naming){.n = n, .set = {{strdup(a), node_a}, {n > 1 ? strdup(b) : NULL, node_b}}};
  set(&live, a, node_a);
  if (n > 1) set(&live, b, node_b);
}

disk_node *disk_created(const char *path, int is_folder) {
  disk_node *n = new_node(path, is_folder);
  n->touched = 1;
  note(1, path, n, NULL, NULL);
  return n;
}

void disk_linked(const char *from, const char *to) { note(1, to, disk_find(from), NULL, NULL); }
void disk_moved(const char *from, const char *to) { note(2, from, NULL, to, disk_find(from)); }
void disk_removed(const char *path) { note(1, path, NULL, NULL, NULL); }

static void add(disk_node *n, size_t at, size_t len, const void *bytes) {
  change *c = grown(NULL, sizeof *c);
  *c = (change){.at = at, .len = len};
  if (bytes != NULL) c->bytes = memcpy(grown(NULL, len + 1), bytes, len);
  *n->last = c;
  n->last = &c->next;
  n->touched = 1;
}

void disk_wrote(disk_node *n, size_t at, const void *bytes, size_t len) { add(n, at, len, bytes); }
void disk_cut(disk_node *n, size_t len) { add(n, len, 0, NULL); }

static void resize(disk_node *n, size_t len) {
  if (len > n->len) {
    n->data = grown(n->data, len);
    memset(n->data + n->len, 0, len - n->len);
  }
  n->len = len;
}

static void apply(disk_node *n, size_t at, const unsigned char *bytes, size_t len) {
  if (at + len > n->len) resize(n, at + len);
  memcpy(n->data + at, bytes, len);
}

static unsigned long long chance(unsigned long long n) { /* splitmix64 */
  unsigned long long z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (z ^ (z >> 31)) % n;
}

/* Each block that the write touches is there, is not, or is garbage; a file may have grown without its content. Bytes beside
   the write stay: SQLite counts on that too ("powersafe overwrite"). */
static void gamble(disk_node *n, const change *c, size_t block) {
  for (size_t at = c->at, end = c->at + c->len; at < end;) {
    size_t stop = (at / block + 1) * block, len = (stop < end ? stop : end) - at;
    unsigned char *bytes = c->bytes + (at - c->at);
    unsigned long long fate = chance(3);
    if (fate == 2)
      for (size_t i = 0; i < len; i++) bytes[i] = (unsigned char)chance(256);
    if (fate != 1) apply(n, at, bytes, len);
    else if (at + len > n->len && chance(2)) resize(n, at + len);
    at += len;
  }
}

/* block 0: all of it is on the disk. */
static void settle(disk_node *n, size_t block) {
  for (change *c = n->first, *next; c != NULL; c = next) {
    next = c->next;
    if (c->bytes == NULL && (block == 0 || chance(2))) resize(n, c->at);
    if (c->bytes != NULL && block == 0) apply(n, c->at, c->bytes, c->len);
    if (c->bytes != NULL && block > 0) gamble(n, c, block);
    free(c->bytes);
    free(c);
  }
  n->first = NULL;
  n->last = &n->first;
}

static int is_below(const char *path, const char *folder) {
  const char *slash = strrchr(path, '/');
  return slash != NULL && (size_t)(slash - path) == strlen(folder) && strncmp(path, folder, strlen(folder)) == 0;
}

static void make_durable(naming *m) {
  for (int i = 0; i < m->n; i++) set(&durable, m->set[i].path, m->set[i].node);
  m->done = 1;
}

void disk_synced(disk_node *n) {
  settle(n, 0);
  for (size_t i = 0; n->is_folder && i < n_namings; i++)
    if (!namings[i].done && is_below(namings[i].set[0].path, n->path)) make_durable(&namings[i]);
}

static int by_length(const void *a, const void *b) {
  size_t x = strlen(((const name *)a)->path), y = strlen(((const name *)b)->path);
  return x < y ? -1 : x > y;
}

static void restore(const name *e) {
  if (e->node->is_folder) {
    syscall(SYS_mkdir, e->path, 0700);
    return;
  }
  int fd = (int)syscall(SYS_openat, AT_FDCWD, e->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) return; /* its folder is gone */
  for (size_t at = 0; at < e->node->len;) {
    long w = syscall(SYS_pwrite64, fd, e->node->data + at, e->node->len - at, at);
    if (w <= 0) abort();
    at += (size_t)w;
  }
  syscall(SYS_close, fd);
}

/* Not what other programs put there. */
static int is_changed(const name *e, const table *other) {
  const name *o = entry(other, e->path);
  return e->node != NULL && (e->node->touched || e->node->is_shm || o == NULL || o->node != e->node);
}

void disk_lose_power(unsigned long long seed) {
  state = seed;
  /* A journaling file system keeps the order of directory operations, others promise nothing. */
  size_t kept = chance(2) ? chance(n_namings + 1) : n_namings;
  for (size_t i = 0; i < n_namings; i++)
    if (!namings[i].done && i < kept && (kept < n_namings || chance(2))) make_durable(&namings[i]);
  for (size_t i = 0; i < durable.n; i++)
    if (durable.at[i].node != NULL) settle(durable.at[i].node, (size_t)512 << chance(4));
  qsort(live.at, live.n, sizeof *live.at, by_length);
  for (size_t i = live.n; i-- > 0;) {
    const name *e = &live.at[i];
    if (is_changed(e, &durable)) syscall(e->node->is_folder ? SYS_rmdir : SYS_unlink, e->path);
  }
  qsort(durable.at, durable.n, sizeof *durable.at, by_length);
  for (size_t i = 0; i < durable.n; i++) {
    const name *e = &durable.at[i];
    if (is_changed(e, &live) && !e->node->is_shm) restore(e);
  }
}

static void load_file(disk_node *n, const char *path) {
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, 0);
  unsigned char block[8192];
  for (long got; fd >= 0 && (got = syscall(SYS_read, fd, block, sizeof block)) > 0;) apply(n, n->len, block, (size_t)got);
  if (fd >= 0) syscall(SYS_close, fd);
}

void disk_load(const char *folder) {
  disk_node *root = new_node(folder, 1);
  set(&live, folder, root);
  set(&durable, folder, root);
  DIR *d = opendir(folder);
  for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
    char path[PATH_MAX];
    struct stat st;
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    if (snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= (int)sizeof path || lstat(path, &st) != 0) abort();
    if (S_ISDIR(st.st_mode)) {
      disk_load(path);
      continue;
    }
    disk_node *n = new_node(path, 0);
    load_file(n, path);
    set(&live, path, n);
    set(&durable, path, n);
  }
  if (d != NULL) closedir(d);
}

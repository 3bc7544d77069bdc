/* stream.c: append-only files with a committed offset, and the folders they live in. */
#include "io/stream.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct df_stream {
  int fd;
  int64_t offset;
  int name_synced; /* the directory entry is known to be on disk */
  int failed;      /* a sync failed */
  char *path;
  int syncing;     /* a thread syncs; until it is joined sync_error is its own */
  int64_t sync_to; /* how far its sync reaches */
  int sync_error;  /* errno of it, or 0 */
  pthread_t syncer;
};

static int fail_errno(df_error *err, const char *what, const char *path) {
  int e = errno;
  if (e == ENOSPC || e == EDQUOT)
    return df_fail(err, DF_STORE, "cannot %s %.240s: the disk is full; free some space, then start again", what, path);
  if (e == ELOOP) return df_fail(err, DF_STORE, "cannot %s %.240s: it is a symbolic link", what, path);
  return df_fail(err, DF_STORE, "cannot %s %.240s: %s; put that right, then start again", what, path, strerror(e));
}

static int settle_length(df_stream *s, int64_t committed, df_error *err) {
  struct stat st;
  if (fstat(s->fd, &st) != 0) return fail_errno(err, "open", s->path);
  if (!S_ISREG(st.st_mode)) return df_fail(err, DF_STORE, "cannot write %.240s: not a regular file", s->path);
  if (flock(s->fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_errno(err, "lock", s->path);
    return df_fail(err, DF_STORE, "%.240s is being written by another process; stop it or name another file", s->path);
  }
  s->offset = committed < 0 ? st.st_size : committed;
  if (st.st_size < s->offset)
    return df_fail(err, DF_STORE,
                   "%.240s lost data: it has %" PRId64 " bytes, %" PRId64
                   " were committed; put the file back, or run `defendis state reset --all` to ingest again",
                   s->path, (int64_t)st.st_size, s->offset);
  if (st.st_size > s->offset && ftruncate(s->fd, s->offset) != 0) return fail_errno(err, "truncate", s->path);
  return 0;
}

int df_stream_open(df_stream **out, const char *path, int64_t committed, df_error *err) {
  *out = NULL;
  df_stream *s = calloc(1, sizeof *s);
  if (s == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  s->fd = -1;
  s->path = strdup(path);
  if (s->path == NULL) {
    df_fail(err, DF_LIMIT, "out of memory");
    goto out;
  }
  /* Once something was committed a missing file is a loss, never a fresh start. O_NONBLOCK: a FIFO is refused below. */
  int flags = O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (committed <= 0 ? O_CREAT : 0);
  s->name_synced = committed > 0;
  s->fd = open(path, flags, 0600);
  if (s->fd < 0 && errno == ENOENT && committed > 0) {
    df_fail(err, DF_STORE,
            "%.240s is missing, %" PRId64
            " bytes of it were committed; put the file back, or run `defendis state reset --all` to ingest again",
            path, committed);
    goto out;
  }
  if (s->fd < 0) {
    fail_errno(err, "open", path);
    goto out;
  }
  if (settle_length(s, committed, err) != 0) goto out;
  *out = s;
  return 0;
out:
  df_stream_close(s);
  return -1;
}

int df_stream_write(df_stream *s, const void *bytes, size_t n, df_error *err) {
  const char *p = bytes;
  int64_t at = s->offset;
  if (s->failed) return df_fail(err, DF_STORE, "%.240s: an earlier sync failed; open it again", s->path);
  while (n > 0) {
    ssize_t w = pwrite(s->fd, p, n, at);
    if (w < 0 && errno == EINTR) continue;
    if (w < 0) return fail_errno(err, "write", s->path);
    p += w;
    n -= (size_t)w;
    at += w;
  }
  s->offset = at;
  return 0;
}

/* fsync of the directory that holds path: only this makes a new name durable. */
static int sync_parent(const char *path, df_error *err) {
  char *dir = strdup(path);
  if (dir == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  char *slash = strrchr(dir, '/');
  if (slash != NULL) slash[slash == dir] = '\0';
  int fd = open(slash != NULL ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int rc = fd >= 0 && fsync(fd) == 0 ? 0 : fail_errno(err, "sync the directory of", path);
  if (fd >= 0) close(fd);
  free(dir);
  return rc;
}

static void *sync_apart(void *stream) {
  df_stream *s = stream;
  s->sync_error = fdatasync(s->fd) == 0 ? 0 : errno;
  return NULL;
}

void df_stream_sync_begin(df_stream *s) {
  if (s->failed || s->syncing) return;
  sigset_t all, before;
  sigfillset(&all);
  s->sync_to = s->offset;
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the thread that waits for them */
  s->syncing = pthread_create(&s->syncer, NULL, sync_apart, s) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Waits for the sync that was begun. 1 when it reached to the end, 0 when another one is needed, -1 when it failed. */
static int end_sync(df_stream *s) {
  if (!s->syncing) return 0;
  pthread_join(s->syncer, NULL);
  s->syncing = 0;
  errno = s->sync_error;
  return errno != 0 ? -1 : s->sync_to == s->offset;
}

int df_stream_sync(df_stream *s, df_error *err) {
  if (s->failed) return df_fail(err, DF_STORE, "%.240s: an earlier sync failed; open it again", s->path);
  struct stat st;
  s->failed = 1;
  int done = end_sync(s);
  if (done < 0 || (!done && fdatasync(s->fd) != 0) || fstat(s->fd, &st) != 0) return fail_errno(err, "sync", s->path);
  /* Somebody who truncates a live file (a log rotation) would make the committed offset a lie. */
  if (st.st_size < s->offset || st.st_nlink == 0)
    return df_fail(err, DF_STORE, "%.240s was truncated or removed while it was written; do not rotate it in place",
                   s->path);
  if (!s->name_synced && sync_parent(s->path, err) != 0) return -1;
  s->name_synced = 1;
  s->failed = 0;
  return 0;
}

int64_t df_stream_offset(const df_stream *s) { return s->offset; }

void df_stream_close(df_stream *s) {
  if (s == NULL) return;
  end_sync(s);
  if (s->fd >= 0) close(s->fd);
  free(s->path);
  free(s);
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Rewrites the NUL-terminated names from `start` on in order. */
static int sort_names(df_buf *names, size_t start, size_t n) {
  char *copy = malloc(names->len - start + 1), **list = malloc((n + 1) * sizeof *list);
  int rc = copy != NULL && list != NULL ? 0 : -1;
  if (rc == 0 && n > 0) {
    memcpy(copy, names->data + start, names->len - start);
    for (size_t i = 0, at = 0; i < n; at += strlen(copy + at) + 1) list[i++] = copy + at;
    qsort(list, n, sizeof *list, by_bytes);
    names->len = start;
    for (size_t i = 0; i < n; i++) df_buf_add(names, list[i], strlen(list[i]) + 1);
  }
  free(copy);
  free(list);
  return rc;
}

int df_stream_list(df_buf *names, const char *dir, const char *suffix, df_error *err) {
  size_t start = names->len, n = 0, tail = strlen(suffix);
  DIR *d = opendir(dir);
  if (d == NULL) return df_fail(err, DF_CONFIG, "cannot read the directory %.240s: %s", dir, strerror(errno));
  int rc = 0;
  for (const struct dirent *e; rc == 0 && (errno = 0, e = readdir(d)) != NULL;) {
    size_t len = strlen(e->d_name);
    if (e->d_name[0] == '.' || len < tail || strcmp(e->d_name + len - tail, suffix) != 0) continue;
    n++;
    rc = df_buf_add(names, e->d_name, len + 1);
  }
  if (rc == 0 && errno != 0) {
    closedir(d);
    return df_fail(err, DF_CONFIG, "cannot read the directory %.240s: %s", dir, strerror(errno));
  }
  closedir(d);
  if (rc != 0 || sort_names(names, start, n) != 0) return df_fail(err, DF_LIMIT, "out of memory");
  return 0;
}

int df_stream_mkdir(const char *path, df_error *err) {
  char *p = strdup(path);
  if (p == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  int rc = 0;
  for (char *at = p;;) {
    at += strspn(at, "/");
    at += strcspn(at, "/");
    char end = *at;
    *at = '\0';
    struct stat st;
    if (mkdir(p, 0700) == 0)
      rc = sync_parent(p, err);
    else if (errno != EEXIST || stat(p, &st) != 0 || (!S_ISDIR(st.st_mode) && (errno = ENOTDIR)))
      rc = df_fail(err, DF_STORE, "cannot create the directory %.240s: %s", p, strerror(errno));
    *at = end;
    if (rc != 0 || end == '\0') break;
  }
  free(p);
  return rc;
}

/* owned.c: files that only their owner can read: a key that is made once, lines that are added. */
#include "io/owned.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/hash.h"

static int fail(df_error *err, const char *verb, const char *path) {
  return df_fail(err, DF_STORE, "cannot %s %.300s: %s", verb, path, strerror(errno));
}

int df_owned_random(char out[DF_RANDOM_KEY + 1], df_error *err) {
  unsigned char bytes[DF_RANDOM_KEY / 2];
  if (getentropy(bytes, sizeof bytes) != 0) return df_fail(err, DF_STORE, "the system gives no random bytes: %s", strerror(errno));
  df_hash_hex(out, bytes, sizeof bytes);
  explicit_bzero(bytes, sizeof bytes);
  return 0;
}

static int write_all(int fd, const char *bytes, size_t n) {
  while (n > 0) {
    ssize_t w = write(fd, bytes, n);
    if (w < 0 && errno == EINTR) continue;
    if (w < 0) return -1;
    bytes += w;
    n -= (size_t)w;
  }
  return 0;
}

/* The name is on disk when its folder is. */
static void sync_folder(const char *path) {
  char folder[4096];
  const char *slash = strrchr(path, '/');
  snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - path + 1), slash == NULL ? "." : path);
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

int df_owned_key(const char *path, df_error *err) {
  char draft[4096], key[DF_RANDOM_KEY + 2];
  if (access(path, F_OK) == 0) return 0;
  snprintf(draft, sizeof draft, "%s.%ld", path, (long)getpid());
  if (df_owned_random(key, err) != 0) return -1;
  key[DF_RANDOM_KEY] = '\n';
  int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600), rc = 0;
  if (fd < 0) return fail(err, "make", draft);
  if (fchmod(fd, 0600) != 0 || write_all(fd, key, sizeof key - 1) != 0 || fsync(fd) != 0) rc = fail(err, "write", draft);
  close(fd);
  /* whole or not there at all, and never in the place of another one */
  if (rc == 0 && link(draft, path) != 0 && errno != EEXIST) rc = fail(err, "make", path);
  unlink(draft);
  explicit_bzero(key, sizeof key);
  if (rc == 0) sync_folder(path);
  return rc;
}

int df_owned_append(const char *path, const void *bytes, size_t n, df_error *err) {
  int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return fail(err, "open", path);
  int rc = write_all(fd, bytes, n) != 0 ? fail(err, "write to", path) : 0;
  close(fd);
  return rc;
}

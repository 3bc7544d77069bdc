/* hooks.c: preloaded into a program under test: loses the power, kills it, or fails at the n-th operation below one folder.

   DISK_DIR      the folder, absolute
   DISK_FAULT    power: what was not synced is there, gone or garbled. unsynced: the same on a disk that ignores syncs.
                 kill: SIGKILL before the operation. torn: SIGKILL after half of it, if it writes. For both what is sent over any
                 socket counts too, by whatever call.
                 short: a write that takes half. A name such as ENOSPC: the operation fails with it; with + behind, all later ones too.
                 stop: SIGSTOP before the operation.
                 read: reads fail with EIO; these alone are counted then.
                 none: only spares the wait for the real disk at each sync, as all of these do.
   DISK_AT       n; beyond the last operation power fails at the exit
   DISK_SEED     decides what a power loss leaves
   DISK_REPORT   file, not itself on that disk: "N NAME PATH" of the operation that was hit, or "N done" when there were but N

   SQLite maps its -shm file; that one is memory, not on the disk. After a power loss the exit code is 75. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "disk.h"

#define HOOK __attribute__((visibility("default")))

enum { FILES = 1024, EXIT_POWER = 75 };
typedef enum fault { OFF, NONE, POWER, KILL, TORN, STOP, SHORT, FAIL, READ } fault;

static fault mode;
static char folder[PATH_MAX];
static const char *report;
static int number, keeps_failing, ignores_sync, reached_exit;
static unsigned long count, target, seed;
static disk_node *open_node[FILES];
static off_t position[FILES]; /* of a file that is written through stdio */
static char *open_path[FILES];

static const struct { const char *name; int number; } ERRORS[] = {
    {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS}};

__attribute__((constructor)) static void start(void) {
  const char *dir = getenv("DISK_DIR"), *what = getenv("DISK_FAULT"), *at = getenv("DISK_AT"), *s = getenv("DISK_SEED");
  report = getenv("DISK_REPORT");
  if (dir == NULL || what == NULL) return;
  target = at != NULL ? strtoul(at, NULL, 10) : ULONG_MAX;
  seed = s != NULL ? strtoul(s, NULL, 10) : 0;
  ignores_sync = strcmp(what, "unsynced") == 0;
  keeps_failing = strchr(what, '+') != NULL;
  if (strcmp(what, "power") == 0 || ignores_sync) mode = POWER;
  if (strcmp(what, "kill") == 0) mode = KILL;
  if (strcmp(what, "torn") == 0) mode = TORN;
  if (strcmp(what, "stop") == 0) mode = STOP;
  if (strcmp(what, "short") == 0) mode = SHORT;
  if (strcmp(what, "read") == 0) mode = READ;
  number = EIO;
  for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++)
    if (strncmp(what, ERRORS[i].name, strlen(ERRORS[i].name)) == 0) mode = FAIL, number = ERRORS[i].number;
  if (strcmp(what, "none") == 0) mode = NONE;
  if (mode == OFF) abort();
  snprintf(folder, sizeof folder, "%s", dir);
  disk_load(folder);
}

static void tell(const char *what, const char *path) {
  char line[PATH_MAX + 64];
  int n = snprintf(line, sizeof line, "%lu %s %s\n", count, what, path);
  int fd = report != NULL ? (int)syscall(SYS_openat, AT_FDCWD, report, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
  if (fd < 0) return;
  syscall(SYS_write, fd, line, (size_t)n);
  syscall(SYS_close, fd);
}

static void lose_power(const char *what, const char *path) {
  tell(what, path);
  disk_lose_power(seed);
  _exit(EXIT_POWER);
}

__attribute__((destructor)) static void end(void) {
  reached_exit = 1;
  if (mode == POWER) lose_power("exit", "");
  if (mode != OFF && count < target) tell("done", "");
}

/* Counts an operation. 1 when it is the one; then errno is set for a failure. */
static int hit(const char *what, const char *path) {
  count++;
  if (count != target && !(keeps_failing && count > target)) return 0;
  tell(what, path);
  if (mode == KILL) raise(SIGKILL);
  if (mode == STOP) raise(SIGSTOP);
  errno = number;
  return 1;
}

/* For operations that are done or not: -1 when this one fails. A power loss comes when it has been done, and is in doubt. */
static int refused(const char *what, const char *path) {
  if (mode == READ) return 0;
  if (!hit(what, path)) return 0;
  if (mode == TORN) raise(SIGKILL);
  return mode == FAIL ? -1 : 0;
}

static void done(const char *what, const char *path) {
  if (mode == POWER && count == target) lose_power(what, path);
}

/* A path below the folder, or the folder itself. */
static int watched(const char *path) {
  size_t n = strlen(folder);
  return mode != OFF && !reached_exit && strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static disk_node *node_of(int fd) { return fd >= 0 && fd < FILES ? open_node[fd] : NULL; }

static int open_file(const char *path, int flags, mode_t permissions) {
  disk_node *n = NULL;
  if (watched(path)) {
    n = disk_find(path);
    int creates = n == NULL && (flags & O_CREAT) != 0, cuts = n != NULL && (flags & O_TRUNC) != 0;
    if ((creates || cuts) && refused("open", path) != 0) return -1;
  }
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, permissions);
  if (fd < 0 || fd >= FILES || !watched(path)) return fd;
  if (n == NULL && (flags & O_CREAT) != 0) n = disk_created(path, 0);
  else if (n != NULL && (flags & O_TRUNC) != 0) disk_cut(n, 0);
  open_node[fd] = n;
  position[fd] = 0;
  free(open_path[fd]);
  open_path[fd] = strdup(path);
  if ((flags & (O_CREAT | O_TRUNC)) != 0) done("open", path);
  return fd;
}

static mode_t permissions_of(int flags, va_list args) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, mode_t) : 0;
}

HOOK int open(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t permissions = permissions_of(flags, args);
  va_end(args);
  return open_file(path, flags, permissions);
}

HOOK int open64(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t permissions = permissions_of(flags, args);
  va_end(args);
  return open_file(path, flags, permissions);
}

HOOK int close(int fd) {
  if (fd >= 0 && fd < FILES) open_node[fd] = NULL;
  return (int)syscall(SYS_close, fd);
}

/* A socket, while what is sent counts. */
static int is_peer(int fd) {
  int type;
  socklen_t len = sizeof type;
  return (mode == KILL || mode == TORN) && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
}

static ssize_t send_message(int fd, const struct msghdr *m, int flags) {
  if (is_peer(fd) && hit("send", "")) { /* torn */
    struct iovec half = m->msg_iovlen > 0 ? *m->msg_iov : (struct iovec){NULL, 0};
    half.iov_len /= 2;
    struct msghdr part = *m;
    part.msg_iov = &half, part.msg_iovlen = 1;
    syscall(SYS_sendmsg, fd, &part, flags);
    raise(SIGKILL);
  }
  return (ssize_t)syscall(SYS_sendmsg, fd, m, flags);
}

static ssize_t send_bytes(int fd, const void *bytes, size_t len, int flags) {
  struct iovec v = {(void *)(uintptr_t)bytes, len};
  return send_message(fd, &(struct msghdr){.msg_iov = &v, .msg_iovlen = 1}, flags);
}

/* at < 0: where the descriptor stands. */
static ssize_t write_at(int fd, const void *bytes, size_t len, off_t at) {
  disk_node *n = node_of(fd);
  if (n == NULL && at < 0 && is_peer(fd)) return send_bytes(fd, bytes, len, 0);
  if (n != NULL && mode != READ && hit("write", open_path[fd])) {
    if (mode == FAIL) return -1;
    if (mode == SHORT || mode == TORN) len -= len / 2;
  }
  ssize_t w = (ssize_t)(at < 0 ? syscall(SYS_write, fd, bytes, len) : syscall(SYS_pwrite64, fd, bytes, len, at));
  if (n == NULL) return w;
  if (mode == TORN && count == target) raise(SIGKILL);
  if (w > 0) {
    disk_wrote(n, (size_t)(at < 0 ? position[fd] : at), bytes, (size_t)w);
    if (at < 0) position[fd] += w;
  }
  done("write", open_path[fd]);
  return w;
}

HOOK ssize_t write(int fd, const void *bytes, size_t len) { return write_at(fd, bytes, len, -1); }
HOOK ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) { return write_at(fd, bytes, len, at); }
HOOK ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) { return write_at(fd, bytes, len, at); }

static ssize_t read_at(int fd, void *bytes, size_t len, off_t at) {
  if (mode == READ && node_of(fd) != NULL && hit("read", open_path[fd])) return -1;
  return (ssize_t)syscall(SYS_pread64, fd, bytes, len, at);
}

HOOK ssize_t pread(int fd, void *bytes, size_t len, off_t at) { return read_at(fd, bytes, len, at); }
HOOK ssize_t pread64(int fd, void *bytes, size_t len, off64_t at) { return read_at(fd, bytes, len, at); }

static int cut(int fd, off_t len) {
  disk_node *n = node_of(fd);
  if (n != NULL && refused("truncate", open_path[fd]) != 0) return -1;
  int rc = (int)syscall(SYS_ftruncate, fd, len);
  if (n == NULL || rc != 0) return rc;
  disk_cut(n, (size_t)len);
  done("truncate", open_path[fd]);
  return rc;
}

HOOK int ftruncate(int fd, off_t len) { return cut(fd, len); }
HOOK int ftruncate64(int fd, off64_t len) { return cut(fd, len); }

/* The power goes before anything is durable, else it would go with the next operation. */
static int synced(int fd, long call, const char *what) {
  disk_node *n = node_of(fd);
  if (n == NULL) return (int)syscall(call, fd);
  if (refused(what, open_path[fd]) != 0) return -1;
  done(what, open_path[fd]);
  if (!ignores_sync) disk_synced(n);
  return 0;
}

HOOK int fsync(int fd) { return synced(fd, SYS_fsync, "sync"); }
HOOK int fdatasync(int fd) { return synced(fd, SYS_fdatasync, "sync"); }

HOOK int rename(const char *from, const char *to) {
  int ours = watched(to);
  if (ours && refused("rename", to) != 0) return -1;
  int rc = (int)syscall(SYS_rename, from, to);
  if (!ours || rc != 0) return rc;
  disk_moved(from, to);
  done("rename", to);
  return rc;
}

HOOK int link(const char *from, const char *to) {
  int ours = watched(to);
  if (ours && refused("link", to) != 0) return -1;
  int rc = (int)syscall(SYS_link, from, to);
  if (!ours || rc != 0) return rc;
  disk_linked(from, to);
  done("link", to);
  return rc;
}

HOOK int unlink(const char *path) {
  int ours = watched(path) && disk_find(path) != NULL;
  if (ours && refused("unlink", path) != 0) return -1;
  int rc = (int)syscall(SYS_unlink, path);
  if (!ours || rc != 0) return rc;
  disk_removed(path);
  done("unlink", path);
  return rc;
}

HOOK int mkdir(const char *path, mode_t permissions) {
  int ours = watched(path) && disk_find(path) == NULL;
  if (ours && refused("mkdir", path) != 0) return -1;
  int rc = (int)syscall(SYS_mkdir, path, permissions);
  if (!ours || rc != 0) return rc;
  disk_created(path, 1);
  done("mkdir", path);
  return rc;
}

HOOK ssize_t send(int fd, const void *bytes, size_t len, int flags) { return send_bytes(fd, bytes, len, flags); }

HOOK ssize_t sendto(int fd, const void *bytes, size_t len, int flags, __CONST_SOCKADDR_ARG to, socklen_t to_len) {
  struct iovec v = {(void *)(uintptr_t)bytes, len};
  struct msghdr m = {.msg_name = (void *)(uintptr_t)to.__sockaddr__, .msg_namelen = to_len, .msg_iov = &v, .msg_iovlen = 1};
  return send_message(fd, &m, flags);
}

HOOK ssize_t sendmsg(int fd, const struct msghdr *m, int flags) { return send_message(fd, m, flags); }

HOOK ssize_t writev(int fd, const struct iovec *v, int n) {
  if (node_of(fd) != NULL) abort(); /* not modelled */
  if (!is_peer(fd)) return (ssize_t)syscall(SYS_writev, fd, v, n);
  return send_message(fd, &(struct msghdr){.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)n}, 0);
}

/* libc's own files write by a way that no hook sees: below the folder they go through the hooks. */
static ssize_t cookie_write(void *cookie, const char *bytes, size_t len) {
  ssize_t w = write((int)(long)cookie, bytes, len);
  return w < 0 ? 0 : w;
}

static int cookie_close(void *cookie) { return close((int)(long)cookie); }

static FILE *open_stdio(const char *path, const char *how, const char *symbol) {
  if (!watched(path) || how[0] == 'r') {
    FILE *(*real)(const char *, const char *);
    *(void **)&real = dlsym(RTLD_NEXT, symbol);
    return real(path, how);
  }
  if (how[0] != 'w') abort(); /* not modelled */
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return NULL;
  return fopencookie((void *)(long)fd, how, (cookie_io_functions_t){.write = cookie_write, .close = cookie_close});
}

HOOK FILE *fopen(const char *path, const char *how) { return open_stdio(path, how, "fopen"); }
HOOK FILE *fopen64(const char *path, const char *how) { return open_stdio(path, how, "fopen64"); }

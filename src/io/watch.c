/* watch.c: descriptors that a wait for HTTP ends for, as one epoll descriptor. */
#include "io/watch.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

static int all = -1;

int df_watch_add(int fd, df_error *err) {
  struct epoll_event event = {.events = EPOLLIN};
  if (all < 0) all = epoll_create1(EPOLL_CLOEXEC);
  if (all < 0 || (epoll_ctl(all, EPOLL_CTL_ADD, fd, &event) != 0 && errno != EEXIST))
    return df_fail(err, DF_CONFIG, "descriptor %d cannot be watched: %s", fd, strerror(errno));
  return 0;
}

int df_watch_fd(void) { return all; }

int df_watch_ready(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  return poll(&p, 1, 0) > 0;
}

void df_watch_wait(int ms) {
  struct pollfd p = {.fd = all, .events = POLLIN};
  (void)!poll(&p, all >= 0, ms);
}

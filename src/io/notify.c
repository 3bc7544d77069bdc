/* notify.c: what a service tells the manager that started it (systemd's sd_notify(3), without its library). */
#include "io/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int df_notify(const char *text) {
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  size_t n = path != NULL ? strlen(path) : 0;
  if (n == 0 || (path[0] != '/' && path[0] != '@') || n >= sizeof to.sun_path) return 0;
  memcpy(to.sun_path, path, n);
  if (path[0] == '@') to.sun_path[0] = '\0'; /* an abstract name: its bytes, without an end */
  socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 0;
  ssize_t sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&to, len);
  close(fd);
  return sent >= 0;
}

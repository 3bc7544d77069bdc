/* signals.c: signals as bytes to be read, so that waits end and nothing is cut in two. */
#include "io/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static int ends[2] = {-1, -1};

static void note(int number) {
  int kept = errno;
  unsigned char byte = (unsigned char)number;
  (void)!write(ends[1], &byte, 1);
  if (number != SIGHUP) {
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
  }
  errno = kept;
}

int df_signals_catch(int hangup, df_error *err) {
  struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
  if (ends[0] < 0 && pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
    return df_fail(err, DF_LIMIT, "no pipe for signals: %s", strerror(errno));
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  if (hangup) sigaction(SIGHUP, &action, NULL);
  return ends[0];
}

int df_signals_next(void) {
  unsigned char byte;
  return read(ends[0], &byte, 1) == 1 ? byte : 0;
}

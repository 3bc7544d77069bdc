/* command.c: a secret that another program prints. */
#include "io/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { MAX_WORDS = 64, MAX_OUTPUT = 4098 }; /* more than a secret may have, so that one that is too long is seen */
static const char blanks[] = " \t\r\n";

/* Splits text in place; argv gets a NULL at its end. Returns how many words, or -1 when there are none or too many. */
static int split(char *text, char **argv) {
  int n = 0;
  for (char *p = text + strspn(text, blanks); *p != '\0'; p += strspn(p, blanks)) {
    if (n == MAX_WORDS - 1) return -1;
    argv[n++] = p;
    p += strcspn(p, blanks);
    if (*p != '\0') *p++ = '\0';
  }
  argv[n] = NULL;
  return n > 0 ? n : -1;
}

static _Noreturn void become(char **argv, int out) {
  int null = open("/dev/null", O_RDONLY);
  setpgid(0, 0);
  signal(SIGXFSZ, SIG_DFL); /* the program ignores it */
  if (null >= 0 && dup2(null, 0) >= 0 && dup2(out, 1) >= 0) execvp(argv[0], argv);
  _exit(127);
}

/* What comes until the end or the deadline. Returns the bytes read, or -1 when the time is up. */
static int read_all(int fd, char *bytes, int64_t deadline) {
  int n = 0;
  while (n < MAX_OUTPUT) {
    int64_t left = deadline - df_clock_mono_ms();
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (left <= 0) return -1;
    if (poll(&p, 1, left < 1000 ? (int)left : 1000) <= 0) continue;
    ssize_t got = read(fd, bytes + n, (size_t)(MAX_OUTPUT - n));
    if (got == 0) break;
    if (got < 0 && errno != EINTR) break;
    if (got > 0) n += (int)got;
  }
  return n;
}

/* Its status, once it has ended; killed at the deadline. */
static int wait_for(pid_t pid, int64_t deadline) {
  int status = 0;
  for (;;) {
    pid_t done = waitpid(pid, &status, WNOHANG);
    if (done == pid) return status;
    if (done < 0 && errno != EINTR) return 0; /* the host process takes its children's status itself */
    if (df_clock_mono_ms() >= deadline) kill(-pid, SIGKILL);
    poll(NULL, 0, 5);
  }
}

static int judge(df_secret **out, const char *name, const char *bytes, int n, int status, df_error *err) {
  if (n < 0) return df_fail(err, DF_CONFIG, "the key command %.100s did not end in time; make it answer without asking anybody", name);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    return df_fail(err, DF_CONFIG, "the key command %.100s cannot be run; check that it is installed and executable", name);
  if (WIFSIGNALED(status)) return df_fail(err, DF_CONFIG, "the key command %.100s was ended by signal %d", name, WTERMSIG(status));
  if (WEXITSTATUS(status) != 0)
    return df_fail(err, DF_CONFIG, "the key command %.100s failed with exit code %d", name, WEXITSTATUS(status));
  return df_secret_new(out, bytes, (size_t)n, "what the key command printed", err);
}

int df_command_secret(df_secret **out, const char *line, int64_t timeout_ms, df_error *err) {
  int ends[2], rc = -1;
  char *argv[MAX_WORDS], bytes[MAX_OUTPUT];
  char *text = strdup(line);
  int64_t deadline = df_clock_mono_ms() + timeout_ms;
  if (text == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  if (split(text, argv) < 0) {
    df_fail(err, DF_CONFIG, "the key command is empty, or has %d words or more", MAX_WORDS);
  } else if (pipe2(ends, O_CLOEXEC) != 0) {
    df_fail(err, DF_CONFIG, "the key command cannot be run: %s", strerror(errno));
  } else {
    pid_t pid = fork();
    if (pid == 0) become(argv, ends[1]);
    close(ends[1]);
    if (pid < 0) {
      df_fail(err, DF_CONFIG, "the key command cannot be run: %s", strerror(errno));
    } else {
      setpgid(pid, pid); /* in both: whoever comes first */
      int n = read_all(ends[0], bytes, deadline);
      if (n < 0) kill(-pid, SIGKILL);
      int status = wait_for(pid, deadline);
      rc = judge(out, argv[0], bytes, n, status, err);
      explicit_bzero(bytes, sizeof bytes);
    }
    close(ends[0]);
  }
  free(text);
  return rc;
}

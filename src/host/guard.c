/* guard.c: what the operating system enforces while the command line runs one script. */
#include "host/guard.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

#define MESSAGE "the script is over its budget of time, in a call that does not return; raise it with --timeout"
static const char document[] = "{\"error\":{\"kind\":\"limit\",\"message\":\"" MESSAGE "\"}}\n";
static const char line[] = "defendis: " MESSAGE "\n";

static struct rlimit before;

static void on_alarm(int signal) {
  (void)signal;
  ssize_t n = write(STDOUT_FILENO, document, sizeof document - 1);
  if (n >= 0) n = write(STDERR_FILENO, line, sizeof line - 1);
  _exit(df_kind_exit_code(n >= 0 ? DF_LIMIT : DF_SCRIPT));
}

static void set_alarm(int64_t in_ms) {
  struct itimerval timer = {.it_value = {.tv_sec = in_ms / 1000, .tv_usec = in_ms % 1000 * 1000}};
  setitimer(ITIMER_REAL, &timer, NULL);
}

/* Bytes of this process that RLIMIT_DATA counts; 0 when unknown. */
static size_t data_bytes(void) {
  char statm[256] = "", *at = statm;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f == NULL) return 0;
  if (fgets(statm, sizeof statm, f) == NULL) statm[0] = '\0';
  fclose(f);
  unsigned long pages = 0;
  for (int i = 0; i < 6; i++) pages = strtoul(at, &at, 10); /* data is the sixth figure */
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

void df_guard_start(int64_t at_ms, size_t memory) {
  struct sigaction action = {.sa_handler = on_alarm};
  int64_t in_ms = at_ms - df_clock_mono_ms();
  sigaction(SIGALRM, &action, NULL);
  set_alarm(in_ms > 0 ? in_ms : 1);
  size_t have = data_bytes();
  getrlimit(RLIMIT_DATA, &before);
#ifndef __SANITIZE_ADDRESS__ /* whose shadow memory would count */
  struct rlimit now = {.rlim_cur = have + memory, .rlim_max = before.rlim_max};
  if (have > 0 && now.rlim_cur < before.rlim_cur) setrlimit(RLIMIT_DATA, &now);
#else
  (void)have;
  (void)memory;
#endif
}

void df_guard_stop(void) {
  set_alarm(0);
  signal(SIGALRM, SIG_DFL);
  setrlimit(RLIMIT_DATA, &before);
}

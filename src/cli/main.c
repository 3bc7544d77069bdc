/* main.c: the command `defendis`. */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "defendis.h"

int main(int argc, char **argv) {
  df_host *host = NULL;
  df_error err;
  int exit_code = 1;
  prctl(PR_SET_DUMPABLE, 0); /* no core file, and no other process of the user reads the memory that holds the key */
  signal(SIGXFSZ, SIG_IGN); /* a file over the limit is an error of its write, like a full disk */
  if (df_host_open(&host, NULL, &err) != 0 ||
      df_host_command(host, argc > 0 ? argc - 1 : 0, (const char *const *)argv + 1, &exit_code, &err) != 0) {
    fprintf(stderr, "defendis: %s\n", err.message);
    exit_code = df_kind_exit_code(err.kind);
  }
  df_host_close(host);
  if (exit_code == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
    fputs("defendis: the output could not be written\n", stderr);
    return 1;
  }
  return exit_code;
}

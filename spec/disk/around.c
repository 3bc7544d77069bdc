/* around.c: preloaded into a program under test: names that resolve as a file says, and clocks that run faster or jump.

   NAMES_FILE    lines "NAME ADDRESS..." or "NAME !none" (there is no such name) or "NAME !again" (no server can say) or
                 "NAME !wait" (no server says anything); read at each look-up. Names that it does not have resolve as ever.
   CLOCK_RATE    the monotonic clock runs so many times as fast
   CLOCK_JUMP    file of 8 bytes, mapped: milliseconds that the wall clock is ahead */
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define HOOK __attribute__((visibility("default")))

static const volatile int64_t *jump_ms;
static int64_t rate = 1, base_ns;

static int64_t now_ns(clockid_t id) {
  struct timespec t = {0, 0};
  syscall(SYS_clock_gettime, id, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

__attribute__((constructor)) static void start(void) {
  const char *fast = getenv("CLOCK_RATE"), *jump = getenv("CLOCK_JUMP");
  base_ns = now_ns(CLOCK_MONOTONIC);
  if (fast != NULL) rate = strtol(fast, NULL, 10);
  int fd = jump != NULL ? open(jump, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *p = mmap(NULL, sizeof *jump_ms, PROT_READ, MAP_SHARED, fd, 0);
  if (p != MAP_FAILED) jump_ms = p;
  close(fd);
}

HOOK int clock_gettime(clockid_t id, struct timespec *t) {
  int wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
  int steady = id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_RAW || id == CLOCK_MONOTONIC_COARSE || id == CLOCK_BOOTTIME;
  if (!wall && !(steady && rate != 1)) return (int)syscall(SYS_clock_gettime, id, t);
  int64_t ns = now_ns(id);
  if (wall && jump_ms != NULL) ns += *jump_ms * 1000000;
  if (steady) ns = base_ns + (ns - base_ns) * rate;
  *t = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
  return 0;
}

HOOK int gettimeofday(struct timeval *restrict t, void *restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  *t = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  return 0;
}

HOOK time_t time(time_t *t) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (t != NULL) *t = now.tv_sec;
  return now.tv_sec;
}

static __typeof__(&getaddrinfo) real_getaddrinfo;

/* The addresses in words, one behind the other. */
static int listed(char *words, const char *service, const struct addrinfo *hints, struct addrinfo **out) {
  struct addrinfo **last = out, numeric = hints != NULL ? *hints : (struct addrinfo){0};
  numeric.ai_flags |= AI_NUMERICHOST;
  *out = NULL;
  for (char *save = NULL, *word = strtok_r(words, " \n", &save); word != NULL; word = strtok_r(NULL, " \n", &save)) {
    if (strcmp(word, "!none") == 0) return EAI_NONAME;
    if (strcmp(word, "!wait") == 0) sleep(60);
    if (word[0] == '!') return EAI_AGAIN;
    if (real_getaddrinfo(word, service, &numeric, last) != 0) continue; /* of a family that was not asked for */
    while (*last != NULL) last = &(*last)->ai_next;
  }
  return *out != NULL ? 0 : EAI_NONAME;
}

HOOK int getaddrinfo(const char *restrict name, const char *restrict service, const struct addrinfo *restrict hints,
                     struct addrinfo **restrict out) {
  const char *path = getenv("NAMES_FILE");
  char line[1024];
  void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
  memcpy(&real_getaddrinfo, &symbol, sizeof symbol);
  FILE *f = path != NULL && name != NULL ? fopen(path, "re") : NULL;
  for (size_t n = name != NULL ? strlen(name) : 0; f != NULL && fgets(line, sizeof line, f) != NULL;)
    if (strncmp(line, name, n) == 0 && line[n] == ' ') {
      fclose(f);
      return listed(line + n, service, hints, out);
    }
  if (f != NULL) fclose(f);
  return real_getaddrinfo(name, service, hints, out);
}

/* secret.c: a key in locked memory, and its removal from whatever is printed. */
#include "base/secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"

enum { MAX_SECRET = 4096, MIN_REDACT = 4, ENCODINGS = 3 };

struct df_secret {
  size_t len;
  size_t mapped;
  df_secret *next;
  df_buf encoded[ENCODINGS]; /* base64 for each place in a group of three, for redaction */
  char *bytes;
};

static df_secret *live; /* every secret, so that output can be searched for them */
static pthread_mutex_t live_lock = PTHREAD_MUTEX_INITIALIZER;

int df_secret_new(df_secret **out, const char *bytes, size_t n, const char *what, df_error *err) {
  while (n > 0 && isspace((unsigned char)bytes[n - 1])) n--;
  if (n == 0) return df_fail(err, DF_CONFIG, "%s is empty; write the key into it", what);
  if (n > MAX_SECRET) return df_fail(err, DF_CONFIG, "%s is longer than %d bytes; it does not hold a key", what, MAX_SECRET);
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)bytes[i] < 0x20 || bytes[i] == 0x7f)
      return df_fail(err, DF_CONFIG, "%s holds a control character; it must hold the key on one line and nothing else", what);
  df_secret *s = calloc(1, sizeof *s);
  if (s == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  s->len = n;
  s->mapped = (n + 1 + 4095) / 4096 * 4096;
  s->bytes = mmap(NULL, s->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (s->bytes == MAP_FAILED) {
    free(s);
    return df_fail(err, DF_LIMIT, "out of memory");
  }
  (void)mlock(s->bytes, s->mapped); /* may be refused by RLIMIT_MEMLOCK; the rest still holds */
  madvise(s->bytes, s->mapped, MADV_DONTDUMP);
  memcpy(s->bytes, bytes, n);
  int rc = 0;
  /* whole groups of three bytes only: the ends depend on what stands around the secret in the encoded text */
  for (size_t skip = 0; skip < ENCODINGS && skip < n; skip++)
    rc |= df_base64_encode(&s->encoded[skip], bytes + skip, (n - skip) / 3 * 3);
  if (rc != 0) {
    df_secret_free(s);
    return df_fail(err, DF_LIMIT, "out of memory");
  }
  pthread_mutex_lock(&live_lock);
  s->next = live;
  live = s;
  pthread_mutex_unlock(&live_lock);
  *out = s;
  return 0;
}

int df_secret_from_file(df_secret **out, const char *path, const char *what, df_error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return df_fail(err, DF_CONFIG, "cannot read the %s file %s: %s", what, path, strerror(errno));
  char bytes[MAX_SECRET + 2];
  int rc = -1;
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
    df_fail(err, DF_CONFIG, "the %s file %s is not a regular file", what, path);
  else if ((st.st_mode & 077) != 0)
    df_fail(err, DF_CONFIG, "the %s file %s can be read by others (mode %04o); run: chmod 600 %s", what, path,
            (unsigned)st.st_mode & 07777u, path);
  else if (st.st_uid != geteuid() && geteuid() != 0)
    df_fail(err, DF_CONFIG, "the %s file %s belongs to another user; use a file of your own", what, path);
  else {
    ssize_t n = read(fd, bytes, sizeof bytes);
    rc = n < 0 ? df_fail(err, DF_CONFIG, "cannot read the %s file %s: %s", what, path, strerror(errno))
               : df_secret_new(out, bytes, (size_t)n, path, err);
    explicit_bzero(bytes, sizeof bytes);
  }
  close(fd);
  return rc;
}

static df_secret *kept_env, *kept_stdin; /* set before any thread is started */

static int copy_of(df_secret **out, const df_secret *kept, df_error *err) {
  return df_secret_new(out, kept->bytes, kept->len, "the API key", err);
}

void df_secret_take_env(void) {
  df_error ignored; /* what is no key stays, for the error of whoever looks for one */
  char *v = getenv("DEFENDIS_API_KEY");
  if (v == NULL || kept_env != NULL || df_secret_new(&kept_env, v, strlen(v), "DEFENDIS_API_KEY", &ignored) != 0) return;
  explicit_bzero(v, strlen(v)); /* /proc/PID/environ shows these bytes */
  unsetenv("DEFENDIS_API_KEY");
}

int df_secret_take_stdin(df_error *err) {
  char bytes[MAX_SECRET + 2];
  size_t n = 0;
  ssize_t got = 0;
  if (kept_stdin != NULL) return 0;
  while (n < sizeof bytes && ((got = read(STDIN_FILENO, bytes + n, 1)) > 0 || (got < 0 && errno == EINTR))) {
    if (got > 0 && bytes[n++] == '\n') break;
  }
  int rc = df_secret_new(&kept_stdin, bytes, n, "stdin's first line", err);
  explicit_bzero(bytes, sizeof bytes);
  return rc;
}

void df_secret_drop_kept(void) {
  df_secret_free(kept_env);
  df_secret_free(kept_stdin);
  kept_env = kept_stdin = NULL;
}

const char *df_secret_api_key_file(char *path, size_t size, const char *file) {
  const char *v;
  if (file != NULL) return file;
  if ((v = getenv("DEFENDIS_API_KEY_FILE")) != NULL && *v != '\0') return v;
  if ((v = getenv("CREDENTIALS_DIRECTORY")) == NULL || *v == '\0') return NULL;
  snprintf(path, size, "%s/defendis-api-key", v);
  return access(path, F_OK) == 0 ? path : NULL;
}

int df_secret_find_api_key(df_secret **out, const char *file, df_error *err) {
  char path[4096];
  const char *v;
  file = df_secret_api_key_file(path, sizeof path, file);
  if (file != NULL && strcmp(file, "-") == 0) return df_secret_take_stdin(err) != 0 ? -1 : copy_of(out, kept_stdin, err);
  if (file != NULL) return df_secret_from_file(out, file, "API key", err);
  if ((v = getenv("DEFENDIS_API_KEY")) != NULL && *v != '\0') return df_secret_new(out, v, strlen(v), "DEFENDIS_API_KEY", err);
  if (kept_env != NULL) return copy_of(out, kept_env, err);
  return df_fail(err, DF_CONFIG, "no API key; set DEFENDIS_API_KEY_FILE to a file of mode 0600 that holds it (or DEFENDIS_API_KEY)");
}

int df_secret_from_env(df_secret **out, const char *name, df_error *err) {
  const char *v = getenv(name);
  if (v == NULL) return df_fail(err, DF_CONFIG, "the environment variable %.100s is not set; set it to the key, or keep the key in a file",
                   name);
  char what[160];
  snprintf(what, sizeof what, "the environment variable %.100s", name);
  return df_secret_new(out, v, strlen(v), what, err);
}

size_t df_secret_length(const df_secret *s) { return s->len; }

const char *df_secret_bytes(const df_secret *s) { return s->bytes; }

void df_secret_free(df_secret *s) {
  if (s == NULL) return;
  pthread_mutex_lock(&live_lock);
  for (df_secret **p = &live; *p != NULL; p = &(*p)->next)
    if (*p == s) {
      *p = s->next;
      break;
    }
  pthread_mutex_unlock(&live_lock);
  for (int i = 0; i < ENCODINGS; i++) {
    if (s->encoded[i].data != NULL) explicit_bzero(s->encoded[i].data, s->encoded[i].cap);
    df_buf_free(&s->encoded[i]);
  }
  explicit_bzero(s->bytes, s->mapped);
  munmap(s->bytes, s->mapped);
  free(s);
}

/* Reads one byte that is percent-encoded or escaped as in JSON. Returns its length in the text, 0 when there is none. */
static size_t escaped(const char *p, size_t n, char *out) {
  size_t skip = n >= 3 && p[0] == '%' ? 1 : n >= 6 && memcmp(p, "\\u00", 4) == 0 ? 4 : 0;
  if (skip > 0 && isxdigit((unsigned char)p[skip]) && isxdigit((unsigned char)p[skip + 1])) {
    *out = (char)strtol((char[]){p[skip], p[skip + 1], '\0'}, NULL, 16);
    return skip + 2;
  }
  if (n < 2 || p[0] != '\\' || strchr("\"\\/", p[1]) == NULL) return 0;
  *out = p[1];
  return 2;
}

/* Length of the needle's occurrence at the start of text, each byte of it plain or escaped; 0 when there is none. */
static size_t occurrence(const char *text, size_t len, const char *needle, size_t n) {
  size_t at = 0;
  for (size_t i = 0; i < n; i++) {
    char c;
    size_t step = escaped(text + at, len - at, &c);
    if (step > 0 && c == needle[i]) at += step;
    else if (at < len && text[at] == needle[i]) at++;
    else return 0;
  }
  return at;
}

/* Replaces needle by "***" in text[0..len); returns the new length. A needle shorter than "***" could make text grow,
   and would hit by chance: such short secrets are left alone. */
static size_t mask(char *text, size_t len, const char *needle, size_t n) {
  size_t to = 0;
  if (n < MIN_REDACT) return len;
  for (size_t from = 0; from < len;) {
    size_t hit = text[from] == needle[0] || text[from] == '%' || text[from] == '\\' ? occurrence(text + from, len - from, needle, n) : 0;
    if (hit > 0) {
      memcpy(text + to, "***", 3);
      to += 3;
      from += hit;
    } else {
      text[to++] = text[from++];
    }
  }
  return to;
}

static size_t redact(char *text, size_t len) {
  pthread_mutex_lock(&live_lock);
  for (df_secret *s = live; s != NULL && len > 0; s = s->next) {
    len = mask(text, len, s->bytes, s->len);
    for (int i = 0; i < ENCODINGS; i++)
      if (s->encoded[i].len > 0) len = mask(text, len, s->encoded[i].data, s->encoded[i].len);
  }
  pthread_mutex_unlock(&live_lock);
  return len;
}

void df_secret_redact(df_buf *b) {
  if (b->len > 0) b->len = redact(b->data, b->len);
}

void df_secret_redact_text(char *text) { text[redact(text, strlen(text))] = '\0'; }

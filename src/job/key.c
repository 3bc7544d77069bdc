/* key.c: the API key of a client: where it comes from, and when it is read again. */
#include "job/key.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/command.h"

enum { COMMAND_MS = 10000 };

static int read_key(df_secret **out, df_key *k, df_error *err) {
  if (k->command == NULL) return df_secret_find_api_key(out, k->file, err);
  return df_command_secret(out, k->command, COMMAND_MS, err);
}

/* What tells one state of a file from another; zeros when there is none. */
static void stamp_of(int64_t *stamp, const char *file) {
  struct stat st;
  memset(stamp, 0, sizeof(int64_t[5]));
  if (file == NULL || stat(file, &st) != 0) return;
  stamp[0] = (int64_t)st.st_ino;
  stamp[1] = st.st_size;
  stamp[2] = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
  stamp[3] = st.st_ctim.tv_sec * INT64_C(1000000000) + st.st_ctim.tv_nsec;
  stamp[4] = (int64_t)st.st_mode << 32 | (int64_t)st.st_uid;
}

static const char *set_text(const char *text) { return text != NULL && *text != '\0' ? text : NULL; }

int df_key_init(df_key *k, const char *file, const char *command, df_error *err) {
  char path[4096];
  if (file != NULL && command != NULL) return df_fail(err, DF_CONFIG, "api_key_file and api_key_command are both set; leave one out");
  if (file == NULL && command == NULL && set_text(getenv("DEFENDIS_API_KEY_FILE")) == NULL)
    command = set_text(getenv("DEFENDIS_API_KEY_COMMAND"));
  file = command == NULL ? df_secret_api_key_file(path, sizeof path, file) : NULL;
  if ((file != NULL && (k->file = strdup(file)) == NULL) || (command != NULL && (k->command = strdup(command)) == NULL))
    return df_fail(err, DF_LIMIT, "out of memory");
  stamp_of(k->stamp, k->file); /* before the reading: what changes meanwhile is read again */
  if (read_key(&k->secret, k, &k->error) != 0) k->secret = NULL;
  return 0;
}

void df_key_free(df_key *k) {
  df_secret_free(k->secret);
  df_secret_free(k->former);
  free(k->file);
  free(k->command);
}

/* Takes fresh, if it is another key. */
static void take(df_key *k, df_secret *fresh) {
  if (k->secret != NULL && df_secret_length(fresh) == df_secret_length(k->secret) &&
      memcmp(df_secret_bytes(fresh), df_secret_bytes(k->secret), df_secret_length(fresh)) == 0) {
    df_secret_free(fresh);
    return;
  }
  df_secret_free(k->former);
  k->former = k->secret;
  k->secret = fresh;
  k->generation++;
}

static void read_again(df_key *k) {
  df_secret *fresh = NULL;
  df_error err;
  stamp_of(k->stamp, k->file);
  if (read_key(&fresh, k, &err) == 0) {
    take(k, fresh);
    return;
  }
  if (k->secret == NULL) {
    k->error = err;
    return;
  }
  df_log_field fields[] = {{"message", err.message, 0}};
  df_log(0, "the key could not be read again; the former one stays", fields, 1);
}

void df_key_refresh(df_key *k) {
  int64_t now[5];
  if (k->file == NULL || strcmp(k->file, "-") == 0) return;
  stamp_of(now, k->file);
  if (memcmp(now, k->stamp, sizeof now) != 0) read_again(k);
}

int df_key_renew(df_key *k, uint64_t refused) {
  int64_t now = df_clock_mono_ms();
  if (k->generation != refused) return 1;
  if (k->command != NULL && now < k->command_next) return 0;
  if (k->command == NULL && (k->file == NULL || strcmp(k->file, "-") == 0)) return 0;
  k->command_next = now + COMMAND_MS;
  read_again(k);
  return k->generation != refused;
}

/* key.h: the API key of a client: where it comes from, and when it is read again. */
#ifndef DF_JOB_KEY_H
#define DF_JOB_KEY_H

#include <stdint.h>

#include "base/secret.h"

typedef struct df_key {
  df_secret *secret; /* NULL: error says why there is none */
  df_secret *former; /* the one before: masked still, for answers that are under way */
  df_error error;
  char *file;         /* NULL: it is not read again */
  char *command;      /* or NULL */
  int64_t stamp[5];   /* of the file, when it was read */
  int64_t command_next; /* monotonic ms: for a refusal it is not run again before */
  uint64_t generation; /* grows with each change */
} df_key;

/* Fills a zeroed key. file and command: what counts before the environment's ($DEFENDIS_API_KEY_FILE, $DEFENDIS_API_KEY_COMMAND, then
   df_secret_find_api_key's order), or NULL. A key that cannot be read is an error of the calls that need one, so this fails for want of
   memory and for both being given. */
int df_key_init(df_key *k, const char *file, const char *command, df_error *err);
void df_key_free(df_key *k);

/* Reads the file again when it has changed. What cannot be used then is logged, and the former key stays. */
void df_key_refresh(df_key *k);

/* The API refused the key of that generation: is there another one by now? Reads the file, or runs the command, again. */
int df_key_renew(df_key *k, uint64_t refused);

#endif

/* tape.h: recorded answers of the API: a folder with a file per call, redacted; played, they stand in the place of the network. */
#ifndef DF_JOB_TAPE_H
#define DF_JOB_TAPE_H

#include <stddef.h>
#include <stdint.h>

#include "job/port.h"

typedef enum df_tape_mode { DF_TAPE_OFF, DF_TAPE_RECORD, DF_TAPE_PLAY } df_tape_mode;

/* Records from now on, process-wide. The folder is made, or empty; now: Unix ms that this run stands at. */
int df_tape_record(const char *dir, int64_t now, df_error *err);

/* Plays from now on, process-wide: a call of a client of the API is answered from the folder and nothing is sent. */
int df_tape_play(const char *dir, df_error *err);

/* What is done now. */
df_tape_mode df_tape_is(void);

/* Unix ms that the tape's run stands at, 0 without a tape. */
int64_t df_tape_now(void);

/* A call is handed to who asked. Recording writes d down; playing fills it with the next answer to this call, or with an error. url: path
   and query. */
void df_tape_pass(const char *method, const char *url, const df_buf *body, df_completion *d);

/* Ends it. calls: how many passed. 0, or -1: the tape that was recorded is not whole. */
int df_tape_close(uint64_t *calls, df_error *err);

#endif

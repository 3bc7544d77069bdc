/* words.h: what an answer says, for the judge. */
#ifndef DF_JOB_WORDS_H
#define DF_JOB_WORDS_H

#include "api/fetch.h"
#include "base/buffer.h"
#include "io/http.h"
#include "job/port.h"

typedef struct df_words {
  char text[8][512];
} df_words;

/* Sets the text fields of answer that a JSON body has; they point into w. Live secrets are masked. */
void df_words_read(df_words *w, df_answer *answer, const df_buf *body);

/* What is known before the body is read. Its texts are those of a. */
df_answer df_answer_of(const df_http_answer *a);

/* Reads the body of a success as d->decode says into d->doc, and says in out what became of it. */
void df_decode_body(df_completion *d, df_http_answer *a, df_answer *out);

#endif

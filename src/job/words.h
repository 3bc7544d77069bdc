/* words.h: what an answer's body says, for the judge. */
#ifndef DF_JOB_WORDS_H
#define DF_JOB_WORDS_H

#include "api/fetch.h"
#include "base/buffer.h"
#include "io/http.h"
#include "job/port.h"

typedef struct df_words {
  char text[7][512];
} df_words;

/* Sets the text fields of answer that a JSON body has; they point into w. Live secrets are masked. */
void df_words_read(df_words *w, df_answer *answer, const df_buf *body);

/* Decodes the body of a success, which it takes, into *doc (NULL before), and says in out what it is. */
void df_words_decode(df_json **doc, df_decode how, df_http_answer *a, df_answer *out);

#endif

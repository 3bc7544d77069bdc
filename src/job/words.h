/* words.h: what an error's body says, as text for the judge. */
#ifndef DF_JOB_WORDS_H
#define DF_JOB_WORDS_H

#include "api/fetch.h"
#include "base/buffer.h"

typedef struct df_words {
  char text[8][512];
} df_words;

/* Sets the text fields of answer that a JSON body has; they point into w. Live secrets are masked. */
void df_words_read(df_words *w, df_answer *answer, const df_buf *body);

#endif

/* standin.h: for each value another one of the same form and length; the same for the same value as long as the process lives. */
#ifndef DF_JOB_STANDIN_H
#define DF_JOB_STANDIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Appends what stands for a text: x's that end in a number; digits for up to 18 digits; for a number a number without a sign. As long as
   the text, or longer where there are not as many texts so short. -1 when memory runs out. */
int df_standin_text(df_buf *out, const char *text, size_t n, int is_number);

/* Overwrites what stands between the first six and the last four digits of a card number: with '*', or with digits of its stand-in, whose
   check digit is right when the card's is. */
int df_standin_card(char *text, size_t n, int with_digits);

/* The same for each card number in a text, see df_sensitive_mask_cards. *count grows by each. */
int df_standin_cards(df_buf *b, int with_digits, uint64_t *count);

#endif

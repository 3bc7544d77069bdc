/* redact_fuzz.c: copies for traces and tapes of any bytes: valid JSON, the same each time. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "job/redact.h"

static void set_up(void) {
  static const char *const names[] = {"password", "token", "cookies"}, *const cards[] = {"cardNumber", "number"};
  df_error err;
  for (int i = 0; i < 3; i++) df_redact_field(names[i], strlen(names[i]), DF_FIELD_TEXT, &err);
  for (int i = 0; i < 2; i++) df_redact_field(cards[i], strlen(cards[i]), DF_FIELD_CARD, &err);
  df_redact_word("secret", 6, 0, &err);
  df_redact_word("key", 3, 1, &err);
}

static void redact(const uint8_t *bytes, size_t n, df_redact_mode mode, int sorted) {
  df_buf once = {0}, twice = {0}, copy = {0};
  df_json *doc = NULL;
  df_error err;
  df_redact_begin();
  int bad = df_redact_json(&once, (const char *)bytes, n, mode, sorted);
  if (bad < 0) abort();
  if (df_buf_add(&copy, once.data, once.len) != 0 || (bad == 0 && df_json_parse(&doc, &copy, NULL, &err) != 0)) abort();
  df_redact_begin();
  if (mode == DF_REDACT_MASK && (df_redact_json(&twice, (const char *)bytes, n, mode, sorted) != bad || twice.len != once.len ||
                                 memcmp(twice.data, once.data, once.len) != 0))
    abort();
  df_json_free(doc);
  df_buf_free(&copy);
  df_buf_free(&once);
  df_buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static int ready;
  if (!ready) set_up();
  ready = 1;
  char *text = malloc(n + 1);
  memcpy(text, bytes, n);
  text[n] = '\0';
  df_buf url = {0}, again = {0};
  df_redact_begin();
  if (df_redact_url(&url, text) != 0 || df_buf_str(&url) == NULL) abort();
  redact(bytes, n, DF_REDACT_MASK, 1);
  redact(bytes, n, DF_REDACT_STAND_IN, 0);
  df_redact_begin();
  if (df_redact_url(&again, text) != 0 || again.len != url.len || (url.len > 0 && memcmp(again.data, url.data, url.len) != 0)) abort();
  df_redact_text(text, n + 1, DF_REDACT_STAND_IN);
  df_buf_free(&url);
  df_buf_free(&again);
  free(text);
  return 0;
}

/* words.c: what an answer's body says, for the judge. */
#include "job/words.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/secret.h"

/* Text of one member of an error's body: a string, or a number as it is written. NULL when there is none. A server may
   echo what it was sent: secrets go before the text is cut, or the first part of one could stay. */
static const char *member(df_json *doc, const char *name, char *to, size_t size) {
  size_t len;
  df_json_ref at = df_json_get(doc, 0, name, strlen(name));
  df_json_kind kind = df_json_type(doc, at);
  if (at == 0 || (kind != DF_JSON_STRING && kind != DF_JSON_NUMBER)) return NULL;
  const char *text = kind == DF_JSON_STRING ? df_json_text(doc, at, &len) : df_json_span(doc, at, &len);
  df_buf whole = {0};
  if (text == NULL || df_buf_add(&whole, text, len) != 0) return NULL;
  df_secret_redact(&whole);
  snprintf(to, size, "%.*s", (int)(whole.len < size ? whole.len : size - 1), whole.len > 0 ? whole.data : "");
  df_buf_free(&whole);
  return to;
}

void df_words_read(df_words *w, df_answer *out, const df_buf *body) {
  df_json *doc = NULL;
  df_buf copy = {0};
  df_error err;
  if (body->len > 0 && df_buf_add(&copy, body->data, body->len) == 0 && df_json_parse(&doc, &copy, NULL, &err) == 0 &&
      df_json_type(doc, 0) == DF_JSON_OBJECT) {
    out->error = member(doc, "error", w->text[0], sizeof w->text[0]);
    out->message = member(doc, "message", w->text[1], sizeof w->text[1]);
    out->reason = member(doc, "reason", w->text[2], sizeof w->text[2]);
    out->state = member(doc, "status", w->text[3], sizeof w->text[3]);
    out->metric = member(doc, "metric", w->text[4], sizeof w->text[4]);
    out->used = member(doc, "used", w->text[5], sizeof w->text[5]);
    out->limit = member(doc, "limit", w->text[6], sizeof w->text[6]);
  }
  df_json_free(doc);
  df_buf_free(&copy);
}

void df_words_decode(df_json **doc, df_decode how, df_http_answer *a, df_answer *out) {
  df_error err;
  df_json_limits limits = {.recover = how == DF_DECODE_PAGE};
  out->body = a->body.len == 0 ? DF_BODY_EMPTY : DF_BODY_JSON;
  if (a->body.len == 0) return;
  if (df_json_parse(doc, &a->body, &limits, &err) != 0) *doc = NULL;
  else if (how != DF_DECODE_PAGE || df_json_page(*doc, &err) == 0) return;
  out->body = DF_BODY_BAD;
  if (err.kind == DF_LIMIT) out->transport = DF_TRANSPORT_TOO_LARGE; /* asking again would not make it smaller */
  snprintf(a->detail, sizeof a->detail, "%.150s", err.message);
}

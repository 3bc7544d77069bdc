/* map_copy.c: values of a record copied as they are. */
#include "engine/map_copy.h"

#include <stdlib.h>
#include <string.h>

enum { FEW = 24 };

typedef struct name {
  const char *text;
  size_t len;
  uint32_t at;
} name;

static int by_name(const void *left, const void *right) {
  const name *a = left, *b = right;
  if (a->len != b->len) return a->len < b->len ? -1 : 1;
  int order = memcmp(a->text, b->text, a->len);
  return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

int df_repeated(unsigned char **out, const df_json *doc, df_json_ref object) {
  uint32_t n = df_json_count(doc, object), found = 0;
  name few[FEW], *names = n <= FEW ? few : malloc(n * sizeof *names);
  *out = NULL;
  if (names == NULL) return -1;
  df_json_ref key = object + 1;
  for (uint32_t i = 0; i < n; i++, key = df_json_after(doc, key + 1)) {
    names[i].text = df_json_span(doc, key, &names[i].len);
    names[i].at = i;
    for (uint32_t k = 0; n <= FEW && k < i; k++)
      if (names[k].len == names[i].len && memcmp(names[k].text, names[i].text, names[i].len) == 0) found = 1;
  }
  if (n > FEW || found) {
    qsort(names, n, sizeof *names, by_name);
    for (uint32_t i = 1; i < n; i++) {
      if (names[i].len != names[i - 1].len || memcmp(names[i].text, names[i - 1].text, names[i].len) != 0) continue;
      if (*out == NULL && (*out = calloc(n, 1)) == NULL) break;
      (*out)[names[i - 1].at] = 1;
      found = 2;
    }
  }
  if (names != few) free(names);
  return found == 2 && *out == NULL ? -1 : 0;
}

int df_key_among(df_json *doc, df_json_ref key, const df_keys *set) {
  size_t n;
  const char *text = set->slots == NULL ? NULL : df_json_text(doc, key, &n);
  return text != NULL && df_keys_find_lower(set, text, n) >= 0;
}

int df_copy_close(df_buf *out, char end) {
  if (out->data[out->len - 1] == ',') return out->data[out->len - 1] = end, 0;
  return df_buf_add(out, &end, 1);
}

static int copy_text(df_buf *out, df_json *doc, df_json_ref at) {
  size_t n;
  const char *text = df_json_text(doc, at, &n);
  return text == NULL ? -1 : df_json_write_string(out, text, n);
}

int df_copy_member(df_buf *out, df_json *doc, df_json_ref key, const df_keys *without) {
  if (copy_text(out, doc, key) != 0 || df_buf_add(out, ":", 1) != 0) return -1;
  return df_copy_value(out, doc, key + 1, without) != 0 ? -1 : df_buf_add(out, ",", 1);
}

static int copy_object(df_buf *out, df_json *doc, df_json_ref at, const df_keys *without) {
  unsigned char *repeated;
  int rc = df_repeated(&repeated, doc, at);
  if (rc == 0) rc = df_buf_add(out, "{", 1);
  df_json_ref key = at + 1;
  uint32_t n = df_json_count(doc, at);
  for (uint32_t i = 0; rc == 0 && i < n; i++, key = df_json_after(doc, key + 1)) {
    if ((repeated != NULL && repeated[i]) || df_key_among(doc, key, without)) continue;
    rc = df_copy_member(out, doc, key, without);
  }
  free(repeated);
  return rc != 0 ? -1 : df_copy_close(out, '}');
}

int df_copy_value(df_buf *out, df_json *doc, df_json_ref at, const df_keys *without) {
  size_t n;
  const char *span;
  switch (df_json_type(doc, at)) {
    case DF_JSON_STRING: return copy_text(out, doc, at);
    case DF_JSON_OBJECT: return copy_object(out, doc, at, without);
    case DF_JSON_ARRAY: break;
    case DF_JSON_BAD: return df_buf_add(out, "null", 4);
    default: span = df_json_span(doc, at, &n); return df_buf_add(out, span, n);
  }
  if (df_buf_add(out, "[", 1) != 0) return -1;
  df_json_ref child = at + 1;
  for (uint32_t i = df_json_count(doc, at); i > 0; i--, child = df_json_after(doc, child))
    if (df_copy_value(out, doc, child, without) != 0 || df_buf_add(out, ",", 1) != 0) return -1;
  return df_copy_close(out, ']');
}

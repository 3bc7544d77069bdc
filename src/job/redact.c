/* redact.c: copies of requests and answers, for files that people read, without what is secret in them. */
#include "job/redact.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/secret.h"
#include "job/standin.h"

enum { NAME_MAX_LEN = 64, KNOWN_LEAST = 6 };

/* How the values under a name are treated: a listed field's way; PART hides texts only; LEAVE nothing. */
typedef enum how { PLAIN, PART, LISTED, CARD, LEAVE } how;

/* Values that are hidden, to be looked for elsewhere; those of the request first. */
typedef struct known {
  char **list;
  size_t n, cap, of_request;
} known;

static struct {
  df_fields *fields;
  df_buf parts, whole; /* words, each with a NUL */
  known known;
  uint64_t count;
} g;

typedef struct walk {
  df_json *doc;
  df_buf *out;
  df_redact_mode mode;
  int sorted, bad, rc;
} walk;

uint64_t df_redact_count(void) { return g.count; }

int df_redact_field(const char *name, size_t n, df_field_kind kind, df_error *err) {
  if (g.fields == NULL && df_fields_new(&g.fields, err) != 0) return -1;
  return df_fields_add(g.fields, name, n, kind, err);
}

int df_redact_word(const char *word, size_t n, int whole, df_error *err) {
  df_buf *b = whole ? &g.whole : &g.parts;
  return df_buf_add(b, word, n) == 0 && df_buf_add(b, "", 1) == 0 ? 0 : df_fail(err, DF_LIMIT, "out of memory");
}

static void forget(size_t from) {
  while (g.known.n > from) {
    char *text = g.known.list[--g.known.n];
    explicit_bzero(text, strlen(text));
    free(text);
  }
}

static int hex(char c) { return isdigit((unsigned char)c) ? c - '0' : (tolower((unsigned char)c) - 'a') + 10; }

static int decode(df_buf *to, const char *text, size_t n) {
  for (size_t i = 0; i < n; i++) {
    char c = text[i] == '+' ? ' ' : text[i];
    if (c == '%' && i + 2 < n && isxdigit((unsigned char)text[i + 1]) && isxdigit((unsigned char)text[i + 2])) {
      c = (char)(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    }
    if (df_buf_add(to, &c, 1) != 0) return -1;
  }
  return df_buf_str(to) != NULL ? 0 : -1;
}

/* A proxy's password is libcurl's business, but an error or a server may tell it: for the rest of the process it is a live secret. */
int df_redact_proxies(df_error *err) {
  static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
  static int done;
  for (size_t i = 0; !done && i < sizeof names / sizeof *names; i++) {
    const char *url = getenv(names[i]), *sign = url != NULL ? strrchr(url, '@') : NULL, *at = url != NULL ? strstr(url, "://") : NULL;
    at = at != NULL ? at + 3 : url;
    const char *colon = sign != NULL && at < sign ? memchr(at, ':', (size_t)(sign - at)) : NULL;
    df_buf plain = {0};
    df_secret *kept;
    if (colon == NULL || sign - colon < 2) continue;
    int rc = decode(&plain, colon + 1, (size_t)(sign - colon - 1)) != 0 ? df_fail(err, DF_LIMIT, "out of memory")
                                                                         : df_secret_new(&kept, plain.data, plain.len, names[i], err);
    df_buf_free(&plain);
    if (rc != 0) return -1;
  }
  done = 1;
  return 0;
}

void df_redact_begin(void) {
  forget(0);
  g.known.of_request = 0;
}

/* A word of a language, or a number, stands in other fields for other reasons. */
static int tells(const char *text, size_t n) {
  int letters = 0, digits = 0, marks = 0;
  for (size_t i = 0; i < n; i++) {
    if (text[i] == '\0') return 0;
    if (isalpha((unsigned char)text[i])) letters = 1;
    else if (isdigit((unsigned char)text[i])) digits = 1;
    else marks = 1;
  }
  return n >= KNOWN_LEAST && letters + digits + marks >= 2;
}

static int note(const char *text, size_t n) {
  known *k = &g.known;
  if (!tells(text, n)) return 0;
  if (k->n == k->cap) {
    size_t cap = k->cap * 2 + 16;
    char **more = realloc(k->list, cap * sizeof *more);
    if (more == NULL) return -1;
    k->list = more;
    k->cap = cap;
  }
  if ((k->list[k->n] = strndup(text, n)) == NULL) return -1;
  k->n++;
  return 0;
}

static how how_of(const char *key, size_t n) {
  const df_field *f = g.fields != NULL ? df_fields_find(g.fields, key, n) : NULL;
  if (f != NULL) return f->kind == DF_FIELD_CARD ? CARD : LISTED;
  char name[NAME_MAX_LEN + 1];
  size_t len = 0;
  for (size_t i = 0; i < n && len < NAME_MAX_LEN; i++)
    if (isalnum((unsigned char)key[i])) name[len++] = (char)tolower((unsigned char)key[i]);
  name[len] = '\0';
  for (size_t at = 0; at < g.parts.len; at += strlen(g.parts.data + at) + 1)
    if (strstr(name, g.parts.data + at) != NULL) return PART;
  for (size_t at = 0; at < g.whole.len; at += strlen(g.whole.data + at) + 1)
    if (strcmp(name, g.whole.data + at) == 0) return PART;
  return PLAIN;
}

static int is_id(const char *key, size_t n) {
  return (n == 2 && strncasecmp(key, "id", 2) == 0) || (n > 2 && (memcmp(key + n - 2, "Id", 2) == 0 || memcmp(key + n - 3, "_id", 3) == 0));
}

/* The whole text is an e-mail address: a password that is part of it is its owner's name. */
static int is_address(const char *text, size_t n) {
  const char *at = memchr(text, '@', n);
  for (size_t i = 0; at != NULL && i < n; i++)
    if (isspace((unsigned char)text[i]) || strchr(":;|/,", text[i]) != NULL) return 0;
  return at != NULL && memchr(at + 1, '@', (size_t)(text + n - at - 1)) == NULL;
}

/* Appends what stands for a hidden value. */
static int add_hidden(df_buf *out, const char *text, size_t n, int is_number, df_redact_mode mode) {
  if (mode == DF_REDACT_MASK) return df_buf_puts(out, "***");
  g.count++;
  return df_standin_text(out, text, n, is_number);
}

static int replace_known(df_buf *b, df_redact_mode mode) {
  for (size_t i = 0; i < g.known.n; i++) {
    const char *value = g.known.list[i];
    size_t n = strlen(value);
    char *hit = memmem(b->data, b->len, value, n);
    if (hit == NULL) continue;
    df_buf next = {0};
    int rc = 0;
    const char *from = b->data, *end = b->data + b->len;
    for (; rc == 0 && hit != NULL; hit = memmem(from, (size_t)(end - from), value, n)) {
      rc = df_buf_add(&next, from, (size_t)(hit - from)) != 0 || add_hidden(&next, value, n, 0, mode) != 0;
      from = hit + n;
    }
    if (rc != 0 || df_buf_add(&next, from, (size_t)(end - from)) != 0) {
      df_buf_free(&next);
      return -1;
    }
    df_buf_free(b);
    *b = next;
  }
  return 0;
}

/* Replaces n bytes at `at`; *end is moved with what follows. */
static int hide_at(df_buf *b, size_t at, size_t n, size_t *end, df_redact_mode mode) {
  df_buf next = {0};
  int rc = df_buf_add(&next, b->data, at) != 0 || add_hidden(&next, b->data + at, n, 0, mode) != 0;
  *end = next.len;
  if (rc != 0 || df_buf_add(&next, b->data + at + n, b->len - at - n) != 0) return df_buf_free(&next), -1;
  df_buf_free(b);
  *b = next;
  return 0;
}

static size_t span_until(const df_buf *b, size_t at, const char *ends) {
  size_t n = 0;
  while (at + n < b->len && !isspace((unsigned char)b->data[at + n]) && strchr(ends, b->data[at + n]) == NULL) n++;
  return n;
}

/* A URL's password, and its parameters with a listed name. */
static int clean_url(df_buf *b, df_redact_mode mode) {
  const char *scheme = memmem(b->data, b->len, "://", 3);
  if (scheme == NULL) return 0;
  size_t at = (size_t)(scheme - b->data) + 3, host = at + span_until(b, at, "/?#"), user = span_until(b, at, ":@/?#"), n;
  if (at + user < host && b->data[at + user] == ':') {
    const char *sign = memrchr(b->data + at, '@', host - at);
    size_t from = at + user + 1;
    if (sign != NULL && hide_at(b, from, (size_t)(sign - b->data) - from, &at, mode) != 0) return -1;
  }
  for (; at < b->len; at++) {
    if (strchr("?&#;", b->data[at]) == NULL) continue;
    size_t name = span_until(b, at + 1, "=&#?;"), from = at + name + 2;
    if (at + 1 + name >= b->len || b->data[at + 1 + name] != '=') continue;
    how h = how_of(b->data + at + 1, name);
    n = span_until(b, from, "&#");
    if (n == 0 || (h != LISTED && h != PART)) continue;
    if (hide_at(b, from, n, &at, mode) != 0) return -1;
    at--;
  }
  return 0;
}

/* Hides within a text that has no listed name: live secrets, known values, card numbers. */
static int clean(df_buf *b, df_redact_mode mode) {
  if (b->len == 0) return 0;
  if (memchr(b->data, '\0', b->len) == NULL && clean_url(b, mode) != 0) return -1;
  size_t before = b->len;
  df_secret_redact(b);
  if (b->len != before && mode == DF_REDACT_STAND_IN) g.count++;
  if (!is_address(b->data, b->len) && replace_known(b, mode) != 0) return -1;
  uint64_t cards = 0;
  int rc = df_standin_cards(b, mode == DF_REDACT_STAND_IN, &cards);
  if (mode == DF_REDACT_STAND_IN) g.count += cards;
  return rc;
}

static int is_card(const char *text, size_t n) {
  char digits[DF_CARD_MAX + 1];
  size_t count = df_sensitive_digits(digits, text, n);
  explicit_bzero(digits, sizeof digits);
  return count > 0;
}

/* The redacted copy of one value's text in b. */
static int redact_value(df_buf *b, const char *text, size_t n, how h, int id, int is_number, df_redact_mode mode) {
  if (n == 0) return 0;
  if (h == CARD && is_card(text, n)) {
    g.count += mode == DF_REDACT_STAND_IN;
    return df_buf_add(b, text, n) != 0 ? -1 : df_standin_card(b->data, b->len, mode == DF_REDACT_STAND_IN);
  }
  if (h == LISTED || (h == PART && !is_number)) return add_hidden(b, text, n, is_number, mode);
  if (df_buf_add(b, text, n) != 0) return -1;
  if (is_number) return 0;
  if (h != LEAVE && !id) return clean(b, mode);
  df_secret_redact(b);
  return 0;
}

static int all_digits(const df_buf *b) {
  for (size_t i = 0; i < b->len; i++)
    if (!isdigit((unsigned char)b->data[i])) return 0;
  return b->len > 0;
}

static void put(walk *w, const char *text, size_t n) { w->rc |= df_buf_add(w->out, text, n); }

static void emit_scalar(walk *w, df_json_ref at, how h, int id) {
  df_json_kind kind = df_json_type(w->doc, at);
  size_t raw, n;
  const char *span = df_json_span(w->doc, at, &raw);
  const char *text = span;
  df_buf b = {0};
  n = raw;
  if (kind == DF_JSON_BAD) {
    w->bad = 1;
    put(w, "{!}", 3);
    return;
  }
  if (kind == DF_JSON_STRING) text = df_json_text(w->doc, at, &n);
  if (text == NULL || (kind != DF_JSON_STRING && kind != DF_JSON_NUMBER)) {
    put(w, span, raw);
    return;
  }
  w->rc |= redact_value(&b, text, n, h, id, kind == DF_JSON_NUMBER, w->mode);
  if (b.len == n && (n == 0 || memcmp(b.data, text, n) == 0)) put(w, span, raw);
  else if (kind == DF_JSON_NUMBER && all_digits(&b)) put(w, b.data, b.len);
  else w->rc |= df_json_write_string(w->out, b.data, b.len);
  df_buf_free(&b);
}

/* Notes the hidden values of a record before its other texts are looked at. */
static void collect(walk *w, df_json_ref at, how h) {
  df_json_kind kind = df_json_type(w->doc, at);
  uint32_t count = df_json_count(w->doc, at);
  size_t n;
  if (kind == DF_JSON_STRING && (h == PART || h == LISTED)) {
    const char *text = df_json_text(w->doc, at, &n);
    if (text != NULL) w->rc |= note(text, n);
  }
  df_json_ref child = at + 1;
  for (uint32_t i = 0; i < count; i++) {
    how next = h == LISTED || h == LEAVE ? h : PLAIN;
    if (kind == DF_JSON_OBJECT) {
      const char *key = df_json_text(w->doc, child, &n);
      if (key != NULL && next == PLAIN) next = how_of(key, n);
      child = df_json_after(w->doc, child);
    }
    collect(w, child, kind == DF_JSON_ARRAY && h == PART && df_json_count(w->doc, child) == 0 ? PART : next);
    child = df_json_after(w->doc, child);
  }
}

static void emit(walk *w, df_json_ref at, how h, int id, int depth);

typedef struct member {
  df_json_ref key;
  const char *name; /* its source */
  size_t len;
} member;

static int by_name(const void *a, const void *b) {
  const member *x = a, *y = b;
  int order = memcmp(x->name, y->name, x->len < y->len ? x->len : y->len);
  return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static void emit_member(walk *w, df_json_ref key, how h, int depth) {
  size_t n = 0;
  const char *name = df_json_text(w->doc, key, &n);
  how next = h == LISTED || h == LEAVE ? h : name != NULL ? how_of(name, n) : PLAIN;
  if (depth == 0 && n == 6 && name != NULL && memcmp(name, "paging", 6) == 0) next = LEAVE;
  int id = name != NULL && is_id(name, n);
  emit_scalar(w, key, PLAIN, 0);
  put(w, ":", 1);
  emit(w, df_json_after(w->doc, key), next, id, depth + 1);
}

static void emit_object(walk *w, df_json_ref at, how h, int depth) {
  uint32_t count = df_json_count(w->doc, at);
  member *members = calloc(count + 1, sizeof *members);
  if (members == NULL) {
    w->rc = -1;
    return;
  }
  df_json_ref child = at + 1;
  for (uint32_t i = 0; i < count; i++) {
    members[i].key = child;
    members[i].name = df_json_span(w->doc, child, &members[i].len);
    child = df_json_after(w->doc, df_json_after(w->doc, child));
  }
  if (w->sorted) qsort(members, count, sizeof *members, by_name);
  put(w, "{", 1);
  for (uint32_t i = 0; i < count; i++) {
    if (i > 0) put(w, ",", 1);
    emit_member(w, members[i].key, h, depth);
  }
  put(w, "}", 1);
  free(members);
}

static void emit(walk *w, df_json_ref at, how h, int id, int depth) {
  df_json_kind kind = df_json_type(w->doc, at);
  if (kind == DF_JSON_OBJECT) {
    emit_object(w, at, h == LISTED || h == LEAVE ? h : PLAIN, depth);
  } else if (kind == DF_JSON_ARRAY) {
    df_json_ref child = at + 1;
    put(w, "[", 1);
    for (uint32_t i = 0; i < df_json_count(w->doc, at); i++, child = df_json_after(w->doc, child)) {
      if (i > 0) put(w, depth == 1 ? ",\n" : ",", depth == 1 ? 2 : 1);
      if (depth == 1) { /* a record: its values count in it alone */
        forget(g.known.of_request);
        collect(w, child, h);
      }
      emit(w, child, h, id, depth + 1);
    }
    put(w, "]", 1);
  } else {
    emit_scalar(w, at, h, id);
  }
}

int df_redact_json(df_buf *out, const char *text, size_t n, df_redact_mode mode, int sorted) {
  df_buf copy = {0};
  df_json *doc = NULL;
  df_error err;
  df_json_limits limits = {.recover = 1};
  if (df_buf_add(&copy, text, n) != 0) return -1;
  if (df_json_parse(&doc, &copy, &limits, &err) != 0) {
    df_buf_free(&copy);
    return df_buf_printf(out, "\"(%zu bytes that are no JSON)\"", n) != 0 ? -1 : 0;
  }
  walk w = {.doc = doc, .out = out, .mode = mode, .sorted = sorted};
  df_json_ref data = df_json_get(doc, 0, "data", 4);
  int is_request = sorted;
  forget(g.known.of_request);
  if (data == 0 || df_json_type(doc, data) != DF_JSON_ARRAY) collect(&w, 0, PLAIN);
  if (is_request) g.known.of_request = g.known.n;
  emit(&w, 0, PLAIN, 0, 0);
  df_json_free(doc);
  return w.rc != 0 ? -1 : w.bad;
}

void df_redact_text(char *text, size_t size, df_redact_mode mode) {
  df_buf b = {0};
  if (df_buf_puts(&b, text) != 0 || clean(&b, mode) != 0) snprintf(text, size, "(not shown)");
  else snprintf(text, size, "%.*s", (int)b.len, b.len > 0 ? b.data : "");
  df_buf_free(&b);
}

/* A name, value or segment of a path: as it stands unless something in it is hidden. */
static int add_part(df_buf *out, const char *text, size_t n, how h, int id) {
  df_buf plain = {0}, b = {0};
  int rc = decode(&plain, text, n);
  if (rc == 0 && (h == LISTED || h == PART)) rc = note(plain.data, plain.len);
  if (rc == 0) rc = redact_value(&b, plain.data, plain.len, h, id, 0, DF_REDACT_MASK);
  int same = rc == 0 && b.len == plain.len && (b.len == 0 || memcmp(b.data, plain.data, b.len) == 0);
  if (same) rc = df_buf_add(out, text, n);
  for (size_t i = 0; rc == 0 && !same && i < b.len; i++)
    rc = isalnum((unsigned char)b.data[i]) || strchr("-._~*", b.data[i]) != NULL ? df_buf_add(out, &b.data[i], 1)
                                                                                : df_buf_printf(out, "%%%02X", (unsigned char)b.data[i]);
  df_buf_free(&plain);
  df_buf_free(&b);
  return rc;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int add_query(df_buf *out, const char *query) {
  char *parts[512], *copy = strdup(query), *rest = copy;
  size_t n = 0;
  int rc = copy != NULL ? 0 : -1;
  for (char *one; rc == 0 && n < 512 && (one = strsep(&rest, "&")) != NULL;) parts[n++] = one;
  qsort(parts, n, sizeof *parts, by_text);
  for (size_t i = 0; rc == 0 && i < n; i++) {
    size_t len = strcspn(parts[i], "=");
    df_buf name = {0};
    rc = df_buf_add(out, i == 0 ? "?" : "&", 1) | decode(&name, parts[i], len);
    how h = rc == 0 ? how_of(name.data != NULL ? name.data : "", name.len) : PLAIN;
    rc |= add_part(out, parts[i], len, PLAIN, 0);
    if (parts[i][len] == '=') rc |= df_buf_add(out, "=", 1) | add_part(out, parts[i] + len + 1, strlen(parts[i] + len + 1), h, 0);
    df_buf_free(&name);
  }
  free(copy);
  return rc;
}

int df_redact_url(df_buf *out, const char *url) {
  size_t path = strcspn(url, "?");
  int rc = 0;
  for (size_t at = 0; rc == 0 && at < path;) {
    size_t n = strcspn(url + at, "/?");
    if (n > 0) rc = add_part(out, url + at, n, PLAIN, 0);
    at += n;
    if (rc == 0 && at < path && url[at] == '/') rc = df_buf_add(out, "/", 1), at++;
  }
  if (rc == 0 && url[path] == '?') rc = add_query(out, url + path + 1);
  g.known.of_request = g.known.n;
  return rc;
}

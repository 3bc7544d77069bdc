/* json.c: JSON text (RFC 8259), read strictly into a tape of nodes. */
#include "base/json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { ESCAPED = 0x10, HIGH = 0x20, COUNTED = 0x40, KIND = 0x0f, COUNT_SHIFT = 8, PAD = 32 };
#define NONE UINT32_MAX

typedef struct node {
  uint32_t start; /* first byte; of a string, the one behind its quote */
  uint32_t len;
  uint32_t next; /* behind this node and all it holds; the parent, while a container is open */
  uint32_t info; /* kind, flags, and from COUNT_SHIFT on the number of children, or a bad record's fault */
} node;

struct df_json {
  df_buf text; /* PAD zero bytes follow it, so that scans need no end test and may load whole words */
  df_buf scratch;
  node *nodes;
  df_json_ref *records;
  df_json_ref data, paging;
  size_t replaced;
};

enum fault {
  FINE, VALUE, KEY, COLON, ARRAY_NEXT, OBJECT_NEXT, NUMBER, CONTROL, ESCAPE, HEX, END, TAIL,
  DEPTH, RECORD, NODES, MEMORY /* caps, from here on */
};

static const char *const faults[] = {
    [FINE] = "no fault",
    [VALUE] = "a value was expected",
    [KEY] = "a key in double quotes was expected",
    [COLON] = "a colon was expected",
    [ARRAY_NEXT] = "a comma or a closing bracket was expected",
    [OBJECT_NEXT] = "a comma or a closing brace was expected",
    [NUMBER] = "this is not a number as JSON writes them",
    [CONTROL] = "a raw control character stands in a string",
    [ESCAPE] = "this escape does not exist",
    [HEX] = "\\u needs four hexadecimal digits",
    [END] = "the document ends too early",
    [TAIL] = "something follows the document",
    [DEPTH] = "it is nested deeper than the limit",
    [RECORD] = "the record is larger than the limit",
    [NODES] = "it has more values than the limit",
    [MEMORY] = "memory ran out",
};

typedef struct parse {
  df_json_limits limits;
  const char *base, *end, *p; /* p: the next byte, or the one at fault */
  node *nodes;
  uint32_t n, cap;
  uint32_t open, depth; /* innermost open container, NONE outside of all; how many are open */
  enum { WANT_VALUE, WANT_KEY, WANT_NEXT } want;
  uint32_t data;      /* the array `data` while it is open and faults are to be contained, else NONE */
  const char *record; /* its element at hand, */
  uint32_t record_node;
} parse;

static int is_digit(char c) { return c >= '0' && c <= '9'; }

static int is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/* The first byte from p that is a quote, a backslash or a control character; the zeros behind the text are some. */
static const char *plain_run(const char *p, uint32_t *flags) {
#ifdef __SSE2__
  const __m128i quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1f);
  for (;; p += 16) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, back));
    unsigned stop = (unsigned)_mm_movemask_epi8(_mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(x, control), x)));
    unsigned high = (unsigned)_mm_movemask_epi8(x);
    if (stop != 0) high &= (stop & -stop) - 1;
    if (high != 0) *flags |= HIGH;
    if (stop != 0) return p + __builtin_ctz(stop);
  }
#else
  for (; *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20; p++)
    if ((unsigned char)*p >= 0x80) *flags |= HIGH;
  return p;
#endif
}

static enum fault add(parse *s, uint32_t info, const char *from, size_t len) {
  if (s->n == s->cap) {
    if (s->cap >= s->limits.max_nodes) return NODES;
    uint32_t cap = s->cap * 2 > s->limits.max_nodes ? s->limits.max_nodes : s->cap * 2;
    node *nodes = realloc(s->nodes, cap * sizeof *nodes);
    if (nodes == NULL) return MEMORY;
    s->nodes = nodes;
    s->cap = cap;
  }
  s->nodes[s->n] = (node){(uint32_t)(from - s->base), (uint32_t)len, s->n + 1, info};
  s->n++;
  return FINE;
}

static enum fault parse_string(parse *s) {
  const char *from = s->p + 1;
  uint32_t info = DF_JSON_STRING;
  for (s->p = from;;) {
    s->p = plain_run(s->p, &info);
    if (*s->p == '"') break;
    if (*s->p != '\\') return CONTROL;
    info |= ESCAPED;
    char c = s->p[1];
    if (c == 'u') {
      for (int i = 2; i < 6; i++)
        if (!is_digit(s->p[i]) && !((s->p[i] | 0x20) >= 'a' && (s->p[i] | 0x20) <= 'f')) return s->p += i, HEX;
      s->p += 6;
    } else if (c != '\0' && strchr("\"\\/bfnrt", c) != NULL) {
      s->p += 2;
    } else {
      return s->p++, ESCAPE;
    }
  }
  s->p++;
  return add(s, info, from, (size_t)(s->p - 1 - from));
}

static enum fault parse_number(parse *s) {
  const char *from = s->p;
  if (*s->p == '-') s->p++;
  if (!is_digit(*s->p)) return NUMBER;
  if (*s->p++ == '0' && is_digit(*s->p)) return NUMBER;
  while (is_digit(*s->p)) s->p++;
  if (*s->p == '.') {
    if (!is_digit(*++s->p)) return NUMBER;
    while (is_digit(*s->p)) s->p++;
  }
  if (*s->p == 'e' || *s->p == 'E') {
    s->p++;
    if (*s->p == '+' || *s->p == '-') s->p++;
    if (!is_digit(*s->p)) return NUMBER;
    while (is_digit(*s->p)) s->p++;
  }
  return add(s, DF_JSON_NUMBER, from, (size_t)(s->p - from));
}

static enum fault parse_word(parse *s, const char *word, df_json_kind kind) {
  size_t n = strlen(word);
  if (strncmp(s->p, word, n) != 0) {
    while (*word != '\0' && *s->p == *word) s->p++, word++; /* a word cut short is told from a wrong one by its end */
    return VALUE;
  }
  s->p += n;
  return add(s, (uint32_t)kind, s->p - n, n);
}

static void close_container(parse *s) {
  node *v = &s->nodes[s->open];
  if (s->open == s->data) s->data = NONE;
  s->p++;
  v->len = (uint32_t)(s->p - s->base) - v->start;
  s->open = v->next;
  v->next = s->n;
  s->depth--;
  s->want = WANT_NEXT;
}

static int same_text(const char *base, const node *v, const char *key, size_t len);

static enum fault open_container(parse *s, df_json_kind kind, char closing) {
  if (s->depth == s->limits.max_depth) return DEPTH;
  if (s->limits.recover && kind == DF_JSON_ARRAY && s->open == 0 && (s->nodes[0].info & KIND) == DF_JSON_OBJECT)
    if (same_text(s->base, &s->nodes[s->n - 1], "data", 4)) s->data = s->n;
  enum fault why = add(s, (uint32_t)kind, s->p, 0);
  if (why != FINE) return why;
  s->nodes[s->n - 1].next = s->open;
  s->open = s->n - 1;
  s->depth++;
  s->want = kind == DF_JSON_OBJECT ? WANT_KEY : WANT_VALUE;
  for (s->p++; is_space(*s->p);) s->p++;
  if (*s->p == closing) close_container(s);
  return FINE;
}

static enum fault parse_value(parse *s) {
  if (s->open == s->data) {
    s->record = s->p;
    s->record_node = s->n;
  }
  s->want = WANT_NEXT;
  switch (*s->p) {
    case '{': return open_container(s, DF_JSON_OBJECT, '}');
    case '[': return open_container(s, DF_JSON_ARRAY, ']');
    case '"': return parse_string(s);
    case 't': return parse_word(s, "true", DF_JSON_TRUE);
    case 'f': return parse_word(s, "false", DF_JSON_FALSE);
    case 'n': return parse_word(s, "null", DF_JSON_NULL);
    default: return *s->p == '-' || is_digit(*s->p) ? parse_number(s) : VALUE;
  }
}

static enum fault parse_key(parse *s) {
  if (*s->p != '"') return KEY;
  enum fault why = parse_string(s);
  if (why != FINE) return why;
  while (is_space(*s->p)) s->p++;
  if (*s->p != ':') return COLON;
  s->p++;
  s->want = WANT_VALUE;
  return FINE;
}

/* Behind a value inside of a container. */
static enum fault parse_next(parse *s) {
  node *v = &s->nodes[s->open];
  int array = (v->info & KIND) == DF_JSON_ARRAY;
  if (s->open == s->data && (size_t)(s->p - s->record) > s->limits.max_record) return RECORD;
  if (*s->p != ',' && *s->p != (array ? ']' : '}')) return array ? ARRAY_NEXT : OBJECT_NEXT;
  v->info += 1u << COUNT_SHIFT;
  if (*s->p != ',') {
    close_container(s);
  } else {
    s->p++;
    s->want = array ? WANT_VALUE : WANT_KEY;
  }
  return FINE;
}

static enum fault parse_document(parse *s) {
  for (;;) {
    while (is_space(*s->p)) s->p++;
    if (s->want == WANT_NEXT && s->open == NONE) return s->p == s->end ? FINE : TAIL;
    enum fault why = s->want == WANT_VALUE ? parse_value(s) : s->want == WANT_KEY ? parse_key(s) : parse_next(s);
    if (why != FINE) return s->p >= s->end && why < END ? END : why;
  }
}

/* Where a faulty array element that begins at p ends, judged by strings and brackets alone, or NULL. */
static const char *record_end(const char *p, const char *end) {
  const char *from = p, *last = p;
  size_t depth = 0;
  for (int closed = 0; p < end; p++) {
    if (is_space(*p)) continue;
    if (depth == 0 && (*p == ',' || *p == ']')) return last > from ? last : NULL;
    if (closed) return NULL;
    if (*p == '"') {
      for (p++; p < end && *p != '"'; p++)
        if (*p == '\\') p++;
      if (p >= end) return NULL;
    } else if (*p == '{' || *p == '[') {
      depth++;
    } else if (*p == '}' || *p == ']') {
      if (depth == 0) return NULL;
      closed = --depth == 0;
    }
    last = p + 1;
  }
  return NULL;
}

/* Turns the record at hand into a bad one and goes on behind it, if it can. */
static enum fault recover(parse *s, enum fault why) {
  if (s->data == NONE || why == NODES || why == MEMORY) return why;
  const char *last = record_end(s->record, s->end);
  if (last == NULL) return why;
  s->n = s->record_node;
  size_t at = (size_t)(s->p - s->record);
  enum fault full = add(s, DF_JSON_BAD | (uint32_t)why << COUNT_SHIFT, s->record, (size_t)(last - s->record));
  if (full == FINE) full = add(s, DF_JSON_NULL, s->base + at, 0); /* where the fault is, relative to the record */
  if (full != FINE) return full;
  s->nodes[s->n - 2].next = s->n;
  s->open = s->data;
  s->depth = 2;
  s->p = s->record = last;
  s->want = WANT_NEXT;
  return FINE;
}

static df_json_limits complete(const df_json_limits *given) {
  df_json_limits l = given != NULL ? *given : (df_json_limits){0};
  if (l.max_bytes == 0) l.max_bytes = (size_t)64 << 20;
  if (l.max_bytes > UINT32_MAX - 64) l.max_bytes = UINT32_MAX - 64;
  if (l.max_depth == 0) l.max_depth = 128;
  if (l.max_depth > 1000) l.max_depth = 1000;
  if (l.max_nodes == 0) l.max_nodes = 8u << 20;
  if (l.max_nodes > (1u << 24) - 1) l.max_nodes = (1u << 24) - 1;
  if (l.max_record == 0) l.max_record = (size_t)16 << 20;
  return l;
}

int df_json_parse(df_json **out, df_buf *text, const df_json_limits *limits, df_error *err) {
  parse s = {.limits = complete(limits), .open = NONE, .data = NONE};
  *out = NULL;
  if (text->len > s.limits.max_bytes)
    return df_fail(err, DF_LIMIT, "JSON: %zu bytes are more than the limit of %zu", text->len, s.limits.max_bytes);
  df_json *doc = calloc(1, sizeof *doc);
  s.cap = (uint32_t)(text->len / 8) + 8;
  if (s.cap > s.limits.max_nodes) s.cap = s.limits.max_nodes;
  s.nodes = malloc(s.cap * sizeof *s.nodes);
  if (doc == NULL || s.nodes == NULL || df_buf_reserve(text, PAD) != 0) {
    free(doc);
    free(s.nodes);
    return df_fail(err, DF_LIMIT, "JSON: %s", faults[MEMORY]);
  }
  memset(text->data + text->len, 0, PAD);
  s.base = s.p = s.record = text->data;
  s.end = s.base + text->len;
  enum fault why;
  do {
    why = parse_document(&s);
  } while (why != FINE && (why = recover(&s, why)) == FINE);
  if (why != FINE) {
    free(doc);
    free(s.nodes);
    df_kind kind = why >= DEPTH ? DF_LIMIT : DF_DECODE;
    return df_fail(err, kind, "JSON, byte %zu: %s", (size_t)(s.p - s.base) + 1, faults[why]);
  }
  doc->nodes = s.nodes;
  doc->text = *text;
  *text = (df_buf){0};
  *out = doc;
  return 0;
}

void df_json_free(df_json *doc) {
  if (doc == NULL) return;
  df_buf_free(&doc->text);
  df_buf_free(&doc->scratch);
  free(doc->nodes);
  free(doc->records);
  free(doc);
}

df_json_kind df_json_type(const df_json *doc, df_json_ref at) { return (df_json_kind)(doc->nodes[at].info & KIND); }

uint32_t df_json_count(const df_json *doc, df_json_ref at) {
  df_json_kind kind = df_json_type(doc, at);
  return kind == DF_JSON_ARRAY || kind == DF_JSON_OBJECT ? doc->nodes[at].info >> COUNT_SHIFT : 0;
}

df_json_ref df_json_after(const df_json *doc, df_json_ref at) { return doc->nodes[at].next; }

size_t df_json_replaced(const df_json *doc) { return doc->replaced; }

size_t df_json_bytes(const df_json *doc) { return doc->text.len; }

const char *df_json_span(const df_json *doc, df_json_ref at, size_t *len) {
  const node *v = &doc->nodes[at];
  uint32_t quote = (v->info & KIND) == DF_JSON_STRING;
  *len = v->len + 2 * quote;
  return doc->text.data + v->start - quote;
}

const char *df_json_fault(const df_json *doc, df_json_ref at, size_t *offset) {
  assert(df_json_type(doc, at) == DF_JSON_BAD);
  *offset = doc->nodes[at + 1].start;
  return faults[doc->nodes[at].info >> COUNT_SHIFT];
}

static unsigned hex4(const char *p) {
  unsigned u = 0;
  for (int i = 0; i < 4; i++) u = u << 4 | (unsigned)(is_digit(p[i]) ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
  return u;
}

static int put_utf8(char *out, unsigned u) {
  int n = u < 0x80 ? 1 : u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
  for (int i = n - 1; i > 0; i--, u >>= 6) out[i] = (char)(0x80 | (u & 0x3f));
  out[0] = (char)(n == 1 ? u : (0xf00u >> n & 0xff) | u); /* 0xc0, 0xe0, 0xf0 */
  return n;
}

/* The next character of a string: 1 to 4 bytes into out, and p moves on. Returns their number; *bad grows when
   they are a replacement. */
static int piece(char out[4], const char **p, const char *end, size_t *bad) {
  const char *at = *p;
  if (*at != '\\') {
    int n = df_json_sequence(at, end);
    *p += n < 0 ? -n : n;
    if (n > 0) return memcpy(out, at, (size_t)n), n;
    (*bad)++;
    return put_utf8(out, 0xfffd);
  }
  static const char names[] = "\"\\/bfnrt", codes[] = "\"\\/\b\f\n\r\t";
  *p += 2;
  if (at[1] != 'u') return out[0] = codes[strchr(names, at[1]) - names], 1;
  unsigned u = hex4(at + 2);
  *p += 4;
  if (u >= 0xd800 && u < 0xdc00 && end - *p >= 6 && at[6] == '\\' && at[7] == 'u') {
    unsigned low = hex4(at + 8);
    if (low >= 0xdc00 && low < 0xe000) {
      *p += 6;
      return put_utf8(out, 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00));
    }
  }
  if (u >= 0xd800 && u < 0xe000) (*bad)++, u = 0xfffd;
  return put_utf8(out, u);
}

static int same_text(const char *base, const node *v, const char *key, size_t len) {
  const char *p = base + v->start, *end = p + v->len;
  if (!(v->info & (ESCAPED | HIGH))) return v->len == len && memcmp(p, key, len) == 0;
  size_t bad = 0;
  while (p < end) {
    char out[4];
    size_t n = (size_t)piece(out, &p, end, &bad);
    if (n > len || memcmp(out, key, n) != 0) return 0;
    key += n;
    len -= n;
  }
  return len == 0;
}

df_json_ref df_json_get(const df_json *doc, df_json_ref object, const char *key, size_t len) {
  df_json_ref found = 0, at = object + 1;
  if (df_json_type(doc, object) != DF_JSON_OBJECT) return 0;
  for (uint32_t n = df_json_count(doc, object); n > 0; n--, at = doc->nodes[at + 1].next)
    if (same_text(doc->text.data, &doc->nodes[at], key, len)) found = at + 1;
  return found;
}

int df_json_plain(const df_json *doc, df_json_ref at) { return !(doc->nodes[at].info & (ESCAPED | HIGH)); }

const char *df_json_text(df_json *doc, df_json_ref at, size_t *len) {
  node *v = &doc->nodes[at];
  const char *p = doc->text.data + v->start, *end = p + v->len, *run = p;
  *len = v->len;
  if (!(v->info & (ESCAPED | HIGH))) return p;
  doc->scratch.len = 0;
  size_t bad = 0;
  while ((p = df_json_ascii(p, end)) < end) {
    int n = *p == '\\' ? 0 : df_json_sequence(p, end);
    if (n > 0) {
      p += n;
      continue;
    }
    char out[4];
    if (df_buf_add(&doc->scratch, run, (size_t)(p - run)) != 0) return NULL;
    if (df_buf_add(&doc->scratch, out, (size_t)piece(out, &p, end, &bad)) != 0) return NULL;
    run = p;
  }
  if (run == doc->text.data + v->start) return run; /* nothing had to be changed */
  if (df_buf_add(&doc->scratch, run, (size_t)(p - run)) != 0) return NULL;
  if (!(v->info & COUNTED)) doc->replaced += bad;
  v->info |= COUNTED;
  *len = doc->scratch.len;
  return doc->scratch.data;
}

df_json_exact df_json_number(const df_json *doc, df_json_ref at, int64_t *i, double *d) {
  return df_json_read_number(doc->text.data + doc->nodes[at].start, doc->nodes[at].len, i, d);
}

int df_json_page(df_json *doc, df_error *err) {
  if (df_json_type(doc, 0) != DF_JSON_OBJECT) return df_fail(err, DF_DECODE, "page: not a JSON object");
  df_json_ref at = 1, data = 0, paging = 0;
  for (uint32_t n = df_json_count(doc, 0); n > 0; n--, at = doc->nodes[at + 1].next) {
    int is_data = same_text(doc->text.data, &doc->nodes[at], "data", 4);
    if (!is_data && !same_text(doc->text.data, &doc->nodes[at], "paging", 6)) continue;
    df_json_ref *seen = is_data ? &data : &paging;
    if (*seen != 0) return df_fail(err, DF_DECODE, "page: `%s` appears twice", is_data ? "data" : "paging");
    *seen = at + 1;
  }
  if (data == 0) return df_fail(err, DF_DECODE, "page: `data` is missing");
  if (df_json_type(doc, data) != DF_JSON_ARRAY) return df_fail(err, DF_DECODE, "page: `data` is not an array");
  uint32_t n = df_json_count(doc, data);
  df_json_ref *records = malloc((n + 1) * sizeof *records);
  if (records == NULL) return df_fail(err, DF_LIMIT, "page: memory ran out");
  at = data + 1;
  for (uint32_t i = 0; i < n; i++, at = doc->nodes[at].next) records[i] = at;
  free(doc->records);
  doc->records = records;
  doc->data = data;
  doc->paging = paging;
  return 0;
}

uint32_t df_json_records(const df_json *doc) { return df_json_count(doc, doc->data); }

df_json_ref df_json_record(const df_json *doc, uint32_t i) {
  assert(doc->records != NULL && i < df_json_records(doc));
  return doc->records[i];
}

df_json_ref df_json_paging(const df_json *doc) { return doc->paging; }

uint64_t df_json_data_hash(const df_json *doc) {
  size_t n;
  const char *p = df_json_span(doc, doc->data, &n);
  uint64_t h = 0x9e3779b97f4a7c15u ^ n;
  for (uint64_t w; n > 0; p += 8) {
    if (n >= 8) memcpy(&w, p, 8);
    else w = 0, memcpy(&w, p, n);
    h = (h ^ w) * 0xd6e8feb86659fd93u;
    h ^= h >> 32;
    n -= n < 8 ? n : 8;
  }
  return h;
}

/* regex.c: regular expressions, on PCRE2, which is loaded when the first one is compiled. */
#include "io/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <dlfcn.h>
#include <pcre2.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REGEX_FUNCTIONS(X)                                                                                                  \
  X(general_context_create) X(general_context_free) X(compile_context_create) X(compile_context_free)                      \
  X(set_max_pattern_length) X(compile) X(code_free) X(jit_compile) X(pattern_info) X(match_context_create)                 \
  X(match_context_free) X(set_match_limit) X(set_depth_limit) X(set_heap_limit) X(match_data_create_from_pattern)           \
  X(match_data_free) X(match) X(get_ovector_pointer) X(get_error_message)

#define NAME_OF(name) NAME_OF_EXPANDED(name)
#define NAME_OF_EXPANDED(name) #name

static struct {
#define X(name) __typeof__(&PCRE2_SUFFIX(pcre2_##name##_)) name;
  REGEX_FUNCTIONS(X)
#undef X
} api;

static const char *load_error;

static void load_pcre2(void) {
  void *lib = dlopen("libpcre2-8.so.0", RTLD_NOW | RTLD_LOCAL);
  if (lib == NULL) {
    load_error = "libpcre2-8.so.0 cannot be loaded; install the package libpcre2-8-0";
    return;
  }
#define X(name)                                                                               \
  {                                                                                           \
    void *sym = dlsym(lib, NAME_OF(PCRE2_SUFFIX(pcre2_##name##_)));                           \
    if (sym == NULL) load_error = "libpcre2-8.so.0 lacks pcre2_" #name "; it is too old";     \
    memcpy(&api.name, &sym, sizeof sym);                                                      \
  }
  REGEX_FUNCTIONS(X)
#undef X
}

struct df_regex {
  pcre2_general_context *memory;
  pcre2_code *code;
  pcre2_match_context *limits;
  pcre2_match_data *found;
  const char *names; /* PCRE2's table of entries: number of the group in two bytes, name */
  uint32_t names_count, name_size;
  void (*give)(void *, void *);
  void *data;
  char shown[64]; /* the pattern's beginning, for errors */
};

static void *take_plain(size_t n, void *data) {
  (void)data;
  return malloc(n);
}

static void give_plain(void *block, void *data) {
  (void)data;
  free(block);
}

static int read_flags(uint32_t *out, const char *flags, df_error *err) {
  *out = PCRE2_NEVER_BACKSLASH_C;
  for (const char *f = flags == NULL ? "" : flags; *f != '\0'; f++) {
    switch (*f) {
      case 'i': *out |= PCRE2_CASELESS; break;
      case 'm': *out |= PCRE2_MULTILINE; break;
      case 's': *out |= PCRE2_DOTALL; break;
      case 'x': *out |= PCRE2_EXTENDED; break;
      case 'u': *out |= PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF; break;
      default: return df_fail(err, DF_CONFIG, "unknown flag \"%c\" of a pattern, flags: i m s u x", *f);
    }
  }
  /* a text is not checked for UTF-8 that only the pattern asks for */
  if (!(*out & PCRE2_UTF)) *out |= PCRE2_NEVER_UTF;
  return 0;
}

static int compile(df_regex *r, const char *pattern, size_t len, uint32_t flags, df_error *err) {
  pcre2_compile_context *how = api.compile_context_create(r->memory);
  if (how == NULL) return df_fail(err, DF_LIMIT, "out of memory for a pattern");
  api.set_max_pattern_length(how, DF_REGEX_PATTERN);
  int code;
  PCRE2_SIZE at;
  r->code = api.compile((PCRE2_SPTR)pattern, len, flags, &code, &at, how);
  api.compile_context_free(how);
  if (r->code != NULL) return 0;
  if (code == 121) return df_fail(err, DF_LIMIT, "out of memory for a pattern"); /* PCRE2_ERROR_HEAP_FAILED, which is new in 10.30 */
  unsigned char why[128] = "";
  api.get_error_message(code, why, sizeof why);
  return df_fail(err, DF_CONFIG, "the pattern \"%s\" is wrong at offset %zu: %s", r->shown, (size_t)at, (char *)why);
}

int df_regex_new(df_regex **out, const char *pattern, size_t len, const df_regex_options *o, df_error *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load_pcre2);
  if (load_error != NULL) return df_fail(err, DF_CONFIG, "%s", load_error);
  uint32_t flags;
  if (read_flags(&flags, o->flags, err) != 0) return -1;
  void *(*take)(size_t, void *) = o->take == NULL ? take_plain : o->take;
  df_regex *r = take(sizeof *r, o->data);
  if (r == NULL) return df_fail(err, DF_LIMIT, "out of memory for a pattern");
  *r = (df_regex){.give = o->take == NULL ? give_plain : o->give, .data = o->data};
  snprintf(r->shown, sizeof r->shown, "%.*s%s", (int)(len > 56 ? 56 : len), pattern, len > 56 ? "..." : "");
  r->memory = api.general_context_create(take, r->give, o->data);
  if (r->memory == NULL) goto no_memory;
  if (compile(r, pattern, len, flags, err) != 0) goto failed;
#ifndef DF_JIT_OFF /* for valgrind, which does not understand what PCRE2 generates */
  if (o->jit) api.jit_compile(r->code, PCRE2_JIT_COMPLETE); /* a build without it has none: the interpreter does the same */
#endif
  r->limits = api.match_context_create(r->memory);
  r->found = api.match_data_create_from_pattern(r->code, r->memory);
  if (r->limits == NULL || r->found == NULL) goto no_memory;
  api.set_match_limit(r->limits, DF_REGEX_MATCHES);
  api.set_depth_limit(r->limits, DF_REGEX_DEPTH);
  api.set_heap_limit(r->limits, DF_REGEX_HEAP_KIB);
  api.pattern_info(r->code, PCRE2_INFO_NAMECOUNT, &r->names_count);
  api.pattern_info(r->code, PCRE2_INFO_NAMEENTRYSIZE, &r->name_size);
  api.pattern_info(r->code, PCRE2_INFO_NAMETABLE, &r->names);
  *out = r;
  return 0;
no_memory:
  df_fail(err, DF_LIMIT, "out of memory for a pattern");
failed:
  df_regex_free(r);
  return -1;
}

int df_regex_match(df_regex *r, const char *text, size_t n, size_t from, df_error *err) {
  int rc = api.match(r->code, (PCRE2_SPTR)text, n, from, 0, r->found, r->limits);
  /* machine code has a small stack; the interpreter goes on to the heap limit */
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT) rc = api.match(r->code, (PCRE2_SPTR)text, n, from, PCRE2_NO_JIT, r->found, r->limits);
  if (rc >= 0) return rc;
  if (rc == PCRE2_ERROR_NOMATCH) return 0;
  if (rc == PCRE2_ERROR_MATCHLIMIT)
    return df_fail(err, DF_LIMIT, "the pattern \"%s\" is over its limit of %d steps; make it simpler", r->shown, DF_REGEX_MATCHES);
  unsigned char why[128] = "";
  api.get_error_message(rc, why, sizeof why);
  return df_fail(err, DF_LIMIT, "the pattern \"%s\" is over a limit: %s; make it simpler", r->shown, (char *)why);
}

const size_t *df_regex_groups(const df_regex *r) { return api.get_ovector_pointer(r->found); }

const char *df_regex_name(const df_regex *r, size_t i, size_t *group) {
  if (i >= r->names_count) return NULL;
  const unsigned char *entry = (const unsigned char *)r->names + i * r->name_size;
  *group = (size_t)entry[0] << 8 | entry[1];
  return (const char *)entry + 2;
}

size_t df_regex_size(const df_regex *r) {
  size_t code = 0, jit = 0;
  api.pattern_info(r->code, PCRE2_INFO_SIZE, &code);
  api.pattern_info(r->code, PCRE2_INFO_JITSIZE, &jit);
  return code + jit;
}

void df_regex_free(df_regex *r) {
  if (r == NULL) return;
  if (r->found != NULL) api.match_data_free(r->found);
  if (r->limits != NULL) api.match_context_free(r->limits);
  if (r->code != NULL) api.code_free(r->code);
  if (r->memory != NULL) api.general_context_free(r->memory);
  r->give(r, r->data);
}

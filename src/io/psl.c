/* psl.c: the public suffix list, on libpsl; both are loaded when the first domain is looked up. */
#include "io/psl.h"

#include <dlfcn.h>
#include <libpsl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PSL_FUNCTIONS(X) X(load_file) X(free) X(registrable_domain)

static struct {
#define X(name) __typeof__(&psl_##name) name;
  PSL_FUNCTIONS(X)
#undef X
} api;

static psl_ctx_t *list;
static const char *load_error;

static void load_list(void) {
  void *lib = dlopen("libpsl.so.5", RTLD_NOW | RTLD_LOCAL);
  if (lib == NULL) {
    load_error = "libpsl.so.5 cannot be loaded; install the package libpsl5";
    return;
  }
#define X(name)                                                                         \
  {                                                                                     \
    void *sym = dlsym(lib, "psl_" #name);                                               \
    if (sym == NULL) load_error = "libpsl.so.5 lacks psl_" #name "; it is too old";     \
    memcpy(&api.name, &sym, sizeof sym);                                                \
  }
  PSL_FUNCTIONS(X)
#undef X
  if (load_error != NULL) return;
  const char *own = getenv("DEFENDIS_PUBLIC_SUFFIX_LIST");
  if (own != NULL) {
    list = api.load_file(own);
    if (list == NULL) load_error = "the file of $DEFENDIS_PUBLIC_SUFFIX_LIST cannot be read as a public suffix list";
    return;
  }
  list = api.load_file("/usr/share/publicsuffix/public_suffix_list.dafsa");
  if (list == NULL) list = api.load_file("/usr/share/publicsuffix/public_suffix_list.dat");
  if (list == NULL) load_error = "there is no public suffix list; install the package publicsuffix";
}

/* Stock Lua unloads the module when a state closes, and with it what points to the list. */
__attribute__((destructor)) static void forget(void) {
  if (list != NULL) api.free(list);
}

int df_psl_registrable(const char **out, const char *host, df_error *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load_list);
  if (load_error != NULL) return df_fail(err, DF_CONFIG, "%s", load_error);
  *out = api.registrable_domain(list, host);
  return 0;
}

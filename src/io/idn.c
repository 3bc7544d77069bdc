/* idn.c: international host names, on libidn2, which is loaded when the first one is met. */
#include "io/idn.h"

#include <dlfcn.h>
#include <idn2.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#define IDN_FUNCTIONS(X) X(lookup_u8) X(strerror) X(free)

static struct {
#define X(name) __typeof__(&idn2_##name) name;
  IDN_FUNCTIONS(X)
#undef X
} api;

static const char *load_error;

static void load_idn(void) {
  void *lib = dlopen("libidn2.so.0", RTLD_NOW | RTLD_LOCAL);
  if (lib == NULL) {
    load_error = "libidn2.so.0 cannot be loaded; install the package libidn2-0";
    return;
  }
#define X(name)                                                                         \
  {                                                                                     \
    void *sym = dlsym(lib, "idn2_" #name);                                              \
    if (sym == NULL) load_error = "libidn2.so.0 lacks idn2_" #name "; it is too old";   \
    memcpy(&api.name, &sym, sizeof sym);                                                \
  }
  IDN_FUNCTIONS(X)
#undef X
}

int df_idn_ascii(char out[DF_HOST_MAX + 1], const char *host, df_error *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  if (strlen(host) > DF_IDN_MAX) return df_fail(err, DF_INVALID, "not a host name: over %d bytes", DF_IDN_MAX);
  pthread_once(&once, load_idn);
  if (load_error != NULL) return df_fail(err, DF_CONFIG, "%s", load_error);
  uint8_t *ascii = NULL;
  int rc = api.lookup_u8((const uint8_t *)host, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  if (rc != IDN2_OK) return df_fail(err, DF_INVALID, "not a host name: %s", api.strerror(rc));
  size_t n = strlen((const char *)ascii);
  int fits = n <= DF_HOST_MAX;
  if (fits) memcpy(out, ascii, n + 1);
  api.free(ascii);
  return fits ? 0 : df_fail(err, DF_INVALID, "not a host name: too long");
}

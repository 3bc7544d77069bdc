/* curl.c: libcurl, loaded when it is first needed: with its libraries it is most of a program's start. */
#include "io/curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

struct df_curl df_curl;
static const char *load_error;

static void load_curl(void) {
  void *lib = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (lib == NULL) {
    load_error = "libcurl.so.4 cannot be loaded; install the package libcurl4";
    return;
  }
  /* POSIX guarantees that dlsym's result can be turned into a function; ISO C has no cast for it. */
#define X(name)                                   \
  {                                               \
    void *sym = dlsym(lib, "curl_" #name);        \
    if (sym == NULL) load_error = "libcurl.so.4 lacks curl_" #name "; it is too old"; \
    memcpy(&df_curl.name, &sym, sizeof sym);          \
  }
  DF_CURL_FUNCTIONS(X)
#undef X
  if (load_error == NULL && df_curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) load_error = "libcurl cannot start";
}

/* SSL_OP_NO_RENEGOTIATION: a server does not get a second handshake on a connection that was checked. libcurl has no option for it. */
CURLcode df_curl_tls(CURL *easy, void *context, void *user) {
  (void)easy, (void)user;
  uint64_t (*set_options)(void *, uint64_t) = NULL;
  void *lib = dlopen("libssl.so.3", RTLD_NOW | RTLD_NOLOAD), *sym = lib == NULL ? NULL : dlsym(lib, "SSL_CTX_set_options");
  memcpy(&set_options, &sym, sizeof sym);
  if (set_options != NULL) set_options(context, UINT64_C(1) << 30);
  if (lib != NULL) dlclose(lib);
  return CURLE_OK;
}

const char *df_curl_load(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load_curl);
  return load_error;
}

/* embed.c: two scripts at once in a C program. cc embed.c $(pkg-config --cflags --libs defendis) -o embed */
#include <defendis.h>
#include <stdio.h>

static const char count[] =
  "local client <close> = require('defendis').client{ timeout = 20 }\n"
  "local body, err = client:get('/api/v1/dataleaks/credentials', { domain = input.domain, pageSize = 1 })\n"
  "if not body then error(err) end\n"
  "return { domain = input.domain, leaked = body.paging.totalRecords }\n";

static int complain(const char *what, const df_error *err) {
  fprintf(stderr, "%s: %s: %s\n", what, df_kind_name(err->kind), err->message);
  return df_kind_exit_code(err->kind);
}

int main(int argc, char **argv) {
  static const char *const inputs[] = {"{\"domain\": \"acme.example\"}", "{\"domain\": \"globex.example\"}"};
  df_host_options options = {.base_url = argc > 1 ? argv[1] : NULL}; /* the key: $DEFENDIS_API_KEY_FILE */
  df_host *host;
  df_error err;
  int job[2], failed = 0;
  if (df_host_open(&host, &options, &err) != 0) return complain("open", &err);
  for (int i = 0; i < 2 && failed == 0; i++) {
    df_script script = {.name = "count", .text = count, .input = inputs[i], .timeout_ms = 30000};
    if (df_host_spawn(host, &job[i], &script, &err) != 0) failed = complain("spawn", &err);
  }
  if (failed == 0) df_host_run(host); /* their requests overlap */
  for (int i = 0; i < 2 && failed == 0; i++) {
    const char *json;
    size_t len;
    if (df_host_result(host, job[i], &json, &len, &err) != 0) failed = complain(inputs[i], &err);
    else printf("%.*s\n", (int)len, json);
  }
  df_host_close(host);
  return failed;
}

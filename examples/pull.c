/* pull.c: a list of the API as JSON lines. cc pull.c $(pkg-config --cflags --libs defendis) -o pull
   ./pull /api/v1/dataleaks/documents domain=acme.example fromDate=2026-01-01 toDate=2026-02-01 */
#include <defendis.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  df_api_param params[16];
  size_t count = 0, total = 0, len;
  df_api *api = NULL;
  df_api_list *list = NULL;
  df_error err = {.kind = DF_NONE};
  const char *json;
  int more = -1, damaged = 0;
  for (int i = 2; i < argc && count < 16; i++) {
    char *value = strchr(argv[i], '=');
    if (value == NULL) continue;
    *value = '\0';
    params[count++] = (df_api_param){argv[i], value + 1};
  }
  if (argc < 2) return fputs("usage: pull PATH NAME=VALUE ...\n", stderr), 2;
  if (df_api_open(&api, NULL, &err) == 0 && df_api_list_open(&list, api, argv[1], params, count, &err) == 0) {
    while ((more = df_api_list_next(list, &err)) == 1)
      for (size_t i = 0; i < df_api_list_count(list); i++, total++) {
        if (df_api_list_record(list, i, &json, &len, &err) != 0) damaged = fprintf(stderr, "%s\n", err.message);
        else printf("%.*s\n", (int)len, json);
      }
  }
  if (more == 0) fprintf(stderr, "%zu records, the list is whole\n", total);
  else fprintf(stderr, "%s: %s\n", df_kind_name(err.kind), err.message);
  df_api_list_close(list);
  df_api_close(api);
  return df_kind_exit_code(more != 0 ? err.kind : damaged ? DF_INCOMPLETE : DF_NONE);
}

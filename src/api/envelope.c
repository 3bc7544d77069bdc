/* envelope.c: what a list answer says of itself, read from its JSON. */
#include "api/envelope.h"

#include <math.h>
#include <string.h>

static const char *const type_names[] = {"null", "a boolean", "a boolean", "a number", "a string", "an array", "an object", "damaged"};

/* *out is the figure, or -1 when it is absent or null. */
static int read_figure(int64_t *out, const df_json *doc, df_json_ref paging, const char *name, df_error *err) {
  *out = -1;
  df_json_ref at = df_json_get(doc, paging, name, strlen(name));
  if (at == 0 || df_json_type(doc, at) == DF_JSON_NULL) return 0;
  if (df_json_type(doc, at) != DF_JSON_NUMBER)
    return df_fail(err, DF_DECODE, "$.paging.%s is %s, a number is expected", name, type_names[df_json_type(doc, at)]);
  int64_t i = 0;
  double d = 0;
  df_json_exact exact = df_json_number(doc, at, &i, &d);
  if (exact == DF_JSON_DOUBLE && d >= 0 && d <= 9007199254740992.0 && floor(d) == d) {
    i = (int64_t)d; /* 2.0 and 2e0 are 2 */
    exact = DF_JSON_INT;
  }
  if (exact != DF_JSON_INT || i < 0) return df_fail(err, DF_DECODE, "$.paging.%s is not a whole number of 0 or more", name);
  *out = i;
  return 0;
}

int df_envelope_read(df_page *page, const df_json *doc, df_error *err) {
  df_json_ref paging = df_json_paging(doc);
  *page = (df_page){.current = -1, .size = -1, .total_records = -1, .total_pages = -1, .has_more = -1};
  page->items = df_json_records(doc);
  page->hash = df_json_data_hash(doc);
  if (paging == 0) return df_fail(err, DF_DECODE, "$.paging is missing: without it nobody can tell whether the list is whole");
  if (df_json_type(doc, paging) != DF_JSON_OBJECT)
    return df_fail(err, DF_DECODE, "$.paging is %s, an object is expected", type_names[df_json_type(doc, paging)]);
  if (read_figure(&page->current, doc, paging, "currentPage", err) != 0 || read_figure(&page->size, doc, paging, "pageSize", err) != 0 ||
      read_figure(&page->total_records, doc, paging, "totalRecords", err) != 0 ||
      read_figure(&page->total_pages, doc, paging, "totalPages", err) != 0 || read_figure(&page->next, doc, paging, "nextPage", err) != 0)
    return -1;
  df_json_ref next = df_json_get(doc, paging, "nextPage", 8), more = df_json_get(doc, paging, "hasMore", 7);
  page->next_is = next == 0 ? DF_NEXT_ABSENT : page->next < 0 ? DF_NEXT_NULL : DF_NEXT_NUMBER;
  if (more == 0 || df_json_type(doc, more) == DF_JSON_NULL) return 0;
  df_json_kind kind = df_json_type(doc, more);
  if (kind != DF_JSON_TRUE && kind != DF_JSON_FALSE)
    return df_fail(err, DF_DECODE, "$.paging.hasMore is %s, a boolean is expected", type_names[kind]);
  page->has_more = kind == DF_JSON_TRUE;
  return 0;
}

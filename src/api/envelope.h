/* envelope.h: what a list answer says of itself, read from its JSON. */
#ifndef DF_API_ENVELOPE_H
#define DF_API_ENVELOPE_H

#include "api/pager.h"
#include "base/json.h"

/* Fills *page from a document that df_json_page accepted. Absent or null figures are -1; a figure of a wrong type, a
   negative or fractional one is DF_DECODE with its JSON path. Unknown fields are ignored. */
int df_envelope_read(df_page *page, const df_json *doc, df_error *err);

#endif

/* map_copy.h: values of a record copied as they are. */
#ifndef DF_ENGINE_MAP_COPY_H
#define DF_ENGINE_MAP_COPY_H

#include "engine/keys.h"
#include "engine/map.h"

/* Appends a value as JSON, without members whose name is in `without` (lower case; any case, any depth). Of members that share
   a name the last one is copied. 0, or -1 when memory runs out. */
int df_copy_value(df_buf *out, df_json *doc, df_json_ref at, const df_keys *without);

/* Appends a member and a comma. 0 or -1. */
int df_copy_member(df_buf *out, df_json *doc, df_json_ref key, const df_keys *without);

/* For each member of an object, in order, whether a later one has its name; the caller frees it. 0, or -1; NULL when none has. */
int df_repeated(unsigned char **out, const df_json *doc, df_json_ref object);

/* Ends an object or a list whose elements end with commas. */
int df_copy_close(df_buf *out, char end);

/* Whether the member's name is in the set. */
int df_key_among(df_json *doc, df_json_ref key, const df_keys *set);

#endif

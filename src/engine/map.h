/* map.h: a compiled map from record to document, run from a record's tape to JSON text. Knows no field: all names are in the program. */
#ifndef DF_ENGINE_MAP_H
#define DF_ENGINE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"
#include "engine/events.h"

typedef struct df_map df_map;

/* What the numbers of a program say is told where they are made: lua/defendis/normalize/program.lua. */
typedef struct df_map_program {
  const int32_t *code;
  size_t len;
  const df_span *texts; /* copied */
  size_t text_count;
  df_span key; /* of HMACs; copied */
} df_map_program;

/* Runs the Lua function `which` on the record at hand and appends the JSON text of what it gave. 1, 0 when it gave nothing, or -1. */
typedef int df_map_call(void *user, int which, df_buf *out, df_error *err);

/* Checks and keeps a program. A program that is none: DF_CONFIG. */
int df_map_new(df_map **out, const df_map_program *program, df_error *err);

/* Wipes the key and frees. NULL is fine. */
void df_map_free(df_map *map);

/* Appends the document of a record (a value of doc) to out. 0, or -1 with out as it was: DF_INVALID when the record does not do. */
int df_map_run(df_map *map, df_json *doc, df_json_ref record, df_buf *out, df_map_call *call, void *user, df_error *err);

#endif

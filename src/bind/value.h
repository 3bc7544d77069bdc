/* value.h: values of JSON documents as Lua values; between page.c, record.c and value.c. */
#ifndef DF_BIND_VALUE_H
#define DF_BIND_VALUE_H

#include <lua.h>

#include "base/json.h"
#include "engine/sensitive.h"

struct df_slot;

/* One walk over values of a document. */
typedef struct df_walk {
  lua_State *L;
  df_json *doc;
  struct df_slot *slots;
  int shared; /* stack index; the mark of arrays is above */
  int list;   /* stack index of the list of sensitive fields */
  const df_fields *fields; /* of that list, or NULL */
  const df_field *inside;  /* the sensitive field that the value stands in, or NULL */
  int scan;
} df_walk;

/* Begins a walk and leaves two values on the stack, which stay there until it ends. list: as for df_push_record. */
df_walk df_walk_begin(lua_State *L, df_json *doc, int list);

/* Pushes the value at `at`, opaque when it is sensitive. Throws when memory runs out. */
void df_walk_value(df_walk *w, df_json_ref at);

/* Pushes a member's key; returns the sensitive field that it names, or NULL. */
const df_field *df_walk_key(df_walk *w, df_json_ref at);

/* Pushes the value of a JSON number, exactly. */
void df_push_number(lua_State *L, const df_json *doc, df_json_ref at);

/* Pushes a value that holds no others and returns 1; pushes nothing for one that does, and returns 0. */
int df_push_scalar(lua_State *L, df_json *doc, df_json_ref at);

/* Pushes a record (a value of the document of the page at stack index `page`) as page:read gives it. */
void df_read_record(lua_State *L, df_json *doc, df_json_ref at, int page, int reader);

/* The document of the page at idx, NULL when it is closed. */
df_json *df_page_document(lua_State *L, int idx);

/* Adds reader and next to the table on top of the stack. */
void df_open_record(lua_State *L);

/* Part of df_open_page, when the metatables are made. */
void df_open_values(lua_State *L);

#endif

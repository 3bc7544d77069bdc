/* bind.h: what the files of this folder share. */
#ifndef DF_BIND_BIND_H
#define DF_BIND_BIND_H

#include <lauxlib.h>
#include <lua.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "engine/sensitive.h"
#include "job/job.h"

/* Registers l_<verb> as "<verb>", so that the two names cannot drift apart. */
#define DF_REG(verb) {#verb, l_##verb}

/* Each opens one table of `require "defendis.core"` and leaves it on the stack. */
int df_open_api(lua_State *L);
int df_open_client(lua_State *L);
int df_open_json(lua_State *L);
int df_open_sys(lua_State *L);
int df_open_store(lua_State *L);
int df_open_httpd(lua_State *L);
int df_open_hash(lua_State *L);
int df_open_stream(lua_State *L);
int df_open_kafka(lua_State *L);
int df_open_secret(lua_State *L);
int df_open_endpoint(lua_State *L);
int df_open_connection(lua_State *L);
int df_open_events(lua_State *L);
int df_open_names(lua_State *L);
int df_open_regex(lua_State *L);
int df_open_map(lua_State *L);
int df_open_sensitive(lua_State *L);
int df_open_budget(lua_State *L);
int df_open_tape(lua_State *L);

/* lua_getallocf, but never of a budget, which blocks may outlive. */
lua_Alloc df_base_alloc(lua_State *L, void **ud);

/* Pushes nil and an error table {kind, message, status, request_id, attempts, retryable, retry_at} that prints as its
   message. Returns 2. */
int df_push_error(lua_State *L, const df_error *err);

/* Makes the metatable `name` of a userdata type: protected, methods in a table of their own, close for __gc and
   __close. */
void df_open_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction close);

/* Raises an argument error, which names the nearest known one, when the options table at arg (or nil) has a key that is
   not in known, a list of at least one name that ends with NULL. */
void df_check_options(lua_State *L, int arg, const char *const *known);

/* Whose completions this state may collect. */
const void *df_owner_of(const df_context *c);

/* A field of the table at `at`; other types and texts with a NUL byte raise. NULL or `otherwise` when there is none. The text
   is anchored in the table. */
const char *df_opt_text(lua_State *L, int at, const char *key);
lua_Number df_opt_number(lua_State *L, int at, const char *key, lua_Number least, lua_Number most, lua_Number otherwise);

/* Reads the table at `at` of names to text, integers or booleans; at most DF_PARAMS_MAX. Values that are not text are pushed as
   text: they stay on the stack until the request was copied. */
size_t df_read_params(lua_State *L, int at, df_param *params);

/* The secret that is the field `key` of the table at `at`, or NULL. */
const df_secret *df_opt_secret(lua_State *L, int at, const char *key);

/* The list of sensitive fields at `at`, from core.sensitive.fields; NULL when there is none.
   scan: whether texts are searched for card numbers. */
const df_fields *df_opt_fields(lua_State *L, int at, int *scan);

/* Pushes a copy of the text as a value that cannot be read; field: from the list at stack index `at`. */
void df_push_sensitive(lua_State *L, int at, const df_field *field, const char *text, size_t n);

/* When the value at `at` is sensitive, appends {"hmac":...,"mask":...} and returns 1; 0 when it is not, -1 when memory runs out. */
int df_write_sensitive(lua_State *L, int at, df_buf *b);

/* Metatables of JSON values: arrays, objects, and the userdata that keep the text of numbers Lua has no exact value for. */
#define DF_JSON_ARRAY_MT "json.array"
#define DF_JSON_OBJECT_MT "json.object"
#define DF_JSON_NUMBER_MT "json.number"

/* Appends the JSON text of the value at stack index `value` to b; the options of core.json.encode, or nothing, follow it. 0, or -1 with
   b as it was. Leaves values on the stack, and throws when Lua has no memory. */
int df_encode(lua_State *L, int value, df_buf *b, df_error *err);

/* Whether df_encode would write the table at t as an array. */
int df_is_array(lua_State *L, int t);

/* Part of df_open_json, when the metatables are made. */
void df_open_encode(lua_State *L);

/* Adds decode, number and page to the table on top of the stack; part of df_open_json. */
void df_open_page(lua_State *L);

/* Pushes a value of a document as a Lua value; a bad record is null. Throws when memory runs out. */
void df_push_json(lua_State *L, df_json *doc, df_json_ref at);

/* The same with the sensitive fields of the list at stack index `list` opaque; 0: there is none. */
void df_push_record(lua_State *L, df_json *doc, df_json_ref at, int list);

/* Makes a record of page:read a table as any other; leaves every other table as it is. Throws when its page is closed. */
void df_whole_record(lua_State *L, int t);

/* Pushes a page that owns doc, for which df_json_page has succeeded. When it throws (Lua has no memory), doc still
   belongs to the caller. Returns 1. */
int df_push_page(lua_State *L, df_json *doc);
df_json *df_check_page(lua_State *L, int idx);

#define DF_BUFFER "defendis.buffer"

/* The bytes of a core.json buffer; they may be added to. */
df_buf *df_check_buffer(lua_State *L, int idx);

#endif

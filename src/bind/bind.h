/* bind.h: what the files of this folder share. */
#ifndef DF_BIND_BIND_H
#define DF_BIND_BIND_H

#include <lauxlib.h>
#include <lua.h>

#include "base/error.h"

/* Registers l_<verb> as "<verb>", so that the two names cannot drift apart. */
#define DF_REG(verb) {#verb, l_##verb}

/* Each opens one table of `require "defendis.core"` and leaves it on the stack. */
int df_open_json(lua_State *L);
int df_open_store(lua_State *L);
int df_open_httpd(lua_State *L);
int df_open_hash(lua_State *L);
int df_open_stream(lua_State *L);

/* Pushes nil and an error table {kind, message, status, request_id, attempts, retryable, retry_at} that prints as its
   message. Returns 2. */
int df_push_error(lua_State *L, const df_error *err);

#endif

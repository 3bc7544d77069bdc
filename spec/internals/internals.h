/* internals.h: C internals that no binding reaches, opened for tests; each pushes one table. */
#ifndef DF_SPEC_INTERNALS_H
#define DF_SPEC_INTERNALS_H

#include <lua.h>

int internals_open_api(lua_State *L);
int internals_open_base(lua_State *L);
int internals_open_hostile(lua_State *L);
int internals_open_kafka(lua_State *L);
int internals_open_live(lua_State *L);
int internals_open_manager(lua_State *L);
int internals_open_raw(lua_State *L);

#endif

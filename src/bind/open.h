/* open.h: the only name of this folder that the host needs; no Lua header. */
#ifndef DF_BIND_OPEN_H
#define DF_BIND_OPEN_H

struct lua_State;

/* Opens `require "defendis.core"`: all of it in a trusted state, what a script may have in another. */
int df_open_core(struct lua_State *L);

#endif

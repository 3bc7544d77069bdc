/* sandbox.h: the libraries that a script may see. */
#ifndef DF_JOB_SANDBOX_H
#define DF_JOB_SANDBOX_H

#include <lua.h>

/* Opens all libraries and the searcher for carried modules (upvalue find); for the trusted state. */
void df_sandbox_open_all(lua_State *L);

/* Opens the allow-list only. The real library tables are filtered, so that methods of strings are too. */
void df_sandbox_open_listed(lua_State *L);

#endif

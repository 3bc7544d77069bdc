/* init.c: `require "defendis_internals"`, for tests only. */
#include <lauxlib.h>

#include "internals.h"

int luaopen_defendis_core(lua_State *L);
__attribute__((visibility("default"))) int luaopen_defendis_internals(lua_State *L);

int luaopen_defendis_internals(lua_State *L) {
  static const luaL_Reg parts[] = {
      {"api", internals_open_api},
      {"base", internals_open_base},
      {"hostile", internals_open_hostile},
      {"kafka", internals_open_kafka},
      {"live", internals_open_live},
      {"manager", internals_open_manager},
      {"raw", internals_open_raw},
      {NULL, NULL},
  };
  lua_newtable(L); /* [internals] */
  for (const luaL_Reg *p = parts; p->name != NULL; p++) {
    p->func(L);                   /* [internals, part] */
    lua_setfield(L, -2, p->name); /* [internals] */
  }
  lua_pushcfunction(L, luaopen_defendis_core); /* [internals, f] */
  lua_setfield(L, -2, "core");                 /* [internals] */
  return 1;
}

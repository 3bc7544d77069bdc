-- stored.lua: the state file of a test, with one table of rows.
local core = require "defendis.core"
local scratch = require "support.scratch"

local stored = {}

stored.V1 = "CREATE TABLE t(a INTEGER PRIMARY KEY, b ANY) STRICT"

--- For before_each. Returns a new folder and the path of the state file in it, which is not made yet; stored.path is what is opened.
function stored.new()
  local dir = scratch.dir()
  stored.path = dir .. "/state.db"
  return dir, stored.path
end

--- Opens it. options: as core.store.open's; migrations: that of the table, unless they say otherwise.
function stored.open(options)
  options = options or {}
  options.migrations = options.migrations or { stored.V1 }
  return core.store.open(stored.path, options)
end

--- It is refused with a message that fits the pattern. Returns the error.
function stored.refused(pattern, options)
  local s, err = stored.open(options)
  assert(s == nil, "it was opened")
  assert(err.kind == "store" and err.message:find(pattern), err.message)
  return err
end

--- Puts rows 1 to n into its table.
function stored.fill(rows)
  local s <close> = assert(stored.open())
  assert(s:begin())
  for i = 1, rows do assert(s:exec("INSERT INTO t VALUES(?, ?)", i, ("row %d "):format(i):rep(10))) end
  assert(s:commit())
end

return stored

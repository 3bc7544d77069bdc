-- sandbox.lua: what a rule file can see, a literal list, with copies of its own.
--
-- A rule is a pure function of the record: no files, no clock, no chance, no code from text. What a string method can
-- still do (`("x"):rep(1e9)`) is bounded by the budgets of the state that runs the rules, not here.
local check = require "defendis.check"
local expressions = require "defendis.normalize.expressions"
local helpers = require "defendis.helpers"
local lookup = require "defendis.helpers.lookup"
local fields = require "defendis.normalize.fields"
local ocsf = require "defendis.normalize.ocsf"
local time = require "defendis.time"

local sandbox = {}

local BASE = {
  assert = assert, error = error, pcall = pcall,           -- a rule may fail and may handle failure
  ipairs = ipairs, next = next, pairs = pairs,             -- walk a record
  select = select, type = type,                            -- look at values
  tonumber = tonumber, tostring = tostring,
}
-- Left out: dump makes bytecode.
local STRING = { "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "pack", "packsize", "rep",
  "reverse", "sub", "unpack", "upper" }
local TABLE = { "concat", "insert", "move", "pack", "remove", "sort", "unpack" }
-- Left out: random and randomseed; a replay must find what the first run found.
local MATH = { "abs", "ceil", "floor", "fmod", "huge", "max", "maxinteger", "min", "mininteger", "modf", "pi", "sqrt",
  "tointeger", "type", "ult", "exp", "log" }
local UTF8 = { "char", "charpattern", "codepoint", "codes", "len", "offset" }
local TIME = { "parse", "of", "format", "date", "span", "floor", "parts" }

local function copy(library, names)
  local out = {}
  for _, name in ipairs(names) do out[name] = library[name] end
  return out
end

--- The environment of one rule file.
-- @param constructors name -> function, put beside the rest
-- @param host as for rules.load: null, array, parse_time, native, read, decode
-- @param file its name, which paths count from
-- @return the environment, and what to call when the file has returned
function sandbox.new(constructors, host, file)
  local env = { string = copy(string, STRING), table = copy(table, TABLE), math = copy(math, MATH),
    utf8 = copy(utf8, UTF8), time = copy(time, TIME), ocsf = ocsf.new(), null = host.null, array = host.array }
  env.sensitive = host.sensitive
  env.time.parse = host.parse_time or time.parse
  --- get(record, "source.name"): the value, or nil when it or a table on the way is missing or null.
  local paths = {}
  function env.get(record, path)
    local keys = paths[path]
    if not keys then
      keys = fields.path(path)
      paths[path] = keys
    end
    return fields.get(record, keys, host.null)
  end
  for name, value in pairs(BASE) do env[name] = value end
  env.next = host.next or next -- records are read as they are walked
  for name, value in pairs(helpers.new(host.native)) do env[name] = value end
  local close
  env.lookup, close = lookup.new(file, host)
  expressions.add(env)
  for name, value in pairs(constructors) do env[name] = value end
  -- A global that is not there is a slip of the pen, not nil.
  return setmetatable(env, { __index = function(_, name)
    local near = #name > 2 and check.nearest(name, env)
    error(('unknown name "%s"%s'):format(name, near and (', nearest name "%s"'):format(near)
      or ": neither local nor one of what rule files see"), 2)
  end }), close
end

return sandbox

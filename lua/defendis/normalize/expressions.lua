-- expressions.lua: what stands on the right of a declarative map, as rule files write it: `lower "email"`, `concat("a", field "b")`.
--
-- A constructor only notes what it was given and refuses what cannot be meant; map.lua makes a program of it. Where a path may stand,
-- so may an expression.
local expressions = {}

local mt = { __name = "defendis.expression", __metatable = false }
local IS = setmetatable({}, { __mode = "k" })

--- Whether a value is an expression.
function expressions.is(v) return IS[v] == true end

local function new(op, e)
  e.op = op
  local out = setmetatable(e, mt)
  IS[out] = true
  return out
end

local function fail(name, message) error(("%s: %s"):format(name, message), 0) end

--- The steps of "a.b[2]", or nil and what is wrong. "." is the element of a list, "$." leads from the record.
function expressions.path(text)
  if text == "." then return {} end
  local steps = {}
  if text:sub(1, 2) == "$." then
    steps.root = true
    text = text:sub(3)
  end
  local at = 1
  while at <= #text do
    local index, after = text:match("^%[(%d+)%]%.?()", at)
    local key, behind = text:match("^([^.%[%]]+)%.?()", at)
    if index then
      steps[#steps + 1] = math.tointeger(tonumber(index))
      if steps[#steps] < 1 then return nil, "elements of a list are counted from 1" end
    elseif key then
      steps[#steps + 1] = key
    else
      return nil, 'a path such as "a.b" or "a.b[1]" expected'
    end
    at = after or behind
  end
  if #steps == 0 or text:sub(-1) == "." then return nil, 'a path such as "a.b" or "a.b[1]" expected' end
  return steps
end

local function field(name, path)
  local steps, problem
  if type(path) == "string" then
    steps, problem = expressions.path(path)
    if not steps then fail(name, ('"%s": %s'):format(path, problem)) end
  elseif type(path) == "table" and #path > 0 then
    steps = table.move(path, 1, #path, 1, {}) -- keys as they are, dots and brackets included
  else
    fail(name, "the path of a field expected")
  end
  return new("field", { path = path, steps = steps })
end

-- A path or an expression.
local function source(name, v)
  if IS[v] then return v end
  if type(v) ~= "string" then fail(name, ("a path or an expression expected, got a %s"):format(type(v))) end
  return field(name, v)
end

local function scalar(v) return type(v) == "string" or type(v) == "number" or type(v) == "boolean" end

local function sources(name, ...)
  local list = {}
  for i = 1, select("#", ...) do list[i] = source(name, (select(i, ...))) end
  if #list == 0 then fail(name, "at least one path or expression expected") end
  return list
end

local make, entries = {}, {}

-- No expression without its line of the reference: arguments, and what it writes.
local function define(name, arguments, writes, f)
  make[name] = f
  entries[#entries + 1] = { name = name, arguments = arguments, writes = writes }
end

define("field", '"a.b[1]"', "the value of a field as it is, objects and lists too", function(path) return field("field", path) end)

define("constant", "value", "the value; texts, numbers and booleans stand for themselves", function(v)
  if v == nil then fail("constant", "a value expected") end
  return new("constant", { value = v })
end)

for _, e in ipairs{ { "lower", "in small letters" }, { "upper", "in capitals" }, { "trim", "without blanks around it" },
  { "text", "a number or boolean as text" }, { "number", "a text as number" }, { "len", "how long a text or list is" },
  { "host", "the host of a URL" }, { "scheme", "the scheme of a URL" }, { "domain", "the domain of an e-mail address" },
  { "iso", "ISO time, of ISO text or Unix milliseconds" }, { "absent", "true when it is not there, else false" },
  { "mask", "that something is there, and nothing of it" },
  { "hmac", "a keyed HMAC-SHA-256 in hexadecimal, when a key is configured" },
  { "length_class", 'how many characters, roughly: "0", "1-7", "8-11", "12-15" or "16+"' } } do
  local op = e[1]
  define(op, "x", e[2], function(v) return new(op, { kids = { source(op, v) } }) end)
end

-- unit: "ms" (the default) or "s": what a number counts; of a text it is told by the text.
define("millis", 'x [, "s"]', "Unix milliseconds, of ISO text or a number of ms (or seconds)", function(v, unit)
  if unit ~= nil and unit ~= "ms" and unit ~= "s" then fail("millis", 'the unit of numbers is "ms" or "s"') end
  return new("millis", { kids = { source("millis", v) }, scale = unit == "s" and 1000 or 1 })
end)

-- Texts stand for themselves here, and paths are field "...".
define("concat", '"text", field "a", ...', "one text; nothing when a part is missing", function(...)
  local kids = {}
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    if not IS[v] and not scalar(v) then fail("concat", ("part %d: a text or an expression expected, got a %s"):format(i, type(v))) end
    kids[i] = IS[v] and v or new("constant", { value = v })
  end
  if #kids == 0 then fail("concat", "at least one part expected") end
  return new("concat", { kids = kids })
end)

define("first_of", "x, y, ...", "the first that is there", function(...)
  return new("first_of", { kids = sources("first_of", ...) })
end)

define("lookup", "x, { from = to } [, default]", "what the table has for it", function(v, values, default)
  if type(values) ~= "table" or next(values) == nil then fail("lookup", "a table of values expected") end
  for key in pairs(values) do
    if not scalar(key) then fail("lookup", "keys of the table are texts, numbers or booleans") end
  end
  return new("lookup", { kids = { source("lookup", v) }, values = values, default = default })
end)

define("equals", "x, value, ...", "true when it is one of the values, else false", function(v, ...)
  local values = {}
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if not scalar(value) then fail("equals", "texts, numbers or booleans expected") end
    values[tostring(value)] = true
  end
  if next(values) == nil then fail("equals", "a value to compare with expected") end
  return new("equals", { kids = { source("equals", v) }, values = values })
end)

-- what: a map, an expression or a constant; also `otherwise`.
define("when", "condition, what [, otherwise]", "`what` when the condition is there and not false", function(condition, what, otherwise)
  if what == nil then fail("when", "what to write is missing") end
  return new("when", { condition = source("when", condition), what = what, otherwise = otherwise })
end)

local EACH <const> = 'a list; within it paths begin at the element, "." is the element, "$.a" a field of the record'
define("each", '"list", what', EACH, function(list, what)
  if what == nil then fail("each", "what to write for each element is missing") end
  local e = source("each", list)
  if e.op ~= "field" then fail("each", "the path of a list expected") end
  return new("each", { list = e, what = what })
end)

define("split", "x, separator, n", "the n-th part of a text", function(v, separator, n)
  if type(separator) ~= "string" or separator == "" then fail("split", "a separator expected") end
  if math.type(n) ~= "integer" or n < 1 then fail("split", "which part, counted from 1, expected") end
  return new("split", { kids = { source("split", v) }, separator = separator, n = n })
end)

define("join", '"list", separator', "the elements as one text", function(list, separator)
  local e = source("join", list)
  if e.op ~= "field" then fail("join", "the path of a list expected") end
  if type(separator) ~= "string" then fail("join", "a separator expected") end
  return new("join", { list = e, separator = separator })
end)

define("fn", "function(record) ... end", "what the function returns", function(f)
  if type(f) ~= "function" then fail("fn", "a function(record) expected") end
  return new("fn", { call = f })
end)

-- Faults are those of the line that calls.
local function in_callers_name(constructor)
  return function(...)
    local ok, made = pcall(constructor, ...)
    if not ok then error(made, 2) end
    return made
  end
end

--- All of them, for the reference: array of { name, arguments, writes }. x: a path or an expression.
function expressions.list() return entries end

--- Puts the constructors into the environment of a rule file; a library of the same name stays one and can be called.
function expressions.add(env)
  for name, constructor in pairs(make) do
    local library, f = env[name], in_callers_name(constructor)
    if type(library) == "table" then
      setmetatable(library, { __call = function(_, ...) return f(...) end })
    else
      env[name] = f
    end
  end
end

return expressions

-- detection.lua: the searches of a detection as functions of a record.
--
--   detection.compile(detection, context) -> function(record) -> boolean, and names of searches that no condition uses
--     context: { host, null, marks (see yaml.lua), fail = function(line, message) }
--
-- A search: a map (every field fits), a list of maps (one of them fits), or texts (keywords: one stands in some value of the record).
-- A list in a record fits when one element does; a path goes through lists of objects. Missing and null are the same thing.
local condition = require "defendis.sigma.condition"
local fields = require "defendis.normalize.fields"
local text = require "defendis.sigma.text"
local value = require "defendis.sigma.value"

local detection = {}

local type = type
local KEYWORD_MODIFIERS = { all = true, cased = true, contains = true, re = true, i = true, m = true, s = true, windash = true,
  base64 = true, base64offset = true }

-- Whether the value at keys[i..] below v, or an element of a list there, passes.
local function fits(v, keys, i, test, null)
  if type(v) ~= "table" then return keys[i] == nil and v ~= nil and v ~= null and test(v) end
  local key, below = keys[i], nil
  if key ~= nil then below = v[key] end
  if below ~= nil then return fits(below, keys, i + 1, test, null) end
  for j = 1, #v do
    if fits(v[j], keys, i, test, null) then return true end
  end
  return false
end

-- Whether there is anything but null at keys[i..] below v.
local function present(v, keys, i, null)
  if v == nil or v == null then return false end
  local key = keys[i]
  if key == nil then return true end
  if type(v) ~= "table" then return false end
  if v[key] ~= nil then return present(v[key], keys, i + 1, null) end
  for j = 1, #v do
    if type(v[j]) == "table" and present(v[j], keys, i, null) then return true end
  end
  return false
end

local function somewhere(v, test, null)
  if type(v) ~= "table" then return v ~= null and test(v) end
  for _, element in next, v do
    if somewhere(element, test, null) then return true end
  end
  return false
end

local function field_closure(compiled, keys, null)
  if compiled.kind == "null" then return function(record) return not present(record, keys, 1, null) end end
  if compiled.kind == "exists" then
    local wanted = compiled.wanted
    return function(record) return present(record, keys, 1, null) == wanted end
  end
  if compiled.kind == "field" then
    local others, compare = compiled.keys, compiled.compare
    return function(record)
      return fits(record, keys, 1, function(a)
        return fits(record, others, 1, function(b) return compare(a, b) end, null)
      end, null)
    end
  end
  local test = compiled.test
  local key = #keys == 1 and keys[1]
  if not key then return function(record) return fits(record, keys, 1, test, null) end end
  return function(record)
    local v = record[key]
    if v == nil or v == null then return false end
    if type(v) ~= "table" then return test(v) end
    return fits(v, keys, 2, test, null)
  end
end

-- `password.hmac`: of a value of the host that cannot be read it is what it counts by; else a field as any other.
local function with_hmac(closure, compiled, keys, context)
  local scalar, test, null = context.host.scalar, compiled.test, context.null
  if not (test and scalar and #keys > 1 and keys[#keys] == "hmac") then return closure end
  local above = { table.unpack(keys, 1, #keys - 1) }
  local function fit(v) return type(v) == "userdata" and test(scalar(v)) end
  return function(record) return closure(record) or fits(record, above, 1, fit, null) end
end

-- Many texts without wildcards are one look into a table.
local function one_of(m, values)
  if m.all or (m.last or "cased") ~= "cased" or #values < 3 then return nil end
  local wanted = {}
  for _, v in ipairs(values) do
    if type(v) ~= "string" and type(v) ~= "number" then return nil end
    local literal = text.literal(text.parse(text.of(v)))
    if not literal then return nil end
    wanted[m.cased and literal or text.fold(literal)] = true
  end
  local read = m.cased and text.of or text.folded
  return { kind = "test", test = function(v)
    local s = read(v)
    return s ~= nil and wanted[s] == true
  end }
end

-- What is read, for who looks for what cannot fit: {line, key, path, compares = with a text or number, patterns}.
local function note(context, m, read, values)
  read.patterns = m.re and values or {}
  for _, v in ipairs(values) do
    read.compares = read.compares or not m.exists and v ~= context.null
    if m.fieldref then table.insert(context.reads, { line = read.line, key = read.key, path = v, compares = true, patterns = {} }) end
  end
  table.insert(context.reads, read)
end

-- The modifiers and the values behind a key, with a context whose errors name the field.
local function parse_key(key, v, map, context)
  local name, rest = key:match("^([^|]*)(.*)$")
  local names = {}
  for modifier in (rest .. "|"):gmatch("|([^|]*)%f[|]") do names[#names + 1] = modifier end
  local line = context.marks[map].lines[key]
  local where = name == "" and "keywords" or ('field "%s"'):format(key)
  local function fail(message) context.fail(line, where .. ": " .. message) end
  local values = { v }
  if (key .. "|"):find("||", 1, true) then fail("a modifier is missing behind |") end
  if type(v) == "table" then
    if not context.marks[v].list then fail("a map is no value") end
    if #v == 0 then fail("the list of values is empty") end
    values = v
  end
  local m = value.modifiers(names, fail)
  if name ~= "" then note(context, m, { line = line, key = key, path = name }, values) end
  return name, m, names, values, { host = context.host, null = context.null, fail = fail }
end

local function keyword(m, values, context)
  local out = {}
  if not (m.re or m.position) then m.position = "contains" end
  for i, v in ipairs(values) do
    if type(v) ~= "string" and type(v) ~= "number" then context.fail("a keyword is a text") end
    if v == "" then context.fail("a keyword is empty") end
    local test, null = value.compile(m, v, context).test, context.null
    out[i] = function(record) return somewhere(record, test, null) end
  end
  return (m.all and condition.all or condition.any)(out)
end

local function item(key, v, map, context)
  local name, m, names, values, own = parse_key(key, v, map, context)
  if name == "" then
    for _, modifier in ipairs(names) do
      if not KEYWORD_MODIFIERS[modifier] then own.fail(("the modifier %s is not for keywords"):format(modifier)) end
    end
    return keyword(m, values, own)
  end
  local keys = fields.path(name)
  if #keys == 0 or ("." .. name .. "."):find("..", 1, true) then own.fail("is no path of a field") end
  local together = one_of(m, values)
  if together then return with_hmac(field_closure(together, keys, context.null), together, keys, context) end
  local out = {}
  for i, single in ipairs(values) do
    local compiled = value.compile(m, single, own)
    out[i] = with_hmac(field_closure(compiled, keys, context.null), compiled, keys, context)
  end
  return (m.all and condition.all or condition.any)(out)
end

local function map_search(map, context)
  local out = {}
  for i, key in ipairs(context.marks[map].keys) do out[i] = item(key, map[key], map, context) end
  if #out == 0 then context.fail(context.marks[map].line, "an empty map says nothing") end
  return condition.all(out)
end

-- What stands in a list, or alone: a map, or a keyword.
local function entry(v, line, context)
  if type(v) ~= "table" then
    local function fail(message) context.fail(line, "keywords: " .. message) end
    return keyword({ encode = {} }, { v }, { host = context.host, null = context.null, fail = fail })
  end
  if context.marks[v].list then context.fail(line, "a list inside of a list has no meaning") end
  return map_search(v, context)
end

local function search(v, line, context)
  if type(v) ~= "table" or not context.marks[v].list then return entry(v, line, context) end
  if #v == 0 then context.fail(line, "an empty list says nothing") end
  local out = {}
  for i, element in ipairs(v) do out[i] = entry(element, context.marks[v].lines[i], context) end
  return condition.any(out)
end

local function conditions_of(def, line, context)
  local given = def.condition
  local list = type(given) == "table" and context.marks[given].list and given or { given }
  for _, one in ipairs(list) do
    if type(one) ~= "string" then context.fail(line, 'field "condition": a text, or a list of texts, expected') end
  end
  if #list == 0 then context.fail(line, 'missing required field "condition"') end
  return list
end

--- @param skip names in `def` that are no searches, beside condition
function detection.compile(def, context, skip)
  local mark = context.marks[def]
  if def.timeframe ~= nil then context.fail(mark.lines.timeframe,
    "timeframe is of old rules, write a document with correlation: instead") end
  local searches, names = {}, {}
  for _, name in ipairs(mark.keys) do
    if name ~= "condition" and not (skip and skip[name]) then
      searches[name] = search(def[name], mark.lines[name], context)
      names[#names + 1] = name
    end
  end
  local line = mark.lines.condition or mark.line
  if #names == 0 then context.fail(mark.line, "no search is given") end
  local out, unused = {}, {}
  local used = {}
  for i, one in ipairs(conditions_of(def, line, context)) do
    local these
    out[i], these = condition.compile(one, searches, names, function(message) context.fail(line, 'field "condition": ' .. message) end)
    for name in pairs(these) do used[name] = true end
  end
  for _, name in ipairs(names) do
    if not used[name] then unused[#unused + 1] = name end
  end
  return condition.any(out), unused
end

return detection

-- declared.lua: `match` as a table of fields, which need not be tried one by one: many such rules share an index.
--
--   match = { severity = "HIGH", country = { "DE", "AT" }, email = { prefix = "admin@" }, ["source.age"] = { gte = 30, lt = 90 } }
--
-- All fields must hold; a field that is missing, null, a table or a value of the host does not, and nothing raises.
--
--   declared.validate(match) -> nil | message, path
--   declared.compile(match, null) -> a declaration, whose `match` is the same as a function of a record
--   declared.plan(rules, null) -> function(record, hits) -> n: the places of the rules that match, in order; nil without rules
local check = require "defendis.check"
local fields = require "defendis.normalize.fields"

local declared = {}

local OPERATORS = { prefix = '(type(x) == "string" and x:sub(1, %d) == %s)', gt = '(type(x) == "number" and x > %s)',
  gte = '(type(x) == "number" and x >= %s)', lt = '(type(x) == "number" and x < %s)', lte = '(type(x) == "number" and x <= %s)' }
local ORDER <const> = { "gt", "gte", "lt", "lte", "prefix" } -- cheap ones first
local SCALAR <const> = { string = true, number = true, boolean = true }
local SHAPE = check.shape{ prefix = check.text, gt = check.number, gte = check.number, lt = check.number, lte = check.number }

local function constraint(v)
  if SCALAR[type(v)] then return v ~= v and "a number that equals something expected" or nil end
  if type(v) ~= "table" or next(v) == nil then return 'a value, a list of values or a table such as { prefix = "x" } expected' end
  if v[1] == nil then return SHAPE(v) end
  for key, value in pairs(v) do
    if math.type(key) ~= "integer" or not SCALAR[type(value)] or value ~= value then
      return "a list of texts, numbers and booleans expected", { key }
    end
  end
end

function declared.validate(match)
  if next(match) == nil then return "a function, or a table with a field at least" end
  for name, v in pairs(match) do
    if type(name) ~= "string" or not name:find "[^.]" then return "names of fields expected as keys" end
    local message, path = constraint(v)
    if message then return message, { name, table.unpack(path or {}) } end
  end
end

-- The values of an equality or a list, as a set and how many they are; nil for operators.
local function values_of(v)
  local list = SCALAR[type(v)] and { v } or v[1] ~= nil and v
  if not list then return nil end
  local set, n = {}, 0
  for _, value in ipairs(list) do
    n = n + (set[value] and 0 or 1)
    set[value] = true
  end
  return set, n
end

local function literal(v)
  if type(v) == "string" then return (("%q"):format(v):gsub("\\\n", "\\n")) end
  return ("%q"):format(v)
end

-- The text of a test of x, the value of a field.
local function text_of(v, sets)
  if SCALAR[type(v)] then return "x == " .. literal(v) end
  local set = values_of(v)
  if set then
    sets[#sets + 1] = set
    return ("x ~= nil and sets[%d][x]"):format(#sets)
  end
  local parts = {}
  for _, name in ipairs(ORDER) do
    if v[name] ~= nil then
      local values = name == "prefix" and { #v.prefix, literal(v.prefix) } or { literal(v[name]) }
      parts[#parts + 1] = OPERATORS[name]:format(table.unpack(values))
    end
  end
  return table.concat(parts, " and ")
end

-- A function of the values of fields. slots: name -> place among the values; but: the name of a field that is known to hold, or nil.
local function tester(match, slots, but)
  local names, lines, sets = {}, { "local sets, type = ...", "return function(v)", "  local x" }, {}
  for name in pairs(match) do names[#names + 1] = name end
  table.sort(names, function(a, b)
    local x, y = values_of(match[a]) and 0 or 1, values_of(match[b]) and 0 or 1
    if x ~= y then return x < y end
    return a < b
  end)
  for _, name in ipairs(names) do
    if name ~= but then
      lines[#lines + 1] = ("  x = v[%d]\n  if not (%s) then return false end"):format(slots[name], text_of(match[name], sets))
    end
  end
  lines[#lines + 1] = "  return true\nend"
  return assert(load(table.concat(lines, "\n"), "=match"))(sets, type)
end

-- Slots of all fields of some declarations, and what reads their values into a list.
local function reader(matches, null)
  local slots, paths = {}, {}
  for _, match in ipairs(matches) do
    for name in pairs(match) do
      if not slots[name] then
        paths[#paths + 1] = fields.path(name)
        slots[name] = #paths
      end
    end
  end
  local get, values = fields.get, {}
  return slots, function(record)
    for i = 1, #paths do values[i] = get(record, paths[i], null) end
    return values
  end
end

function declared.compile(match, null)
  local slots, read = reader({ match }, null)
  local test = tester(match, slots)
  return { fields = match, match = function(record) return test(read(record)) end }
end

-- How many different values the rules compare each field with: the more, the fewer rules a value leaves.
local function variety_of(matches)
  local seen, variety = {}, {}
  for _, match in ipairs(matches) do
    for name, v in pairs(match) do
      seen[name] = seen[name] or {}
      for value in pairs(values_of(v) or {}) do
        if not seen[name][value] then variety[name] = (variety[name] or 0) + 1 end
        seen[name][value] = true
      end
    end
  end
  return variety
end

-- The field whose values are to lead to a rule, or nil when it compares none with values.
local function best_of(match, variety)
  local best, least
  for name, v in pairs(match) do
    local _, n = values_of(v)
    local share = n and n / variety[name]
    if share and (not best or share < least or share == least and name < best) then best, least = name, share end
  end
  return best
end

function declared.plan(rules, null)
  if not rules[1] then return nil end
  local matches, tests, by_field, always = {}, {}, {}, {}
  for i, rule in ipairs(rules) do matches[i] = rule.declared.fields end
  local slots, read = reader(matches, null)
  local variety, index = variety_of(matches), {}
  for i, match in ipairs(matches) do
    local best = best_of(match, variety)
    tests[i] = tester(match, slots, best)
    if best and not by_field[best] then
      by_field[best] = {}
      index[#index + 1] = { slot = slots[best], by = by_field[best] }
    end
    for value in pairs(best and values_of(match[best]) or {}) do
      by_field[best][value] = by_field[best][value] or {}
      table.insert(by_field[best][value], i)
    end
    if not best then always[#always + 1] = i end
  end
  local function try(list, values, hits, n)
    for k = 1, #list do
      local i = list[k]
      if tests[i](values) then
        n = n + 1
        hits[n] = i
      end
    end
    return n
  end
  return function(record, hits)
    local values = read(record)
    local n = try(always, values, hits, 0)
    for k = 1, #index do
      local value = values[index[k].slot]
      local list = value ~= nil and index[k].by[value]
      if list then n = try(list, values, hits, n) end
    end
    for i = #hits, n + 1, -1 do hits[i] = nil end
    if n > 1 then table.sort(hits) end
    return n
  end
end

return declared

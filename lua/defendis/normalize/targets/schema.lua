-- schema.lua: what a target is made of: objects as lists of attributes, and the checks that follow from them.
--
-- An object is written { "uid* title first_seen_time:timestamp attacks:attack[]", at_least_one = {...}, enums = {...} }: a star for
-- what is required, a type behind the colon (string when there is none), [] for a list. Types: string, integer, number, boolean,
-- timestamp, object (anything may be below it), or the name of another object. `open = true` takes names that are not listed.
local check = require "defendis.check"

local schema = {}

local SCALARS = { string = true, integer = true, number = true, boolean = true, timestamp = true }

--- A set out of words, or out of the values of a list.
function schema.set(words)
  local out = {}
  if type(words) == "table" then
    for _, v in ipairs(words) do out[v] = true end
    return out
  end
  for word in words:gmatch "%S+" do out[math.tointeger(tonumber(word)) or word] = true end
  return out
end

local function object_of(definition)
  local object = { fields = {}, order = {}, at_least_one = definition.at_least_one, enums = definition.enums or {}, open = definition.open }
  for name, star, kind, list in definition[1]:gmatch "([%w_@-]+)(%*?):?([%w_]*)(%[?%]?)" do
    object.fields[name] = { type = kind == "" and "string" or kind, required = star ~= "" or nil, list = list ~= "" or nil }
    object.order[#object.order + 1] = name
  end
  return object
end

local Target = {}

-- A number that Lua cannot hold is a userdata that prints as one; any other userdata is null.
local function is_number(v) return type(v) == "number" or type(v) == "userdata" and tostring(v):find "^%-?%d" ~= nil end
local function is_integer(v)
  return type(v) == "number" and math.tointeger(v) ~= nil or type(v) == "userdata" and tostring(v):find "^%-?%d+$" ~= nil
end

local CHECKS = {}
function CHECKS.string(v) return type(v) == "string" end
function CHECKS.integer(v) return is_integer(v) end
function CHECKS.number(v) return is_number(v) end
function CHECKS.boolean(v) return type(v) == "boolean" end
function CHECKS.object(v) return type(v) == "table" end

local function shown(v)
  if type(v) == "userdata" then return is_number(v) and "a number" or "null" end
  return type(v) == "table" and (v[1] ~= nil and "a list" or "an object") or ("a %s"):format(type(v))
end

local function timestamp_fault(style, v)
  if style == "iso" then
    if type(v) == "string" and v:find "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d[%d.]*Z$" then return nil end
    return "a time such as 2026-01-31T12:00:00Z expected"
  elseif not is_integer(v) then
    return "an integer of milliseconds expected, got " .. shown(v)
  elseif type(v) == "number" and v > 10 ^ 8 and v < 10 ^ 11 then
    return "milliseconds expected, this looks like seconds"
  end
end

-- A list of eighty names helps nobody.
local function unknown(name, object, what)
  if #object.order > 15 and not check.nearest(name, object.fields) then return ('unknown %s "%s"'):format(what, name) end
  return check.unknown(name, object.fields, what)
end

local function fault(out, path, message, ...)
  out[#out + 1] = { path = path, message = select("#", ...) > 0 and message:format(...) or message }
end

local function below(path, name) return path == "" and name or path .. "." .. name end

local function check_value(self, field, enum, v, path, out)
  local object = self.objects[field.type]
  if object then
    if type(v) ~= "table" or v[1] ~= nil then return fault(out, path, "an object expected, got %s", shown(v)) end
    return self.check_object(object, v, path, out)
  end
  local problem
  if field.type == "timestamp" then
    problem = timestamp_fault(self.timestamps, v)
  elseif not CHECKS[field.type](v) then
    problem = ("%s expected, got %s"):format(field.type == "object" and "an object" or field.type == "integer" and "an integer"
      or "a " .. field.type, shown(v))
  end
  if problem then return fault(out, path, problem) end
  if enum and not enum[type(v) == "number" and math.tointeger(v) or v] then fault(out, path, "%s is none of its values", tostring(v)) end
end

local function check_list(self, field, enum, v, path, out)
  if type(v) ~= "table" or next(v) ~= nil and v[1] == nil then return fault(out, path, "a list expected, got %s", shown(v)) end
  for i, element in ipairs(v) do check_value(self, field, enum, element, below(path, tostring(i)), out) end
end

local function any_of(v, names)
  for _, name in ipairs(names) do
    if v[name] ~= nil then return true end
  end
end

local function check_object(self, object, v, path, out)
  local names = {}
  for name in pairs(v) do names[#names + 1] = tostring(name) end
  table.sort(names)
  for _, name in ipairs(names) do
    local field = object.fields[name]
    if field then
      (field.list and check_list or check_value)(self, field, object.enums[name], v[name], below(path, name), out)
    elseif not object.open then
      fault(out, below(path, name), "%s", unknown(name, object, "attribute"))
    end
  end
  for _, name in ipairs(object.order) do
    if object.fields[name].required and v[name] == nil then fault(out, below(path, name), "is required") end
  end
  if object.at_least_one and not any_of(v, object.at_least_one) then
    fault(out, path, "at least one expected of %s", table.concat(object.at_least_one, ", "))
  end
end

-- The field at a path, or nil and what is wrong; true for anything below a free object.
local function resolve(self, path)
  local object, field, at = self.objects[self.root], nil, ""
  for key in path:gmatch "[^.]+" do
    key = key:gsub("%[%d*%]$", "")
    if not (field and field.list and key:find "^%d+$") then
      if field and field.type == "object" then return true end
      if not object then return nil, ("%s is %s %s and has nothing below it"):format(at, field.type == "integer" and "an" or "a",
        field.type) end
      field = object.fields[key]
      if not field and object.open then return true end
      if not field then return nil, unknown(key, object, at == "" and "attribute" or "attribute of " .. at) end
      object, at = self.objects[field.type], below(at, key)
    end
  end
  if not field then return nil, "an empty path" end
  return field
end

--- nil when the target has the path, or a message that names the nearest attribute.
function Target.check(self, path)
  local _, message = resolve(self, path)
  return message
end

--- "integer", "number", "string", "boolean", "object", "list", "timestamp", or nil.
function Target.type_of(self, path)
  local field = resolve(self, path)
  if not field or field == true then return nil end
  return field.list and "list" or SCALARS[field.type] and field.type or "object"
end

-- An object of which anything will do is required by the constants that the target has for it.
local function implied(self, path, out)
  for known in pairs(self.defaults) do
    if known:sub(1, #path + 1) == path .. "." then out[#out + 1] = known end
  end
end

local function required_of(self, object, path, out)
  for _, name in ipairs(object.order) do
    local field = object.fields[name]
    if field.required then
      local inner, before = self.objects[field.type], #out
      if inner then required_of(self, inner, below(path, name), out) end
      if #out == before then implied(self, below(path, name), out) end
      if #out == before then out[#out + 1] = below(path, name) end
    end
  end
  return out
end

-- Objects hold each other; a path goes through each once.
local function enums_of(self, kind, path, seen, out)
  local object = self.objects[kind]
  if not object or seen[kind] then return out end
  seen[kind] = true
  for _, name in ipairs(object.order) do
    out[below(path, name)] = object.enums[name]
    enums_of(self, object.fields[name].type, below(path, name), seen, out)
  end
  seen[kind] = nil
  return out
end

--- A target. o: {name, version, root = name of an object, objects = name -> definition, timestamps = "ms" or "iso", defaults = path ->
-- constant, more = function(document, fault(path, message, ...)) for rules of its own, or nil}.
function schema.target(o)
  local self = { name = o.name, version = o.version, root = o.root, timestamps = o.timestamps, defaults = o.defaults or {}, objects = {} }
  for name, definition in pairs(o.objects) do self.objects[name] = object_of(definition) end
  function self.check_object(object, v, path, out) return check_object(self, object, v, path, out) end
  self.required = required_of(self, self.objects[o.root], "", {})
  table.sort(self.required)
  self.enums = enums_of(self, o.root, "", {}, {})
  local function validate(document)
    local out = {}
    if type(document) ~= "table" then return { { path = "", message = "an object expected, got " .. shown(document) } } end
    check_object(self, self.objects[o.root], document, "", out)
    if o.more then o.more(document, function(path, message, ...) fault(out, path, message, ...) end) end
    return out[1] and out or nil
  end
  return { name = self.name, version = self.version, required = self.required, defaults = self.defaults, enums = self.enums,
    check = function(path) return Target.check(self, path) end, type_of = function(path) return Target.type_of(self, path) end,
    validate = validate }
end

return schema

-- fields.lua: values by dotted path, and tuples of values as one text that two different tuples never share.
--
-- A tuple text is a run of parts `<type><length>:<bytes>`: s string, i integer, n other number, b boolean. It is
-- readable in a database and can be taken apart again (fields.untuple), which is how a finding gets its group values
-- back.
local type, tostring, tointeger = type, tostring, math.tointeger

local fields = {}

--- The part that stands for no value, where a tuple may have one.
fields.NONE = "z0:"

--- {"source", "name"} of "source.name".
function fields.path(text)
  local keys = {}
  for key in text:gmatch("[^.]+") do keys[#keys + 1] = key end
  return keys
end

-- A value of the host that cannot be read is its own "hmac": it counts by that.
local function of_host(v, keys, i, null)
  return type(v) == "userdata" and v ~= null and keys[i] == "hmac" and not keys[i + 1] and v or nil
end

--- The value at a path (array of keys), or nil when it, or a table on the way, is missing or JSON null.
function fields.get(record, keys, null)
  if type(record) ~= "table" then return nil end
  local v = record[keys[1]]
  for i = 2, #keys do
    if type(v) ~= "table" then return of_host(v, keys, i, null) end
    v = v[keys[i]]
  end
  if v == null then return nil end
  return v
end

local PREFIX = {} -- of short strings
for n = 0, 255 do PREFIX[n] = "s" .. n .. ":" end

--- A scalar as one part of a tuple text, or nil when the value cannot be one (nil, null, a table, unknown userdata).
-- @param scalar function(userdata) -> text or nil for values of the host (long numbers, secrets), or nil
function fields.part(v, scalar)
  local kind = type(v)
  if kind == "string" then return (PREFIX[#v] or "s" .. #v .. ":") .. v end
  local tag = "n"
  if kind == "number" then
    local n = tointeger(v)
    if n then tag, v = "i", n end
    v = tostring(v)
  elseif kind == "boolean" then
    tag, v = "b", tostring(v)
  elseif kind == "userdata" and scalar then
    v = scalar(v)
    if not v then return nil end
  else
    return nil
  end
  return tag .. #v .. ":" .. v
end

-- Beyond this sums of many numbers would leave the range of floats.
local NUMBER_MAX = 2.0 ^ 1000

--- A number to calculate with, or nil: of text, NaN and what is close to infinite there is none.
function fields.number(v, scalar)
  if type(v) == "userdata" and scalar then v = tonumber((scalar(v))) end
  return type(v) == "number" and v >= -NUMBER_MAX and v <= NUMBER_MAX and v or nil
end

--- The tuple text of scalars, all of them there.
function fields.tuple(...)
  local out = ""
  for i = 1, select("#", ...) do out = out .. assert(fields.part((select(i, ...))), "a tuple is made of scalars") end
  return out
end

--- The parts of a tuple text as they stand there, as an array; nil when it is none.
function fields.parts(text)
  local out, at = {}, 1
  while at <= #text do
    local len, start = text:match("^%l(%d+):()", at)
    local behind = start and start + tonumber(len)
    if not behind or behind > #text + 1 then return nil end
    out[#out + 1] = text:sub(at, behind - 1)
    at = behind
  end
  return out
end

--- A value (a tuple text, a number or nil) with the parts that go along with it, as one; fields.parts takes it apart again.
function fields.carrying(value, parts)
  if #parts == 0 then return value end
  if type(value) == "number" then
    value = math.type(value) == "integer" and tostring(value) or ("%.17g"):format(value)
    value = ("n%d:%s"):format(#value, value)
  elseif value then
    value = ("t%d:%s"):format(#value, value)
  end
  return (value or fields.NONE) .. table.concat(parts)
end

--- The values of a tuple text, as an array; null stands for parts without a value.
function fields.untuple(text, null)
  local out, at = {}, 1
  while at <= #text do
    local tag, len, start = text:match("^(%l)(%d+):()", at)
    if not tag then return nil end
    at = start + tonumber(len)
    local v = text:sub(start, at - 1)
    if tag == "b" then
      out[#out + 1] = v == "true"
    elseif tag == "i" then
      out[#out + 1] = math.tointeger(tonumber(v))
    elseif tag == "z" then
      out[#out + 1] = null
    elseif tag == "t" then -- of fields.carrying
      local inner = fields.untuple(v, null) or { v }
      table.move(inner, 1, #inner, #out + 1, out)
    else
      out[#out + 1] = v
    end
  end
  return out
end

local function read_all(record, paths, null, scalar)
  local out = ""
  for i = 1, #paths do
    local part = fields.part(fields.get(record, paths[i], null), scalar) or paths[i].optional and fields.NONE
    if not part then return nil end
    out = out .. part
  end
  return out
end

--- A function(record) -> the tuple text of the fields at `paths`, or nil when one is missing or no scalar; a path with `optional`
-- may be missing.
function fields.reader(paths, null, scalar)
  if #paths ~= 1 or paths[1].optional then return function(record) return read_all(record, paths, null, scalar) end end
  local keys = paths[1]
  local first, second = keys[1], keys[2]
  if #keys > 2 then return function(record) return fields.part(fields.get(record, keys, null), scalar) end end
  return function(record)
    if type(record) ~= "table" then return nil end
    local v = record[first]
    if second then
      if type(v) == "table" then v = v[second] else v = of_host(v, keys, 2, null) end
    end
    if type(v) == "string" then return (PREFIX[#v] or "s" .. #v .. ":") .. v end
    if v == nil or v == null then return nil end
    return fields.part(v, scalar)
  end
end

local function parts_of(v, scalar)
  if type(v) ~= "table" then return { fields.part(v, scalar) } end
  local parts, seen = {}, {}
  for i = 1, #v do
    local part = fields.part(v[i], scalar)
    if part and not seen[part] then
      seen[part] = true
      parts[#parts + 1] = part
    end
  end
  return parts
end

--- The groups a record belongs to: one tuple text for each combination of the values at `paths`, where a list gives one
-- value per different element, and a path with `optional` may be missing. No path at all is one group for everything.
-- @return array of texts (empty when a field is missing), and true when more than `cap` were cut
function fields.groups(record, paths, null, scalar, cap)
  local groups, capped = { "" }, false
  for i = 1, #paths do
    local parts, longer = parts_of(fields.get(record, paths[i], null), scalar), {}
    if not parts[1] and paths[i].optional then parts[1] = fields.NONE end
    for _, prefix in ipairs(groups) do
      for _, part in ipairs(parts) do
        if #longer == cap then
          capped = true
          break
        end
        longer[#longer + 1] = prefix .. part
      end
    end
    groups = longer
  end
  return groups, capped
end

return fields

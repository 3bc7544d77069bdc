-- fields.lua: values by dotted path, and tuples of values as one text that two different tuples never share.
--
-- A tuple text is a run of parts `<type><length>:<bytes>`: s string, i integer, n other number, b boolean. It is
-- readable in a database and can be taken apart again (fields.untuple), which is how a finding gets its group values
-- back.
local fields = {}

--- {"source", "name"} of "source.name".
function fields.path(text)
  local keys = {}
  for key in text:gmatch("[^.]+") do keys[#keys + 1] = key end
  return keys
end

--- The value at a path (array of keys), or nil when it, or a table on the way, is missing or JSON null.
function fields.get(record, keys, null)
  local v = record
  for i = 1, #keys do
    if type(v) ~= "table" then return nil end
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
    local n = math.tointeger(v)
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

--- The tuple text of scalars, all of them there.
function fields.tuple(...)
  local out = ""
  for i = 1, select("#", ...) do out = out .. assert(fields.part((select(i, ...))), "a tuple is made of scalars") end
  return out
end

--- The values of a tuple text, as an array.
function fields.untuple(text)
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
    else
      out[#out + 1] = v
    end
  end
  return out
end

--- The tuple text of the fields at `paths`, or nil when one is missing or no scalar.
function fields.value(record, paths, null, scalar)
  if #paths == 1 then return fields.part(fields.get(record, paths[1], null), scalar) end
  local out = ""
  for i = 1, #paths do
    local part = fields.part(fields.get(record, paths[i], null), scalar)
    if not part then return nil end
    out = out .. part
  end
  return out
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
-- value per different element. No path at all is one group for everything. They are put into `out` from 1 on.
-- @return how many (0 when a field is missing), and true when more than `cap` were cut
function fields.groups(out, record, paths, null, scalar, cap)
  if #paths == 1 then -- by far the commonest
    local v = fields.get(record, paths[1], null)
    if type(v) ~= "table" then
      out[1] = fields.part(v, scalar)
      return out[1] and 1 or 0, false
    end
  end
  local groups, capped = { "" }, false
  for i = 1, #paths do
    local parts, longer = parts_of(fields.get(record, paths[i], null), scalar), {}
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
  table.move(groups, 1, #groups, 1, out)
  return #groups, capped
end

return fields

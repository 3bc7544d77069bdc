-- current.lua: what the API's watchlists hold now, read whole or not at all.
local check = require "defendis.check"
local task = require "defendis.task"
local values = require "defendis.watchlist.values"

local current = {}

local READINGS <const> = 3

local function id_or_nil(v) return (type(v) == "string" or math.type(v) == "integer") and v or nil end

local function text_or_nil(v) return type(v) == "string" and v or nil end

-- One reading of a list. Returns its entries; or nil, the id that came twice; raises what pages raises.
local function once(client, path, field)
  local out, seen = {}, {}
  for page in client:pages(path, {}) do
    for i = 1, page:len() do
      local record, err = page:record(i)
      if record == nil then error(err, 0) end
      local id = type(record) == "table" and id_or_nil(record.id)
      if not id then
        error(check.error("decode", path .. ": an entry without an id; nothing can be compared"), 0)
      end
      if seen[id] then return nil, id end
      seen[id] = true
      out[#out + 1] = { id = id, value = text_or_nil(record[field]), watchlistid = id_or_nil(record.watchlistid),
        description = text_or_nil(record.description), record = record }
    end
    page:close()
  end
  return out
end

--- All entries of a kind ("group": the groups): {{id, value, watchlistid, description, record}, ...} in the API's order, or nil, err. A
-- list that moved while it was read (an id on two pages) is read again, three times in all.
function current.list(client, kind)
  local path, twice = values.path(kind), nil
  for _ = 1, READINGS do
    local ok, list, id = pcall(once, client, path, values.field(kind))
    if not ok then
      if type(list) ~= "table" then error(list, 0) end
      return nil, list
    end
    if list then return list end
    twice = id
  end
  return nil, check.error("incomplete", ('%s: the list changes while it is read (%s came twice); try again'):format(path, twice))
end

local function integers(t, names)
  local out = {}
  for _, name in pairs(names) do
    if type(t) == "table" and math.type(t[name]) == "integer" then out[name] = t[name] end
  end
  return out
end

--- The workspace's limits by metric; {} where the API's answer has none that is understood. Or nil, err.
function current.limits(client)
  local body, err = client:get "/api/v1/watchlists/stats"
  if not body then
    if err.kind == "not_found" then return {} end
    return nil, err
  end
  local data = type(body) == "table" and body.data
  return integers(type(data) == "table" and data.limits, values.METRICS)
end

--- All that a plan needs, read at once. kinds: array. Returns {groups = list, items = {kind = list}, limits}, or nil, err.
function current.read(client, kinds)
  local work = { function() return current.list(client, "group") end, function() return current.limits(client) end }
  for _, kind in ipairs(kinds) do work[#work + 1] = function() return current.list(client, kind) end end
  local out = { items = {} }
  for i, got in ipairs(task.parallel(work, { concurrency = 4 })) do
    if not got.ok then error(got[1], 0) end
    if got[1] == nil then return nil, got[2] end
    if i == 1 then out.groups = got[1] elseif i == 2 then out.limits = got[1] else out.items[kinds[i - 2]] = got[1] end
  end
  return out
end

return current

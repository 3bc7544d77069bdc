-- scope.lua: which inputs each dataset is asked for.
local catalog = require "defendis.catalog"
local check = require "defendis.check"

local scope = {}

local TRIES <const> = 3 -- times a watchlist is read before its contradictions are believed

-- Each value once: one input in two watchlist groups is one stream.
local function distinct(values)
  local seen, out = {}, {}
  for _, value in ipairs(values) do
    if not seen[value] then out[#out + 1] = value end
    seen[value] = true
  end
  table.sort(out)
  return out
end

-- An item that is not understood would be an input left out without a word.
local function not_understood(kind, field, item)
  local names = {}
  for name in pairs(type(item) == "table" and item or {}) do names[#names + 1] = tostring(name) end
  table.sort(names)
  error(check.error("config", ('the watchlist "%s" has an item without text in its field "%s" (it has: %s); '
    .. "name the inputs in the scope instead"):format(kind, field, #names > 0 and table.concat(names, ", ") or "no fields")), 0)
end

-- The watchlist's items as inputs. The vendor does not document their fields; catalog.lua says which one is read.
local function from_watchlist(client, kind, try)
  local values, field = {}, catalog.kinds[kind]
  local ok, err = pcall(function()
    for item in client.watchlists[kind]:each{ pageSize = 100 } do
      local value = item
      if type(item) == "table" then value = item[field] end
      if type(value) ~= "string" or value == "" then not_understood(kind, field, item) end
      values[#values + 1] = value
    end
  end)
  if ok then return distinct(values) end
  if (err.kind == "incomplete" or err.kind == "decode") and try < TRIES then return from_watchlist(client, kind, try + 1) end
  return nil, err
end

--- The streams of a pipeline. Returns an array of {dataset, entry = catalog entry, input = name, value = text}, or nil, err.
function scope.streams(plan, client)
  local streams, lists = {}, {}
  for _, name in ipairs(plan.datasets) do
    local entry = catalog.dataset(name)
    local values, err
    if plan.scope == "watchlists" then
      if not lists[entry.watchlist] then
        lists[entry.watchlist], err = from_watchlist(client, entry.watchlist, 1)
        if err then return nil, err end
      end
      values = lists[entry.watchlist]
    else
      values = distinct(plan.scope[entry.input] or {})
    end
    if #values == 0 then
      return nil, check.error("config", plan.scope == "watchlists"
        and ("%s: the watchlist \"%s\" is empty, so there is nothing to ask for; add items to it"):format(name, entry.watchlist)
        or ('%s needs inputs of the kind "%s"; add %s = { ... } to the scope'):format(name, entry.input, entry.input))
    end
    for _, value in ipairs(values) do
      streams[#streams + 1] = { dataset = name, entry = entry, input = entry.input, value = value }
    end
  end
  return streams
end

return scope

-- scope.lua: which inputs each dataset is asked for.
local catalog = require "defendis.catalog"
local check = require "defendis.check"

local scope = {}

-- The watchlist's items as inputs. The vendor does not document their fields; catalog.lua says which one is read.
local function from_watchlist(client, kind)
  local values, field = {}, catalog.kinds[kind]
  local ok, err = pcall(function()
    for item in client.watchlists[kind]:each{ pageSize = 100 } do
      local value = type(item) == "table" and item[field] or item
      if type(value) == "string" then values[#values + 1] = value end
    end
  end)
  if not ok then return nil, err end
  table.sort(values)
  return values
end

--- The streams of a pipeline. Returns an array of {dataset, entry = catalog entry, input = name, value = text}, or nil, err.
function scope.streams(plan, client)
  local streams, lists = {}, {}
  for _, name in ipairs(plan.datasets) do
    local entry = catalog.dataset(name)
    local values, err
    if plan.scope == "watchlists" then
      if not lists[entry.watchlist] then
        lists[entry.watchlist], err = from_watchlist(client, entry.watchlist)
        if err then return nil, err end
      end
      values = lists[entry.watchlist]
    else
      values = plan.scope[entry.input]
    end
    if not values or #values == 0 then
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

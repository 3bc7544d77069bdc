-- ledger.lua: does the ledger prove that nothing is missing?
local api = require("defendis.core").api

local ledger = {}

-- What is wrong with one window's row, or nil.
local function fault(row)
  if row.state ~= "closed" then return "not complete" .. (row.reason and ": " .. row.reason or "") end
  if row.received ~= row.unique + row.duplicate + row.dead then
    return ("received %d is not unique %d + duplicate %d + dead %d"):format(row.received, row.unique, row.duplicate, row.dead)
  end
  if row.normalized ~= row.unique then return ("normalized %d is not unique %d"):format(row.normalized, row.unique) end
  for sink, n in pairs(row.emitted) do
    if n ~= row.unique then return ("%s got %d of %d documents"):format(sink, n, row.unique) end
  end
  if row.announced and row.unique + row.dead < (row.pass_unique or 0) then
    return ("%d of %d records are accounted for"):format(row.unique + row.dead, row.pass_unique)
  end
end

--- Checks every window in between. filter: {from, to = days or nil}. Returns {windows, announced, received, unique, duplicate, dead,
-- problems = array of {dataset, input, from, to, message}}.
function ledger.verify(store, filter)
  local sum = { windows = 0, announced = 0, received = 0, unique = 0, duplicate = 0, dead = 0, problems = {} }
  local reached, first = {}, filter.from
  local function problem(row, from, to, message)
    sum.problems[#sum.problems + 1] = { dataset = row.dataset, input = row.input, from = api.date(from), to = api.date(to),
      message = message }
  end
  for row in store:windows{ from = filter.from, to = filter.to } do
    local key = row.dataset .. "\0" .. row.input
    local before = reached[key]
    local expected = before and before.to or first
    if expected and row.from > expected then problem(row, expected, row.from, "never walked") end
    if not before or row.to > before.to then reached[key] = row end
    sum.windows = sum.windows + 1
    for _, name in ipairs{ "announced", "received", "unique", "duplicate", "dead" } do sum[name] = sum[name] + (row[name] or 0) end
    local message = fault(row)
    if message then problem(row, row.from, row.to, message) end
  end
  for _, row in pairs(reached) do
    if filter.to and row.to < filter.to then problem(row, row.to, filter.to, "never walked") end
  end
  return sum
end

return ledger

-- ledger.lua: does the ledger prove that nothing is missing?
local api = require("defendis.core").api
local cursor = require "defendis.store.cursor"

local ledger = {}

-- The sinks of the last run, as a set; nil: not known, then every sink that was ever written to counts.
local function sinks_of(store)
  local names = store:meta("sinks")
  if not names then return nil end
  local set = {}
  for name in names:gmatch("[^\n]+") do set[name] = true end
  return set
end

-- What is wrong with one window's row, or nil.
local function fault(row, sinks)
  if row.state ~= "closed" then return "not complete" .. (row.reason and ": " .. row.reason or "") end
  if row.received ~= row.unique + row.duplicate + row.dead then
    return ("received %d is not unique %d + duplicate %d + dead %d"):format(row.received, row.unique, row.duplicate, row.dead)
  end
  if row.normalized ~= row.unique then return ("normalized %d is not unique %d"):format(row.normalized, row.unique) end
  for sink, n in pairs(row.emitted) do
    if n ~= row.unique and (not sinks or sinks[sink]) then return ("%s got %d of %d documents"):format(sink, n, row.unique) end
  end
  for sink, d in pairs(row.delivered) do
    -- more than there are: what was on its way when the window was reset
    if d.documents + d.dead < row.unique and (not sinks or sinks[sink]) then
      return ("%s took %d of %d documents%s"):format(sink, d.documents, row.unique, d.dead > 0 and (" and refused %d"):format(d.dead) or "")
    end
  end
  if row.announced and row.pass_received < row.announced then
    return ("only %d of %d announced records came"):format(row.pass_received, row.announced)
  end
end

--- The sinks that are served from the outbox: array of {sink, behind = documents it has yet to take, dead = refused for good}.
function ledger.sinks(store)
  local out, dead = {}, {}
  for sink, count in store:dead_by_sink() do dead[sink] = count end
  for i, d in ipairs(store:deliveries()) do out[i] = { sink = d.sink, behind = cursor.behind(store, d), dead = dead[d.sink] or 0 } end
  return out
end

--- Checks every window in between. filter: {from, to = days or nil}. Returns {windows, announced, received, unique, duplicate, dead,
-- sinks = as ledger.sinks, problems = array of {dataset, input, from, to, message}, or of {sink, message}}.
function ledger.verify(store, filter)
  local sum = { windows = 0, announced = 0, received = 0, unique = 0, duplicate = 0, dead = 0, sinks = ledger.sinks(store),
    problems = {} }
  local reached, first, sinks = {}, filter.from, sinks_of(store)
  local function problem(row, from, to, message)
    sum.problems[#sum.problems + 1] = { dataset = row.dataset, input = row.input, from = api.date(from), to = api.date(to),
      message = message }
  end
  for row in store:windows() do
    local key = row.dataset .. "\0" .. row.input
    local before = reached[key]
    if (first and row.to <= first) or (filter.to and row.from >= filter.to) then
      reached[key] = before or { dataset = row.dataset, input = row.input, to = first or row.from }
    else
      local expected = before and before.to or first
      if expected and row.from > expected then problem(row, expected, row.from, "never walked") end
      if not before or row.to > before.to then reached[key] = row end
      sum.windows = sum.windows + 1
      for _, name in ipairs{ "announced", "received", "unique", "duplicate", "dead" } do sum[name] = sum[name] + (row[name] or 0) end
      local message = fault(row, sinks)
      if message then problem(row, row.from, row.to, message) end
    end
  end
  for _, row in pairs(reached) do
    if filter.to and row.to < filter.to then problem(row, row.to, filter.to, "never walked") end
  end
  for _, s in ipairs(sum.sinks) do
    if s.behind > 0 then sum.problems[#sum.problems + 1] = { sink = s.sink, message = ("%d documents behind"):format(s.behind) } end
  end
  return sum
end

return ledger

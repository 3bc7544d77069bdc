-- aggregate.lua: what a correlation compares with its condition, kept up to date while events come into a window and leave it.
--
--   local a = aggregate.new(c)      c: a compiled and linked correlation
--   a.add(event), a.remove(event)   remove: one that was added
--   a.value()                       the number; nil when there is none (no event, or a ratio to nothing)
--   a.counts                        what is counted -> how often it is there
--
-- What is counted has an identity (the record, the value, the rule), so a repeated event changes nothing. The value depends on
-- what is in the window alone, never on the way there: sums are exact until they are rounded once, at the end.
local aggregate = {}

-- Ids are unique within a dataset only; a finding's is unique by itself.
local function record_key(c, event) return c.source[event.member] .. "\0" .. event.id end
local function value_key(_, event) return event.x end
local function rule_key(_, event) return event.member end
local function number_key(c, event) return record_key(c, event) .. "\0" .. event.x end

local function counter(c, key_of)
  local counts, n = {}, 0
  local a = { counts = counts }
  function a.add(event)
    local key = key_of(c, event)
    local had = counts[key]
    counts[key] = (had or 0) + 1
    if not had then n = n + 1 end
    return not had
  end
  function a.remove(event)
    local key = key_of(c, event)
    local left = counts[key] - 1
    counts[key] = left > 0 and left or nil
    if left == 0 then n = n - 1 end
    return left == 0
  end
  function a.value() return n > 0 and n or nil end
  return a
end

-- Floats whose exact sum is the sum of all that was added (Shewchuk): they grow apart, so nothing is lost.
local function exact_add(parts, x)
  local n = 0
  for i = 1, #parts do
    local y = parts[i]
    if math.abs(x) < math.abs(y) then x, y = y, x end
    local high = x + y
    local low = y - (high - x)
    if low ~= 0 then
      n = n + 1
      parts[n] = low
    end
    x = high
  end
  for i = #parts, n + 1, -1 do parts[i] = nil end
  if x ~= 0 then parts[n + 1] = x end
end

-- The parts' sum, rounded once.
local function exact_sum(parts)
  local i = #parts
  local high, low = parts[i] or 0.0, 0.0
  while i > 1 do
    i = i - 1
    local x = high
    high = x + parts[i]
    low = parts[i] - (high - x)
    if low ~= 0 then break end
  end
  -- halfway between two numbers it is the rest that decides
  if i > 1 and (low < 0) == (parts[i - 1] < 0) then
    local twice = low * 2
    if twice == high + twice - high then high = high + twice end
  end
  return high
end

local function short(x)
  return math.tointeger(x) or x
end

local function sum(c, mean)
  local a, parts = counter(c, number_key), {}
  local add, remove, count = a.add, a.remove, a.value
  function a.add(event)
    if add(event) then exact_add(parts, event.x + 0.0) end
  end
  function a.remove(event)
    if remove(event) then exact_add(parts, -event.x + 0.0) end
  end
  function a.value()
    local n = count()
    return n and short(mean and exact_sum(parts) / n or exact_sum(parts))
  end
  return a
end

-- The place of the first number that is not below x.
local function place(list, x)
  local low, high = 1, #list + 1
  while low < high do
    local mid = (low + high) // 2
    if list[mid] < x then low = mid + 1 else high = mid end
  end
  return low
end

-- Linear interpolation at rank p * (n - 1), counted from 0.
local function percentile(c, p)
  local a, list = counter(c, number_key), {}
  local add, remove = a.add, a.remove
  function a.add(event)
    if add(event) then table.insert(list, place(list, event.x), event.x) end
  end
  function a.remove(event)
    if remove(event) then table.remove(list, place(list, event.x)) end
  end
  function a.value()
    if #list == 0 then return nil end
    local rank = p / 100 * (#list - 1)
    local below = math.floor(rank)
    local low, high = list[below + 1], list[math.min(below + 2, #list)]
    return short(low + (high - low) * (rank - below))
  end
  return a
end

-- Records of the first rule for each one of the second.
local function ratio(c)
  local sides = { counter(c, record_key), counter(c, record_key) }
  local a = { counts = {} }
  function a.add(event) return sides[c.order[event.member]].add(event) end
  function a.remove(event) return sides[c.order[event.member]].remove(event) end
  function a.value()
    local below = sides[2].value()
    return below and short((sides[1].value() or 0) / below)
  end
  return a
end

local BY_TYPE = {
  event_count = function(c) return counter(c, record_key) end,
  value_count = function(c) return counter(c, value_key) end,
  temporal = function(c) return counter(c, rule_key) end,
  value_sum = function(c) return sum(c, false) end,
  value_avg = function(c) return sum(c, true) end,
  value_percentile = function(c) return percentile(c, c.condition.percentile or 50) end,
  value_median = function(c) return percentile(c, 50) end,
  ratio = ratio,
}
BY_TYPE.temporal_ordered, BY_TYPE.new_value = BY_TYPE.temporal, BY_TYPE.value_count
BY_TYPE.spike, BY_TYPE.session = BY_TYPE.event_count, BY_TYPE.event_count

function aggregate.new(c) return BY_TYPE[c.type](c) end

return aggregate

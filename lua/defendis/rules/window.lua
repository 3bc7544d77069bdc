-- window.lua: one correlation over the events of one group, in event-time order.
--
-- Pure: the events, how far they are decided already, and what was carried over, in; the firings out. An event at
-- time t sees (t - timespan, t]. What fires depends on the events alone, not on how they were cut into calls:
--   * events are sorted by (time, id, member); an event counts with those before it in that order;
--   * what is counted has an identity (the record, the value, the rule), so a repeated event changes nothing;
--   * after a firing at f nothing fires before f + suppress; f is all the state there is.
local correlation = require "defendis.rules.correlation"

local window = {}

local function record_key(c, event)
  local base = c.bases[c.order[event.member]]
  -- ids are unique within a dataset only
  return base.dataset .. "\0" .. event.id
end
local function value_key(_, event) return event.value end
local function rule_key(_, event) return event.member end

local KEY = { event_count = record_key, value_count = value_key, temporal = rule_key, temporal_ordered = rule_key }

-- Latest start of a run of rules 1..i in list order, kept per i; rules seen at one time count as being in order.
local function extend_chain(c, chain, event)
  local last, start = chain.last, chain.start
  last[c.order[event.member]] = event.time
  for i = 1, #c.bases do
    if last[i] == event.time then start[i] = i == 1 and event.time or start[i - 1] end
  end
  return start[#c.bases]
end

local function count_in(counts, key)
  local n = counts[key]
  counts[key] = (n or 0) + 1
  return n and 0 or 1
end

local function count_out(counts, key)
  local n = counts[key] - 1
  counts[key] = n > 0 and n or nil
  return n > 0 and 0 or -1
end

--- Runs correlation `c` over `events` (array, sorted, covering (since - timespan, until)); only events at or after
-- `since` may fire. `last` is the time of the last firing so far, or nil. Calls fire(first, i, count) for a firing at
-- events[i] whose window is events[first..i].
-- @return the time of the last firing, or nil
function window.run(c, events, since, last, fire)
  local key_of, timespan, suppress = KEY[c.type], c.timespan, c.suppress
  local counts, distinct, first = {}, 0, 1
  local chain = c.type == "temporal_ordered" and { last = {}, start = {} }
  local before = math.mininteger
  for i = 1, #events do
    local event = events[i]
    local t = event.time
    if t < before then error("events are not sorted by time", 2) end
    before = t
    while events[first].time <= t - timespan do
      distinct = distinct + count_out(counts, key_of(c, events[first]))
      first = first + 1
    end
    distinct = distinct + count_in(counts, key_of(c, event))
    local chained = not chain
    if chain then
      local start = extend_chain(c, chain, event)
      chained = start and start > t - timespan
    end
    if t >= since and chained and (not last or t - last >= suppress) and correlation.holds(c.condition, distinct) then
      last = t
      fire(first, i, distinct)
    end
  end
  return last
end

--- The same promise for a rule that suppresses: fire(i) for the first event, then for the first one after each silence.
function window.first_only(suppress, events, since, last, fire)
  for i = 1, #events do
    local t = events[i].time
    if t >= since and (not last or t - last >= suppress) then
      last = t
      fire(i)
    end
  end
  return last
end

return window

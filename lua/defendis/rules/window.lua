-- window.lua: one correlation over the events of one group, in event-time order: what fires while records come, and what fires when
-- a window closes. What waits for something that does not come is in silence.lua.
--
-- Pure: the events, how far they are decided already, and what was carried over, in; the firings out. What fires depends on the
-- events alone, not on how they were cut into calls. Events are sorted by (time, id, member), each once.
-- fire(f): f.first, f.last: places of the window's events; f.time; f.from, f.to: the window; f.value: what was compared.
local aggregate = require "defendis.rules.aggregate"
local condition = require "defendis.rules.condition"
local expression = require "defendis.rules.expression"

local window = {}

-- Latest start of a run of rules 1..i in list order, kept per i; rules seen at one time count as being in order.
local function extend_chain(c, chain, event)
  local last, start = chain.last, chain.start
  last[c.order[event.member]] = event.time
  for i = 1, #c.bases do
    if last[i] == event.time then start[i] = i == 1 and event.time or start[i - 1] end
  end
  return start[#c.bases]
end

local function holds(c, a, n)
  if c.expression then return expression.holds(c.expression, function(id) return a.counts[id] end) end
  return n and condition.holds(c.condition, n)
end

-- A window that looks back from each event: begins behind (t - `length`), holds `most` events at most. Returns its aggregate, and
-- slide(i, back_to): brings it to events[i], without those at or before back_to; returns the first place, and how many were pushed out.
local function sliding(c, events, most)
  local a, first, upto = aggregate.new(c), 1, 0
  return a, function(i, back_to)
    local pushed = 0
    while upto < i do
      upto = upto + 1
      a.add(events[upto])
    end
    while first <= upto and events[first].time <= back_to do
      a.remove(events[first])
      first = first + 1
    end
    while upto - first >= most do
      a.remove(events[first])
      first, pushed = first + 1, pushed + 1
    end
    return first, pushed
  end
end

--- Decides at each event: it sees (t - timespan, t]. Only events at or after `since` may fire; after a firing at f nothing fires before
-- f + suppress. last: the time of the last firing so far, or nil. Returns the time of the last firing, or nil, and how many events were
-- pushed out of a full window.
function window.slide(c, events, since, last, fire)
  local timespan, suppress, evicted = c.timespan, c.suppress, 0
  local a, slide = sliding(c, events, c.max_events)
  local chain = c.type == "temporal_ordered" and { last = {}, start = {} }
  for i = 1, #events do
    local t = events[i].time
    local first, pushed = slide(i, t - timespan)
    if t >= since then evicted = evicted + pushed end
    local chained = not chain
    if chain then
      local start = extend_chain(c, chain, events[i])
      chained = start and start > t - timespan
    end
    if t >= since and chained and (not last or t - last >= suppress) then
      local n = a.value()
      if holds(c, a, n) then
        last = t
        fire{ first = first, last = i, time = t, from = events[first].time, to = t, value = n }
      end
    end
  end
  return last, evicted
end

--- As slide, for the count of a window against the mean of the `reference` windows before it.
function window.spike(c, events, since, last, fire)
  local W, evicted = c.timespan, 0
  local now, slide_now = sliding(c, events, c.max_events)
  local before, slide_before = sliding(c, events, c.max_events * c.reference)
  local behind = 0
  for i = 1, #events do
    local t = events[i].time
    local first, pushed = slide_now(i, t - W)
    while events[behind + 1].time <= t - W do behind = behind + 1 end
    slide_before(behind, t - W - W * c.reference)
    if t >= since then evicted = evicted + pushed end
    if t >= since and (not last or t - last >= c.suppress) then
      local n, mean = now.value(), (before.value() or 0) / c.reference
      if n >= c.factor * mean and condition.holds(c.condition, n) then
        last = t
        fire{ first = first, last = i, time = t, from = events[first].time, to = t, value = n, mean = mean }
      end
    end
  end
  return last, evicted
end

--- Fires on a value that the group did not have in (t - timespan, t], when it had others.
function window.news(c, events, since, _, fire)
  local evicted = 0
  local a, slide = sliding(c, events, c.max_events)
  for i = 1, #events do
    local event = events[i]
    local _, pushed = slide(i, event.time - c.timespan)
    if event.time >= since then evicted = evicted + pushed end
    if event.time >= since and a.counts[event.x] == 1 and a.value() > 1 then
      fire{ first = i, last = i, time = event.time, from = event.time, to = event.time, new = event.x }
    end
  end
  return nil, evicted
end

-- The last event of the window that events[i] opens, and when it closes. A session ends when `gap` has passed without an event.
local function extent(c, events, i)
  local most = events[i].time + c.timespan
  local close, j = c.gap and math.min(most, events[i].time + c.gap) or most, i
  while events[j + 1] and events[j + 1].time < close do
    j = j + 1
    if c.gap then close = math.min(most, events[j].time + c.gap) end
  end
  return j, close
end

--- Decides when a window closes: [s, s + timespan) from the first event s that is in none before. Those that close by `to` are decided.
-- state: { free = where the last window closed, last = when the last one fired }, or nil. Returns the new one, and how many events full
-- windows did without.
function window.close(c, events, to, state, fire)
  local free, last, evicted, i = state and state.free, state and state.last, 0, 1
  while events[i] do
    if free and events[i].time < free then
      i = i + 1
    else
      local j, close = extent(c, events, i)
      if close > to then break end
      local begin = math.max(i, j - c.max_events + 1)
      local a = aggregate.new(c)
      for k = begin, j do a.add(events[k]) end
      local n = a.value()
      if c.measure == "duration" then n = (events[j].time - events[i].time) / 1000 end
      if n and condition.holds(c.condition, n) and (not last or close - last >= c.suppress) then
        last = close
        fire{ first = i, last = j, time = close, from = events[i].time, to = close, value = math.tointeger(n) or n }
      end
      free, evicted, i = close, evicted + begin - i, j + 1
    end
  end
  return free and { free = free, last = last }, evicted
end

--- The promise of a rule that suppresses: fire(i) for the first event, then for the first one after each silence.
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

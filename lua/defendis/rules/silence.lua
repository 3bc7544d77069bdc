-- silence.lua: correlations about what did not come, decided when it could not come any more. Pure, as window.lua is, with its fire.
local expression = require "defendis.rules.expression"

local silence = {}

-- By place: when a run of the affirmed rules in list order that begins there, or later, is complete.
local function finishes(c, events)
  local chain, best, out, i = c.chain, {}, {}, #events
  while i >= 1 do
    local t, here, j = events[i].time, {}, i
    while events[j] and events[j].time == t do
      here[events[j].member] = true
      j = j - 1
    end
    for k = #chain, 1, -1 do
      if here[chain[k]] then best[k] = k == #chain and t or best[k + 1] end
    end
    for k = j + 1, i do out[k] = best[1] end
    i = j
  end
  return out
end

-- Counts by rule in a part of the events that only moves forward: move(from, to) with the first place in it and the first behind it.
local function moving(events)
  local counts, first, behind = {}, 1, 1
  local function change(i, by)
    local member = events[i].member
    local n = (counts[member] or 0) + by
    counts[member] = n > 0 and n or nil
  end
  return counts, function(keep, time_behind)
    while events[behind] and events[behind].time < time_behind do
      change(behind, 1)
      behind = behind + 1
    end
    while first < behind and not keep(events[first].time) do
      change(first, -1)
      first = first + 1
    end
    return behind - 1
  end
end

--- A condition with `not`. Each record of an affirmed rule (with an order: of the first of them) at t opens [t, t + timespan), which is
-- decided when it ends: in (since, to]. What is negated must not be there, nor (without an order) in the timespan before t.
-- last: opening time of the last firing, or nil; suppress counts from there. Returns the new one.
function silence.unanswered(c, events, since, to, last, fire)
  local W, ordered = c.timespan, c.type == "temporal_ordered"
  local after, move_after = moving(events)
  local around, move_around = moving(events)
  local finish = ordered and finishes(c, events)
  local function has(id)
    if c.affirmed[id] or ordered then return after[id] end
    return around[id]
  end
  for i = 1, #events do
    local t = events[i].time
    if t + W > to then break end
    local upto = move_after(function(x) return x >= t end, t + W)
    move_around(function(x) return x > t - W end, t + W)
    local opens = c.affirmed[events[i].member] and (not ordered or events[i].member == c.chain[1])
    local in_order = not ordered or finish[i] and finish[i] < t + W
    if opens and in_order and t + W > since and (not last or t - last >= c.suppress) and expression.holds(c.expression, has) then
      local rules = 0
      for id in pairs(c.affirmed) do rules = rules + (after[id] and 1 or 0) end
      last = t
      fire{ first = i, last = upto, time = t + W, from = t, to = t + W, value = rules }
    end
  end
  return last
end

--- A record that is expected within the timespan after each one before, and for a group that is listed after `origin` (Unix ms, or
-- nil), did not come. Where groups are listed, no other is looked at. Silences whose last moment lies in
-- [since, to) are decided, each once.
function silence.absent(c, group, events, since, to, origin, fire)
  local function look(t, after, i)
    local moment = t + c.timespan
    if moment < since or moment >= to or after and after.time <= moment then return end
    fire{ first = i or 1, last = i or 0, time = moment, from = t, to = moment }
  end
  if c.entities and not c.listed[group] then return end
  if c.entities and origin and not (events[1] and events[1].time <= origin) then look(origin, events[1]) end
  for i = 1, #events do look(events[i].time, events[i + 1], i) end
end

return silence

-- events.lua: the part of the store that correlations stand on: events by group, and when each group last fired. Methods of defendis.store.
local core = require "defendis.core"

local DAY_MS <const> = 86400000

local events = {}

-- Eight bytes stand for a rule's id, so that an event's row does not repeat its text.
local function rule_key(self, rule)
  local key = self.rule_keys[rule]
  if not key then
    key = string.unpack("<i8", core.hash.key16(rule))
    self.rule_keys[rule] = key
  end
  return key
end

-- Adds an event to a correlation. value: number, string or nil. -> true when it is new, false when it was there (the
-- same time, id and member), or nil, err.
function events:add_event(rule, grp, time_ms, id, member, value)
  return self.db:insert_new("INSERT INTO event VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    self.rule_keys[rule] or rule_key(self, rule), time_ms // DAY_MS, grp, time_ms, id, member or "", value)
end

-- How many events a correlation has in [from_ms, to_ms).
function events:count_events(rule, from_ms, to_ms)
  return (self.db:row("SELECT count(*) FROM event WHERE rule = ? AND day BETWEEN ? AND ? AND time_ms >= ? AND time_ms < ?",
    rule_key(self, rule), from_ms // DAY_MS, (to_ms - 1) // DAY_MS, from_ms, to_ms))
end

-- for grp in ...: the groups with an event in [from_ms, to_ms), in byte order.
function events:groups_between(rule, from_ms, to_ms)
  return self.db:rows([[SELECT DISTINCT grp FROM event
    WHERE rule = ? AND day BETWEEN ? AND ? AND time_ms >= ? AND time_ms < ? ORDER BY grp]],
    rule_key(self, rule), from_ms // DAY_MS, (to_ms - 1) // DAY_MS, from_ms, to_ms)
end

-- for time_ms, id, member, value in ...: a group's events in [from_ms, to_ms) by time, id and member. One seek for each
-- day that has events of the rule, so that the cost does not follow the events of other groups.
function events:group_events(rule, grp, from_ms, to_ms)
  return self.db:rows([[WITH RECURSIVE days(d) AS (SELECT min(day) FROM event WHERE rule = ?1 AND day >= ?3
      UNION ALL SELECT (SELECT min(day) FROM event WHERE rule = ?1 AND day > d) FROM days WHERE d < ?4)
    SELECT time_ms, id, member, value FROM days CROSS JOIN event
    WHERE rule = ?1 AND day = d AND grp = ?2 AND time_ms >= ?5 AND time_ms < ?6 ORDER BY time_ms, id, member]],
    rule_key(self, rule), grp, from_ms // DAY_MS, (to_ms - 1) // DAY_MS, from_ms, to_ms)
end

-- Groups of consecutive rows.
local function gather(next_row, state, _, closing)
  local grp, time, id, member, value = next_row(state)
  return function()
    if not grp then return nil end
    local current, found, n = grp, {}, 0
    repeat
      n = n + 1
      found[n] = { time = time, id = id, member = member, value = value }
      grp, time, id, member, value = next_row(state)
    until grp ~= current
    return current, found
  end, nil, nil, closing
end

-- for grp, found in ...: the groups with an event in [from_ms, to_ms) and at least `least` in [from_ms - back_ms, to_ms), each with the
-- latter as an array of {time, id, member, value} by time, id and member. Sorts them all at once unless most would only be history;
-- then `least` is not heeded.
function events:each_group(rule, back_ms, from_ms, to_ms, least)
  local first = from_ms - back_ms
  if back_ms <= 4 * (to_ms - from_ms) then
    return gather(self.db:rows([[SELECT grp, time_ms, id, member, value FROM event
      WHERE rule = ?1 AND day BETWEEN ?2 AND ?3 AND time_ms >= ?4 AND time_ms < ?5 AND grp IN (
        SELECT grp FROM event WHERE rule = ?1 AND day BETWEEN ?2 AND ?3 AND time_ms >= ?4 AND time_ms < ?5
        GROUP BY grp HAVING count(*) >= ?6 AND max(time_ms) >= ?7)
      ORDER BY grp, time_ms, id, member]], rule_key(self, rule), first // DAY_MS, (to_ms - 1) // DAY_MS, first, to_ms, least or 1, from_ms))
  end
  local groups, state, control, closing = self:groups_between(rule, from_ms, to_ms)
  return function()
    control = groups(state, control)
    if not control then return nil end
    local found = {}
    for time, id, member, value in self:group_events(rule, control, first, to_ms) do
      found[#found + 1] = { time = time, id = id, member = member, value = value }
    end
    return control, found
  end, nil, nil, closing
end

-- Forgets the events of days that ended before before_ms (whole days, so that it costs what it removes), or the
-- firing states older than before_ms. -> rows removed, or nil, err.
function events:drop_events(rule, before_ms)
  return self.db:exec("DELETE FROM event WHERE rule = ? AND day < ?", rule_key(self, rule), before_ms // DAY_MS)
end
function events:drop_fired(rule, before_ms)
  return self.db:exec("DELETE FROM fired WHERE rule = ? AND time_ms < ?", rule_key(self, rule), before_ms)
end

-- What set_fired last kept for this rule and group (a short text), or nil.
function events:fired(rule, grp)
  return (self.db:row("SELECT state FROM fired WHERE rule = ? AND grp = ?", rule_key(self, rule), grp))
end

-- time_ms: when it may be dropped, see drop_fired. -> 1, or nil, err.
function events:set_fired(rule, grp, state, time_ms)
  return self.db:exec("INSERT OR REPLACE INTO fired VALUES(?, ?, ?, ?)", rule_key(self, rule), grp, state, time_ms)
end

return events

-- events.lua: the part of the store that correlations stand on: events by group, and when each group last fired. Methods of defendis.store.
--
-- Events lie in bodies (see core.events), one of a page, rule and day, in the order in which the pages came: adding them touches the end
-- of a day and nothing else; what is decided is sorted then. `at` is made of the rule's number (14 bits), the day (19) and a running
-- number (30).
local core = require "defendis.core"
local check = require "defendis.check"

local DAY_MS <const> = 86400000
local RULES <const> = 16383
local LATE <const> = 100000
local DAYS <const> = 262144 -- before and after 1970-01-01

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

-- The number of a rule in `at`, or nil when it has no events; made when `new`.
local function rule_number(self, rule, new)
  local no = self.rule_numbers[rule]
  if no then return no end
  no = self.db:row("SELECT no FROM event_rule WHERE rule = ?", rule_key(self, rule))
  if not no and new then
    no = (self.db:row "SELECT coalesce(max(no), 0) + 1 FROM event_rule")
    if no > RULES then return nil, check.error("store", "too many different correlations have used this state; begin a new one") end
    local ok, err = self.db:exec("INSERT INTO event_rule VALUES(?, ?)", no, rule_key(self, rule))
    if not ok then return nil, err end
  end
  self.rule_numbers[rule] = no
  return no
end

-- Where the events of a rule's day begin. Far days share one: times decide, not days.
local function bucket(no, day)
  if day < -DAYS then day = -DAYS end
  if day >= DAYS then day = DAYS - 1 end
  return no << 49 | day + DAYS << 30
end

-- The last place taken in a bucket.
local function last_of(self, at)
  local last = (self.db:row("SELECT max(at) FROM event WHERE at >= ? AND at < ?", at, at + (1 << 30)))
  return last or at
end

-- The place of a rule's next body of a day; or nil, err.
local function next_place(self, rule, day)
  local no, err = rule_number(self, rule, true)
  if not no then return nil, err end
  local at = bucket(no, day)
  local place = (self.last_event[at] or last_of(self, at)) + 1
  self.last_event[at] = place
  return place
end

-- Adds events to correlations; flush_events() writes them. list: rule, time_ms, group, id, member and value (number, string or nil) of
-- each, n values of the array in all. Events before floors[rule], or else before floor (Unix ms), are late and left out.
-- Late ones go to the table `late`, which keeps the newest LATE. -> how many were late,
-- and {rule -> how many}.
function events:add_events(list, n, floors, floor)
  local late, places = self.packer:add(list, n, floors, floor)
  if late == 0 then return 0, {} end
  local by = {}
  for _, at in ipairs(places) do
    by[list[at]] = (by[list[at]] or 0) + 1
    self.db:exec("INSERT INTO late(rule, time_ms, grp, id, member) VALUES(?, ?, ?, ?, ?)", list[at], list[at + 1], list[at + 2],
      list[at + 3], list[at + 4])
  end
  self.db:exec("DELETE FROM late WHERE n <= (SELECT max(n) FROM late) - ?", LATE)
  return late, by
end

-- Writes what was added since the last time. -> true, or nil, err.
function events:flush_events()
  local bodies = self.packer:take()
  for i = 1, #bodies, 4 do
    local place, err = next_place(self, bodies[i], bodies[i + 1])
    if not place then return nil, err end
    local ok
    ok, err = self.db:exec("INSERT INTO event VALUES(?, ?, CAST(? AS BLOB))", place, bodies[i + 2], bodies[i + 3])
    if not ok then return nil, err end
  end
  return true
end

-- The places of a rule's events in [from_ms, to_ms), as first and one behind the last; none when there are none.
local function places(self, rule, from_ms, to_ms)
  local no = rule_number(self, rule)
  if not no then return 0, 0 end
  return bucket(no, from_ms // DAY_MS), bucket(no, (to_ms - 1) // DAY_MS) + (1 << 30)
end

-- How many events a correlation has on the days of [from_ms, to_ms).
function events:count_events(rule, from_ms, to_ms)
  local first, last = places(self, rule, from_ms, to_ms)
  return (self.db:row("SELECT coalesce(sum(n), 0) FROM event WHERE at >= ? AND at < ?", first, last))
end

local BODIES <const> = "SELECT body FROM event WHERE at >= ? AND at < ?"
local STATES <const> = "SELECT body FROM fired WHERE at >= ? AND at < ? ORDER BY at"

-- The places of a rule's states, as first and one behind the last.
local function state_places(self, rule)
  local no = rule_number(self, rule) or 0
  return no << 49, no + 1 << 49
end

-- Writes a body of states, whose newest is of time_ms. -> 1, or nil, err.
local function write_states(self, rule, body, time_ms)
  local no, err = rule_number(self, rule, true)
  if not no then return nil, err end
  local last = self.db:row("SELECT max(at) FROM fired WHERE at >= ? AND at < ?", no << 49, no + 1 << 49) or no << 49
  return self.db:exec("INSERT INTO fired VALUES(?, ?, CAST(? AS BLOB))", last + 1, time_ms, body)
end

-- for grp, found, state, keep in ...: the groups with an event in [from_ms, to_ms) (or, with `silent`, before) and at least `least` in
-- [from_ms - back_ms, to_ms), in byte order, each with the latter as an array of {time, id, member, value} by time, id and member; what is
-- there twice counts once. state: what keep(state, time_ms) last kept for this rule and group (a short text), or nil; time_ms: when it
-- may be dropped, see drop_fired. limits: nil or {skim = {mode, span, gap, least, members, types}, see gather:skim, or nil: what is passed
-- over; most = groups at most, by their names alone; evicted = function(n), told at the end how many events of [from_ms, to_ms) (or, with
-- `silent`, before) that left out}.
function events:each_group(rule, back_ms, from_ms, to_ms, least, silent, limits)
  local from = math.max(from_ms - back_ms, math.mininteger + back_ms)
  local since = silent and from or from_ms
  local skim, evicted = limits and limits.skim, limits and limits.evicted
  local gather = core.events.gather(from, since, to_ms, least or 1, limits and limits.most)
  if skim then gather:skim(skim.mode, skim.span, skim.gap, skim.least, skim.members, skim.types) end
  if since > from then
    for body in self.db:rows(BODIES, places(self, rule, since, to_ms)) do gather:note(body) end
  end
  for body in self.db:rows(BODIES, places(self, rule, from, to_ms)) do gather:take(body) end
  for body in self.db:rows(STATES, state_places(self, rule)) do gather:states(body) end
  local current
  local function keep(state, time_ms) gather:keep(current, state, time_ms) end
  return function()
    while true do
      local found, state
      current, found, state = gather:next()
      if current == nil and evicted then evicted(gather:evicted()) end
      if current ~= false then return current, found, state, keep end
      local ok, err = write_states(self, rule, gather:kept())
      if not ok then error(err) end
    end
  end, nil, nil, gather
end

-- Forgets the events of days that ended before before_ms (whole days, so that it costs what it removes), or the oldest bodies of states
-- when all in them are older than before_ms. -> true or rows removed, or nil, err.
function events:drop_events(rule, before_ms)
  local no = rule_number(self, rule)
  if not no then return 0 end
  return self.db:exec("DELETE FROM event WHERE at >= ? AND at < ?", bucket(no, -DAYS), bucket(no, before_ms // DAY_MS))
end
function events:drop_fired(rule, before_ms)
  local first, last = state_places(self, rule)
  local keep = self.db:row("SELECT min(at) FROM fired WHERE at >= ? AND at < ? AND time_ms >= ?", first, last, before_ms) or last
  return self.db:exec("DELETE FROM fired WHERE at >= ? AND at < ?", first, keep)
end

-- What was last kept for this rule and group, or nil.
function events:fired(rule, grp)
  local state
  for body in self.db:rows(STATES, state_places(self, rule)) do state = core.events.state(body, grp) or state end
  return state
end

-- Keeps one group's state, as each_group's keep does. -> 1, or nil, err.
function events:set_fired(rule, grp, state, time_ms)
  local gather <close> = core.events.gather(0, 0, 0, 1)
  gather:keep(grp, state, time_ms)
  return write_states(self, rule, gather:kept())
end

return events

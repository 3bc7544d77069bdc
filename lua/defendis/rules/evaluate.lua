-- evaluate.lua: decides what is kept for one rule or correlation and one group. Methods of a set, see set.lua.
local fields = require "defendis.normalize.fields"
local dynamic = require "defendis.rules.dynamic"
local findings = require "defendis.rules.findings"
local silence = require "defendis.rules.silence"
local window = require "defendis.rules.window"

local evaluate = {}

local function listed(events)
  if type(events) == "table" then return events end
  local list = {}
  for event in events do list[#list + 1] = event end
  return list
end

-- What an event holds in `value`: x, and what it carries along. False when it holds something else: it is of an older version of the rules.
local function unpack_value(c, event)
  local own = event.value
  if #c.carry > 0 then
    local parts = type(own) == "string" and fields.parts(own)
    if not parts or #parts ~= #c.carry + 1 then return false end
    own, event.carry = parts[1] ~= fields.NONE and parts[1]:match("^%l%d+:(.*)$") or nil, table.move(parts, 2, #parts, 1, {})
    if c.numeric and own then own = math.tointeger(tonumber(own)) or tonumber(own) end
  end
  event.x = own
  if c.numeric then return type(own) == "number" end
  return not c.value_names or type(own) == "string"
end

-- The events that count, each once: mostly all of them.
local function kept_of(item, events)
  local list = listed(events)
  local kept, n, last = list, 0, nil
  for i = 1, #list do
    local event = list[i]
    if last and event.time < last.time then error("events are not sorted by time", 3) end
    local repeated = last and last.time == event.time and last.id == event.id and last.member == event.member
    if not repeated and (item.kind == "rule" or item.order[event.member] and unpack_value(item, event)) then
      n = n + 1
      if kept ~= list then kept[n] = event end
    elseif kept == list then
      kept = table.move(list, 1, n, 1, {})
    end
    last = event
  end
  return kept
end

-- The text of a field of a finding: from the group, else from the events if all agree; nil when neither has it.
local function field_of(c, name, parts, events, f)
  for i = 1, #c.group_by do
    if c.group_by[i] == name then return parts[i] end
  end
  for k = 1, #c.carry do
    if c.carry[k] == name and f.first <= f.last then
      local part = events[f.first].carry[k]
      for i = f.first + 1, f.last do
        if events[i].carry[k] ~= part then return nil end
      end
      return part
    end
  end
end

local function present(part) return part and part ~= fields.NONE and part or nil end

-- The event that a finding of c is for the outer correlation of member m: group and value, or nil and the counter for why not.
local function event_of(m, read)
  local group, out = "", nil
  for i, name in ipairs(m.groups) do
    local part = present(read(name)) or m.optional[i] and fields.NONE
    if not part then return nil, "missing_group" end
    group = group .. part
  end
  for _, name in ipairs(m.values or {}) do
    local part = present(read(name))
    if not part then return nil, "missing_value" end
    out = (out or "") .. part
  end
  if m.c.numeric then
    local number = out:match("^[in]%d+:(.*)$")
    if not number then return nil, "not_a_number" end
    out = math.tointeger(tonumber(number)) or tonumber(number)
  end
  local carried = {}
  for i, name in ipairs(m.carry) do carried[i] = present(read(name)) or fields.NONE end
  return group, fields.carrying(out, carried)
end

-- Hands a finding on to the correlations that count it: six values each, as apply gives events.
local function hand_on(self, c, group, events, f, id, out)
  local parts = fields.parts(group)
  for _, m in ipairs(c.members) do
    local outer, value = event_of(m, function(name) return field_of(c, name, parts, events, f) end)
    if outer then
      local at = out.n
      out[at + 1], out[at + 2], out[at + 3], out[at + 4], out[at + 5], out[at + 6] = m.c.id, f.time, outer, id, c.id, value
      out.n = at + 6
    else
      self.counters[value] = self.counters[value] + 1
    end
  end
end

local SLIDE = { new_value = window.news, spike = window.spike }

-- Returns the state to carry over, as text, and when it may be dropped, counted from it.
local function decide(c, group, events, since, to, state, origin, fire)
  local last = state and state.free
  local evicted = 0
  local at
  if c.mode == "slide" then
    last, evicted = (SLIDE[c.type] or window.slide)(c, events, since, last, fire)
    at = last
  elseif c.mode == "wait" then
    last = silence.unanswered(c, events, since, to, last, fire)
    at = last and last + c.timespan
  elseif c.mode == "absence" then
    silence.absent(c, group, events, since, to, origin, fire)
    last = nil
  else
    state, evicted = window.close(c, events, to, state, fire)
    if state then return state.last and ("%d:%d"):format(state.free, state.last) or tostring(state.free), state.free, evicted end
  end
  return last and tostring(last), at, evicted
end

local function read_state(state)
  local free, last = tostring(state):match("^(-?%d+):?(-?%d*)$")
  if not free then error("state is not from an evaluation", 3) end
  return { free = math.tointeger(tonumber(free)), last = math.tointeger(tonumber(last)) }
end

--- See set.lua.
function evaluate.evaluate(self, key, group, events, since, state, to, origin)
  local item = self.by_id[key]
  if not item then error(('no rule "%s"'):format(tostring(key)), 2) end
  if state then state = read_state(state) end
  to = to or math.maxinteger
  local out, handed, kept, faults = {}, { n = 0 }, kept_of(item, events), {}
  if item.kind == "rule" then
    local fired = window.first_only(item.suppress, kept, since, state and state.free, function(i)
      out[#out + 1] = findings.of_group(self.host, item, group, kept[i])
    end)
    return out, fired and tostring(fired), fired, handed, faults
  end
  local text, at, evicted = decide(item, group, kept, since, to, state, origin, function(f)
    local finding = findings.of_window(self.host, item, group, kept, f)
    if item.chooses then
      local level, title, context = dynamic.choose(self, item, dynamic.summary(finding), faults)
      finding.level, finding.title, finding.context = level, title or item.title, context
    end
    out[#out + 1] = finding
    if item.members[1] then hand_on(self, item, group, kept, f, finding.id, handed) end
  end)
  self.counters.evicted = self.counters.evicted + evicted
  return out, text, at, handed, faults
end

return evaluate

-- emit.lua: what a rule that matches leads to: findings, and events for correlations. Methods of a set, see set.lua.
local dynamic = require "defendis.rules.dynamic"
local fault = require "defendis.rules.fault"
local fields = require "defendis.normalize.fields"
local findings = require "defendis.rules.findings"
local filters = require "defendis.rules.filters"

local GROUPS_MAX <const> = 32

local emit = {}

--- Notes what a rule raised.
function emit.fault(self, id, raised, where)
  local list = self.result.faults
  list[#list + 1] = { rule = id, message = fault.text(raised, where) }
end

-- The group of a suppressing rule. A record without one is a group of its own: better one alert more than one lost.
local function dedup_group(self, rule, record, id)
  if not rule.dedup then return "" end
  local ok, key = self.call(rule.dedup, record)
  local group
  if ok and type(key) == "table" then
    group = #key > 0 and ""
    for i = 1, #key do
      local part = fields.part(key[i], self.host.scalar)
      group = group and part and group .. part
    end
  elseif ok then
    group = fields.part(key, self.host.scalar)
  end
  if not ok or not (group or key == nil or key == self.host.null) then
    self:fault(rule.id, ok and "dedup returned neither a value nor a list of values" or key, rule.dedup_where)
  end
  return group or "r" .. fields.tuple(id)
end

local function add_event(events, key, group, meta, member, value)
  local at = events.n
  events[at + 1], events[at + 2], events[at + 3] = key, meta.time, group
  events[at + 4], events[at + 5], events[at + 6] = meta.id, member, value
  events.n = at + 6
end

local function emit_own(self, rule, dataset, record, meta)
  local result = self.result
  local level, title, context = dynamic.choose(self, rule, record, result.faults)
  if rule.suppress and meta.time then
    local value = dynamic.pack(self.host, rule, level, title, context)
    add_event(result.events, rule.id, dedup_group(self, rule, record, meta.id), meta, rule.id, value)
    return
  end
  -- without a time there is no order to suppress in, and silence would lose the alert
  if rule.suppress then self.counters.no_time = self.counters.no_time + 1 end
  result.findings[#result.findings + 1] = findings.of_record(self.host, rule, dataset, meta.id, meta.time, level, title, context)
end

-- The value of a member's event: text or number or nil, and whether it is one; else the counter for why not.
local function value_of(self, m, record)
  local value
  if m.value_of then
    value = m.value_of(record)
  elseif m.c.numeric then
    value = fields.number(fields.get(record, m.value_paths[1], self.host.null), self.host.scalar)
    if not value then return nil, "not_a_number" end
  end
  if m.value_of and not value then return nil, "missing_value" end
  return value
end

local function emit_member(self, rule, m, record, meta)
  local counters, host = self.counters, self.host
  if not meta.time then
    counters.no_time = counters.no_time + 1
    return
  end
  local value, problem = value_of(self, m, record)
  if problem then
    counters[problem] = counters[problem] + 1
    return
  end
  if m.carry[1] then
    local parts = {}
    for i, path in ipairs(m.carry_paths) do parts[i] = fields.part(fields.get(record, path, host.null), host.scalar) or fields.NONE end
    value = fields.carrying(value, parts)
  end
  local group = m.group_of and m.group_of(record)
  if group then return add_event(self.result.events, m.c.id, group, meta, rule.id, value) end
  local groups, capped = fields.groups(record, m.group_paths, host.null, host.scalar, GROUPS_MAX)
  if capped then counters.group_capped = counters.group_capped + 1 end
  if not groups[1] then counters.missing_group = counters.missing_group + 1 end
  for i = 1, #groups do add_event(self.result.events, m.c.id, groups[i], meta, rule.id, value) end
end

--- What is to be done for a record that a rule matches, and no filter takes away.
function emit.matched(self, rule, dataset, record, meta)
  if rule.filters and filters.take(self, rule, record, self.result.faults) then return end
  if rule.alerts then emit_own(self, rule, dataset, record, meta) end
  local members, time, events = rule.members, meta.time, self.result.events
  for i = 1, #members do
    local m = members[i]
    local group, value = time and m.simple and m.group_of(record), nil
    if group and m.value_of then
      value = m.value_of(record)
      group = value and group
    end
    if group then -- most are so
      add_event(events, m.c.id, group, meta, rule.id, value)
    else
      emit_member(self, rule, m, record, meta)
    end
  end
end

return emit

-- set.lua: loaded rules at work: records in, documents, findings and events for correlation out.
--
--   set:datasets() -> sorted names
--   set:normalizer(dataset) -> { id, dataset, map, meta = function(record) -> id, time ms, id fault, time fault }
--   set:apply(dataset, record, { id = text, time = ms or nil }) -> result
--     VALID UNTIL THE NEXT apply OF THIS SET: its lists are reused, only what is in them may be kept
--     doc        the normalized document; the record itself when the dataset has no normalizer; nil when there is a
--     fault      { rule = normalizer's id, message }
--     findings   of rules that need no history (element: see findings.lua)
--     events     to be kept by (rule, group, time, id, member): six values each, one behind the other: the rule's key, time, group,
--                id, member, value; events.n is how many values. set:events() has them as tables
--     faults     { rule, message = "file:line: ..." }, of rules that raised; the record goes on
--   set:evaluate(key, group, events, since_ms, state) -> findings, new_state
--     events: array of, or iterator over, that key's and group's events, sorted by (time, id, member), covering
--     (since - timespan, until); those at or after `since` are decided now. A time is never cut in two.
--     state: nil, or what the last call returned: the time of the last firing. It may be dropped as soon as
--     until - state >= suppress_ms.
--     However events are cut into calls, the findings are the same.
--   set:correlations() -> { { key, timespan_ms, suppress_ms, least, datasets } ... }, with the rules that suppress; no group with
--     fewer than `least` events in a timespan fires
--   set.counters: missing_group, missing_value, group_capped, no_time: records that did not (fully) take part
--
-- apply is the hot path: nothing is allocated for a record that no rule matches, beyond what the rules do themselves.
-- Rules see the record itself, before the normalizer does; a rule that changes it changes it for all.
local fields = require "defendis.normalize.fields"
local normalizer = require "defendis.normalize.normalizer"
local fault = require "defendis.rules.fault"
local findings = require "defendis.rules.findings"
local rule_file = require "defendis.rules.rule"
local window = require "defendis.rules.window"

local pcall = pcall
local GROUPS_MAX = 32
local LEVELS = {}
for _, level in ipairs(rule_file.LEVELS) do LEVELS[level] = true end

local Set = {}
Set.__index = Set

local function clear(list)
  for i = #list, 1, -1 do list[i] = nil end
end

function Set:fault(id, raised, where)
  local list = self.result.faults
  list[#list + 1] = { rule = id, message = fault.text(raised, where) }
end

function Set:level_of(rule, record)
  if not rule.level_for then return rule.level end
  local ok, level = pcall(rule.level_for, record)
  if ok and (level == nil or LEVELS[level]) then return level or rule.level end
  self:fault(rule.id, ok and ("level_for returned %s, not a level"):format(tostring(level)) or level, rule.level_where)
  return rule.level
end

-- The group of a suppressing rule. A record without one is a group of its own: better one alert more than one lost.
function Set:dedup_group(rule, record, id)
  if not rule.dedup then return "" end
  local ok, key = pcall(rule.dedup, record)
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

function Set:add_event(key, group, meta, member, value)
  local events = self.result.events
  local at = events.n
  events[at + 1], events[at + 2], events[at + 3] = key, meta.time, group
  events[at + 4], events[at + 5], events[at + 6] = meta.id, member, value
  events.n = at + 6
end

function Set:emit_own(rule, dataset, record, meta)
  local result, level = self.result, self:level_of(rule, record)
  if rule.suppress and meta.time then
    self:add_event(rule.id, self:dedup_group(rule, record, meta.id), meta, rule.id, level)
    return
  end
  -- without a time there is no order to suppress in, and silence would lose the alert
  if rule.suppress then self.counters.no_time = self.counters.no_time + 1 end
  result.findings[#result.findings + 1] = findings.of_record(self.host, rule, dataset, meta.id, meta.time, level)
end

function Set:emit_member(rule, c, record, meta)
  local counters, host = self.counters, self.host
  if not meta.time then
    counters.no_time = counters.no_time + 1
    return
  end
  local value = c.value_of and c.value_of(record)
  if c.value_of and not value then
    counters.missing_value = counters.missing_value + 1
    return
  end
  local group = c.group_of and c.group_of(record)
  if group then return self:add_event(c.id, group, meta, rule.id, value) end
  local groups, capped = fields.groups(record, c.group_paths, host.null, host.scalar, GROUPS_MAX)
  if capped then counters.group_capped = counters.group_capped + 1 end
  if not groups[1] then counters.missing_group = counters.missing_group + 1 end
  for i = 1, #groups do self:add_event(c.id, groups[i], meta, rule.id, value) end
end

function Set:matched(rule, dataset, record, meta)
  if rule.alerts then self:emit_own(rule, dataset, record, meta) end
  for i = 1, #rule.members do self:emit_member(rule, rule.members[i], record, meta) end
end

function Set:plan(dataset)
  local plan = { normalizer = self.normalizers[dataset] or normalizer.default(dataset, self.host.null), rules = {} }
  for _, rule in ipairs(self.rules) do
    if rule.dataset == dataset then plan.rules[#plan.rules + 1] = rule end
  end
  self.plans[dataset] = plan
  return plan
end

function Set:normalizer(dataset) return (self.plans[dataset] or self:plan(dataset)).normalizer end

function Set:apply(dataset, record, meta)
  local result = self.result
  if result.findings[1] then clear(result.findings) end
  result.events.n = 0
  if result.faults[1] then clear(result.faults) end
  local plan = self.plans[dataset] or self:plan(dataset)
  local rules = plan.rules
  for i = 1, #rules do
    local rule = rules[i]
    local ok, hit = pcall(rule.match, record)
    if not ok then
      self:fault(rule.id, hit, rule.where)
    elseif hit then
      self:matched(rule, dataset, record, meta)
    end
  end
  local map = plan.normalizer.map
  result.doc, result.fault = record, nil
  if map then
    local ok, doc = pcall(map, record)
    if ok and type(doc) == "table" then
      result.doc = doc
    else
      result.doc = nil
      result.fault = { rule = plan.normalizer.id, message = fault.text(
        ok and ("map returned %s, a table expected"):format(type(doc)) or doc, fault.where(map)) }
    end
  end
  return result
end

--- What the last apply asks to remember: an array of { rule, group, time, id, member, value }, for evaluate.
function Set:events()
  local out, list = {}, self.result.events
  for at = 1, list.n, 6 do
    out[#out + 1] = { rule = list[at], time = list[at + 1], group = list[at + 2], id = list[at + 3], member = list[at + 4],
      value = list[at + 5] }
  end
  return out
end

local function next_of(events)
  if type(events) == "function" then return events end
  local i = 0
  return function()
    i = i + 1
    return events[i]
  end
end

-- An event stored by an older version of the rules may name a member that is no more, or lack the value.
local function still_counts(item, event)
  return item.kind == "rule" or (item.order[event.member] and (event.value or not item.value_paths))
end

function Set:evaluate(key, group, events, since, state)
  local item = self.by_id[key]
  if not item then error(('no rule "%s"'):format(tostring(key)), 2) end
  local last = state and (math.tointeger(tonumber(state)) or error("state is not from an evaluation", 2))
  local out, kept, fired = {}, {}
  for event in next_of(events) do
    if still_counts(item, event) then kept[#kept + 1] = event end
  end
  if item.kind == "rule" then
    fired = window.first_only(item.suppress, kept, since, last, function(i)
      out[#out + 1] = findings.of_group(self.host, item, group, kept[i])
    end)
  else
    fired = window.run(item, kept, since, last, function(first, i, count)
      out[#out + 1] = findings.of_window(self.host, item, group, kept, first, i, count)
    end)
  end
  return out, fired and tostring(fired)
end

local function datasets_of(item)
  local seen, out = {}, {}
  for _, base in ipairs(item.kind == "rule" and { item } or item.bases) do
    if not seen[base.dataset] then
      seen[base.dataset] = true
      out[#out + 1] = base.dataset
    end
  end
  table.sort(out)
  return out
end

function Set:correlations()
  local out = {}
  for _, item in ipairs(self.items) do
    if item.kind == "correlation" or (item.alerts and item.suppress) then
      out[#out + 1] = { key = item.id, timespan_ms = item.timespan or item.suppress, suppress_ms = item.suppress,
        least = item.least or 1, datasets = datasets_of(item) }
    end
  end
  return out
end

function Set:datasets()
  local seen, out = {}, {}
  local function add(name)
    if not seen[name] then
      seen[name] = true
      out[#out + 1] = name
    end
  end
  for name in pairs(self.normalizers) do add(name) end
  for _, rule in ipairs(self.rules) do add(rule.dataset) end
  table.sort(out)
  return out
end

--- A set of compiled parts; rules/init.lua makes them.
-- @param parts { normalizers = by dataset, rules = array, items = rules and correlations, by_id, definitions, filters }
return {
  new = function(parts, host)
    local self = setmetatable(parts, Set)
    self.host, self.plans = host, {}
    for _, c in ipairs(self.items) do
      if c.value_paths then c.value_of = fields.reader(c.value_paths, host.null, host.scalar) end
      if c.group_paths and #c.group_paths == 1 then c.group_of = fields.reader(c.group_paths, host.null, host.scalar) end
    end
    self.counters = { missing_group = 0, missing_value = 0, group_capped = 0, no_time = 0 }
    self.result = { doc = nil, fault = nil, findings = {}, events = { n = 0 }, faults = {} }
    return self
  end,
}

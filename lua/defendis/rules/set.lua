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
--   set:evaluate(key, group, events, since_ms, state, to_ms, origin_ms) -> findings, new_state, its time in ms, handed, faults
--     events: array of, or iterator over, that key's and group's events, sorted by (time, id, member), covering
--     [since - back, to); records at or after `since` and windows that close by `to` (default: all) are decided now. A time is never
--     cut in two. origin: where the pipeline begins, for absence
--     state: nil, or what the last call returned. It may be dropped when its time is further behind `to` than keep_ms.
--     handed: events for correlations of this one, as apply gives events; faults: as of apply
--     However events are cut into calls, the findings are the same.
--   set:correlations() -> { { key, timespan_ms, suppress_ms, back_ms, keep_ms, least, silent, skim, max_groups, entities, alerts,
--     datasets } ... }, inner ones before outer ones, with the rules that suppress. No group with fewer than `least` events in
--     [since - back, to) fires; with `silent` groups without a new event are to be evaluated too, and those in `entities` without any;
--     without `alerts` its findings are for outer ones only; skim: what else can be passed over, see link.lua; max_groups: of a day,
--     others are left out
--   set:hide(hidden, acting): hidden = { dataset -> what the host hides of its records }, kept in set.hidden; of these datasets
--     acting.id, dataset and record say from then on whose function is at work on what
--   set.counters: missing_group, missing_value, not_a_number, group_capped, no_time: records (or findings of inner correlations) that did
--     not (fully) take part; evicted: events that full windows (max_events) and correlations (max_groups) did without
--
-- apply is the hot path: nothing is allocated for a record that no rule matches, beyond what the rules do themselves.
-- Rules see the record itself, before the normalizer does; a rule that changes it changes it for all.
local fields = require "defendis.normalize.fields"
local normalizer = require "defendis.normalize.normalizer"
local declared = require "defendis.rules.declared"
local emit = require "defendis.rules.emit"
local evaluate = require "defendis.rules.evaluate"
local fault = require "defendis.rules.fault"
local scan = require "defendis.rules.scan"

local Set = {}
Set.__index = Set
Set.fault, Set.matched, Set.evaluate = emit.fault, emit.matched, evaluate.evaluate

local function clear(list)
  for i = #list, 1, -1 do list[i] = nil end
end

function Set:plan(dataset)
  local host = self.host
  local plan = { normalizer = self.normalizers[dataset] or host.normalize and normalizer.shipped(dataset, host.normalize, host)
    or normalizer.default(dataset, host.null), rules = {}, shapes = {} }
  for _, rule in ipairs(self.rules) do
    if rule.dataset == dataset then table.insert(rule.declared and plan.shapes or plan.rules, rule) end
  end
  plan.declared = declared.plan(plan.shapes, host.null)
  plan.acting = self.hidden and self.hidden[dataset] and self.acting or nil
  self.plans[dataset] = plan
  return plan
end

--- Does a declarative map need the key of HMACs? rekey(key) gives it to them.
function Set:keyed()
  for _, n in pairs(self.normalizers) do
    if n.source then return true end
  end
  return false
end

function Set:rekey(key)
  for _, n in pairs(self.normalizers) do
    if n.source then
      n.source.key = key
      n.program, n.map = self.host.map(n.source)
    end
  end
end

function Set:hide(hidden, acting) self.hidden, self.acting, self.plans = hidden, acting, {} end

function Set:normalizer(dataset) return (self.plans[dataset] or self:plan(dataset)).normalizer end

--- What writes documents of the dataset without tables, or nil; and whether rules look at its records.
function Set:program(dataset)
  local plan = self.plans[dataset] or self:plan(dataset)
  return plan.normalizer.program, plan.rules[1] ~= nil or plan.declared ~= nil
end

--- As apply, without the document, and events are added to those that are there.
function Set:look(dataset, record, meta)
  local result = self.result
  if result.findings[1] then clear(result.findings) end
  if result.faults[1] then clear(result.faults) end
  scan(self, self.plans[dataset] or self:plan(dataset), dataset, record, meta)
  return result
end

--- Forgets the events, which `look` and `document` add to. Returns the list that they are added to.
function Set:forget_events()
  self.result.events.n = 0
  return self.result.events
end

function Set:apply(dataset, record, meta)
  self:forget_events()
  return self:document(dataset, record, meta)
end

--- As apply, and events are added to those that are there.
function Set:document(dataset, record, meta)
  local result = self:look(dataset, record, meta)
  local plan = self.plans[dataset]
  local map = plan.normalizer.map
  result.doc, result.fault = record, nil
  if map then
    if plan.acting then plan.acting.id = plan.normalizer.id end
    local ok, doc = self.call(map, record)
    if ok and type(doc) == "table" then
      result.doc = doc
    else
      result.doc = nil
      result.fault = { rule = plan.normalizer.id, message = fault.text(
        ok and ("map returned %s, a table expected"):format(type(doc)) or doc, plan.normalizer.where or fault.where(map)) }
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

local function add_datasets(item, seen, out)
  if item.dataset and not seen[item.dataset] then
    seen[item.dataset] = true
    out[#out + 1] = item.dataset
  end
  for _, base in ipairs(item.bases or {}) do add_datasets(base, seen, out) end
  return out
end

local function datasets_of(item)
  local out = add_datasets(item, {}, {})
  table.sort(out)
  return out
end

function Set:correlations()
  local out = {}
  for _, item in ipairs(self.items) do
    if item.kind == "correlation" or (item.alerts and item.suppress) then
      local timespan = item.timespan or item.suppress
      out[#out + 1] = { key = item.id, timespan_ms = timespan, suppress_ms = item.suppress, back_ms = item.back or timespan,
        keep_ms = item.keep or item.suppress, least = item.least or 1, silent = item.mode ~= nil and item.mode ~= "slide",
        skim = item.skim, max_groups = item.max_groups, entities = item.entities, alerts = item.alerts, datasets = datasets_of(item) }
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
    self.host, self.plans, self.call = host, {}, host.call or pcall
    self.place, self.hits = { at = 0 }, {}
    for _, item in ipairs(self.rules) do
      for _, m in ipairs(item.members) do
        if m.value_paths and not m.c.numeric then m.value_of = fields.reader(m.value_paths, host.null, host.scalar) end
        if #m.group_paths == 1 and not m.optional[1] then m.group_of = fields.reader(m.group_paths, host.null, host.scalar) end
        m.simple = m.group_of and not m.c.numeric and not m.carry[1]
      end
    end
    self.counters = { missing_group = 0, missing_value = 0, not_a_number = 0, group_capped = 0, no_time = 0, evicted = 0 }
    self.result = { doc = nil, fault = nil, findings = {}, events = { n = 0 }, faults = {} }
    return self
  end,
}

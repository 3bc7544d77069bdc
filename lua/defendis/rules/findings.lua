-- findings.lua: the finding document.
--
--   id               UUIDv5 of rule and record; for a correlation of rule, group, window start and first record
--   rule             { id, title, version }      type "match" | "correlation"      title, level, tags
--   time             event time in ms of the record that made it, or when the window closed; absent when the record has none
--   window           { from, to } in ms: first and last record that were counted, or where the window closed   (correlation)
--   count            what the condition was compared with, when that is a count                                (correlation)
--   value            the same, when it is a sum, mean, percentile, ratio or duration in seconds; or the new value
--   mean             of a spike: the mean count of the windows before
--   group            field -> value; { dedup = {...} } for a rule that suppresses
--   context          what the rule's or correlation's function `context` says; absent without one
--   evidence         { id, time, dataset } of the records, oldest first, at most 100; { id, time, correlation } of findings
--   evidence_total   how many records there are
local fields = require "defendis.normalize.fields"
local dynamic = require "defendis.rules.dynamic"

local findings = {}

local NAMESPACE = "6f0c2b3e-5d7a-4c8e-9a41-3b7d20c5e816"
local EVIDENCE_MAX = 100
local MEASURED = { value_sum = true, value_avg = true, value_percentile = true, value_median = true, ratio = true }

local function base(host, item, kind, id_text, time, level)
  return { id = host.uuid5(NAMESPACE, id_text), rule = item.ref, type = kind, title = item.title, level = level,
    time = time, tags = item.tags, evidence = host.array{} }
end

--- The finding of a rule on one record; `time` may be nil, and `title` and `context`.
function findings.of_record(host, rule, dataset, id, time, level, title, context)
  local finding = base(host, rule, "match", fields.tuple(rule.id, id), time, level)
  finding.title, finding.context = title or rule.title, context
  finding.evidence[1] = { id = id, time = time, dataset = dataset }
  finding.evidence_total = 1
  return finding
end

--- The finding of a rule that suppresses, for the first event of a group; the event carries level, title and context in `value`.
function findings.of_group(host, rule, group, event)
  local level, title, context = dynamic.unpack(host, event.value)
  local finding = findings.of_record(host, rule, rule.dataset, event.id, event.time, level or rule.level, title, context)
  local values = group ~= "" and fields.untuple(group)
  if values then finding.group = { dedup = host.array(values) } end
  return finding
end

-- Events as references, each record once: fills finding.evidence and returns how many there are.
local function gather(c, finding, events, first, last)
  local seen, total = {}, 0
  for i = first, last do
    local event = events[i]
    local source = c.bases[c.order[event.member]]
    local key = c.source[event.member] .. "\0" .. event.id
    if not seen[key] then
      seen[key], total = true, total + 1
      local inner = not source.dataset and source.id or nil
      if total <= EVIDENCE_MAX then
        finding.evidence[total] = { id = event.id, time = event.time, dataset = source.dataset, correlation = inner }
      end
    end
  end
  return total
end

--- The finding of correlation `c` for what fired (see window.lua) in one group.
function findings.of_window(host, c, group, events, f)
  -- nothing opens the window of a listed group that never had a record
  local opener = f.first <= f.last and events[f.first] or { time = f.from, id = "" }
  local finding = base(host, c, "correlation", fields.tuple(c.id, group, opener.time, opener.id), f.time, c.level)
  finding.evidence_total = gather(c, finding, events, f.first, f.last)
  finding.window = { from = f.from, to = f.to }
  if MEASURED[c.type] or c.measure == "duration" then finding.value = f.value else finding.count = f.value end
  finding.mean = f.mean
  if f.new then
    local values = fields.untuple(f.new)
    finding.value = #values == 1 and values[1] or host.array(values)
  end
  finding.group = {}
  for i, value in ipairs(fields.untuple(group, host.null)) do finding.group[c.group_by[i]] = value end
  return finding
end

return findings

-- findings.lua: the finding document.
--
--   id               UUIDv5 of rule and record; for a correlation of rule, group, window start and first record
--   rule             { id, title, version }      type "match" | "correlation"      title, level, tags
--   time             event time in ms of the record that made it; absent when the record has none
--   window           { from, to } in ms: first and last record that were counted   (correlation)
--   count            what the condition was compared with                          (correlation)
--   group            field -> value; { dedup = {...} } for a rule that suppresses
--   evidence         { id, time, dataset } of the records, oldest first, at most 100
--   evidence_total   how many records there are
local fields = require "defendis.normalize.fields"

local findings = {}

local NAMESPACE = "6f0c2b3e-5d7a-4c8e-9a41-3b7d20c5e816"
local EVIDENCE_MAX = 100

local function base(host, item, kind, id_text, time, level)
  return { id = host.uuid5(NAMESPACE, id_text), rule = item.ref, type = kind, title = item.title, level = level,
    time = time, tags = item.tags, evidence = host.array{} }
end

--- The finding of a rule on one record; `time` may be nil.
function findings.of_record(host, rule, dataset, id, time, level)
  local finding = base(host, rule, "match", fields.tuple(rule.id, id), time, level)
  finding.evidence[1] = { id = id, time = time, dataset = dataset }
  finding.evidence_total = 1
  return finding
end

--- The finding of a rule that suppresses, for the first event of a group; the event carries the level in `value`.
function findings.of_group(host, rule, group, event)
  local finding = findings.of_record(host, rule, rule.dataset, event.id, event.time, event.value or rule.level)
  local values = group ~= "" and fields.untuple(group)
  if values then finding.group = { dedup = host.array(values) } end
  return finding
end

--- The finding of correlation `c` for the window events[first..last] of one group.
function findings.of_window(host, c, group, events, first, last, count)
  local opener, closer = events[first], events[last]
  local finding = base(host, c, "correlation", fields.tuple(c.id, group, opener.time, opener.id), closer.time, c.level)
  local seen, total, evidence = {}, 0, finding.evidence
  for i = first, last do
    local event = events[i]
    local dataset = c.bases[c.order[event.member]].dataset
    local key = dataset .. "\0" .. event.id
    if not seen[key] then
      seen[key], total = true, total + 1
      if total <= EVIDENCE_MAX then evidence[total] = { id = event.id, time = event.time, dataset = dataset } end
    end
  end
  finding.evidence_total, finding.count = total, count
  finding.window = { from = opener.time, to = closer.time }
  finding.group = {}
  for i, value in ipairs(fields.untuple(group)) do finding.group[c.group_by[i]] = value end
  return finding
end

return findings

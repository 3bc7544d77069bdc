-- rule.lua: a rule of one record: which records it is about, and what its finding says.
--
--   rule.validate(options) -> nil | message, path
--   rule.compile(options)  -> the record that set.lua works with
--   rule.SPEC: the fields
--
-- Without `dedup` and `suppress` each matching record is a finding. With either, the first record of a group is, and
-- the group is then quiet for `suppress` of event time (default 24h). `suppress` alone makes the whole rule one group.
local check = require "defendis.check"
local time = require "defendis.time"
local declared = require "defendis.rules.declared"
local dynamic = require "defendis.rules.dynamic"
local fault = require "defendis.rules.fault"

local rule = {}

rule.LEVELS = dynamic.LEVELS

--- A span of time longer than zero.
function rule.span(v)
  local ms, message = time.span(v)
  if not ms then return message end
  if ms == 0 then return "a span longer than zero expected" end
end
check.typed('span such as "24h"', rule.span)

local function match(v)
  if type(v) == "table" then return declared.validate(v) end
  return check.func(v)
end
check.typed("function, or table of fields", match)

--- Fields that describe a rule or correlation and change nothing of what it does.
rule.META = {
  name = check.field(check.text, "a short name, by which correlations and filters may call it instead of by its id"),
  description = check.field(check.string, "for people"),
  version = check.field(check.any, "for people; findings carry it"),
  author = check.field(check.string, "for people"),
  status = check.field(check.string, "for people"),
  date = check.field(check.string, "for people: when it was written"),
  modified = check.field(check.string, "for people: when it was changed"),
  references = check.field(check.list(check.string), "for people: addresses to read more"),
  falsepositives = check.field(check.list(check.string), "for people: what it is wrong about"),
  tags = check.field(check.list(check.text), "go into the finding, such as attack.t1078"),
}

rule.SPEC = {
  id = check.required(check.text, "tells it apart for ever; a new one makes new findings"),
  title = check.required(check.text, "the title of its findings"),
  dataset = check.required(check.text, "the dataset whose records it sees, by its name in the catalog"),
  level = check.required(check.one_of(rule.LEVELS), "the level of its findings"),
  match = check.required(match, "function(record): true when the record is one; or a table of fields, all of which must hold"),
  dedup = check.field(check.func, "function(record): a value or list; only the first record with it is a finding, until suppress is over"),
  suppress = check.field(rule.span, "how long a group of dedup is quiet; without dedup the whole rule is one group", "24h"),
  generate = check.field(check.boolean, "true: alert also though a correlation counts its records", false),
  tests = check.field(check.list(check.shape{
    name = check.required(check.text, "what the test shows"),
    record = check.required(check.table, "the record that match is given"),
    match = check.required(check.boolean, "whether it is to match"),
    level = dynamic.TEST.level, title = dynamic.TEST.title, context = dynamic.TEST.context,
  }), "its tests; one that matches and one that does not are needed"),
}
for k, v in pairs(rule.META) do rule.SPEC[k] = v end
for k, v in pairs(dynamic.fields "record") do rule.SPEC[k] = v end

function rule.validate(options) return check.options(options, rule.SPEC) end

function rule.compile(options, null)
  local streamed = (options.dedup or options.suppress) and true or false
  local shape = type(options.match) == "table" and declared.compile(options.match, null) or nil
  local compiled = {
    kind = "rule", id = options.id, dataset = options.dataset, title = options.title, level = options.level,
    ref = { id = options.id, title = options.title, version = options.version }, tags = options.tags or {},
    match = shape and shape.match or options.match, declared = shape, dedup = options.dedup,
    where = not shape and fault.where(options.match) or nil,
    dedup_where = options.dedup and fault.where(options.dedup),
    suppress = streamed and time.span(check.given(options, rule.SPEC, "suppress")) or nil,
    generate = options.generate or false,
    members = {}, -- correlations that count this rule's records; filled when references are resolved
  }
  dynamic.compile(options, compiled)
  return compiled
end

return rule

-- rule.lua: a rule of one record: which records it is about, and what its finding says.
--
--   rule.validate(options) -> nil | message, path
--   rule.compile(options)  -> the record that set.lua works with
--
-- Without `dedup` and `suppress` each matching record is a finding. With either, the first record of a group is, and
-- the group is then quiet for `suppress` of event time (default 24h). `suppress` alone makes the whole rule one group.
local check = require "defendis.check"
local time = require "defendis.time"
local declared = require "defendis.rules.declared"
local fault = require "defendis.rules.fault"

local rule = {}

rule.LEVELS = { "informational", "low", "medium", "high", "critical" }
local SUPPRESS_DEFAULT = "24h"

--- A span of time longer than zero.
function rule.span(v)
  local ms, message = time.span(v)
  if not ms then return message end
  if ms == 0 then return "a span longer than zero expected" end
end

--- Fields that describe a rule or correlation and change nothing of what it does.
rule.META = {
  name = check.text, description = check.string, version = check.any, author = check.string, status = check.string,
  date = check.string, modified = check.string, references = check.list(check.string),
  falsepositives = check.list(check.string),
}

local SPEC = {
  id = check.required(check.text),
  title = check.required(check.text),
  dataset = check.required(check.text),
  level = check.required(check.one_of(rule.LEVELS)),
  match = check.required(function(v)
    if type(v) == "table" then return declared.validate(v) end
    return check.func(v)
  end),
  level_for = check.func,
  dedup = check.func,
  suppress = rule.span,
  generate = check.boolean,
  tags = check.list(check.text),
  tests = check.list(check.shape{
    name = check.required(check.text), record = check.required(check.table), match = check.required(check.boolean),
    level = check.one_of(rule.LEVELS),
  }),
}
for k, v in pairs(rule.META) do SPEC[k] = v end

function rule.validate(options) return check.options(options, SPEC) end

function rule.compile(options, null)
  local streamed = (options.dedup or options.suppress) and true or false
  local shape = type(options.match) == "table" and declared.compile(options.match, null) or nil
  return {
    kind = "rule", id = options.id, dataset = options.dataset, title = options.title, level = options.level,
    ref = { id = options.id, title = options.title, version = options.version }, tags = options.tags or {},
    match = shape and shape.match or options.match, declared = shape, level_for = options.level_for, dedup = options.dedup,
    where = not shape and fault.where(options.match) or nil,
    level_where = options.level_for and fault.where(options.level_for),
    dedup_where = options.dedup and fault.where(options.dedup),
    suppress = streamed and time.span(options.suppress or SUPPRESS_DEFAULT) or nil,
    generate = options.generate or false,
    members = {}, -- correlations that count this rule's records; filled when references are resolved
  }
end

return rule

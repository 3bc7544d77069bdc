-- filter.lua: a filter, which takes records away from rules that stand elsewhere.
--
--   filter.validate(options) -> nil | message, path
--   filter.compile(options, null) -> { kind, id, dataset, names, takes = function(record), where }
--   filter.SPEC: the fields
local check = require "defendis.check"
local declared = require "defendis.rules.declared"
local fault = require "defendis.rules.fault"
local rule = require "defendis.rules.rule"

local filter = {}

filter.SPEC = {
  id = check.required(check.text, "tells it apart for ever"),
  title = check.required(check.text, "what it takes away, for people"),
  rules = check.required(check.list(check.text, 1), 'ids or names of the rules that it is in front of; { "any" }: all of its dataset'),
  dataset = check.field(check.text, 'the dataset of these rules; needed for { "any" }'),
  match = check.required(rule.SPEC.match.validate,
    "function(record): true takes the record away from these rules; or a table of fields, all of which must hold"),
  tests = check.field(check.list(check.shape{
    name = check.required(check.text, "what the test shows"),
    record = check.required(check.table, "the record that match is given"),
    match = check.required(check.boolean, "whether it is to be taken away"),
  }), "its tests; one that matches and one that does not are needed"),
}
for _, name in ipairs{ "description", "version", "author", "status", "date", "modified", "references" } do
  filter.SPEC[name] = rule.META[name]
end
filter.SPEC.version = check.field(check.any, "for people")

function filter.validate(options)
  local message, path = check.options(options, filter.SPEC)
  if message then return message, path end
  if options.rules[1] == "any" and not options.rules[2] and not options.dataset then
    return 'missing required field "dataset", of all of whose rules "any" stands for', { "dataset" }
  end
end

function filter.compile(options, null)
  local shape = type(options.match) == "table" and declared.compile(options.match, null) or nil
  return { kind = "filter", id = options.id, dataset = options.dataset, names = options.rules,
    takes = shape and shape.match or options.match, declared = shape, where = not shape and fault.where(options.match) or nil }
end

return filter

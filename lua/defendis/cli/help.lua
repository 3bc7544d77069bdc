-- help.lua: `defendis help [TOPIC]`: the fields of rule and pipeline files, expressions, helpers, sink options.
local check = require "defendis.check"
local reference = require "defendis.reference"
local ui = require "defendis.cli.ui"

local command = {}

function command.options(c)
  c:argument("topic", "rule, correlation, normalizer, map, helpers, sigma, pipeline or sinks; without it a list of them."):args "?"
  c:option("--find", "Only names that contain this text."):argname "TEXT"
  c:flag("--markdown", "All of it, as the file lua/defendis/rules/REFERENCE.md has it.")
end

local function print_topic(topic, wanted)
  local rows = {}
  for _, row in ipairs(topic.rows) do
    if not wanted or row.name:find(wanted, 1, true) then
      local takes = reference.takes(row)
      rows[#rows + 1] = { row.name, row.phrase .. (takes ~= "" and (" (%s)"):format(takes) or "") }
    end
  end
  print(topic.title .. (topic.text and ". " .. topic.text or ""))
  ui.table({ "name", "" }, rows)
end

function command.run(args)
  if args.markdown then
    ui.write(reference.markdown())
    return 0
  end
  local names, list = {}, {}
  for i, topic in ipairs(reference.topics()) do
    if topic.name == args.topic then
      if args.json then ui.document(topic) else print_topic(topic, args.find) end
      return 0
    end
    names[i], list[i] = topic.name, { topic.name, topic.title }
  end
  if args.topic then return nil, check.error("config", check.unknown(args.topic, names, "topic")) end
  if args.json then ui.document(names) else ui.table({ "topic", "" }, list) end
  return 0
end

return command

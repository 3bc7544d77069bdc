-- reference.lua: every field, expression, helper and sink option, read from the tables that check them.
--
--   reference.topics() -> array of { name, title, text = more or nil, rows = { { name, takes, required, default, phrase } ... } }
--   reference.markdown() -> rules/REFERENCE.md; `defendis help` prints it, and `make docs` compares the file
local check = require "defendis.check"
local correlation = require "defendis.rules.correlation"
local document = require "defendis.sigma.document"
local expressions = require "defendis.normalize.expressions"
local file = require "defendis.pipeline.file"
local filter = require "defendis.rules.filter"
local helpers = require "defendis.helpers.reference"
local normalizer = require "defendis.normalize.normalizer"
local posting = require "defendis.posting"
local rule = require "defendis.rules.rule"
local sinks = require "defendis.pipeline.sinks"

local reference = {}

local function sorted(spec)
  local names = {}
  for name in pairs(spec) do names[#names + 1] = name end
  table.sort(names, function(a, b)
    local first, second = type(spec[a]) == "table" and spec[a].required or false, type(spec[b]) == "table" and spec[b].required or false
    if first ~= second then return first end
    return a < b
  end)
  return names
end

-- Appends a row for each field of a spec, what is nested behind its field. skip: entries that stand elsewhere, or nil.
local function add(rows, spec, prefix, skip)
  for _, name in ipairs(sorted(spec)) do
    local entry = spec[name]
    if not (skip and skip[name] == entry) then
      local known = type(entry) == "table" and entry or { validate = entry }
      local words, nested = check.takes(known.validate)
      rows[#rows + 1] = { name = prefix .. name, takes = words or "", required = known.required or false, default = known.default,
        phrase = known.phrase or "" }
      if nested then add(rows, nested, prefix .. name .. (words:find "^list" and "[]." or "."), skip) end
    end
  end
  return rows
end

local function phrases(rows, list, prefix)
  for _, name in ipairs(sorted(list)) do
    rows[#rows + 1] = { name = prefix .. name, takes = "", required = false, phrase = list[name] }
  end
  return rows
end

local function sigma_rows()
  local rows, inner = phrases({}, document.TOP, ""), {}
  for name, ours in pairs(document.CORRELATION) do inner[name] = correlation.SPEC[ours].phrase end
  return phrases(phrases(rows, inner, "correlation."), document.FILTER, "filter.")
end

local function call_rows(list, phrase)
  local rows = {}
  for i, e in ipairs(list) do
    local name = e.arguments == "" and e.name or ("%s(%s)"):format(e.name, e.arguments)
    rows[i] = { name = name, takes = "", required = false, phrase = e[phrase] }
  end
  return rows
end

-- What all sinks over HTTP have stands once, with the names of those that do without one.
local function sink_rows()
  local own, without, rows = {}, {}, {}
  for _, name in ipairs(sinks.names()) do
    local options = require("defendis.sinks." .. name).OPTIONS
    add(own, options, name .. ".", posting.COMMON)
    for common in pairs(options.url == posting.COMMON.url and posting.COMMON or {}) do
      if options[common] == nil then without[common] = (without[common] or "; not of ") .. name end
    end
  end
  for _, row in ipairs(add({}, posting.COMMON, "")) do
    row.phrase = row.phrase .. (without[row.name] or "")
    row.name = "HTTP." .. row.name
    rows[#rows + 1] = row
  end
  return table.move(own, 1, #own, #rows + 1, rows)
end

--- All topics, in order.
function reference.topics()
  return {
    { name = "rule", title = "rule{...}: looks at one record", rows = add({}, rule.SPEC, "") },
    { name = "correlation", title = "correlation{...}: counts the records of rules", rows = add({}, correlation.SPEC, "") },
    { name = "filter", title = "filter{...}: takes records away from rules that stand elsewhere", rows = add({}, filter.SPEC, "") },
    { name = "normalizer", title = "normalizer{...}: makes a document of a record", rows = add({}, normalizer.SPEC, "") },
    { name = "map", title = "Expressions of a declarative map",
      text = 'x is a path such as "a.b" or another expression. What has no value is left out.',
      rows = call_rows(expressions.list(), "writes") },
    { name = "helpers", title = "What functions in rule files can call", rows = call_rows(helpers.list(), "result"),
      text = "`defendis catalog --helpers` has an example of each." },
    { name = "sigma", title = "Sigma files: rules, correlations, filters", rows = sigma_rows() },
    { name = "pipeline", title = "pipeline{...}: what is fetched, and where it goes", rows = add({}, file.SPEC, "") },
    { name = "sinks", title = "Sinks", rows = sink_rows(),
      text = "`HTTP.` is what elastic, splunk_hec, thehive and webhook have all." },
  }
end

--- What a row takes, as one text: with "required" or its default.
function reference.takes(row)
  local default = row.default
  if default ~= nil then
    default = "default " .. (type(default) == "string" and ('"%s"'):format(default) or tostring(default))
  end
  local more = row.required and "required" or default
  return row.takes .. (more and (row.takes ~= "" and "; " or "") .. more or "")
end

local function table_of(rows)
  local out = { "| name | takes | |", "| --- | --- | --- |" }
  for _, row in ipairs(rows) do out[#out + 1] = ("| `%s` | %s | %s |"):format(row.name, reference.takes(row), row.phrase) end
  return table.concat(out, "\n")
end

--- The file in the tree.
function reference.markdown()
  local out = { "# Reference", "", "Every field and what it takes, made by `defendis help --markdown` from the tables that check them.",
    "For how to begin see [the guide](../../../examples/guide/README.md)." }
  for _, topic in ipairs(reference.topics()) do
    table.move({ "", "## " .. topic.name, "", topic.title .. (topic.text and ". " .. topic.text or ""), "" }, 1, 5, #out + 1, out)
    out[#out + 1] = topic.name == "helpers" and helpers.markdown():gsub("\n$", "") or table_of(topic.rows)
  end
  return table.concat(out, "\n") .. "\n"
end

return reference

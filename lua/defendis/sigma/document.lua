-- document.lua: one Sigma document as the definition that a rule file would have made.
--
--   document.read(doc, context) -> definition; context: { host, null, marks, file, fail = function(line, message) }
--     kind      "rule" | "correlation" | "filter"       options   as rule{...} and correlation{...} take them
--     logsource { product, category, service } of rules and filters; `dataset` is filled in when all files are read
--     locate    function(path) -> line                  notes     array of texts: what is in the document and does nothing
--     test      function(record), of a filter           reads     what its searches read: array of {line, key, path, compares, patterns}
local check = require "defendis.check"
local detection = require "defendis.sigma.detection"

local document = {}

--- The keys of a document, each with its phrase for the reference.
document.TOP = {
  title = "the title of its findings; required", id = "tells it apart for ever (name, else title)", level = "of its findings (medium)",
  name = "by which correlations and filters may call it", status = "for people; a filter has none", description = "for people",
  author = "for people", date = "for people", modified = "for people", references = "for people", falsepositives = "for people",
  reference = "as references", tags = "go into the finding",
  generate = "true: a rule alerts also though a correlation counts it; of a correlation: all that it counts does",
  logsource = "of rules and filters: product: defendis and service: DATASET", tests = "as in rule files; may be left out",
  detection = "makes it a rule: searches by name, and the condition that joins them",
  correlation = "makes it a correlation, see below", filter = "makes it a filter, which takes records away from rules, see below",
  fields = "not used", related = "not used", license = "not used", taxonomy = "not used", scope = "not used",
}
local TOP = document.TOP
-- Read by people, or by programs that convert rules.
local IDLE = { fields = true, related = true, license = true, taxonomy = true, scope = true }
local TEXTS = { "id", "name", "title", "status", "description", "level", "author" }
--- The keys of `correlation`, and what rule files call them.
document.CORRELATION = { type = "type", rules = "rules", ["group-by"] = "group_by", timespan = "timespan", condition = "condition",
  aliases = "aliases", generate = "generate" }
local CORRELATION = document.CORRELATION
local YAML_NAME = { group_by = "group-by" }
local LOGSOURCE = { product = true, category = true, service = true, definition = true }
local LEVEL_DEFAULT = "medium"
local SECONDS = { M = 2629746, y = 31556952 } -- as the reference implementation has it

-- Whether a key of one's own, which Sigma allows, is rather a slip of the pen.
local function misspelt(key)
  local near = check.nearest(key, TOP)
  return near and math.abs(#near - #key) <= 1 and near:sub(1, 1) == key:sub(1, 1):lower() and near or nil
end

local function check_top(doc, context)
  local notes, mark = {}, context.marks[doc]
  for _, key in ipairs(mark.keys) do
    local line = mark.lines[key]
    if key == "action" then context.fail(line, "action: collections are of old rules, write every document in full") end
    if not TOP[key] and misspelt(key) then context.fail(line, ('unknown key "%s", nearest key "%s"'):format(key, misspelt(key))) end
    if IDLE[key] or not TOP[key] then notes[#notes + 1] = ("%s:%d: %s is not used"):format(context.file, line, key) end
  end
  return notes
end

-- Values as a rule file would have written them.
local function plain(v, context)
  if type(v) ~= "table" then return v end
  local out = {}
  for k, element in pairs(v) do out[k] = plain(element, context) end
  if context.marks[v].list and #out == 0 then return context.host.array(out) end
  return out
end

local function listed(v) return type(v) == "string" and { v } or v end

-- Null says nothing.
local function given(doc, key, context)
  local v = doc[key]
  if v ~= context.null then return v end
end

local function options_of(doc, context)
  local o, mark = {}, context.marks[doc]
  for _, key in ipairs(TEXTS) do
    o[key] = given(doc, key, context)
    if o[key] ~= nil and type(o[key]) ~= "string" then context.fail(mark.lines[key], ('field "%s": a text expected'):format(key)) end
  end
  if not o.title or o.title == "" then context.fail(mark.lines.title or mark.line, 'missing required field "title"') end
  o.id = o.id or o.name or o.title
  o.level = o.level or LEVEL_DEFAULT
  o.date, o.modified = given(doc, "date", context), given(doc, "modified", context)
  o.tags = plain(given(doc, "tags", context), context)
  o.references = listed(plain(given(doc, "references", context) or given(doc, "reference", context), context))
  o.falsepositives = listed(plain(given(doc, "falsepositives", context), context))
  o.tests = plain(given(doc, "tests", context), context)
  return o
end

local function map_at(doc, key, context)
  local v = doc[key]
  if type(v) ~= "table" or context.marks[v].list then
    context.fail(context.marks[doc].lines[key] or context.marks[doc].line, v == nil and ('missing required field "%s"'):format(key)
      or ('field "%s": a map expected'):format(key))
  end
  return v
end

local function logsource_of(doc, context)
  local source = map_at(doc, "logsource", context)
  local out, mark = { line = context.marks[source].line }, context.marks[source]
  for _, key in ipairs(mark.keys) do
    if LOGSOURCE[key] and key ~= "definition" then
      if type(source[key]) ~= "string" then context.fail(mark.lines[key], ('field "logsource.%s": a text expected'):format(key)) end
      out[key] = source[key]
    elseif not LOGSOURCE[key] and check.nearest(key, LOGSOURCE) then
      context.fail(mark.lines[key], ('field "logsource": %s'):format(check.unknown(key, LOGSOURCE)))
    end
  end
  return out
end

-- The line of the value at a path of the options.
local function locator(doc, nested, context)
  return function(path)
    local at, line = doc, context.marks[doc].line
    if nested and doc[path[1]] == nil then
      line, at = context.marks[doc].lines.correlation, doc.correlation
    end
    for _, key in ipairs(path) do
      local mark = context.marks[at]
      key = YAML_NAME[key] or key
      line = mark and mark.lines[key] or line
      at = mark and at[key]
    end
    return line
  end
end

local function span(v, fail)
  local n, unit = tostring(v):match("^(%d+)([smhdwMy])$")
  if not n then fail(("a span such as 15m, 24h or 30d expected, got %s"):format(tostring(v))) end
  return SECONDS[unit] and ("%ds"):format(tonumber(n) * SECONDS[unit]) or v
end

local function correlation_of(doc, o, context)
  local c = map_at(doc, "correlation", context)
  local mark = context.marks[c]
  for _, key in ipairs(mark.keys) do
    if not CORRELATION[key] then
      context.fail(mark.lines[key], ('field "correlation": %s'):format(check.unknown(key, CORRELATION)))
    end
    o[CORRELATION[key]] = plain(given(c, key, context), context)
  end
  o.rules = listed(o.rules)
  o.group_by = listed(o.group_by) or {}
  for _, key in ipairs{ "type", "timespan" } do
    if o[key] == nil then context.fail(mark.line, ('field "correlation": missing required field "%s"'):format(key)) end
  end
  o.timespan = span(o.timespan, function(message) context.fail(mark.lines.timespan, 'field "correlation.timespan": ' .. message) end)
  if o.generate == nil then o.generate = given(doc, "generate", context) end
  return { kind = "correlation", options = o }
end

--- The keys of `filter` and their phrases; every other one is the name of a search.
document.FILTER = { rules = "the rules that it is in front of, by id or name; any: all of its logsource",
  condition = "what a record has to be for these rules to see it; without `not` it lets through" }
local FILTER_KEYS = { rules = true }

local function filter_of(doc, o, context)
  local f = map_at(doc, "filter", context)
  local lines = context.marks[f].lines
  for _, key in ipairs{ "level", "status" } do
    if doc[key] ~= nil then context.fail(context.marks[doc].lines[key], ('field "%s": a filter has none'):format(key)) end
  end
  local names = listed(f.rules)
  if type(names) ~= "table" then context.fail(lines.rules or context.marks[f].line, 'field "filter": missing required field "rules"') end
  for i, name in ipairs(names) do
    if type(name) ~= "string" then
      context.fail(context.marks[names].lines[i], 'field "filter.rules": ids or names of rules expected')
    end
  end
  if #names == 0 then context.fail(lines.rules, 'field "filter.rules": names of rules expected') end
  local test, unused = detection.compile(f, context, FILTER_KEYS)
  local function line_of(i) return context.marks[names] and context.marks[names].lines[i] or lines.rules end
  return { kind = "filter", options = o, test = test, names = names, line_of = line_of, logsource = logsource_of(doc, context) }, unused
end

local function rule_of(doc, o, context)
  local test, unused = detection.compile(map_at(doc, "detection", context), context)
  o.match, o.generate = test, given(doc, "generate", context)
  return { kind = "rule", options = o, logsource = logsource_of(doc, context) }, unused
end

local MAKE = { detection = rule_of, correlation = correlation_of, filter = filter_of }

function document.read(doc, line, context)
  if type(doc) ~= "table" or context.marks[doc].list then context.fail(line, "a Sigma document is a map") end
  local notes, kind = check_top(doc, context), nil
  context.reads = {}
  for key in pairs(MAKE) do
    if doc[key] ~= nil then
      if kind then context.fail(line, ("a document has one of detection, correlation and filter, not %s and %s"):format(
        math.min(#kind, #key) == #kind and kind or key, math.min(#kind, #key) == #kind and key or kind)) end
      kind = key
    end
  end
  if not kind then context.fail(line, 'missing required field "detection", "correlation" or "filter"') end
  local def, unused = MAKE[kind](doc, options_of(doc, context), context)
  for _, name in ipairs(unused or {}) do
    notes[#notes + 1] = ("%s:%d: the search %s is in no condition"):format(context.file, context.marks[doc[kind]].lines[name], name)
  end
  def.file, def.line, def.notes, def.sigma, def.reads = context.file, line, notes, true, context.reads
  def.locate = locator(doc, kind == "correlation", context)
  return def
end

return document

-- correlation.lua: a correlation of records that rules matched (Sigma correlation rules 2.1, and more types), checked and compiled.
--
--   correlation.validate(options) -> nil | message, path
--   correlation.compile(options) -> the record that link.lua completes and evaluate.lua works with
--   correlation.SPEC: the fields
--
-- mode says who decides: "slide" (each record sees the timespan behind it), "close" (a window that has closed), "wait" (a condition with
-- `not`), "absence". What cannot be decided faithfully is refused, never approximated.
local check = require "defendis.check"
local condition = require "defendis.rules.condition"
local dynamic = require "defendis.rules.dynamic"
local expression = require "defendis.rules.expression"
local fields = require "defendis.normalize.fields"
local time = require "defendis.time"
local rule = require "defendis.rules.rule"

local correlation = {}

local TYPES = { "event_count", "value_count", "temporal", "temporal_ordered", "value_sum", "value_avg", "value_percentile",
  "value_median", "absence", "new_value", "spike", "ratio", "session" }
local FIELD = { value_count = true, value_sum = true, value_avg = true, value_percentile = true, value_median = true, new_value = true }
local NUMERIC = { value_sum = true, value_avg = true, value_percentile = true, value_median = true }
local TEMPORAL = { temporal = true, temporal_ordered = true }
local COUNTS = { event_count = true, value_count = true, temporal = true, temporal_ordered = true, spike = true }
local NO_COMPARISON = { absence = true, new_value = true }
-- Options of single types.
local ONLY = { gap = "session", measure = "session", entities = "absence", factor = "spike", reference = "spike" }
local NEEDED = { session = { "gap" }, spike = { "factor", "reference" } }

local function map_condition(v)
  if type(v) == "string" then
    local _, message = expression.parse(v)
    return message
  end
  return condition.shape(v)
end
check.typed('table of operators, or text such as "a and not b"', map_condition, condition.SPEC)

local function alias(v)
  if type(v) ~= "table" then return "a table such as { rule = \"field\" } expected" end
  for name, field in pairs(v) do
    if type(name) ~= "string" then return "names of rules expected as keys" end
    local message = check.text(field)
    if message then return message, { name } end
  end
end

local function aliases(v)
  if type(v) ~= "table" then return check.table(v) end
  for name, fields_of in pairs(v) do
    if type(name) ~= "string" then return "names of aliases expected as keys" end
    local message, path = alias(fields_of)
    if message then return message, { name, table.unpack(path or {}) } end
  end
end
check.typed("table of names to tables of rules to fields", aliases)

local function group_field(v)
  local message = check.text(v)
  if message then return message end
  if not v:find("[^?.]") or v:find("^%?%?") then return 'a field, or "?field" when it may be missing' end
end
check.typed("field", group_field)

local function entity(v)
  for _, part in ipairs(type(v) == "table" and v or {}) do
    if not fields.part(part) then return "texts, numbers or booleans expected" end
  end
  if type(v) ~= "table" and not fields.part(v) then return "a value, or a list of values, one for each field of group_by" end
end
check.typed("values, or of lists of values", entity)

local function whole(least, most)
  return check.typed(("whole number from %d to %d"):format(least, most), function(v)
    if math.type(v) ~= "integer" or v < least or v > most then return ("an integer from %d to %d expected"):format(least, most) end
  end)
end

correlation.SPEC = {
  id = check.required(check.text, "tells it apart for ever; a new one makes new findings"),
  title = check.required(check.text, "the title of its findings"),
  type = check.required(check.one_of(TYPES), "what is decided; the README has a table of them"),
  rules = check.field(check.list(check.text, 1), "ids or names of the rules or correlations it counts; a condition as text names them too"),
  group_by = check.required(check.list(group_field), 'who is looked at on its own; "?field" may be missing; {} is all together'),
  timespan = check.required(rule.span, "how far apart its records may be"),
  condition = check.field(map_condition, "what has to hold; each type says which it takes"),
  level = check.required(check.one_of(rule.LEVELS), "the level of its findings"),
  suppress = check.field(rule.span, "how long a group is quiet after a finding (timespan)"),
  generate = check.field(check.boolean, "true: what it counts alerts also", false),
  aliases = check.field(aliases, "one name for a field that is called otherwise in each rule"),
  max_groups = check.field(whole(20000, 100000000), "most groups that count on a day; which ones goes by their names alone", 1000000),
  max_events = check.field(whole(1, 1000000), "most records in a window; the newest count", 10000),
  gap = check.field(rule.span, "session: the longest pause within one; needed there"),
  measure = check.field(check.one_of{ "count", "duration" }, "session: what the condition compares, records or seconds", "count"),
  entities = check.field(check.list(entity, 1), "absence: the groups that are missed although they never came"),
  factor = check.field(check.between(1, 1000000), "spike: how many times the mean before; needed there"),
  reference = check.field(whole(1, 1000), "spike: how many timespans before make the mean; needed there"),
  tests = check.field(check.list(check.shape{
    name = check.required(check.text, "what the test shows"),
    events = check.required(check.list(check.table), "records, in any order; of several datasets { dataset = name, record = {...} }"),
    findings = check.required(check.count, "how many findings are to come out"),
    since = check.field(check.text, "when the pipeline begins, for absence"),
    ["until"] = check.field(check.text, "when to look (when all has passed)"),
    level = dynamic.TEST.level, title = dynamic.TEST.title, context = dynamic.TEST.context,
  }), "its tests; one with findings and one without are needed"),
}
for k, v in pairs(rule.META) do correlation.SPEC[k] = v end
for k, v in pairs(dynamic.fields "finding") do correlation.SPEC[k] = v end

-- The names of its rules: as listed, else as they appear in a condition that is text.
local function rules_of(options)
  if options.rules then return options.rules end
  if type(options.condition) == "string" then return (expression.names(expression.parse(options.condition))) end
end

local function check_text(options)
  if not TEMPORAL[options.type] then return "a condition as text is for temporal and temporal_ordered" end
  local tree = expression.parse(options.condition)
  local names, affirmed = expression.names(tree)
  local listed = {}
  for _, name in ipairs(options.rules or names) do listed[name] = true end
  for _, name in ipairs(names) do
    if not listed[name] then return check.missing(name, options.rules or names, "is not among its rules") end
    listed[name] = nil
  end
  if next(listed) then return ('the rule "%s" does not occur in it'):format((next(listed))) end
  if not next(affirmed) then return "something must stand in it without not, to open a window (or use type absence)" end
  if options.type == "temporal_ordered" and not expression.is_list(tree) then
    return "temporal_ordered takes names and `not` names joined by and; nothing else says an order"
  end
end

local function check_map(options)
  local c, kind = options.condition, options.type
  if c.field and not FIELD[kind] then return ('"field" is not for type %s'):format(kind), { "field" } end
  if FIELD[kind] and not c.field then return 'missing required field "field"', { "field" } end
  if NUMERIC[kind] and type(c.field) == "table" and #c.field > 1 then return "one field expected, numbers have no tuples", { "field" } end
  if c.percentile and kind ~= "value_percentile" then return ('"percentile" is not for type %s'):format(kind), { "percentile" } end
  if NO_COMPARISON[kind] then
    return condition.compares(c) and ("type %s compares nothing, leave the operators out"):format(kind) or nil
  end
  if not condition.compares(c) then return "one of gt, gte, lt, lte, eq, neq is needed" end
  if kind == "temporal_ordered" then
    for name, n in pairs(c) do
      if name ~= "gte" or n ~= #options.rules then return "temporal_ordered is about all its rules, leave the condition out" end
    end
  end
  if kind == "spike" and condition.closes(c) then return "a spike takes gt and gte: the least count that is worth a word" end
  if TEMPORAL[kind] then return condition.check_count(c, #options.rules, ("it has %d rules"):format(#options.rules)) end
  if not COUNTS[kind] then return condition.check_range(c) end
  return condition.check_count(c, check.given(options, correlation.SPEC, "max_events"), "a window holds max_events at most")
end

local function check_condition(options)
  local c, kind = options.condition, options.type
  if c == nil then
    if FIELD[kind] or not (TEMPORAL[kind] or kind == "absence") then return 'missing required field "condition"', { "condition" } end
    return
  end
  local message, path
  if type(c) == "string" then message = check_text(options) else message, path = check_map(options) end
  if message then return message, { "condition", table.unpack(path or {}) } end
end

local function check_type(options)
  local kind = options.type
  for name, owner in pairs(ONLY) do
    if options[name] ~= nil and kind ~= owner then return ('"%s" is for type %s only'):format(name, owner), { name } end
  end
  for _, name in ipairs(NEEDED[kind] or {}) do
    if options[name] == nil then return ('missing required field "%s"'):format(name), { name } end
  end
  if kind == "ratio" and #options.rules ~= 2 then return "a ratio is of two rules", { "rules" } end
  if kind == "session" and time.span(options.gap) > time.span(options.timespan) then
    return "longer than timespan, the longest that a session may last", { "gap" }
  end
  for i, e in ipairs(options.entities or {}) do
    if #(type(e) == "table" and e or { e }) ~= #options.group_by then
      return ("one value for each of the %d fields of group_by expected"):format(#options.group_by), { "entities", i }
    end
  end
  if options.suppress then
    if kind == "new_value" or kind == "absence" then return ('"suppress" is not for type %s'):format(kind), { "suppress" } end
    if time.span(options.suppress) < time.span(options.timespan) then
      return "shorter than timespan: two findings would be about one window", { "suppress" }
    end
  end
end

function correlation.validate(options)
  local message, path = check.options(options, correlation.SPEC)
  if message then return message, path end
  if not rules_of(options) then return 'missing required field "rules"', { "rules" } end
  message, path = check_type(options)
  if not message then message, path = check_condition(options) end
  if message then return message, path end
  local seen = {}
  for i, name in ipairs(rules_of(options)) do
    if seen[name] then return ('"%s" is listed twice'):format(name), { "rules", i } end
    seen[name] = true
  end
end

-- The field names of group_by, and which of them may be missing.
local function groups_of(names)
  local out, optional = {}, {}
  for i, name in ipairs(names) do
    out[i] = name:gsub("^%?", "")
    optional[i] = name:sub(1, 1) == "?"
  end
  return out, optional
end

-- Each once, as texts of groups, and as a set.
local function entities_of(list)
  local out, listed = {}, {}
  for _, e in ipairs(list) do
    local group = fields.tuple(table.unpack(type(e) == "table" and e or { e }))
    if not listed[group] then out[#out + 1] = group end
    listed[group] = true
  end
  return out, listed
end

local function mode_of(c)
  if c.type == "absence" then return "absence" end
  if c.expression and c.negates then return "wait" end
  return (c.type == "session" or c.type == "ratio" or condition.closes(c.condition)) and "close" or "slide"
end

local function spans(c, options)
  local W = c.timespan
  c.suppress = options.suppress and time.span(options.suppress) or (options.gap or c.type == "new_value") and 0 or W
  c.gap = options.gap and time.span(options.gap)
  c.back = c.mode == "wait" and 2 * W or options.reference and (options.reference + 1) * W or W
  c.keep = math.max(c.suppress, c.back)
end

function correlation.compile(options)
  local names, text = rules_of(options), type(options.condition) == "string" and options.condition
  local field = not text and options.condition and options.condition.field
  local c = {
    kind = "correlation", id = options.id, type = options.type, title = options.title, level = options.level,
    ref = { id = options.id, title = options.title, version = options.version }, tags = options.tags or {},
    names = names, aliases = options.aliases or {}, generate = options.generate or false,
    value_names = field and (type(field) == "table" and field or { field }), numeric = NUMERIC[options.type] or false,
    timespan = time.span(options.timespan), max_events = check.given(options, correlation.SPEC, "max_events"),
    max_groups = check.given(options, correlation.SPEC, "max_groups"),
    condition = not text and options.condition or { gte = #names },
    factor = options.factor, reference = options.reference, measure = options.measure,
    order = {}, -- id of a rule or correlation -> place in `rules`; these and below are filled when references are resolved
    bases = {}, -- place -> compiled rule or correlation
    source = {}, -- id -> what its records' ids are unique in
    members = {}, -- how findings of this one become events of outer ones, see link.lua
    carry = {}, -- names of fields that its events carry along for outer ones
  }
  dynamic.compile(options, c)
  if TEMPORAL[c.type] then c.max_events = math.maxinteger end -- rules are counted, and they are few
  if options.entities then c.entities, c.listed = entities_of(options.entities) end
  c.group_by, c.optional = groups_of(options.group_by)
  if text then
    c.expression = expression.parse(text)
    local _, affirmed, negates = expression.names(c.expression)
    c.affirmed, c.negates = affirmed, negates
    if c.type == "temporal_ordered" and not negates then c.expression = nil end
  end
  c.mode = mode_of(c)
  spans(c, options)
  c.counts = (COUNTS[c.type] or c.type == "session" and c.measure ~= "duration") and not c.expression -- at most its events
  c.least = c.mode == "slide" and c.counts and condition.smallest(c.condition) or 1 -- events in a window that fires
  return c
end

return correlation

-- correlation.lua: a correlation of records that rules matched (Sigma correlation rules 2.1), checked and compiled.
--
--   correlation.validate(options) -> nil | message, path
--   correlation.compile(options)  -> the record that set.lua and window.lua work with
--
-- Here: event_count, value_count, temporal, temporal_ordered, with conditions that come true when a record arrives
-- (gt, gte, eq; lt, lte, neq beside them narrow the range). Conditions that only hold in silence need a decision when
-- the window closes; they, aliases, conditions as text, and correlations of correlations are refused, never
-- approximated.
local check = require "defendis.check"
local fields = require "defendis.normalize.fields"
local time = require "defendis.time"
local rule = require "defendis.rules.rule"

local correlation = {}

local TYPES = { "event_count", "value_count", "temporal", "temporal_ordered" }
local LATER = { value_sum = true, value_avg = true, value_percentile = true, value_median = true }
local OPERATORS = { "gt", "gte", "lt", "lte", "eq", "neq" }

local function field_names(v)
  if type(v) == "string" then return check.text(v) end
  return check.list(check.text, 1)(v)
end

local function type_name(v)
  if LATER[v] then return ("%s is not available in this version, only %s"):format(v, table.concat(TYPES, ", ")) end
  return check.one_of(TYPES)(v)
end

local function finite(v)
  if type(v) ~= "number" then return check.number(v) end
  if v ~= v or v == math.huge or v == -math.huge then return "a finite number expected" end
end

local CONDITION = { field = field_names }
for _, name in ipairs(OPERATORS) do CONDITION[name] = finite end

local SPEC = {
  id = check.required(check.text),
  title = check.required(check.text),
  type = check.required(type_name),
  rules = check.required(check.list(check.text, 1)),
  group_by = check.required(check.list(check.text)),
  timespan = check.required(rule.span),
  condition = check.shape(CONDITION),
  level = check.required(check.one_of(rule.LEVELS)),
  suppress = rule.span,
  generate = check.boolean,
  tags = check.list(check.text),
  tests = check.list(check.shape{
    name = check.required(check.text), events = check.required(check.list(check.table)),
    findings = check.required(check.count),
  }),
}
for k, v in pairs(rule.META) do SPEC[k] = v end

--- Does the count satisfy every operator of the condition?
function correlation.holds(c, n)
  return (not c.gt or n > c.gt) and (not c.gte or n >= c.gte) and (not c.eq or n == c.eq)
    and (not c.lt or n < c.lt) and (not c.lte or n <= c.lte) and (not c.neq or n ~= c.neq)
end

--- The smallest count that can satisfy the condition, if any does.
local function smallest(c)
  return math.max(1, c.gt and math.floor(c.gt) + 1 or 1, c.gte and math.ceil(c.gte) or 1, c.eq or 1)
end

local function check_condition(c)
  local given
  for _, name in ipairs(OPERATORS) do given = given or c[name] end
  if not given then return "one of gt, gte, lt, lte, eq, neq is needed", { "condition" } end
  if not (c.gt or c.gte or c.eq) then
    return "lt, lte and neq alone are decided when the window closes, which is not available in this version, "
      .. "add gt, gte or eq", { "condition" }
  end
  local least = smallest(c)
  -- neq takes out one count at most
  if not correlation.holds(c, least) and not correlation.holds(c, least + 1) then
    return "no record can make this true, counts begin at 1", { "condition" }
  end
end

local function check_temporal(options)
  local c = options.condition or {}
  if c.field then return ('"field" is not for type %s'):format(options.type), { "condition", "field" } end
  if options.type ~= "temporal_ordered" or not options.condition then return end
  for _, name in ipairs(OPERATORS) do
    if c[name] and not (name == "gte" and c.gte == #options.rules) then
      return "temporal_ordered is about all its rules, leave the condition out", { "condition" }
    end
  end
end

-- What the single fields cannot tell: those that ask for each other.
local function check_together(options)
  local temporal = options.type:find("^temporal")
  if not options.condition and not temporal then return 'missing required field "condition"', { "condition" } end
  if options.type == "value_count" and not options.condition.field then
    return 'missing required field "field"', { "condition", "field" }
  end
  if options.type == "event_count" and options.condition.field then
    return '"field" is not for type event_count, use value_count', { "condition", "field" }
  end
  local message, path
  if temporal then message, path = check_temporal(options) end
  if not message and options.condition then message, path = check_condition(options.condition) end
  if message then return message, path end
  local seen = {}
  for i, name in ipairs(options.rules) do
    if seen[name] then return ('"%s" is listed twice'):format(name), { "rules", i } end
    seen[name] = true
  end
  if options.suppress and time.span(options.suppress) < time.span(options.timespan) then
    return "shorter than timespan: two findings would be about one window", { "suppress" }
  end
end

function correlation.validate(options)
  if type(options) == "table" then
    if options.aliases ~= nil then return "aliases are not available in this version", { "aliases" } end
    if type(options.condition) == "string" then
      return "a condition as text is not available in this version", { "condition" }
    end
  end
  local message, path = check.options(options, SPEC)
  if message then return message, path end
  return check_together(options)
end

local function paths_of(names)
  local out = {}
  for i, name in ipairs(names) do out[i] = fields.path(name) end
  return out
end

function correlation.compile(options)
  local field = options.condition and options.condition.field
  local timespan = time.span(options.timespan)
  return {
    kind = "correlation", id = options.id, type = options.type, title = options.title, level = options.level,
    ref = { id = options.id, title = options.title, version = options.version }, tags = options.tags or {},
    group_by = options.group_by, group_paths = paths_of(options.group_by),
    value_paths = field and paths_of(type(field) == "table" and field or { field }),
    timespan = timespan, suppress = options.suppress and time.span(options.suppress) or timespan,
    condition = options.condition or { gte = #options.rules },
    least = smallest(options.condition or { gte = #options.rules }), -- events in a window that fires
    order = {}, -- base rule id -> place in `rules`; filled when references are resolved
    bases = {}, -- place -> compiled base rule
  }
end

return correlation

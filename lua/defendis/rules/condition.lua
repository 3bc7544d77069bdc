-- condition.lua: the condition of a correlation as a table of operators, all of which must hold.
local check = require "defendis.check"

local condition = {}

local OPERATORS = { "gt", "gte", "lt", "lte", "eq", "neq" }

local is_list = check.list(check.text, 1)

local function field_names(v)
  if type(v) == "string" then return check.text(v) end
  return is_list(v)
end
check.typed("a field, or a list of fields", field_names)

local function finite(v)
  if type(v) ~= "number" then return check.number(v) end
  if v ~= v or v == math.huge or v == -math.huge then return "a finite number expected" end
end

check.typed("number", finite)

--- The operators and what they compare.
condition.SPEC = {
  field = check.field(field_names, "what is counted or calculated with, for the types value_* and new_value"),
  percentile = check.field(check.between(0, 100), "which percentile, for value_percentile", 50),
  gt = check.field(finite, "more than"), gte = check.field(finite, "at least"), lt = check.field(finite, "less than"),
  lte = check.field(finite, "at most"), eq = check.field(finite, "exactly"), neq = check.field(finite, "anything but"),
}

--- A validator of the table's own shape.
condition.shape = check.shape(condition.SPEC)

--- Does the number satisfy every operator of the condition?
function condition.holds(c, n)
  return (not c.gt or n > c.gt) and (not c.gte or n >= c.gte) and (not c.eq or n == c.eq)
    and (not c.lt or n < c.lt) and (not c.lte or n <= c.lte) and (not c.neq or n ~= c.neq)
end

--- The smallest count that can satisfy the condition, if any does.
function condition.smallest(c)
  return math.max(1, c.gt and math.floor(c.gt) + 1 or 1, c.gte and math.ceil(c.gte) or 1, c.eq or 1)
end

--- Can more records take back what holds? Then it is known only when the window has closed.
function condition.closes(c) return (c.lt or c.lte or c.eq or c.neq) and true or false end

--- Does it compare with anything?
function condition.compares(c)
  for _, name in ipairs(OPERATORS) do
    if c[name] then return true end
  end
  return false
end

--- What is wrong with a condition on a count that begins at 1 and ends at `most`, or nil.
function condition.check_count(c, most, why)
  local least = condition.smallest(c)
  -- neq takes out one count at most
  if not condition.holds(c, least) and not condition.holds(c, least + 1) then
    return "no record can make this true, counts begin at 1 (for none at all there is type absence)"
  end
  if least > most then return ("nothing can make this true, %s"):format(why) end
end

--- What is wrong with a condition on any number, or nil.
function condition.check_range(c)
  local low, high = math.max(c.gt or -math.huge, c.gte or -math.huge), math.min(c.lt or math.huge, c.lte or math.huge)
  local strict = low == high and (c.gt == low or c.lt == high)
  if low > high or strict or c.eq and not condition.holds(c, c.eq) then return "no number can make this true" end
end

return condition

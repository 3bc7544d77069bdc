-- kinds.lua: the option of sinks that are sent some datasets only.
local check = require "defendis.check"

local kinds = {}

--- A validator: names of datasets, and "findings".
kinds.check = check.list(check.text, 1)

--- The option, as all of those sinks have it.
kinds.option = check.field(kinds.check, 'only these datasets, and "findings" (all)')

--- A sink's `wants` for the value of the option; nil (all of them) without one.
function kinds.wants(names)
  if not names then return nil end
  local set = {}
  for _, name in ipairs(names) do set[name] = true end
  return function(kind) return set[kind] == true end
end

return kinds

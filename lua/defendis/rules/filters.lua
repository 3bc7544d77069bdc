-- filters.lua: filters, of rule files and of Sigma files, in front of the rules that they name.
--
--   filters.apply(list, names, refuse): list: definitions of filters; names: id or name -> definition; refuse(def, message, path) raises
--     gives each rule its `filters`, and each definition `datasets`, a set, and `targets`, how many rules it is in front of
--   filters.take(set, rule, record, faults) -> whether one of them takes the record away; one that raises does not
local check = require "defendis.check"
local fault = require "defendis.rules.fault"

local filters = {}

local function blame(filter, i, message, refuse)
  if filter.sigma then filter.locate = function() return filter.line_of(i) end end
  refuse(filter, message, filter.sigma and { "filter.rules" } or { "rules", i })
end

local function target_of(filter, i, names, refuse)
  local name, dataset = filter.compiled.names[i], filter.compiled.dataset
  local def = names[name]
  if not def then
    local known = {}
    for other, d in pairs(names) do known[other] = d.kind == "rule" or nil end
    blame(filter, i, check.unknown(name, known, "rule"), refuse)
  elseif def.kind ~= "rule" then
    blame(filter, i, ('"%s" is a %s, not a rule'):format(name, def.kind), refuse)
  elseif dataset and def.compiled.dataset ~= dataset then
    blame(filter, i, ('the %s of the filter is %s, of "%s" it is %s'):format(filter.sigma and "logsource" or "dataset", dataset, name,
      def.compiled.dataset), refuse)
  end
  return def.compiled
end

-- The compiled rules of a filter; `any` is all of its dataset.
local function targets_of(filter, names, refuse)
  local out, wanted, dataset = {}, filter.compiled.names, filter.compiled.dataset
  if #wanted == 1 and wanted[1] == "any" and not names.any then
    for _, def in pairs(names) do
      if def.kind == "rule" and def.compiled.dataset == dataset then out[#out + 1] = def.compiled end
    end
    return out
  end
  for i in ipairs(wanted) do out[i] = target_of(filter, i, names, refuse) end
  return out
end

function filters.apply(list, names, refuse)
  for _, filter in ipairs(list) do
    local done = {}
    filter.datasets, filter.targets = {}, 0
    for _, rule in ipairs(targets_of(filter, names, refuse)) do
      if not done[rule] then
        rule.filters = rule.filters or {}
        table.insert(rule.filters, filter.compiled)
        filter.datasets[rule.dataset], filter.targets = true, filter.targets + 1
      end
      done[rule] = true
    end
  end
end

function filters.take(set, rule, record, faults)
  local acting = set.acting
  for _, filter in ipairs(rule.filters or {}) do
    if acting then acting.id = filter.id end
    local ok, hit = set.call(filter.takes, record)
    if acting then acting.id = rule.id end
    if ok and hit then return true end
    if not ok then faults[#faults + 1] = { rule = filter.id, message = fault.text(hit, filter.where) } end
  end
  return false
end

return filters

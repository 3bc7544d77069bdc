-- scan.lua: which rules match a record: functions one by one, declared ones by their index.

-- Calls functions from a place on until one matches or raises: place.at says which.
-- One protected call, with one budget, for all that do not.
local function next_match(rules, from, record, acting, place)
  for i = from, #rules do
    local rule = rules[i]
    place.at = i
    if acting then acting.id = rule.id end
    if rule.match(record) then return true end
  end
  return false
end

--- Calls set:matched for each rule of the plan (see set.lua) that matches, and set:fault for each that raises.
return function(set, plan, dataset, record, meta)
  local rules, acting, place, call = plan.rules, plan.acting, set.place, set.call
  local at, n = 1, #rules
  if acting then acting.dataset, acting.record = dataset, meta.id end
  while at <= n do
    local ok, hit = call(next_match, rules, at, record, acting, place)
    at = place.at
    if not ok then
      set:fault(rules[at].id, hit, rules[at].where)
    elseif hit then
      set:matched(rules[at], dataset, record, meta)
    end
    at = at + 1
  end
  if not plan.declared then return end
  local hits = set.hits
  for i = 1, plan.declared(record, hits) do
    local rule = plan.shapes[hits[i]]
    if acting then acting.id = rule.id end
    set:matched(rule, dataset, record, meta)
  end
end

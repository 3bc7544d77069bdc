-- tree.lua: a declarative map as a tree of objects, lists, expressions and constants, and what its target says to it.
--
--   node = { kind = "object", members = { name = node } } | { kind = "list", ... nodes } | { kind = "value", value } |
--     { kind = "expression", expression }, each with at = where the map has it (keys for locate.lua)
-- Faults are raised as { message, at }; map.lua turns them into results.
local check = require "defendis.check"
local expressions = require "defendis.normalize.expressions"

local tree = {}

--- Raises a fault of the map.
function tree.fault(at, message, ...) error({ message = select("#", ...) > 0 and message:format(...) or message, at = at }, 0) end

local function below(at, ...)
  local out = table.move(at, 1, #at, 1, {})
  return table.move({ ... }, 1, select("#", ...), #out + 1, out)
end

local any_list = check.list(check.any)

local function is_list(t) return #t > 0 and any_list(t) == nil end

-- Puts a node at the end of a dotted name; objects that meet are one.
local function put(object, steps, i, node, at)
  local name, known = steps[i], object.members[steps[i]]
  if i < #steps then
    known = known or { kind = "object", members = {}, at = at }
    if known.kind ~= "object" then tree.fault(at, '"%s" is written twice', table.concat(steps, ".", 1, i)) end
    object.members[name] = known
    return put(known, steps, i + 1, node, at)
  end
  if not known then
    object.members[name] = node
  elseif known.kind ~= "object" or node.kind ~= "object" then
    tree.fault(at, '"%s" is written twice', table.concat(steps, "."))
  else
    for key, member in pairs(node.members) do put(known, { key }, 1, member, member.at) end
  end
end

--- The tree of what a map holds at `at`.
function tree.of(v, at, null)
  if expressions.is(v) then return { kind = "expression", expression = v, at = at } end
  if type(v) == "function" then tree.fault(at, "a Lua function stands in fn(function(record) ... end)") end
  if v == null or type(v) ~= "table" then return { kind = "value", value = v, at = at } end
  if next(v) == nil then tree.fault(at, "an empty table; write constant({}) or constant(array{})") end
  if is_list(v) then
    local list = { kind = "list", at = at }
    for i, element in ipairs(v) do list[i] = tree.of(element, below(at, i), null) end
    return list
  end
  local object = { kind = "object", members = {}, at = at }
  for name in pairs(v) do
    if type(name) ~= "string" then tree.fault(at, "a name expected, got %s; a list has no holes", tostring(name)) end
  end
  for _, name in ipairs(check.sorted_keys(v)) do
    local steps = {}
    for step in (name .. "."):gmatch("([^.]*)%.") do
      if step == "" then tree.fault(below(at, name), '"%s" is no path of names', name) end
      steps[#steps + 1] = step
    end
    put(object, steps, 1, tree.of(v[name], below(at, name), null), below(at, name))
  end
  return object
end

--- The node at a dotted path; an expression that covers it counts. Lists are passed through.
function tree.find(node, path)
  for step in path:gmatch("[^.]+") do
    while node and node.kind == "list" do node = node[1] end
    if not node or node.kind ~= "object" then return node end
    node = node.members[step]
  end
  return node
end

local TEXTS <const> = "lower upper trim host scheme domain split join concat text mask hmac length_class iso"
local TYPE = { millis = "integer", len = "integer", number = "number", equals = "boolean", absent = "boolean", each = "list" }
for op in TEXTS:gmatch("%S+") do TYPE[op] = "string" end

local function type_of_value(v, null)
  if v == null then return nil end
  if type(v) == "table" then return is_list(v) and "list" or next(v) ~= nil and "object" or nil end
  return math.type(v) == "float" and "number" or math.type(v) or type(v)
end

local function common(types)
  for i = 2, #types do
    if types[i] ~= types[1] then return nil end
  end
  return types[1] or nil
end

-- What kind of value is written, or nil when the record decides.
local function type_of(v, null)
  if not expressions.is(v) then return type_of_value(v, null) end
  if v.op == "constant" then return type_of_value(v.value, null) end
  local list = {}
  if v.op == "lookup" then
    for _, value in pairs(v.values) do list[#list + 1] = type_of(value, null) or false end
    if v.default ~= nil then list[#list + 1] = type_of(v.default, null) or false end
  elseif v.op == "when" then
    list = { type_of(v.what, null) or false, v.otherwise ~= nil and (type_of(v.otherwise, null) or false) or nil }
  elseif v.op == "first_of" then
    for i, kid in ipairs(v.kids) do list[i] = type_of(kid, null) or false end
  else
    return TYPE[v.op]
  end
  return common(list)
end

local FITS = { integer = { number = true, timestamp = true }, string = { timestamp = true } }

local function check_type(target, node, path, null)
  local wanted, got = target.type_of(path), node.kind
  if got == "value" or got == "expression" then
    got = type_of(node.kind == "value" and node.value or node.expression, null)
  end
  if wanted and got and wanted ~= got and not (FITS[got] and FITS[got][wanted]) and not (wanted == "object" and got == "list") then
    tree.fault(node.at, "%s is %s %s in %s, got %s %s", path, wanted:find "^[aeiou]" and "an" or "a", wanted, target.name,
      got:find "^[aeiou]" and "an" or "a", got)
  end
end

-- inside: of a list, or of what is written on a condition: the path itself was looked at.
local function check_node(target, node, path, null, inside)
  if path == "unmapped" then return end
  if path ~= "" and not inside then
    local problem = target.check(path)
    if problem then tree.fault(node.at, problem) end
    check_type(target, node, path, null)
  end
  if node.kind == "object" then
    for _, name in ipairs(check.sorted_keys(node.members)) do
      check_node(target, node.members[name], path == "" and name or path .. "." .. name, null)
    end
  elseif node.kind == "list" then
    for _, element in ipairs(node) do check_node(target, element, path, null, true) end
  elseif node.expression and (node.expression.op == "when" or node.expression.op == "each") then
    for _, what in ipairs{ node.expression.what, node.expression.otherwise } do
      check_node(target, tree.of(what, node.at, null), path, null, true)
    end
  end
end

--- Fills in what the target implies, and checks the tree against it. name: "ocsf:2004".
function tree.aim(root, target, name, null)
  target = setmetatable({ name = name }, { __index = target })
  for _, path in ipairs(check.sorted_keys(target.defaults or {})) do
    if not tree.find(root, path) then
      local steps = {}
      for step in path:gmatch("[^.]+") do steps[#steps + 1] = step end
      put(root, steps, 1, { kind = "value", value = target.defaults[path], at = root.at }, root.at)
    end
  end
  check_node(target, root, "", null)
  for _, path in ipairs(target.required or {}) do
    local node = tree.find(root, path)
    if not node then tree.fault(root.at, '%s requires "%s", which the map does not write', name, path) end
    node.required = ("%s requires %s, for which the record has no value"):format(name, path)
  end
end

return tree

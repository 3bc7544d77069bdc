-- lintmaps.lua: what may be wrong with declarative maps: fields that the map leaves out, constants that the target has not.
local check = require "defendis.check"
local expressions = require "defendis.normalize.expressions"
local targets = require "defendis.normalize.targets"
local tree = require "defendis.normalize.tree"

local lintmaps = {}

-- Calls found(v) for each constant that an expression, map or constant may write at its own place.
local function each_constant(v, found)
  if not expressions.is(v) then return type(v) ~= "table" and found(v) end
  if v.op == "constant" then return each_constant(v.value, found) end
  if v.op == "lookup" then
    for _, value in pairs(v.values) do each_constant(value, found) end
    if v.default ~= nil then each_constant(v.default, found) end
  elseif v.op == "when" then
    each_constant(v.what, found)
    if v.otherwise ~= nil then each_constant(v.otherwise, found) end
  elseif v.op == "first_of" then
    for _, kid in ipairs(v.kids) do each_constant(kid, found) end
  elseif v.op == "each" then
    each_constant(v.what, found)
  end
end

local function below(path, name) return path == "" and name or path .. "." .. name end

local walk
-- Maps that stand within an expression.
local function walk_inner(node, path, null, look)
  local e = node.expression
  if not e or e.op ~= "when" and e.op ~= "each" then return end
  for _, what in ipairs{ e.what, e.otherwise } do
    if type(what) == "table" then walk(tree.of(what, node.at, null), path, null, look) end
  end
end

function walk(node, path, null, look)
  if node.kind == "object" then
    for _, name in ipairs(check.sorted_keys(node.members)) do walk(node.members[name], below(path, name), null, look) end
  elseif node.kind == "list" then
    for _, element in ipairs(node) do walk(element, path, null, look) end
  else
    look(node, path)
    walk_inner(node, path, null, look)
  end
end

-- The values that an attribute has, for a message.
local function known_values(set)
  local out = {}
  for v in pairs(set) do out[#out + 1] = v end
  table.sort(out, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  for i, v in ipairs(out) do out[i] = tostring(v) end
  return table.concat(out, ", ", 1, math.min(#out, 20)) .. (#out > 20 and ", ..." or "")
end

--- say(at, message) for each constant that is none of its attribute's values.
function lintmaps.constants(options, null, say)
  local target = options.target and targets.get(options.target)
  if not target then return end
  walk(tree.of(options.map, { "map" }, null), "", null, function(node, path)
    local allowed = (target.enums or {})[path]
    if not allowed then return end
    each_constant(node.kind == "value" and node.value or node.expression, function(v)
      if v ~= null and not allowed[math.type(v) and math.tointeger(v) or v] then
        say(node.at, ("%s is none of the values of %s in %s: %s"):format(tostring(v), path, options.target, known_values(allowed)))
      end
    end)
  end)
end

local function join(path, key) return path == "" and key or path .. "." .. key end

local function read_below(scope, path, out)
  for key, entry in pairs(scope.keys) do
    local longer = join(path, key)
    if entry.used or entry.elements then out[longer] = true end
    if entry.shape then read_below(entry.shape, longer, out) end
    for _, inner in ipairs(entry.elements or {}) do read_below(inner, longer, out) end
  end
  for _, entry in pairs(scope.indexes) do
    if entry.shape then read_below(entry.shape, path, out) end
  end
end

--- The paths that a map reads, as lintfields has them: sorted.
function lintmaps.reads(read)
  local out = {}
  read_below(read, "", out)
  return check.sorted_keys(out)
end

-- Whether what stands at `path` reaches a document; a value is whole where nothing below it is read alone.
local function is_taken(scopes, path)
  local step, rest = path:match "^([^.]+)%.?(.*)$"
  for _, scope in ipairs(scopes) do
    local entry = scope.keys[step]
    if entry then
      if rest == "" and entry.used or entry.taken then return true end
      local inner = table.move(entry.elements or {}, 1, #(entry.elements or {}), 1, {})
      inner[#inner + 1] = entry.shape
      if rest ~= "" and is_taken(inner, rest) then return true end
    end
    for _, at in pairs(scope.indexes) do
      if at.shape and is_taken({ at.shape }, path) then return true end
    end
  end
  return false
end

--- The fields of `have` (path -> true) that a map does not read, sorted; what lies below one of these is not named again.
function lintmaps.left_out(read, have)
  local out, inner = {}, {}
  for path in pairs(have) do
    for at in path:gmatch "()%." do inner[path:sub(1, at - 1)] = true end
  end
  for _, path in ipairs(check.sorted_keys(have)) do
    if not inner[path] and not is_taken({ read }, path) then out[#out + 1] = path end
  end
  return out
end

return lintmaps

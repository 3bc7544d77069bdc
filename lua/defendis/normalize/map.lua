-- map.lua: declarative maps: checked, and compiled into a program that the core runs without Lua tables.
--
--   map.compile(options, host) -> { program = for core.map.new, read = what the program reads } | nil, message, path
--     options: of a normalizer; host.encode(value) -> JSON text; host.hidden(dataset) -> names whose values are never copied, or nil;
--     host.hmac_key = text or secret, or nil; key_later = true: the host makes a map that is `keyed` anew with its key; host.null
--   map.lost(read, record) -> set of dotted paths of the record that nothing reads
local check = require "defendis.check"
local expressions = require "defendis.normalize.expressions"
local program = require "defendis.normalize.program"
local secrets = require "defendis.helpers.secrets"
local tree = require "defendis.normalize.tree"

local map = {}

local Compiler = {}
Compiler.__index = Compiler

local function refuse(node, message, ...) tree.fault(node.at, message, ...) end

-- The entry of a field; how: see Compiler:expression. What is only compared or asked for stays in `unmapped`.
function Compiler:entry(node, e, how)
  local steps, scope = e.steps, e.steps.root and self.root or self.scope
  local hidden, taken = how == "fact" or how == "condition", how ~= "condition" and how ~= "compare" and how ~= "list"
  for _, step in ipairs(steps) do
    if not hidden and type(step) == "string" and self.names[step:lower()] then
      refuse(node, '"%s" is sensitive: use mask, hmac or length_class', table.concat(steps, "."))
    end
  end
  if #steps == 0 and scope == self.root then refuse(node, '"." is the element of a list, and this is in none') end
  local entry = program.entry(scope, steps)
  entry.used, entry.taken = true, entry.taken or taken
  return entry
end

function Compiler:value(v)
  if v == self.host.null then return self.program:const("null") end
  local text, err = self.host.encode(v)
  if not text then return nil, err.message end
  return self.program:const(text, type(v) ~= "table" and (type(v) == "string" and v or text) or nil)
end

function Compiler:constant(node, v)
  local const, problem = self:value(v)
  if not const then refuse(node, "a constant: %s", problem) end
  return const
end

-- A branch of when, or what each writes: an expression, a map or a constant.
function Compiler:branch(node, v) return self:node(tree.of(v, node.at, self.host.null)) end

local emit = {}

function emit.constant(self, node, e) return { op = "const", a = self:constant(node, e.value) } end

function emit.field(self, node, e, how) return { op = "field", a = self:entry(node, e, how) } end

function emit.when(self, node, e)
  local kids = { self:expression(node, e.condition, "condition"), self:branch(node, e.what) }
  if e.otherwise ~= nil then kids[3] = self:branch(node, e.otherwise) end
  return { op = "when", kids = kids }
end

function emit.each(self, node, e)
  local list = self:entry(node, e.list, "list")
  local outer, scope = self.scope, self.program:scope()
  list.elements = list.elements or {}
  table.insert(list.elements, scope)
  self.scope = scope
  local kid = self:branch(node, e.what)
  self.scope = outer
  return { op = "each", a = list, b = scope, c = scope, kids = { kid } }
end

function emit.lookup(self, node, e)
  local values, default = {}, e.default
  for key, v in pairs(e.values) do
    if expressions.is(v) then refuse(node, "the values of a lookup are constants") end
    values[tostring(key)] = self:constant(node, v)
  end
  if expressions.is(default) then -- as first_of(lookup(...), default)
    local found = self:add(emit.lookup(self, node, { kids = e.kids, values = e.values }))
    return { op = "first_of", kids = { found, self:expression(node, default) } }
  end
  return { op = "lookup", a = self.program:dict(values), b = default ~= nil and self:constant(node, default) or nil,
    kids = { self:expression(node, e.kids[1], "part") } }
end

function emit.equals(self, node, e)
  local values = {}
  for key in pairs(e.values) do values[key] = 0 end
  return { op = "equals", a = self.program:dict(values), kids = { self:expression(node, e.kids[1], "compare") } }
end

function emit.hmac(self, node, e)
  if not (self.host.hmac_key or self.host.key_later) then refuse(node, "hmac needs a key, and none is configured") end
  self.program.keyed = true
  return { op = "hmac", kids = { self:expression(node, e.kids[1], "fact") } }
end

function emit.split(self, node, e)
  return { op = "split", text = e.separator, a = e.n, kids = { self:expression(node, e.kids[1], "part") } }
end

function emit.join(self, node, e) return { op = "join", text = e.separator, a = self:entry(node, e.list) } end

function emit.millis(self, node, e) return { op = "millis", a = e.scale, kids = { self:expression(node, e.kids[1], "part") } } end

function emit.iso(self, node, e) return { op = "iso", a = 1, kids = { self:expression(node, e.kids[1], "part") } } end

function emit.fn(self, _, e)
  local call, f = self.host.call, e.call
  table.insert(self.program.functions, call and function(record)
    local ok, value = call(f, record)
    if not ok then error(value, 0) end
    return value
  end or f)
  return { op = "fn", a = #self.program.functions - 1 }
end

local WHOLE = { fn = true, each = true } -- no part of a text
local FACTS = { mask = "fact", length_class = "fact", absent = "condition" }

-- how: "fact": only a fact about the value is written; "condition": only whether it is there counts; "compare": it is compared and not
-- written; "part": it is put into a text; "whole": as it is.
function Compiler:expression(node, e, how)
  if how and how ~= "whole" and WHOLE[e.op] then refuse(node, "%s stands for a whole value, not for a part of one", e.op) end
  if emit[e.op] then return self:add(emit[e.op](self, node, e, how)) end
  local kids = {}
  local part = FACTS[e.op] or ((e.op == "first_of" or how == "compare") and how) or "part"
  for i, kid in ipairs(e.kids) do kids[i] = self:expression(node, kid, part) end
  return self:add{ op = e.op, kids = kids }
end

function Compiler:add(node) return self.program:node(node) end

-- The JSON of a node that holds constants only, or nil.
function Compiler:fixed(node)
  local v = node.value
  if node.kind == "expression" and node.expression.op == "constant" then v = node.expression.value end
  if node.kind == "value" or node.kind == "expression" and node.expression.op == "constant" then
    if v == self.host.null then return "null" end
    local text, err = self.host.encode(v)
    return text or refuse(node, "a constant: %s", err.message)
  end
  local parts, brackets = {}, node.kind == "list" and "[%s]" or "{%s}"
  if node.kind == "expression" or node.rest then return nil end
  for i, name in ipairs(node.kind == "list" and node or check.sorted_keys(node.members)) do
    local json = self:fixed(node.kind == "list" and name or node.members[name])
    if not json then return nil end
    parts[i] = node.kind == "list" and json or self.host.encode(name) .. ":" .. json
  end
  return brackets:format(table.concat(parts, ","))
end

function Compiler:object(node)
  local kids, fixed = {}, ""
  local function flush()
    if fixed ~= "" then kids[#kids + 1] = self:add{ op = "raw", text = fixed } end
    fixed = ""
  end
  for _, name in ipairs(check.sorted_keys(node.members)) do
    local member, key = node.members[name], self.host.encode(name) .. ":"
    local json = self:fixed(member)
    if json then
      fixed = fixed .. key .. json .. ","
    else
      flush()
      local value = self:node(member)
      kids[#kids + 1] = self:add{ op = "member", text = key, a = member.required and self.program:text(member.required) or nil,
        kids = { value } }
    end
  end
  flush()
  if node.rest then
    local known = {}
    for name in pairs(node.members) do known[name:lower()] = 0 end
    kids[#kids + 1] = self:add{ op = "rest", a = self.root, b = next(known) and self.program:dict(known) or nil }
  end
  return self:add{ op = "object", kids = kids }
end

--- The number of a node of the tree.
function Compiler:node(node)
  if node.kind == "object" then return self:object(node) end
  if node.kind == "expression" then return self:expression(node, node.expression, "whole") end
  if node.kind == "value" then return self:add{ op = "const", a = self:constant(node, node.value) } end
  local kids = {}
  for i, element in ipairs(node) do kids[i] = self:node(element) end
  return self:add{ op = "list", kids = kids }
end

local function target_of(name)
  local target, problem = require("defendis.normalize.targets").get(name)
  return target or tree.fault({ "target" }, "%s", problem)
end

local function leave_rest(root, unmapped)
  local node = root.members.unmapped
  if not node then
    root.members.unmapped = { kind = "object", members = {}, rest = true, at = root.at }
  elseif node.kind == "object" then
    node.rest = true
  elseif unmapped then
    refuse(node, "unmapped is where the rest of the record goes: write a table of fields, or set unmapped = false")
  end
end

local function compile(options, host)
  local target = options.target ~= nil and target_of(options.target)
  local root = tree.of(options.map, { "map" }, host.null)
  if root.kind ~= "object" then tree.fault(root.at, "a table of fields expected") end
  if target then tree.aim(root, target, options.target, host.null) end
  local unmapped = options.unmapped
  if unmapped == nil then unmapped = target and options.target:find "^ocsf:" ~= nil end
  if unmapped then leave_rest(root, true) end
  local made, names, never = program.new(), {}, {}
  local listed = host.hidden and host.hidden(options.dataset) or secrets.PARTS
  for _, name in ipairs(listed) do names[name:lower()], never[name:lower()] = true, 0 end
  local self = setmetatable({ program = made, root = made:scope(), names = names, host = host }, Compiler)
  self.scope = self.root
  if next(never) then made.sensitive = made:dict(never) end
  self:object(root)
  local out = made:finish()
  out.key, out.keyed = host.hmac_key, made.keyed
  return { program = out, read = self.root }
end

function map.compile(options, host)
  local ok, result = pcall(compile, options, host)
  if ok then return result end
  if type(result) ~= "table" or not result.message then error(result, 0) end
  return nil, result.message, result.at
end

local lost

-- A list whose elements are read one by one, or a value that is a list of itself.
local function lost_elements(scopes, value, name, out)
  for _, element in ipairs(type(value) == "table" and (#value > 0 or next(value) == nil) and value or { value }) do
    if type(element) == "table" and #element == 0 then lost(scopes, element, name, out) else out[name] = true end
  end
end

function lost(scopes, value, path, out)
  for key, v in pairs(value) do
    local name, read, inner, elements = path == "" and key or path .. "." .. key, false, {}, {}
    for _, scope in ipairs(scopes) do
      local e = scope.keys[key]
      if e then
        read = read or e.taken or not e.elements and type(v) ~= "table" and e.used
        inner[#inner + 1] = e.shape
        table.move(e.elements or {}, 1, #(e.elements or {}), #elements + 1, elements)
      end
    end
    if not read and #elements > 0 then
      lost_elements(elements, v, name, out)
    elseif not read and #inner > 0 and type(v) == "table" and #v == 0 then
      lost(inner, v, name, out)
    elseif not read then
      out[name] = true
    end
  end
end

function map.lost(read, record)
  local out = {}
  lost({ read }, record, "", out)
  return out
end

return map

-- program.lua: puts a map's program together: the numbers that src/engine/program.c reads, and the texts that they count.
--
-- numbers: slots; shapes; dictionaries; which of these names what is never copied (-1: none); constants; nodes. A list begins with its
-- length, and everything is counted from 0.
--   shape       first and last + 1 slot of all below it; {text, entry}...; how many indexes, {index, entry}...
--   entry       slot or -1, shape below or -1, taken: 1, 0, or 2 + the shape of the elements of a list that are read one by one
--   dictionary  {text, constant}...
--   constant    text of its JSON, text of its text or -1
--   node        op, text, a, b, c (-1: none), {number of an earlier node}...   The last node is the document.
local check = require "defendis.check"

local OPS <const> = { "object", "raw", "member", "rest", "list", "const", "field", "each", "when", "first_of", "concat", "lower", "upper",
  "trim", "host", "scheme", "domain", "split", "join", "lookup", "millis", "iso", "len", "text", "number", "mask", "hmac", "length_class",
  "equals", "absent", "fn" }
local CODE = {}
for i, op in ipairs(OPS) do CODE[op] = i - 1 end

local Program = {}
Program.__index = Program

function Program:text(s)
  local known = self.text_index[s]
  if known then return known end
  self.texts[#self.texts + 1] = s
  self.text_index[s] = #self.texts - 1
  return #self.texts - 1
end

--- A constant: its JSON, and what it is as part of a text, or nil.
function Program:const(json, text)
  self.consts[#self.consts + 1] = { self:text(json), text and self:text(text) or -1 }
  return #self.consts - 1
end

--- values: text -> constant.
function Program:dict(values)
  local dict = {}
  for _, key in ipairs(check.sorted_keys(values)) do dict[#dict + 1] = { self:text(key), values[key] } end
  self.dicts[#self.dicts + 1] = dict
  return #self.dicts - 1
end

--- Where a new walk begins: the record, or the element of a list.
function Program:scope()
  local scope = { keys = {}, indexes = {} }
  self.scopes[#self.scopes + 1] = scope
  return scope
end

--- The entry at a path below a scope; no steps: the element itself.
function Program.entry(scope, steps)
  if #steps == 0 then
    scope.itself = scope.itself or {}
    return scope.itself
  end
  local shape, entry = scope, nil
  for i, step in ipairs(steps) do
    local list = math.type(step) == "integer" and shape.indexes or shape.keys
    entry = list[step] or {}
    list[step] = entry
    if i < #steps then
      entry.shape = entry.shape or { keys = {}, indexes = {} }
      shape = entry.shape
    end
  end
  return entry
end

--- A node: {op, text, a, b, c, kids}; a may be an entry, whose slot is meant, b a scope, and c that scope as well.
function Program:node(node)
  self.nodes[#self.nodes + 1] = node
  return #self.nodes - 1
end

local function each_entry(shape, f)
  for _, key in ipairs(check.sorted_keys(shape.keys)) do f(shape.keys[key], key) end
  for _, index in ipairs(check.sorted_keys(shape.indexes)) do f(shape.indexes[index], index) end
end

-- Slots of what lies below a shape follow one another.
function Program:lay_out(shape)
  self.shapes[#self.shapes + 1] = shape
  shape.number, shape.first = #self.shapes - 1, self.slots
  each_entry(shape, function(entry)
    if entry.used then
      entry.slot = self.slots
      self.slots = self.slots + 1
    end
    if entry.shape then self:lay_out(entry.shape) end
  end)
  shape.stop = self.slots
end

function Program:write_shape(add, shape)
  add(shape.first, shape.stop, #check.sorted_keys(shape.keys), #check.sorted_keys(shape.indexes))
  each_entry(shape, function(entry, key)
    add(type(key) == "string" and self:text(key) or key, entry.slot or -1, entry.shape and entry.shape.number or -1,
      entry.taken and 1 or entry.rest and entry.rest.number + 2 or 0)
  end)
end

local function number(v, what)
  if type(v) ~= "table" then return v or -1 end
  if what == "c" then return v.itself and v.itself.slot or -1 end
  return what == "b" and v.number or v.slot or v.number
end

local function absorb(into, scope)
  for _, list in ipairs{ "keys", "indexes" } do
    for key, entry in pairs(scope[list]) do
      local own = into[list][key] or {}
      into[list][key], own.taken = own, own.taken or entry.taken
      for _, inner in ipairs(entry.elements or {}) do
        own.elements = own.elements or {}
        table.insert(own.elements, inner)
      end
      if entry.shape then
        own.shape = own.shape or { keys = {}, indexes = {} }
        absorb(own.shape, entry.shape)
      end
    end
  end
end

-- Of lists that are read element by element: what all who do so read. When one takes elements as they are, all of it is taken.
function Program:find_rests(shape)
  each_entry(shape, function(entry)
    for _, scope in ipairs(entry.elements or {}) do entry.taken = entry.taken or scope.itself and scope.itself.taken end
    if entry.elements and not entry.taken then
      entry.rest = entry.elements[2] and self:scope() or entry.elements[1]
      for _, scope in ipairs(entry.elements[2] and entry.elements or {}) do absorb(entry.rest, scope) end
    end
    if entry.shape then self:find_rests(entry.shape) end
  end)
end

--- The whole as {code, texts, functions}.
function Program:finish()
  for _, scope in ipairs(self.scopes) do self:find_rests(scope) end -- which may add more
  for _, scope in ipairs(self.scopes) do
    if scope.itself then
      scope.itself.slot = self.slots
      self.slots = self.slots + 1
    end
    self:lay_out(scope)
  end
  local code = {}
  local function add(...)
    for i = 1, select("#", ...) do code[#code + 1] = (select(i, ...)) end
  end
  add(self.slots, #self.shapes)
  for _, shape in ipairs(self.shapes) do self:write_shape(add, shape) end
  add(#self.dicts)
  for _, dict in ipairs(self.dicts) do
    add(#dict)
    for _, pair in ipairs(dict) do add(pair[1], pair[2]) end
  end
  add(self.sensitive or -1, #self.consts)
  for _, const in ipairs(self.consts) do add(const[1], const[2]) end
  add(#self.nodes)
  for _, n in ipairs(self.nodes) do
    add(CODE[n.op], n.text and self:text(n.text) or -1, number(n.a), number(n.b, "b"), number(n.c, "c"), n.kids and #n.kids or 0)
    if n.kids then add(table.unpack(n.kids)) end
  end
  return { code = code, texts = self.texts, functions = self.functions }
end

return {
  new = function()
    return setmetatable({ texts = {}, text_index = {}, consts = {}, dicts = {}, scopes = {}, shapes = {}, nodes = {}, functions = {},
      slots = 0 }, Program)
  end,
  entry = Program.entry,
}

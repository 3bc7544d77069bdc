-- expression.lua: the condition of a temporal correlation as text: `a and not (b or c)`; not binds before and, and before or.
--
--   expression.parse(text) -> tree, or nil, message
--   tree: { op = "name", name } | { op = "not", tree } | { op = "and" | "or", tree, tree }
local expression = {}

local TEXT_MAX = 2000
local KEYWORDS = { ["and"] = true, ["or"] = true, ["not"] = true }

local function tokens(text)
  local out, at = {}, 1
  while true do
    at = text:match("^%s*()", at)
    if at > #text then return out end
    local word = text:match("^[%a_][%w_]*", at) or text:match("^[()]", at)
    if not word then return nil, ('"%s" is none of a name, and, or, not, ( and )'):format(text:sub(at, at)) end
    out[#out + 1] = word
    at = at + #word
  end
end

local parse_or

local function parse_one(list)
  local word = list[list.at]
  list.at = list.at + 1
  if word == "not" then return { op = "not", parse_one(list) } end
  if word == "(" then
    local tree = parse_or(list)
    if list[list.at] ~= ")" then error({ "a ) is missing" }, 0) end
    list.at = list.at + 1
    return tree
  end
  if not word then error({ "a name is missing at the end" }, 0) end
  if KEYWORDS[word] or word == ")" then error({ ('a name expected, got "%s"'):format(word) }, 0) end
  return { op = "name", name = word }
end

local function chain_of(word, next_level)
  return function(list)
    local tree = next_level(list)
    while list[list.at] == word do
      list.at = list.at + 1
      tree = { op = word, tree, next_level(list) }
    end
    return tree
  end
end

parse_or = chain_of("or", chain_of("and", parse_one))

function expression.parse(text)
  if #text > TEXT_MAX then return nil, ("longer than %d characters"):format(TEXT_MAX) end
  local list, message = tokens(text)
  if not list then return nil, message end
  list.at = 1
  local ok, tree = pcall(parse_or, list)
  if not ok then return nil, type(tree) == "table" and tree[1] or tostring(tree) end
  if list[list.at] then return nil, ('and, or, or the end expected, got "%s"'):format(list[list.at]) end
  return tree
end

local function visit(tree, affirmed, seen)
  if tree.op == "name" then return seen(tree, affirmed) end
  for i = 1, #tree do visit(tree[i], affirmed ~= (tree.op == "not"), seen) end
end

--- The names in order of appearance, those that stand affirmed somewhere (name -> true), and whether any stands negated.
function expression.names(tree)
  local names, known, affirmed, negates = {}, {}, {}, false
  visit(tree, true, function(leaf, yes)
    if not known[leaf.name] then names[#names + 1] = leaf.name end
    known[leaf.name] = true
    if yes then affirmed[leaf.name] = true else negates = true end
  end)
  return names, affirmed, negates
end

--- Does it contain an `or`, or a `not` of more than a name? Then it says nothing of an order.
function expression.is_list(tree)
  if tree.op == "and" then return expression.is_list(tree[1]) and expression.is_list(tree[2]) end
  return tree.op == "name" or tree.op == "not" and tree[1].op == "name"
end

--- Is it true when has(name) says what is there?
function expression.holds(tree, has)
  local op = tree.op
  if op == "name" then return has(tree.name) and true or false end
  if op == "not" then return not expression.holds(tree[1], has) end
  local first = expression.holds(tree[1], has)
  if op == "and" then return first and expression.holds(tree[2], has) end
  return first or expression.holds(tree[2], has)
end

return expression

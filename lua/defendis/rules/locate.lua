-- locate.lua: the lines of a constructor call and of its keys, for messages.
--
-- Reads just enough of Lua to skip strings, comments and function bodies; where it loses the thread it answers nil
-- and the message names the line of the call instead.
local locate = {}

local OPENS = { ["function"] = true, ["if"] = true, ["do"] = true, ["repeat"] = true }
local CLOSES = { ["end"] = true, ["until"] = true }

local function skip_blanks(text, at)
  while true do
    at = text:match("^%s*()", at)
    local level = text:match("^%-%-%[(=*)%[", at)
    if level then
      local _, stop = text:find("]" .. level .. "]", at, true)
      at = (stop or #text) + 1
    elseif text:find("^%-%-", at) then
      at = text:match("^[^\n]*()", at)
    else
      return at
    end
  end
end

-- The token at or after `at`: its text ("" at the end, "'" for any string), where it starts, where the next may start.
local function token(text, at)
  at = skip_blanks(text, at)
  local name, stop = text:match("^([%a_][%w_]*)()", at)
  if name then return name, at, stop end
  local level = text:match("^%[(=*)%[", at)
  if level then
    local _, last = text:find("]" .. level .. "]", at, true)
    return "'", at, (last or #text) + 1
  end
  local quote = text:match("^[\"']", at)
  if not quote then
    local sign = text:match("^[=~<>]=", at) or text:sub(at, at)
    return sign, at, at + math.max(1, #sign)
  end
  local from = at + 1
  while true do
    local i = text:find("[\\" .. quote .. "]", from)
    if not i then return "'", at, #text + 1 end
    if text:sub(i, i) == quote then return "'", at, i + 1 end
    from = i + 2
  end
end

-- Past the value at `at`: where the separator or the closing brace of the table stands, and the value's first brace.
local function skip_value(text, at)
  local depth, brace = 0, nil
  while true do
    local tok, start, stop = token(text, at)
    if tok == "" then return nil end
    if depth == 0 and (tok == "," or tok == ";" or tok == "}") then return start, brace end
    if tok == "{" and depth == 0 then brace = brace or start end
    if tok == "{" or tok == "(" or tok == "[" or OPENS[tok] then depth = depth + 1 end
    if tok == "}" or tok == ")" or tok == "]" or CLOSES[tok] then depth = depth - 1 end
    at = stop
  end
end

-- The key of the field at `at` (its name, or nil when positional), where it starts and where the value starts.
local function field_key(text, at)
  local tok, start, stop = token(text, at)
  local key, after = tok, stop
  if tok == "[" then
    local kind, from, to = token(text, stop)
    if kind ~= "'" then return nil, start, start end
    key = text:sub(from + 1, to - 2)
    local closing, _, next_at = token(text, to)
    if closing ~= "]" then return nil, start, start end
    after = next_at
  elseif not tok:find("^[%a_]") then
    return nil, start, start
  end
  local sign, _, value = token(text, after)
  if sign == "=" then return key, start, value end
  return nil, start, start
end

-- The offset of path[depth] in the table that opens at `brace`.
local function find(text, brace, path, depth)
  local at, index = brace + 1, 0
  while true do
    local tok = token(text, at)
    if tok == "" or tok == "}" then return nil end
    local key, start, value = field_key(text, at)
    if not key then
      index = index + 1
      key = index
    end
    local stop, inner = skip_value(text, value)
    if not stop then return nil end
    if key == path[depth] then
      if depth == #path or not inner then return start end
      return find(text, inner, path, depth + 1) or start
    end
    if text:sub(stop, stop) == "}" then return nil end
    at = stop + 1
  end
end

--- The tokens of a file: function() -> text ("'" for a string, "" at the end), where it starts, where it ends.
function locate.tokens(text)
  local at = 1
  return function()
    local tok, start, stop = token(text, at)
    at = stop
    return tok, start, stop - 1
  end
end

local function line_of(text, offset)
  local _, count = text:sub(1, offset):gsub("\n", "")
  return count + 1
end

-- Where the table of the first `kind{` or `kind({` at or after `at` opens, or nil.
local function opening(text, at, kind)
  local tok, _
  repeat
    tok, _, at = token(text, at)
    if tok == "" then return nil end
  until tok == kind
  local start, stop
  tok, start, stop = token(text, at)
  if tok == "(" then tok, start = token(text, stop) end
  return tok == "{" and start or nil
end

--- The line of the field at `path` in the call of `kind` on `line`, or nil.
function locate.line(text, line, kind, path)
  local at = 1
  for _ = 2, line do at = (text:find("\n", at, true) or #text) + 1 end
  local brace = opening(text, at, kind)
  local offset = brace and #path > 0 and find(text, brace, path, 1)
  return offset and line_of(text, offset) or nil
end

--- The line of the `return KIND{...}` that ends a file. Such a call is a tail call, which leaves no line behind to
-- ask for.
function locate.returned(text, kind)
  local at, depth, last, before = 1, 0, 1, nil
  while true do
    local tok, start, stop = token(text, at)
    if tok == "" then break end
    if OPENS[tok] then depth = depth + 1 end
    if CLOSES[tok] then depth = depth - 1 end
    if depth == 0 and tok == kind and before == "return" then last = start end
    before, at = tok, stop
  end
  return line_of(text, last)
end

return locate

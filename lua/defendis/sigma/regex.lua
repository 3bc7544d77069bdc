-- regex.lua: regular expressions: by the host's PCRE2, or as Lua patterns when they mean the same there.
--
--   regex.test(pattern, flags, host) -> function(text) -> boolean, or nil and why not; flags: letters of i, m, s
--
-- As Lua patterns: literals, ".", classes, \d \w \s, ^ and $ around a whole alternative, one * + ? behind one character, a|b at the top.
-- Groups, counts, look-around, references and multi-line anchors are refused.
local regex = {}

local UNBOUNDED_MAX = 3 -- more of them in one pattern, and Lua's matcher may take too long
local CLASS = { d = "%d", D = "%D", w = "[%w_]", W = "[^%w_]", s = "%s", S = "%S" }
local CONTROL = { n = "\n", r = "\r", t = "\t", f = "\f", v = "\v" }
local CONTINUED <const> = "[\128-\191]*" -- the rest of a character of several bytes

local function quote(c)
  if c == "\0" then return "%z" end
  return c:find("^%w$") and c or c:byte() > 127 and c or "%" .. c
end

local function letter(c, flags)
  if flags:find("i", 1, true) and c:find("^%a$") then return "[" .. c:lower() .. c:upper() .. "]" end
  return quote(c)
end

-- The class that opens at `at`, as Lua writes it, and where it ends.
local function class(pattern, at, flags)
  local negated = pattern:sub(at + 1, at + 1) == "^"
  local out, i = { negated and "[^" or "[" }, at + (negated and 2 or 1)
  local first = i
  while true do
    local c = pattern:sub(i, i)
    if c == "" or (c == "[" and pattern:find("^%[[:.=]", i)) or c:byte() > 127 then return nil end
    if c == "]" and i > first then break end
    local from, to = pattern:match("^(%w)%-(%w)", i)
    if c == "\\" then
      local e = pattern:sub(i + 1, i + 1)
      if e:find("^%a$") and not ("dwsntr"):find(e, 1, true) or e:find("^%d$") or e == "" then return nil end
      out[#out + 1] = e == "w" and "%w_" or e:find("[ds]") and "%" .. e or CONTROL[e] or "%" .. e
      i = i + 2
      if pattern:find("^%-[^%]]", i) then return nil end
    elseif from then
      if from > to then return nil end
      out[#out + 1] = from .. "-" .. to
      if flags:find("i", 1, true) and (from .. to):find("%a") then
        if not ((from .. to):find("^%l%l$") or (from .. to):find("^%u%u$")) then return nil end
        out[#out + 1] = from:lower() .. "-" .. to:lower() .. from:upper() .. "-" .. to:upper()
      end
      i = i + 3
    else
      if c ~= "-" and pattern:find("^%-[^%]]", i + 1) then return nil end
      out[#out + 1] = flags:find("i", 1, true) and c:find("%a") and c:lower() .. c:upper() or quote(c)
      i = i + 1
    end
  end
  return table.concat(out) .. "]", i + 1, negated
end

-- One character to match: as Lua writes it, where it ends, and whether it may be one of several bytes.
local function item(pattern, at, flags)
  local c = pattern:sub(at, at)
  if c == "[" then return class(pattern, at, flags) end
  if c == "." then return flags:find("s", 1, true) and "." or "[^\n]", at + 1, true end
  if c == "\\" then
    local e = pattern:sub(at + 1, at + 1)
    if CLASS[e] then return CLASS[e], at + 2, e:find("%u") ~= nil end
    if CONTROL[e] then return CONTROL[e], at + 2 end
    if e == "" or e:find("^%w$") or e:byte() > 127 then return nil end
    return quote(e), at + 2
  end
  if c:find("^[(){}*+?|^$%]]$") then return nil end
  if c:byte() > 127 and (flags:find("i", 1, true) or pattern:find("^[\128-\191]*[*+?]", at + 1)) then return nil end
  return letter(c, flags), at + 1
end

local function alternative(pattern, flags)
  local out, at, unbounded = {}, 1, 0
  if pattern:sub(1, 1) == "^" then out[1], at = "^", 2 end
  while at <= #pattern do
    if at == #pattern and pattern:sub(at) == "$" then
      out[#out + 1] = "\n?$" -- the end, or before a line break that ends the text
      return table.concat(out)
    end
    local one, after, wide = item(pattern, at, flags)
    if not one then return nil end
    local times = pattern:match("^[*+?]", after)
    if times then
      after = after + 1
      local lazy = pattern:match("^[?+]", after)
      if lazy == "+" or (wide and times == "?") then return nil end
      if lazy then after = after + 1 end
      if times ~= "?" then unbounded = unbounded + 1 end
    elseif wide then
      one = one .. CONTINUED
    end
    if unbounded > UNBOUNDED_MAX then return nil end
    out[#out + 1] = one .. (times or "")
    at = after
  end
  return table.concat(out)
end

local function alternatives(pattern)
  local out, from, at, inside = {}, 1, 1, false
  while at <= #pattern do
    local c = pattern:sub(at, at)
    if c == "\\" then
      at = at + 1
    elseif c == "[" and not inside then
      inside = true
      at = at + #pattern:match("^%^?%]?", at + 1)
    elseif c == "]" then
      inside = false
    elseif c == "|" and not inside then
      out[#out + 1] = pattern:sub(from, at - 1)
      from = at + 1
    end
    at = at + 1
  end
  out[#out + 1] = pattern:sub(from)
  return out
end

local function as_lua(pattern, flags)
  if flags:find("m", 1, true) then return nil end
  local patterns = {}
  for i, one in ipairs(alternatives(pattern)) do
    patterns[i] = alternative(one, flags)
    if not patterns[i] or #patterns[i] > 2000 then return nil end
  end
  return function(s)
    for i = 1, #patterns do
      if s:find(patterns[i]) then return true end
    end
    return false
  end
end

local function with_host(make, pattern, flags)
  local ok, made = pcall(make, pattern, flags .. "u")
  if not ok then
    return nil, ("the regular expression does not compile: %s"):format(type(made) == "table" and made.message or tostring(made))
  end
  return function(s) return made:test(s) end
end

function regex.test(pattern, flags, host)
  local make = host.regex or host.native and host.native.regex
  if make then return with_host(make, pattern, flags) end
  local inline = pattern:match("^%(%?([ims]+)%)")
  if inline then
    flags, pattern = flags .. inline, pattern:sub(#inline + 4)
  end
  local test = as_lua(pattern, flags)
  if test then return test end
  return nil, "this regular expression needs PCRE2, which this program is without; only literals, classes, '.', * + ? behind one "
    .. "character, ^, $ and alternatives at the top are available"
end

return regex

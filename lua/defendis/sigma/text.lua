-- text.lua: texts as Sigma compares them: without regard to case, with the wildcards * and ?.
--
--   text.fold(s) -> s in lower case (ASCII, Latin, Greek, Cyrillic, Armenian)
--   text.of(v), text.folded(v) -> the text of a record's value, or nil when it has none
--   text.parse(value) -> parts between stars; each an array of literal texts and ANY (one character)
--   text.matcher(parts, cased) -> function(text) -> boolean
--
-- Nothing here allocates for a value that was compared before: what was folded is kept, up to a bound.
local find, lower, type, tostring, tointeger = string.find, string.lower, type, tostring, math.tointeger

local text = {}

local ANY = true
local ANY_PATTERN <const> = "[%z\1-\127\194-\244][\128-\191]*" -- one character, of one byte or more
local ANY_MAX = 100                                            -- Lua's patterns nest 200 deep
text.ANY = ANY

-- Upper to lower case of what UTF-8 writes in two or three bytes.
local FOLDS = {}
for _, range in ipairs{ { 0xC0, 0xDE, 32 }, { 0x391, 0x3A9, 32 }, { 0x410, 0x42F, 32 }, { 0x400, 0x40F, 80 }, { 0x531, 0x556, 48 },
  { 0x388, 0x38A, 37 }, { 0x386, 0x386, 38 }, { 0x38C, 0x38C, 64 }, { 0x38E, 0x38F, 63 }, { 0x3C2, 0x3C2, 1 }, { 0x178, 0x178, -121 } } do
  for c = range[1], range[2] do
    if c ~= 0xD7 and c ~= 0x3A2 then FOLDS[utf8.char(c)] = utf8.char(c + range[3]) end
  end
end
for _, range in ipairs{ { 0x100, 0x12E }, { 0x132, 0x136 }, { 0x139, 0x147 }, { 0x14A, 0x176 }, { 0x179, 0x17D }, { 0x460, 0x480 },
  { 0x48A, 0x4BE }, { 0x4C1, 0x4CD }, { 0x4D0, 0x52E }, { 0x1E00, 0x1E94 }, { 0x1EA0, 0x1EFE } } do
  for c = range[1], range[2], 2 do FOLDS[utf8.char(c)] = utf8.char(c + 1) end
end

function text.fold(s)
  s = lower(s)
  if find(s, "[\195-\213\225]") then
    s = s:gsub("[\195-\213][\128-\191]", FOLDS):gsub("\225[\184-\187][\128-\191]", FOLDS)
  end
  return s
end

--- A number is its text; a long number too. Other values (booleans, tables, values that hide what they hold) have none.
function text.of(v)
  local kind = type(v)
  if kind == "string" then return v end
  if kind == "number" then return tostring(tointeger(v) or v) end
  if kind == "userdata" then
    local s = tostring(v)
    if find(s, "^%-?%d[%d.eE+-]*$") then return s end
  end
end

local KEPT_BYTES, KEPT_LONGEST = 1 << 20, 4096
local kept, kept_bytes = {}, 0

function text.folded(v)
  local known = kept[v]
  if known then return known end
  local s = text.of(v)
  if not s then return nil end
  local folded = text.fold(s)
  if v == v and #s <= KEPT_LONGEST then
    if kept_bytes > KEPT_BYTES then kept, kept_bytes = {}, 0 end
    kept[v], kept_bytes = folded, kept_bytes + #s + 64
  end
  return folded
end

--- Backslash before *, ? or backslash takes it as it is; before anything else it is a backslash.
function text.parse(value)
  local parts, part, literal, at = {}, {}, {}, 1
  local function flush()
    if #literal > 0 then part[#part + 1], literal = table.concat(literal), {} end
  end
  while at <= #value do
    local c = value:sub(at, at)
    local after = value:sub(at + 1, at + 1)
    if c == "\\" and (after == "*" or after == "?" or after == "\\") then
      literal[#literal + 1] = after
      at = at + 1
    elseif c == "*" then
      flush()
      parts[#parts + 1], part = part, {}
    elseif c == "?" then
      flush()
      part[#part + 1] = ANY
    else
      literal[#literal + 1] = c
    end
    at = at + 1
  end
  flush()
  parts[#parts + 1] = part
  return parts
end

--- The text when there is no wildcard in it, else nil.
function text.literal(parts)
  if #parts > 1 or #parts[1] > 1 or parts[1][1] == ANY then return nil end
  return parts[1][1] or ""
end

local function escape(s) return (s:gsub("%W", "%%%0"):gsub("%%([\128-\255])", "%1"):gsub("%%%z", "%%z")) end

-- One part as { plain = text } or { pattern = Lua pattern }.
local function compile_part(part, cased)
  local pattern, any, plain = {}, 0, ""
  for i, item in ipairs(part) do
    if item == ANY then
      any = any + 1
      pattern[i] = ANY_PATTERN
    else
      plain = cased and item or text.fold(item)
      pattern[i] = escape(plain)
    end
  end
  if any > ANY_MAX then return nil, ("more than %d times ? in one value"):format(ANY_MAX) end
  if any == 0 then return { plain = plain, pattern = escape(plain) } end
  return { pattern = table.concat(pattern) }
end

local function find_part(s, part, at)
  if part.plain then return find(s, part.plain, at, true) end
  return find(s, part.pattern, at)
end

-- First part at the start, last at the end, those between each at the first place left: what a glob means.
local function general(parts)
  local n = #parts
  local head, tail = "^" .. parts[1].pattern, parts[n].pattern .. "$"
  local tail_plain = parts[n].plain
  return function(s)
    local _, stop = find(s, head)
    if not stop then return false end
    for i = 2, n - 1 do
      _, stop = find_part(s, parts[i], stop + 1)
      if not stop then return false end
    end
    if tail_plain then
      local at = #s - #tail_plain + 1
      return at > stop and find(s, tail_plain, at, true) ~= nil
    end
    return find(s, tail, stop + 1) ~= nil
  end
end

--- @return function(text), or nil and what is wrong
function text.matcher(raw, cased)
  local parts = {}
  for i, part in ipairs(raw) do
    local compiled, problem = compile_part(part, cased)
    if not compiled then return nil, problem end
    if i == 1 or i == #raw or compiled.plain ~= "" then parts[#parts + 1] = compiled end
  end
  local first, last = parts[1], parts[#parts]
  if #parts == 1 then
    local whole, pattern = first.plain, "^" .. first.pattern .. "$"
    if whole then return function(s) return s == whole end end
    return function(s) return find(s, pattern) ~= nil end
  end
  if #parts == 3 and first.plain == "" and last.plain == "" and parts[2].plain then
    local inside = parts[2].plain
    return function(s) return find(s, inside, 1, true) ~= nil end
  end
  return general(parts)
end

return text

-- value.lua: what stands behind a field: its modifiers and values, as a test of one value of a record.
--
--   value.modifiers(names, fail) -> m: the modifiers of a field, checked
--   value.compile(m, v, context) -> { kind = "test", test = function(v) -> boolean } | { kind = "null" } | { kind = "exists", wanted }
--     | { kind = "field", keys, compare = function(a, b) -> boolean }; context: { host, null, fail = function(message) }
--   value.texts(m, v, context) -> the parsed texts of one value (windash, base64offset make several)
local fields = require "defendis.normalize.fields"
local ip = require "defendis.helpers.ip"
local text = require "defendis.sigma.text"
local check = require "defendis.check"

local value = {}

local POSITION = { contains = true, startswith = true, endswith = true }
local COMPARE = { lt = function(a, b) return a < b end, lte = function(a, b) return a <= b end, gt = function(a, b) return a > b end,
  gte = function(a, b) return a >= b end }
local ENCODE = { windash = 1, base64 = 2, base64offset = 2 } -- in this order
local FLAG = { i = true, m = true, s = true }
local WHY_NOT = { expand = "placeholders are filled by a pipeline of conversions, which this program has not; write the values out",
  wide = "no text of a record is UTF-16", utf16 = "no text of a record is UTF-16", utf16le = "no text of a record is UTF-16",
  utf16be = "no text of a record is UTF-16" }
local KNOWN = { all = true, cased = true, re = true, cidr = true, exists = true, fieldref = true }
for _, names in ipairs{ POSITION, COMPARE, ENCODE, FLAG } do
  for name in pairs(names) do KNOWN[name] = true end
end
local ALONE = { re = { all = true, i = true, m = true, s = true }, cidr = { all = true }, exists = {},
  fieldref = { contains = true, startswith = true, endswith = true, cased = true, all = true } }
for name in pairs(COMPARE) do ALONE[name] = { all = true } end

local function check_together(m, names, fail)
  for name in pairs(ALONE) do
    for _, other in ipairs(m[name] and names or {}) do
      if other ~= name and not ALONE[name][other] then fail(("the modifiers %s and %s do not go together"):format(name, other)) end
    end
  end
end

function value.modifiers(names, fail)
  local m, encoded = { encode = {} }, 0
  for _, name in ipairs(names) do
    if WHY_NOT[name] then fail(("the modifier %s is not supported: %s"):format(name, WHY_NOT[name])) end
    if not KNOWN[name] then fail(check.unknown(name, KNOWN, "modifier")) end
    if m[name] then fail(("the modifier %s is given twice"):format(name)) end
    if FLAG[name] and not m.re then fail(("the modifier %s stands behind re only"):format(name)) end
    if ENCODE[name] then
      if m.position or ENCODE[name] <= encoded then fail(("the modifier %s cannot stand behind %s"):format(name, m.last)) end
      encoded = ENCODE[name]
      m.encode[#m.encode + 1] = name
    elseif POSITION[name] then
      if m.position then fail(("the modifiers %s and %s do not go together"):format(m.position, name)) end
      m.position = name
    elseif COMPARE[name] then
      m.compare = name
    end
    m[name], m.last = true, name
  end
  check_together(m, names, fail)
  return m
end

local DASHES = { "-", "/", "\u{2013}", "\u{2014}", "\u{2015}" }
local DASHED_MAX = 3125 -- five options in one value

-- Each dash or slash in front of a word, as any of the five.
local function windash(s, fail)
  local out, at = { "" }, 1
  for place in s:gmatch("()[-/]%f[%w_\128-\255]") do
    if not s:sub(1, place - 1):find("[%w_\128-\255]$") then
      local kept, longer = s:sub(at, place - 1), {}
      for _, head in ipairs(out) do
        for _, dash in ipairs(DASHES) do longer[#longer + 1] = head .. kept .. dash end
      end
      out, at = longer, place + 1
      if #out > DASHED_MAX then fail("windash: more than five dashes in one value") end
    end
  end
  for i, head in ipairs(out) do out[i] = head .. s:sub(at) end
  return out
end

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(s)
  local out = {}
  for i = 1, #s, 3 do
    local a, b, c = s:byte(i, i + 2)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    for k = 0, 3 do
      local d = (n >> (18 - 6 * k) & 63) + 1
      out[#out + 1] = (k == 2 and not b or k == 3 and not c) and "=" or DIGITS:sub(d, d)
    end
  end
  return table.concat(out)
end

local STARTS, ENDS = { 1, 3, 4 }, { [0] = -1, -4, -3 }

local function encoded(m, s, fail)
  local literal = text.literal(text.parse(s))
  if not literal or literal == "" then fail("base64 takes a text without wildcards") end
  if m.base64 then return { { { base64(literal) } } } end
  local out = {}
  for i = 0, 2 do out[i + 1] = { { base64((" "):rep(i) .. literal):sub(STARTS[i + 1], ENDS[(#literal + i) % 3]) } } end
  return out
end

local function placed(parts, position)
  local out = { table.unpack(parts) }
  if position ~= "startswith" then table.insert(out, 1, {}) end
  if position ~= "endswith" then out[#out + 1] = {} end
  return out
end

function value.texts(m, v, context)
  local fail = context.fail
  if math.type(v) == "integer" or math.type(v) == "float" then v = text.of(v) end
  if type(v) ~= "string" then fail(("a text or number expected, got %s"):format(v == context.null and "null" or type(v))) end
  local out = {}
  for _, s in ipairs(m.windash and windash(v, fail) or { v }) do
    for _, parts in ipairs((m.base64 or m.base64offset) and encoded(m, s, fail) or { text.parse(s) }) do
      out[#out + 1] = m.position and placed(parts, m.position) or parts
    end
  end
  return out
end

local function regular(m, v, context)
  if type(v) ~= "string" then context.fail("re takes a text") end
  local native = context.host.native
  if not native or not native.regex then context.fail("re needs the program's core") end
  local ok, pattern = pcall(native.regex, v, (m.i and "i" or "") .. (m.m and "m" or "") .. (m.s and "s" or "") .. "u")
  if not ok then
    context.fail(("the regular expression does not compile: %s"):format(type(pattern) == "table" and pattern.message or tostring(pattern)))
  end
  return function(x)
    local s = text.of(x)
    return s ~= nil and pattern:test(s)
  end
end

local function network(v, context)
  local net, exact = ip.network(v)
  if not net or not exact then
    context.fail(('"%s" is no network such as 10.0.0.0/8%s'):format(tostring(v), net and ", bits behind the network are set" or ""))
  end
  return function(x) return (net:contains(x)) end
end

local function comparison(m, v, context)
  if type(v) ~= "number" then context.fail(("%s takes a number"):format(m.compare)) end
  local compare = COMPARE[m.compare]
  return function(x)
    if type(x) == "number" then return compare(x, v) end
    local s = text.of(x)
    return s ~= nil and s:find("^[-+]?%d+%.?%d*$") ~= nil and compare(tonumber(s), v)
  end
end

local function equal(a, b) return a == b end
local RELATION = { contains = function(a, b) return a:find(b, 1, true) ~= nil end, startswith = function(a, b) return a:sub(1, #b) == b end,
  endswith = function(a, b) return b == "" or a:sub(-#b) == b end }

local function other_field(m, v, context)
  if type(v) ~= "string" or v == "" then context.fail("fieldref takes the name of a field") end
  local read, relation = m.cased and text.of or text.folded, RELATION[m.position] or equal
  return { kind = "field", keys = fields.path(v), compare = function(a, b)
    if type(a) == "boolean" or type(b) == "boolean" then return a == b and not m.position end
    a, b = read(a), read(b)
    return a ~= nil and b ~= nil and relation(a, b)
  end }
end

local function any_text(m, v, context)
  local tests, read = {}, m.cased and text.of or text.folded
  for i, parts in ipairs(value.texts(m, v, context)) do
    local test, problem = text.matcher(parts, m.cased)
    if not test then context.fail(problem) end
    tests[i] = test
  end
  local only = #tests == 1 and tests[1]
  return function(x)
    local s = read(x)
    if not s then return false end
    if only then return only(s) end
    for i = 1, #tests do
      if tests[i](s) then return true end
    end
    return false
  end
end

function value.compile(m, v, context)
  if type(v) == "table" then context.fail("a text, number, boolean or null expected, got a nested list or map") end
  if m.exists then
    if type(v) ~= "boolean" then context.fail("exists takes true or false") end
    return { kind = "exists", wanted = v }
  end
  if m.fieldref then return other_field(m, v, context) end
  if m.re then return { kind = "test", test = regular(m, v, context) } end
  if m.cidr then return { kind = "test", test = network(v, context) } end
  if m.compare then return { kind = "test", test = comparison(m, v, context) } end
  if m.position or #m.encode > 0 then return { kind = "test", test = any_text(m, v, context) } end
  if v == context.null then return { kind = "null" } end
  if type(v) == "boolean" then return { kind = "test", test = function(x) return x == v end } end
  return { kind = "test", test = any_text(m, v, context) }
end

return value

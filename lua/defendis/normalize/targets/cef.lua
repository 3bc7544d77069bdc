-- cef.lua: lines of CEF (version 0) and LEEF (1.0 and 2.0), taken apart again: header, severity, keys, escapes. The document is a text.
-- Not verified against the vendors' own papers: the escapes, and LEEF's keys.
local check = require "defendis.check"
local schema = require "defendis.normalize.targets.schema"

local KEYS = {
  cef = { "cat externalId rt:timestamp start:timestamp end:timestamp msg act suser duser suid duid shost dhost src dst request fname "
    .. "fileHash "
    .. "deviceExternalId cs1 cs1Label cs2 cs2Label cs3 cs3Label cs4 cs4Label cs5 cs5Label cs6 cs6Label cn1:integer cn1Label "
    .. "cn2:integer cn2Label "
    .. "cn3:integer cn3Label c6a1 c6a1Label c6a2 c6a2Label c6a3 c6a3Label c6a4 c6a4Label cnt:integer reason sproc filePath "
    .. "fsize:integer app" },
  leef = { "cat externalId devTime:timestamp devTimeFormat sev:integer usrName src dst url identHostName identSrc resource fileHash "
    .. "source domain "
    .. "rule type msg policy proto srcPort:integer dstPort:integer role realm" },
}
local CEF_SEVERITY = { Unknown = true, Low = true, Medium = true, High = true, ["Very-High"] = true }
for n = 0, 10 do CEF_SEVERITY[tostring(n)] = true end

-- The parts of a header of n parts, and what follows it; nil when there are fewer.
local function header(line, n)
  local parts, at = {}, 1
  for i = 1, n do
    local from = at
    while at <= #line and line:sub(at, at) ~= "|" do at = at + (line:sub(at, at) == "\\" and 2 or 1) end
    if at > #line then return nil end
    parts[i], at = line:sub(from, at - 1), at + 1
  end
  return parts, line:sub(at)
end

local function bad_escape(text, allowed)
  for c in text:gmatch "\\(.?)" do
    if c == "" or not allowed:find(c, 1, true) then return true end
  end
end

-- Every equals sign that is not escaped ends a key, the word before it.
local function cef_pairs(rest, fault)
  local starts = {}
  for at, key, stop in (" " .. rest):gmatch "() ([%w_]+)()=" do starts[#starts + 1] = { at = at, key = key, value = stop } end
  if rest ~= "" and (not starts[1] or starts[1].at ~= 1) then fault("", "the extension does not begin with a key") end
  local out = {}
  for i, s in ipairs(starts) do
    local value = rest:sub(s.value, (starts[i + 1] and starts[i + 1].at or #rest + 2) - 2)
    if value:gsub("\\.", ""):find("=", 1, true) then fault(s.key, "an equals sign that is not escaped") end
    out[#out + 1] = { s.key, value }
  end
  return out
end

local function leef_pairs(rest, delimiter, fault)
  local out = {}
  for pair in (rest .. delimiter):gmatch("(.-)" .. delimiter:gsub("%p", "%%%0")) do
    local key, value = pair:match "^([%w_]+)=(.*)$"
    if key then out[#out + 1] = { key, value } elseif pair ~= "" then fault("", "an attribute without key and value") end
  end
  return out
end

local function check_pairs(kind, list, target, fault)
  local seen = {}
  for _, pair in ipairs(list) do
    local key, value = pair[1], pair[2]
    local problem, numeric = target.check(key), target.type_of(key)
    if problem then fault(key, "%s", problem) end
    if seen[key] then fault(key, "is there twice") end
    if (numeric == "integer" or numeric == "timestamp") and not value:find "^%d+$" then fault(key, "an integer expected") end
    if bad_escape(value, kind == "cef" and "\\=nr" or "\\=nrt") then fault(key, "an escape that the format does not have") end
    seen[key] = value
  end
  for key in pairs(seen) do
    if key:find "^c[sn]%d$" and not seen[key .. "Label"] then fault(key, "%sLabel is required beside it", key) end
  end
  return seen
end

local function check_line(kind, line, target, fault)
  local parts, rest = header(line, kind == "cef" and 7 or line:find "^LEEF:1" and 5 or 6)
  if line:find "[\r\n]" then fault("", "a line break") end
  if not parts then return fault("", "the header has too few parts") end
  if not parts[1]:find(kind == "cef" and "^CEF:[01]$" or "^LEEF:[12]%.0$") then
    return fault("", "%s expected in front", kind == "cef" and "CEF:0" or "LEEF:1.0 or LEEF:2.0")
  end
  for i, part in ipairs(parts) do
    if bad_escape(part, "\\|") then fault("", "an escape in part %d of the header that the format does not have", i) end
    if part == "" and i < 6 then fault("", "part %d of the header is empty", i) end
  end
  if kind == "cef" then
    if not CEF_SEVERITY[parts[7]] then fault("severity", "%s is none of 0 to 10, Unknown, Low, Medium, High, Very-High", parts[7]) end
    return check_pairs(kind, cef_pairs(rest, fault), target, fault)
  end
  local code = parts[6] and parts[6]:match "^0?x(%x%x?)$"
  local seen = check_pairs(kind, leef_pairs(rest, code and string.char(tonumber(code, 16)) or parts[6] ~= "" and parts[6] or "\t", fault),
    target, fault)
  local sev = seen.sev and tonumber(seen.sev)
  if sev and (sev < 1 or sev > 10) then fault("sev", "a number from 1 to 10 expected") end
end

return function(kind)
  local target = schema.target{ name = kind, version = kind == "cef" and "0" or "2.0", root = "line", objects = { line = KEYS[kind] },
    timestamps = "ms" }
  function target.validate(line)
    local out = {}
    local function fault(path, message, ...) out[#out + 1] = { path = path, message = message:format(...) } end
    if type(line) == "string" then check_line(kind, line, target, fault) else fault("", check.string(line)) end
    return out[1] and out or nil
  end
  return target
end

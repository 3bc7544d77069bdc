-- cef.lua: a document as ArcSight's Common Event Format (version 0) and as IBM's LEEF 2.0: one line each.
local facts = require "defendis.normalize.facts"
local check = require "defendis.check"

local cef = {}

local ESCAPES = { ["\\"] = "\\\\", ["|"] = "\\|", ["="] = "\\=", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- Both formats escape a bar in the header only, an equals sign in values only; a header has no line ends, and a tab ends a LEEF value.
local function header(text) return (text:gsub("%c", " "):gsub("[\\|]", ESCAPES)) end
local function cef_value(text) return (text:gsub("[\\=\r\n]", ESCAPES)) end
local function leef_value(text) return (text:gsub("[\\=\r\n\t]", ESCAPES)) end

local SEVERITY = { informational = 1, low = 3, medium = 6, high = 8, critical = 10, fatal = 10 } -- of 0 to 10

local CEF = {
  { "cat", "kind" }, { "externalId", "id" }, { "rt", "time" }, { "duser", "email", "user" }, { "dhost", "host" }, { "dst", "ip4" },
  { "c6a3", "ip6", label = "Destination IPv6 Address" }, { "request", "url" }, { "fname", "file" }, { "fileHash", "hash" },
  { "cs1", "source", label = "source" }, { "cs2", "domain", label = "domain" }, { "cs3", "rule", label = "rule" },
  { "cs4", "type", label = "type" }, { "msg", "title" },
}
local LEEF = {
  { "cat", "kind" }, { "externalId", "id" }, { "devTime", "time" }, { "sev", "severity" }, { "usrName", "email", "user" },
  { "identHostName", "host" }, { "dst", "ip4", "ip6" }, { "url", "url" }, { "resource", "file" }, { "fileHash", "hash" },
  { "source", "source" }, { "domain", "domain" }, { "rule", "rule" }, { "type", "type" }, { "msg", "title" },
}

local function known_of(d, doc)
  local known = facts.of(doc)
  known.id, known.kind, known.time = d.id, d.kind, d.time and tostring(d.time)
  known[known.ip and known.ip:find ":" and "ip6" or "ip4"] = known.ip
  known.severity = SEVERITY[known.severity] and tostring(SEVERITY[known.severity])
  return known
end

local function extension(known, keys, escape)
  local out = {}
  for _, k in ipairs(keys) do
    local value = known[k[2]] or k[3] and known[k[3]]
    if value then out[#out + 1] = k[1] .. "=" .. escape(value) end
    if value and k.label then out[#out + 1] = k[1] .. "Label=" .. k.label end
  end
  return out
end

--- d: {id, kind, time = Unix ms or nil}; doc: the document as a table; version: of this program. A severity that is not known is
-- "Unknown". Returns the line.
function cef.cef(d, doc, version)
  local known = known_of(d, doc)
  return ("CEF:0|Defendis|defendis|%s|%s|%s|%s|%s"):format(header(version), header(known.rule or d.kind), header(known.title or d.kind),
    known.severity or "Unknown", table.concat(extension(known, CEF, cef_value), " "))
end

--- The same as LEEF: attributes are parted by a tab, the severity is left out when it is not known.
function cef.leef(d, doc, version)
  local known = known_of(d, doc)
  return ("LEEF:2.0|Defendis|defendis|%s|%s|x09|%s"):format(header(version), header(known.rule or d.kind),
    table.concat(extension(known, LEEF, leef_value), "\t"))
end

--- A validator: "json", "cef" or "leef".
cef.check = check.one_of{ "json", "cef", "leef" }

return cef

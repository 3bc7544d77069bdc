-- rfc5424.lua: a syslog message as RFC 5424 writes it, framed by its number of bytes (RFC 6587, 3.4.1).
local check = require "defendis.check"
local facts = require "defendis.normalize.facts"
local time = require "defendis.time"

local rfc5424 = {}

local FACILITIES, CODES = {}, {}
for name in ("kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock "
  .. "local0 local1 local2 local3 local4 local5 local6 local7"):gmatch "%S+" do
  CODES[name] = #FACILITIES
  FACILITIES[#FACILITIES + 1] = name
end
local SEVERITY = { fatal = 2, critical = 2, high = 3, medium = 4, low = 5 } -- else 6, informational

--- Validators: the name of a facility; what a header field may hold.
rfc5424.facility = check.one_of(FACILITIES)
function rfc5424.word(v)
  if type(v) ~= "string" or not v:find "^[!-~]+$" or #v > 255 then return "1 to 255 printable characters without a blank expected" end
end
check.typed("printable text without blanks", rfc5424.word)

local function field(text, most)
  text = text:gsub("[^!-~]", "?"):sub(1, most)
  return text ~= "" and text or "-"
end

-- RFC 5424 6.3.3
local function quoted(text) return '"' .. text:gsub('["\\%]]', "\\%0") .. '"' end

--- One message. o: {facility, hostname, app_name, enterprise}; d: {id, kind, time}; doc: the document as a table; payload: text, which is
-- sent without a mark for UTF-8 in front, over which readers of JSON and CEF would stumble. Returns the text.
function rfc5424.message(o, d, doc, payload)
  local stamp = d.time and time.format(d.time) or "-"
  return ("<%d>1 %s %s %s - %s [defendis@%d id=%s kind=%s] %s"):format(CODES[o.facility] * 8 + (SEVERITY[facts.of(doc).severity] or 6),
    stamp:find "^%d%d%d%d%-" and stamp or "-", o.hostname, field(o.app_name, 48), field(d.kind, 32), o.enterprise, quoted(d.id),
    quoted(d.kind), payload)
end

--- A message with its number of bytes in front.
function rfc5424.frame(text) return #text .. " " .. text end

return rfc5424

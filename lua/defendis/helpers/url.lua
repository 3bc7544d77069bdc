-- url.lua: URLs as stealer logs hold them: without a scheme, of apps, with spaces, ports and IPv6, cut short.
local ip = require "defendis.helpers.ip"
local trim = require "defendis.helpers.trim"

local url = {}

local LONGEST <const> = 65536
local PORT = 65535

-- "mailto:x" has no host; "acme.example:8443" has a port.
local OPAQUE = { mailto = true, javascript = true, data = true, about = true, tel = true, blob = true, file = true }
local APPS = { android = true, androidapp = true, ios = true }

-- Scheme (or nil) and the rest without it and its slashes.
local function scheme_of(text)
  local scheme, rest = text:match("^(%a[%w+.-]*):[/\\][/\\]+(.*)$")
  if not scheme then
    -- "https:acme.example", "https//acme.example"
    scheme, rest = text:match("^([Hh][Tt][Tt][Pp][Ss]?):[/\\]?(%D.*)$")
    if not scheme then scheme, rest = text:match("^([Hh][Tt][Tt][Pp][Ss]?)//+(.*)$") end
  end
  if not scheme then
    scheme, rest = text:match("^(%a+):(.*)$")
    if not scheme or not OPAQUE[scheme:lower()] then return nil, (text:gsub("^//", "")) end
  end
  return scheme:lower(), rest
end

-- Host and port (text, or nil) of "host", "host:443", "[::1]:443", "fe80::1".
local function host_and_port(text)
  local host, port = text:match("^%[([^%]]*)%]:?(%d*)$")
  if host then return host, port, true end
  if select(2, text:gsub(":", "")) > 1 and ip.parse(text) then return text, "", true end
  host, port = text:match("^([^:]*):?(.*)$")
  return host, port
end

local function port_of(text)
  if text == "" then return nil end
  local port = text:find("^%d%d?%d?%d?%d?$") and math.tointeger(tonumber(text))
  if not port or port > PORT then return nil, "not a URL: the port is no number up to 65535" end
  return port
end

-- Fills user, host and port of `out`; nil and why when they are none.
local function read_authority(out, text, ascii)
  local user, rest = text:match("^(.*)@([^@]*)$")
  -- only the name: a password is nothing to hand on
  if user then out.user = user:match("^[^:]+") end
  if APPS[out.scheme] then
    out.host = (rest or text):match("^[%w_.-]+$")
    if not out.host then return nil, "not a URL: no name of an app" end
    return out
  end
  local host, port, literal = host_and_port(trim(rest or text))
  if host == "" then return nil, "not a URL: no host" end
  local why
  if literal and not ip.parse(host) then return nil, "not a URL: no IPv6 address" end
  out.host, why = ascii(host)
  if not out.host then return nil, (why:gsub("^not a host name", "not a URL")) end
  out.port, why = port_of(port)
  if why then return nil, why end
  return out
end

local function parse(text, ascii)
  if type(text) ~= "string" then return nil, "no text" end
  if #text > LONGEST then return nil, "not a URL: too long" end
  text = trim(text)
  if text == "" then return nil, "not a URL: empty" end
  if text:find("[%z\1-\31\127]") then return nil, "not a URL: a control character" end
  local scheme, rest = scheme_of(text)
  rest = rest:gsub("#.*$", "")
  local before, query = rest:match("^(.-)%?(.*)$")
  local out = { scheme = scheme, query = query }
  if OPAQUE[out.scheme] then
    out.path = before or rest
    return out
  end
  local authority, path
  if APPS[out.scheme] and rest:find("@", 1, true) then
    -- the hash before the @ is base64, which may hold a slash
    authority, path = rest:match("^(.*@[^/?]*)(.*)$")
    out.query = nil
  else
    authority, path = (before or rest):match("^([^/\\]*)(.*)$")
  end
  out.path = path ~= "" and path or nil
  return read_authority(out, authority, ascii)
end

--- The helper `url`. ascii: that of the helper `domain`.
function url.new(ascii)
  return {
    --- { scheme, user, host, port, path, query }, each nil when it is not there; or nil and why. A password before the @ and what is
    -- behind # are left out; nothing is decoded.
    parse = function(text) return parse(text, ascii) end,
    --- The host alone, in lower case and A-labels (an app's name as it is), or nil and why.
    host = function(text)
      local parts, why = parse(text, ascii)
      if not parts then return nil, why end
      if not parts.host then return nil, "a URL without a host" end
      return parts.host
    end,
  }
end

return url

-- domain.lua: host names: A-labels, the domain that was registered, what lies below what.
local ip = require "defendis.helpers.ip"
local trim = require "defendis.helpers.trim"

local domain = {}

local LONGEST <const> = 1023 -- in UTF-8, before it becomes A-labels

local function labels_fit(host)
  if host == "" then return nil, "not a host name: empty" end
  if #host > 253 then return nil, "not a host name: too long" end
  for label in (host .. "."):gmatch("([^.]*)%.") do
    if label == "" then return nil, "not a host name: an empty label" end
    if #label > 63 then return nil, "not a host name: a label is too long" end
    -- an underscore is no letter of host names, but hosts have it
    if label:find("[^%w_-]") then return nil, "not a host name: a character that none has" end
  end
  return host
end

--- The helper `domain`. native: { ascii, registrable } of the core; what is missing there makes nil and why.
function domain.new(native)
  local out = {}

  --- The host in lower case, international labels as A-labels, without a dot at the end; or nil and why. IP addresses pass.
  function out.ascii(host)
    if type(host) ~= "string" then return nil, "no text" end
    if #host > LONGEST then return nil, "not a host name: too long" end
    host = trim(host):gsub("%.$", "")
    if host:find("[\128-\255]") then
      if not utf8.len(host) then return nil, "not a host name: no UTF-8" end
      if host:find("%z") then return nil, "not a host name: a NUL byte" end
      if not native.ascii then return nil, "international names need the program's core" end
      local text, err = native.ascii(host)
      if not text then return nil, err.message end
      host = text:gsub("%.$", "")
    elseif host:find(":", 1, true) then
      if ip.parse(host) then return host:lower() end
      return nil, "not a host name: a character that none has"
    end
    return labels_fit(host:lower())
  end

  --- What the owner of a host has registered: "acme.co.uk" of "www.acme.co.uk"; or nil and why (a public suffix, an IP address, no
  -- host, no list installed). The private part of the list counts: "acme.github.io" is registrable.
  function out.registrable(host)
    local text, why = out.ascii(host)
    if not text then return nil, why end
    if ip.parse(text) then return nil, "an IP address" end
    if not native.registrable then return nil, "public suffixes need the program's core" end
    local found, err = native.registrable(text)
    return found, err and err.message
  end

  --- Whether a host is the domain or below it, by whole labels. parents: a domain or a list of them.
  function out.is_under(host, parents)
    local text = out.ascii(host)
    if not text then return false end
    for _, parent in ipairs(type(parents) == "table" and parents or { parents }) do
      parent = out.ascii(parent)
      if parent and (text == parent or text:sub(-#parent - 1) == "." .. parent) then return true end
    end
    return false
  end

  return out
end

return domain

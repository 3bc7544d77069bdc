-- values.lua: kinds of watchlist items, and when two of their values are the same.
local catalog = require "defendis.catalog"
local check = require "defendis.check"
local names = require("defendis.core").names

local values = {}

--- In the order that people are shown.
values.KINDS = { "domain", "bin", "executive", "keyword", "ransom", "assets" }

--- kind -> what the API's quotas call it (of its errors; other kinds are not known to have one).
values.METRICS = { domain = "domains", keyword = "keywords", bin = "bins" }

local function host(text)
  text = text:lower():gsub("%.$", "")
  return names.ascii(text) or text
end

local CANONICAL = {
  domain = host,
  assets = host,
  executive = function(text)
    local user, domain = text:match "^(.*)@([^@]*)$"
    return user and user:lower() .. "@" .. host(domain) or text:lower()
  end,
}

--- The form in which values are compared: domains and e-mails without regard to case (and in A-labels), others as they are.
function values.canonical(kind, text) return (CANONICAL[kind] or tostring)(text) end

local SHAPE = {
  domain = { "^[^%s/@:]+%.[^%s/@:]+$", 'a domain such as "acme.example"' },
  bin = { "^%d+$", 'the first digits of a card number such as "411111"' },
  executive = { "^[^%s@]+@[^%s@]+$", 'an e-mail such as "anna@acme.example"' },
}

--- A validator of a kind's values: what would be refused, or would not be seen, does not leave this machine.
function values.check(kind)
  return function(v)
    if type(v) ~= "string" or v == "" then return "a text that is not empty expected" end
    if v:find "[%c\127]" or not utf8.len(v) then return "a text with a control character, or that is not UTF-8" end
    if v:find "^%s" or v:find "%s$" then return "a text with a blank before or behind it" end
    local shape = SHAPE[kind]
    if shape and not v:find(shape[1]) then return ('%s expected, got "%s"'):format(shape[2], v) end
  end
end

--- The kind of that name, "group" among them unless items is true; or nil, err.
function values.kind(name, items)
  if catalog.kinds[name] then return name end
  if not items and (name == "group" or name == "groups") then return "group" end
  local known = items and values.KINDS or { "group", table.unpack(values.KINDS) }
  return nil, check.error("config", check.unknown(name, known, "kind"))
end

--- The field of an item that holds its value, or of a group its name. Assumed, like all fields: the vendor does not document them.
function values.field(kind) return kind == "group" and "name" or catalog.kinds[kind] end

--- The path of a kind's requests. action: "add", "update" or "remove".
function values.path(kind, action)
  local base = kind == "group" and "/api/v1/watchlists" or "/api/v1/watchlists/" .. kind
  if action == "remove" then return base .. "/delete" end
  return kind == "group" and action == "add" and base .. "/create" or base
end

return values

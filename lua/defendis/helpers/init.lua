-- helpers: what rule files and scripts share: addresses, hosts, URLs, hashes, cards, networks, patterns.
--
--   local h = require("defendis.helpers").new{ ascii = ..., registrable = ..., regex = ... }   -- from the core; see below
--   h.email.canonical("Ana.B+x@GMail.com") -> "anab@gmail.com"
--
-- None needs the core; without its functions IDN and public suffixes give nil and why, and re.new raises. A text that is no text
-- (JSON null, nil, a number) gives nil and why, so that a rule may pass on any field.
local domain = require "defendis.helpers.domain"
local email = require "defendis.helpers.email"
local ip = require "defendis.helpers.ip"
local shapes = require "defendis.helpers.shapes"
local url = require "defendis.helpers.url"

local helpers = {}

local function no_patterns() error("re.new: patterns need the program's core", 2) end

--- Fresh tables of all helpers, by name.
-- @param native { ascii, registrable } as of core.names, regex = core.regex.new; each may be missing
function helpers.new(native)
  native = native or {}
  local hosts = domain.new(native)
  return { domain = hosts, email = email.new(hosts.ascii), url = url.new(hosts.ascii), hash = shapes.hash(), card = shapes.card(),
    cidr = ip.cidr(), re = { new = native.regex or no_patterns } }
end

return helpers

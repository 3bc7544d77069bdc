-- targets.lua: what documents are written for, each with rules of its own to check them by, offline.
--
--   local target = targets.get("ocsf:2004")
--     name, version
--     required   array of dotted paths that a document must have
--     type_of    function(path) -> "integer", "number", "string", "boolean", "object", "list", "timestamp" or nil
--     check      function(path) -> nil, or a message with the nearest attribute
--     defaults   path -> constant that the target implies
--     enums      path -> set of the values allowed
--     validate   function(document) -> nil, or an array of { path, message }; null counts as a value of the wrong type
-- A path goes through lists as if they were not there: "evidences.user.name". The rules are written by hand after the published
-- schemas and know the attributes that leak intelligence needs; head of each file in targets/ says what was not checked against them.
local check = require "defendis.check"

local targets = {}

local FILES = {
  ["ocsf:2004"] = "ocsf", ["ocsf:2006"] = "ocsf", ["ocsf:5021"] = "ocsf", ecs = "ecs", stix = "stix", ["cim:alerts"] = "cim",
    ["cim:dlp"] = "cim",
  asim = "asim", misp = "misp", ["misp:credential"] = "misp", ["misp:leaked-document"] = "misp", ["misp:credit-card"] = "misp",
  ["misp:ransomware-group-post"] = "misp", ["misp:victim"] = "misp", ["misp:user-account"] = "misp", xsoar = "xsoar", cef = "cef",
    leef = "cef",
}
local made = {}

--- A target by name, or nil and a message with the nearest name.
function targets.get(name)
  if not FILES[name] then return nil, check.unknown(name, FILES, "target") end
  if not made[name] then made[name] = require("defendis.normalize.targets." .. FILES[name])(name) end
  return made[name]
end

--- The names of all targets, sorted.
function targets.names() return check.sorted_keys(FILES) end

return targets

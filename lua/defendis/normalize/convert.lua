-- convert.lua: findings, and OCSF documents, in the words of other systems; what comes out has passed its target's rules.
--
--   local text, what = convert.document("ecs", doc, host)   -> a table (of cef and leef: a line), or nil and what is wrong
--   host = { uuid5 = function(namespace, name), null, array = function(t), encode = function(table) -> JSON text, now = ms, version =
-- text }
local alert = require "defendis.normalize.convert.alert"
local cef = require "defendis.normalize.cef"
local clean = require "defendis.normalize.clean"
local targets = require "defendis.normalize.targets"

local convert = {}

--- The dialects, sorted; name -> target that checks them (of some it depends on the document).
convert.DIALECTS = { "asim", "cef", "cim", "ecs", "leef", "misp", "ocsf", "stix", "xsoar" }
local TARGETS = { cim = "cim:alerts", ocsf = "ocsf:2004" }

local function line(dialect, a, host, doc)
  return cef[dialect]({ id = a.id, kind = a.class_uid and a.kind or "findings", time = a.time }, clean.copy(host, doc), host.version)
end

local function refused(target, document)
  local faults = targets.get(target).validate(document)
  if not faults then return nil end
  local f = faults[1]
  return ("not valid as %s: %s%s"):format(target, f.path == "" and "" or f.path .. ": ", f.message)
end

--- What a document says, for convert.bundle. Returns it, or nil and what is wrong.
convert.alert = alert.of

--- One document in a dialect, or nil and what is wrong.
function convert.document(dialect, doc, host)
  local a, problem = alert.of(doc, host)
  if not a then return nil, problem end
  local out, target
  if dialect == "cef" or dialect == "leef" then
    out = line(dialect, a, host, doc)
  else
    out, target = require("defendis.normalize.convert." .. dialect)(a, host, doc)
  end
  target = target or dialect == "ocsf" and "ocsf:" .. tostring(out.class_uid) or TARGETS[dialect] or dialect
  if not targets.get(target) then return nil, "there is no target " .. target end
  problem = refused(target, out)
  if problem then return nil, problem end
  return out
end

--- One STIX bundle of many alerts, or nil and what is wrong.
function convert.bundle(alerts, host)
  local out = require("defendis.normalize.convert.stix")(alerts, host)
  local problem = refused("stix", out)
  if problem then return nil, problem end
  return out
end

return convert

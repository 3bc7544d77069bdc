-- ecs.lua: Elastic Common Schema 9: the field sets that a leak alert or an indicator fills, nested, with the categorization rules.
-- Fields of our own stand below `defendis`. Not verified: that no other field set is needed; the types allowed for categories other than
-- threat, vulnerability and iam.
local schema = require "defendis.normalize.targets.schema"

local set = schema.set

local TYPES = {
  threat = set "indicator", vulnerability = set "info", iam = set "admin change creation deletion group info user", malware = set "info",
  intrusion_detection = set "allowed denied info",
}
local HASH = "md5 sha1 sha256 sha384 sha512 ssdeep tlsh"

local OBJECTS = {
  root = { "@timestamp*:timestamp ecs*:ecs message tags:string[] labels:object event:event user:user organization:organization "
    .. "url:url host:host "
    .. "file:file related:related rule:rule threat:threat vulnerability:vulnerability destination:endpoint source:endpoint "
    .. "observer:observer "
    .. "data_stream:data_stream defendis:object" },
  ecs = { "version*" },
  data_stream = { "type dataset namespace" },
  event = { "kind category:string[] type:string[] outcome action id dataset module provider severity:integer risk_score:number "
    .. "risk_score_norm:number reference url created:timestamp ingested:timestamp start:timestamp end:timestamp duration:integer "
    .. "original hash "
    .. "reason code timezone sequence:integer",
    enums = { kind = set "alert asset enrichment event metric state pipeline_error signal", outcome = set "success failure unknown",
      category = set("api authentication configuration database driver email file host iam intrusion_detection library malware "
        .. "network package "
        .. "process registry session threat vulnerability web"),
      type = set("access admin allowed change connection creation deletion denied device end error group indicator info installation "
        .. "protocol "
        .. "start user") } },
  user = { "id name full_name email domain hash roles:string[] group:group" },
  group = { "id name domain" },
  organization = { "id name" },
  url = { "original full scheme domain registered_domain subdomain top_level_domain port:integer path query fragment extension "
    .. "username password" },
  host = { "hostname name id ip:string[] mac:string[] domain type architecture os:os" },
  os = { "name full version family platform kernel type" },
  file = { "name path extension mime_type size:integer owner hash:hash created:timestamp mtime:timestamp directory type" },
  hash = { HASH },
  endpoint = { "address ip port:integer domain mac" },
  observer = { "name hostname product vendor version type" },
  related = { "user:string[] hosts:string[] ip:string[] hash:string[]" },
  rule = { "id name version uuid category description author:string[] license reference ruleset" },
  vulnerability = { "id:string[] category:string[] classification description enumeration reference report_id severity" },
  threat = { "indicator:indicator feed:feed framework group:actor software:software tactic:attack technique:technique" },
  indicator = { "type* name id:string[] provider reference description first_seen:timestamp last_seen:timestamp modified_at:timestamp "
    .. "sightings:integer confidence scanner_stats:integer ip port:integer email:email url:url file:file marking:marking",
    enums = { confidence = schema.set{ "Not Specified", "None", "Low", "Medium", "High" },
      type = set("autonomous-system artifact directory domain-name email-addr file ipv4-addr ipv6-addr mac-addr mutex port process "
        .. "software url "
        .. "user-account windows-registry-key x509-certificate") } },
  email = { "address" },
  marking = { "tlp tlp_version", enums = { tlp = set "WHITE CLEAR GREEN AMBER AMBER+STRICT RED" } },
  feed = { "name reference description dashboard_id" },
  actor = { "id name alias:string[] reference" },
  software = { "id name alias:string[] platforms:string[] reference type" },
  attack = { "id:string[] name:string[] reference:string[]" },
  technique = { "id:string[] name:string[] reference:string[] subtechnique:attack" },
}

local function allowed(category, kind)
  for _, c in ipairs(category) do
    if not TYPES[c] or TYPES[c][kind] then return true end
  end
end

local function categories(event, fault)
  if event.kind == "signal" then fault("event.kind", "signal is reserved for Elastic's own alerts") end
  if type(event.type) ~= "table" then return end
  local category = type(event.category) == "table" and event.category or {}
  if not category[1] then return fault("event.category", "is required where event.type is") end
  for i, kind in ipairs(event.type) do
    if not allowed(category, kind) then
      fault("event.type." .. i, "%s is not allowed for the category %s", tostring(kind), table.concat(category, ", "))
    end
  end
end

local function no_password(v, path, fault)
  local url = type(v) == "table" and v.url
  if type(url) == "table" and url.password ~= nil and url.password ~= "" then fault(path .. "url.password", "must be empty") end
end

return function(name)
  return schema.target{ name = name, version = "9.0.0", root = "root", objects = OBJECTS, timestamps = "iso",
    defaults = { ["ecs.version"] = "9.0.0", ["event.kind"] = "alert", ["event.module"] = "defendis", ["event.provider"] = "defendis" },
    more = function(document, fault)
      if type(document.event) == "table" then categories(document.event, fault) end
      no_password(document, "", fault)
      no_password(type(document.threat) == "table" and document.threat.indicator, "threat.indicator.", fault)
    end }
end

-- stix.lua: STIX 2.1 bundles: properties by type, ids, references that resolve. Observables have deterministic ids (UUIDv5, section 2.9).
-- Not verified: properties of types that a leak does not fill are left out here, and so refused.
local check = require "defendis.check"
local schema = require "defendis.normalize.targets.schema"

local SDO = " created*:timestamp modified*:timestamp created_by_ref revoked:boolean labels:string[] confidence:integer lang "
  .. "external_references:reference[] object_marking_refs:string[] granular_markings:object[] extensions:object"
local SCO = " object_marking_refs:string[] granular_markings:object[] defanged:boolean extensions:object"
local ID = "type* id* spec_version*"

local DOMAIN = {
  identity = "name* description roles:string[] identity_class sectors:string[] contact_information",
  ["observed-data"] = "first_observed*:timestamp last_observed*:timestamp number_observed*:integer object_refs*:string[]",
  indicator = "name description indicator_types:string[] pattern* pattern_type* pattern_version valid_from*:timestamp "
    .. "valid_until:timestamp",
  incident = "name* description",
  report = "name* description report_types:string[] published*:timestamp object_refs*:string[]",
  note = "abstract content* authors:string[] object_refs*:string[]",
  ["threat-actor"] = "name* description threat_actor_types:string[] aliases:string[] first_seen:timestamp last_seen:timestamp",
  ["intrusion-set"] = "name* description aliases:string[] first_seen:timestamp last_seen:timestamp",
  ["attack-pattern"] = "name* description aliases:string[]",
  malware = "name description malware_types:string[] is_family*:boolean aliases:string[]",
  sighting = "description first_seen:timestamp last_seen:timestamp count:integer sighting_of_ref* observed_data_refs:string[] "
    .. "where_sighted_refs:string[] summary:boolean",
  relationship = "relationship_type* description source_ref* target_ref* start_time:timestamp stop_time:timestamp",
}
local OBSERVABLE = {
  ["user-account"] = "user_id credential account_login account_type display_name is_service_account:boolean",
  ["email-addr"] = "value* display_name belongs_to_ref", url = "value*", ["domain-name"] = "value* resolves_to_refs:string[]",
  ["ipv4-addr"] = "value*", ["ipv6-addr"] = "value*", file = "hashes:object size:integer name mime_type parent_directory_ref",
}
local MARKING = "created*:timestamp name definition_type definition:object extensions:object created_by_ref"

local OBJECTS, every = { bundle = { "type* id* objects:item[]" }, reference = { "source_name* description url external_id "
  .. "hashes:object" } }, ID
for name, words in pairs(DOMAIN) do OBJECTS[name] = { ID .. " " .. words .. SDO } end
for name, words in pairs(OBSERVABLE) do OBJECTS[name] = { ID .. " " .. words .. SCO } end
OBJECTS["marking-definition"] = { ID .. " " .. MARKING }
for _, o in pairs(OBJECTS) do every = every .. " " .. o[1]:gsub("%*", "") end
-- For paths: the properties of all types together.
OBJECTS.item = { every:gsub("objects:item%[%]", "") .. " type*" }

local types = {}
local function target_of(kind)
  if not OBJECTS[kind] or kind == "item" or kind == "bundle" or kind == "reference" then return nil end
  types[kind] = types[kind] or schema.target{ name = kind, version = "2.1", root = kind, objects = OBJECTS, timestamps = "iso" }
  return types[kind]
end

local UUID = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-(%x)%x%x%x%-[89abAB]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

local function check_id(object, at, fault)
  local kind, uuid = tostring(object.id):match "^([%l%d-]-)%-%-(.*)$"
  local version = uuid and uuid:match(UUID)
  if not version or kind ~= object.type then return fault(at .. ".id", "%s--UUID expected", tostring(object.type)) end
  if OBSERVABLE[kind] and version ~= "5" then fault(at .. ".id", "an observable's id is a UUIDv5 of what identifies it") end
end

local function check_references(object, at, known, fault)
  for name, value in pairs(object) do
    if type(name) == "string" and name:find "_refs?$" then
      local list = type(value) == "table" and value or { value }
      if #list == 0 then fault(at .. "." .. name, "at least one expected") end
      for _, id in ipairs(list) do
        if not known[id] then fault(at .. "." .. name, "%s is not in the bundle", tostring(id)) end
      end
    end
  end
end

local function known_kinds()
  local out = {}
  for name in pairs(OBJECTS) do out[name] = target_of(name) end
  return out
end

local function check_item(object, at, known, fault)
  local target = target_of(object.type)
  if not target then return fault(at .. ".type", "%s", check.unknown(tostring(object.type), known_kinds(), "type")) end
  for _, f in ipairs(target.validate(object) or {}) do fault(at .. "." .. f.path, "%s", f.message) end
  check_id(object, at, fault)
  if object.spec_version ~= "2.1" then fault(at .. ".spec_version", "2.1 expected") end
  if object.credential ~= nil then fault(at .. ".credential", "is clear text and must not be there") end
  check_references(object, at, known, fault)
end

local function check_bundle(bundle, fault)
  if bundle.type ~= "bundle" then fault("type", "bundle expected") end
  if type(bundle.id) ~= "string" or not bundle.id:match "^bundle%-%-(.*)$" or not bundle.id:match "^bundle%-%-(.*)$":match(UUID) then
    fault("id", "bundle--UUID expected")
  end
  if bundle.objects == nil then return end
  if type(bundle.objects) ~= "table" then return fault("objects", "a list expected") end
  local known = {}
  for i, object in ipairs(bundle.objects) do
    local id = type(object) == "table" and object.id
    if id and known[id] then fault(("objects.%d.id"):format(i), "is in the bundle twice") end
    known[id or 0] = true
  end
  for i, object in ipairs(bundle.objects) do
    local at = "objects." .. i
    if type(object) == "table" then check_item(object, at, known, fault) else fault(at, "an object expected") end
  end
end

return function(name)
  local paths = schema.target{ name = name, version = "2.1", root = "bundle", objects = OBJECTS, timestamps = "iso",
    defaults = { type = "bundle", ["objects.spec_version"] = "2.1" } }
  function paths.validate(bundle)
    local out = {}
    local function fault(path, message, ...) out[#out + 1] = { path = path, message = message:format(...) } end
    if type(bundle) ~= "table" then fault("", "an object expected") else check_bundle(bundle, fault) end
    return out[1] and out or nil
  end
  return paths
end

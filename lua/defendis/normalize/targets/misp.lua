-- misp.lua: a MISP event whose objects follow the templates of misp-objects, and each template by itself as attribute -> value (or list).
-- A secret (password, cc-number, card-security-code) is taken as an HMAC of 64 hexadecimal digits only.
local check = require "defendis.check"
local schema = require "defendis.normalize.targets.schema"

local set = schema.set

local TEMPLATES = {
  credential = { "text username password:string[] type origin format notification:string[]", category = "misc", version = "4",
    uuid = "a27e98c9-9b0e-414c-8076-d201e039ca09", at_least_one = { "password", "username" },
    enums = { type = set "password api-key encryption-key unknown", format = set "clear-text hashed encrypted unknown",
      notification = set "victim-notified service-notified none" } },
  ["leaked-document"] = { "archive:string[] attachment document-name document-text document-type:string[] first-seen:timestamp "
    .. "last-seen:timestamp "
    .. "link objective:string[] origin purpose-of-document:string[] url", category = "file", version = "6",
    uuid = "ea145ecd-b3c2-4f57-ac11-c16e883c4247", at_least_one = { "document-name", "attachment", "document-text" } },
  ["credit-card"] = { "iin bank_name version comment card-security-code name issued:timestamp expiration:timestamp cc-number*",
    category = "financial",
    uuid = "2b9c57aa-daba-4330-a738-56f18743b0c7", version = "3" },
  ["ransomware-group-post"] = { "actor-geo-stats-30d actor-total-stats-30d date:timestamp date-published:timestamp description "
    .. "entity-name geo "
    .. "leak-site-url link ransomware-group sector severity title website", category = "misc", version = "4",
    uuid = "52a0e179-4942-41e6-90f5-7db856fd6f39", at_least_one = { "title", "description", "link", "website", "leak-site-url" } },
  victim = { "classification description domain:string[] email:string[] external:string[] ip-address:string[] name:string[] node:string[] "
    .. "reference:string[] regions:string[] roles:string[] sectors:string[] user:string[]", category = "misc", version = "10",
    uuid = "a8806e40-39ad-435f-be02-ac2a13d6fc7d", at_least_one = { "name", "regions", "sectors" } },
  ["user-account"] = { "account-type can_escalate_privs created:timestamp description disabled display-name expires:timestamp "
    .. "first_login:timestamp group:string[] group-id home_dir is_service_account last_login:timestamp link password "
    .. "password_last_changed:timestamp privileged shell user-avatar:string[] user-id username", category = "misc", version = "6",
    uuid = "49606b06-22f0-4ac8-8eee-2f12ad46f3d3", at_least_one = { "password", "username", "user-id" } },
}

local function no_secret(document, fault)
  for _, name in ipairs{ "password", "cc-number", "card-security-code" } do
    local values = document[name]
    for _, v in ipairs(type(values) == "table" and values or { values }) do
      if type(v) ~= "string" or #v ~= 64 or v:find "%X" then fault(name, "only an HMAC of 64 hexadecimal digits may stand here") end
    end
  end
end

local by_name = {}
local function template(name)
  by_name[name] = by_name[name] or schema.target{ name = "misp:" .. name, version = TEMPLATES[name].version, root = "object",
    timestamps = "iso",
    objects = { object = TEMPLATES[name] }, more = no_secret, defaults = name == "credential" and { origin = "leak" } or nil }
  return by_name[name]
end

local EVENT = {
  root = { "Event*:event" },
  event = { "uuid info* date* threat_level_id* analysis* distribution published:boolean timestamp Orgc:object Tag:tag[] "
    .. "Attribute:attribute[] "
    .. "Object:object_[]", enums = { threat_level_id = { ["1"] = true, ["2"] = true, ["3"] = true, ["4"] = true },
      analysis = { ["0"] = true, ["1"] = true, ["2"] = true }, distribution = { ["0"] = true, ["1"] = true, ["2"] = true, ["3"] = true,
        ["5"] = true } } },
  tag = { "name* colour" },
  attribute = { "uuid type* category value* to_ids:boolean comment object_relation disable_correlation:boolean distribution timestamp "
    .. "first_seen "
    .. "last_seen" },
  object_ = { "uuid name* meta-category template_uuid template_version description comment distribution timestamp first_seen last_seen "
    .. "Attribute*:attribute[] ObjectReference:object[]" },
}

-- Attributes of an object as its template has them: relation -> value, or a list where the template takes one.
local function flat(object, target)
  local out = {}
  for _, a in ipairs(type(object.Attribute) == "table" and object.Attribute or {}) do
    local name = type(a) == "table" and a.object_relation
    if name and target.type_of(name) == "list" then
      out[name] = out[name] or {}
      table.insert(out[name], a.value)
    elseif name then
      out[name] = a.value
    end
  end
  return out
end

local function objects(document, fault)
  local event = type(document.Event) == "table" and document.Event or {}
  if type(event.date) == "string" and not event.date:find "^%d%d%d%d%-%d%d%-%d%d$" then fault("Event.date", "a date expected") end
  for i, object in ipairs(type(event.Object) == "table" and event.Object or {}) do
    local at, name = "Event.Object." .. i, type(object) == "table" and object.name
    if name and not TEMPLATES[name] then
      fault(at .. ".name", "%s", check.unknown(name, TEMPLATES, "object"))
    elseif name then
      if object.template_uuid ~= TEMPLATES[name].uuid then fault(at .. ".template_uuid", "%s expected", TEMPLATES[name].uuid) end
      local target = template(name)
      for _, f in ipairs(target.validate(flat(object, target)) or {}) do fault(f.path == "" and at or at .. "." .. f.path, "%s",
        f.message) end
    end
  end
end

local function event_target()
  return schema.target{ name = "misp", version = "2.4", root = "root", objects = EVENT, timestamps = "iso", more = objects }
end

return function(name)
  if name == "misp" then
    local target = event_target()
    target.templates = TEMPLATES
    return target
  end
  return template(name:match "^misp:(.*)$")
end

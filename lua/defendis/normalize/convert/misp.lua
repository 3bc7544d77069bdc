-- misp.lua: an alert as a MISP event: an object for what was leaked, attributes for the rest. Nothing is marked for detection (to_ids):
-- what leaks name are victims.
local misp = require("defendis.normalize.targets").get "misp"
local time = require "defendis.time"

local NAMESPACE <const> = "2b1c5d94-1f0e-5f7b-8c53-7a1f4f4a9b61"
local THREAT = { informational = "4", low = "3", medium = "2", high = "1", critical = "1" }
local TYPES = { email = { "target-email", "Targeting data" }, user = { "target-user", "Targeting data" }, host = { "target-machine",
  "Targeting data" },
  domain = { "domain", "Network activity" }, ip = { "ip-dst", "Network activity" }, url = { "url", "Network activity" },
  file = { "filename", "External analysis" } }

local function uuid(host, ...) return host.uuid5(NAMESPACE, table.concat({ ... }, "\0")) end

-- The template's attributes that have a value, in order.
local function object(host, a, name, values)
  local template, out = misp.templates[name], {}
  for _, v in ipairs(values) do
    if v[3] then
      out[#out + 1] = { uuid = uuid(host, a.id, name, v[1]), object_relation = v[1], type = v[2], value = v[3], to_ids = false }
    end
  end
  return { uuid = uuid(host, a.id, name), name = name, ["meta-category"] = template.category, template_uuid = template.uuid,
    template_version = template.version, Attribute = host.array(out) }
end

local function object_of(a, host)
  if a.ransomware then
    return object(host, a, "ransomware-group-post", { { "title", "text", a.title }, { "ransomware-group", "text", a.actor },
      { "leak-site-url", "link", a.url }, { "entity-name", "text", a.domain }, { "date-published", "datetime", time.format(a.time) },
      { "severity", "text", a.level == "informational" and "info" or a.level } })
  elseif a.file then
    return object(host, a, "leaked-document", { { "document-name", "text", a.file }, { "url", "url", a.url }, { "origin", "text",
      a.source },
      { "first-seen", "datetime", time.format(a.from) }, { "last-seen", "datetime", time.format(a.to) } })
  elseif (a.email or a.user) and a.class_uid ~= 2006 then
    return object(host, a, "credential", { { "username", "text", a.email or a.user }, { "text", "text", a.title }, { "type", "text",
      "password" },
      { "origin", "text", "leak" } })
  end
end

local function attributes(a, host)
  local out = { { uuid = uuid(host, a.id, "id"), type = "text", category = "Internal reference", value = a.id, comment = a.kind,
    to_ids = false } }
  for _, o in ipairs(a.observables) do
    local kind = TYPES[o.kind] or #o.value == 64 and { "sha256", "External analysis" }
    if kind then
      out[#out + 1] = { uuid = uuid(host, a.id, o.kind, o.value), type = kind[1], category = kind[2], value = o.value, to_ids = false }
    end
  end
  return host.array(out)
end

return function(a, host)
  local tags = { { name = "tlp:amber" } }
  for _, tag in ipairs(a.tags) do tags[#tags + 1] = { name = tag } end
  local made = object_of(a, host)
  return { Event = { uuid = uuid(host, a.id), info = a.title, date = time.date(a.time), threat_level_id = THREAT[a.level] or "4",
    analysis = "0",
    distribution = "0", published = false, Tag = host.array(tags), Attribute = attributes(a, host),
      Object = made and host.array{ made } or nil } }
end

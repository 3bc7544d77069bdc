-- ocsf.lua: an alert as OCSF Detection Finding; a document that is OCSF already stays as it is.
local alert = require "defendis.normalize.convert.alert"
local ocsf = require("defendis.normalize.ocsf").new()

local TYPES = { host = 1, ip = 2, user = 4, email = 5, url = 6, file = 7, hash = 8 }
local WHERE = { host = "evidences.device.hostname", ip = "evidences.device.ip", user = "evidences.user.name",
  email = "evidences.user.email_addr",
  url = "evidences.url.url_string", file = "evidences.file.name", hash = "evidences.file.hashes.value" }

-- Observables point at attributes, so each has its place among the evidences.
local function evidences(a, host)
  local user = (a.email or a.user) and { name = a.user or a.email, email_addr = a.email }
  local url = a.url and { url_string = a.url }
  local device = (a.host or a.ip) and { type_id = 0, hostname = a.host, ip = a.ip }
  local file = a.file and { name = a.file, type_id = 1,
    hashes = a.hash and host.array{ { algorithm_id = #a.hash == 64 and 3 or #a.hash == 40 and 2 or #a.hash == 32 and 1 or 99,
      value = a.hash } } }
  if user or url or device or file then return host.array{ { user = user, url = url, device = device, file = file } } end
end

local function observables(a, host)
  local out = {}
  for _, o in ipairs(a.observables) do
    if TYPES[o.kind] and a[o.kind] == o.value and not (o.kind == "hash" and not a.file) then
      out[#out + 1] = { name = WHERE[o.kind], type_id = TYPES[o.kind], value = o.value }
    end
  end
  return out[1] and host.array(out)
end

local function attacks(a, host)
  local out = {}
  for _, id in ipairs(a.techniques) do
    local technique = id:match "^(T%d+)%."
    out[#out + 1] = technique and { technique = { uid = technique }, sub_technique = { uid = id } } or { technique = { uid = id } }
  end
  return out[1] and host.array(out)
end

local function related(a, host)
  local out, seen = {}, {}
  for _, e in ipairs(a.evidence or {}) do
    if not seen[e.id] then
      seen[e.id] = true
      out[#out + 1] = { uid = e.id, first_seen_time = e.time, type = e.dataset }
    end
  end
  return out[1] and host.array(out)
end

return function(a, host, doc)
  if a.class_uid then return doc end
  local rule = a.rule
  return ocsf.detection_finding{
    time = a.time, start_time = a.from, end_time = a.to, count = a.total, severity_id = alert.severity(a.level) or 0, message = a.title,
    is_alert = true, evidences = evidences(a, host), observables = observables(a, host),
    finding_info = { uid = a.id, title = a.title, created_time = a.time, first_seen_time = a.from, last_seen_time = a.to,
      attacks = attacks(a, host), related_events = related(a, host), related_events_count = a.total,
      analytic = (rule.id or rule.title) and { type_id = 1, type = "Rule", uid = rule.id, name = rule.title,
        version = rule.version } or nil },
    metadata = { uid = a.id, labels = a.tags[1] and host.array(a.tags) or nil },
    unmapped = (a.group or a.type or a.count or a.context) and { group = a.group, type = a.type, count = a.count,
      context = a.context } or nil,
  }
end

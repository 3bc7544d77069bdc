-- ecs.lua: an alert as an Elastic Common Schema document.
local alert = require "defendis.normalize.convert.alert"
local time = require "defendis.time"

local function indicator_type(a)
  if a.email then return "email-addr", a.email end
  if a.user then return "user-account", a.user end
  if a.url then return "url", a.url end
  if a.ip then return a.ip:find ":" and "ipv6-addr" or "ipv4-addr", a.ip end
  if a.file then return "file", a.file end
  if a.domain then return "domain-name", a.domain end
end

local function some(host, ...)
  local out = {}
  for i = 1, select("#", ...) do out[#out + 1] = (select(i, ...)) end
  return out[1] and host.array(out) or nil
end

local function sha256(hash) return hash and #hash == 64 and { sha256 = hash } or nil end

local function threat(a, host)
  local kind, name = indicator_type(a)
  local indicator = kind and { type = kind, name = name, provider = a.source, first_seen = time.format(a.from),
    last_seen = time.format(a.to),
    sightings = a.total, email = a.email and { address = a.email } or nil }
  local technique = a.techniques[1] and { id = host.array{ table.unpack(a.techniques) } } or nil
  local out = { indicator = indicator, technique = technique, framework = technique and "MITRE ATT&CK" or nil,
    group = a.actor and { name = a.actor } or nil }
  return next(out) and out or nil
end

local function entities(doc, a, host)
  doc.user = (a.email or a.user) and { name = a.user or a.email, email = a.email } or nil
  doc.url = a.url and { original = a.url, domain = a.url:match "^%a[%w+.-]*://([^/:?#]+)" } or nil
  doc.host = (a.host or a.ip) and { hostname = a.host, name = a.host, ip = some(host, a.ip) } or nil
  doc.file = (a.file or a.hash) and { name = a.file, hash = sha256(a.hash) } or nil
  doc.organization = a.domain and { name = a.domain } or nil
  local related = { user = some(host, a.email or a.user, a.email and a.user ~= a.email and a.user or nil), hosts = some(host, a.host),
    ip = some(host, a.ip),
    hash = some(host, a.hash) }
  doc.related = next(related) and related or nil
  return doc
end

return function(a, host)
  local rule = a.rule
  return entities({
    ["@timestamp"] = time.format(a.time), message = a.title, ecs = { version = "9.0.0" },
      tags = a.tags[1] and host.array{ table.unpack(a.tags) } or nil,
    event = { kind = a.class_uid == 5021 and "enrichment" or "alert", category = host.array{ "threat" },
      type = host.array{ "indicator" }, id = a.id,
      dataset = a.class_uid and "defendis.ocsf" or "defendis.findings", module = "defendis", provider = "defendis",
      severity = alert.severity(a.level), reason = a.title, start = time.format(a.from), ["end"] = time.format(a.to) },
    rule = (rule.id or rule.title) and { id = rule.id, name = rule.title, version = rule.version } or nil,
    threat = threat(a, host),
    defendis = { type = a.type, level = a.level, group = a.group, evidence = a.evidence, evidence_total = a.total, count = a.count,
      context = a.context, source = a.source },
  }, a, host)
end

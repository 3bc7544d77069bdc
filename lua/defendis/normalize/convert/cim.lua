-- cim.lua: an alert as an event of Splunk's data model Alerts; a Data Security Finding as one of DLP.
local alert = require "defendis.normalize.convert.alert"

local function dlp(a, host)
  return { action = "detected", app = "defendis", category = a.file and "leaked document" or "leaked payment card",
    dest = a.domain or "unknown",
    dlp_type = "leak detection", dvc = "defendis", object = a.file or a.resource or "unknown",
    object_category = a.file and "file" or "payment card", object_path = a.url or "unknown", severity = a.level or "informational",
    severity_id = tostring(alert.severity(a.level) or 0), signature = a.title, signature_id = a.rule.id or a.kind,
    src_user = a.email or a.user or "unknown", vendor_product = "Defendis defendis", tag = host.array{ "dlp", "incident" },
      _time = a.time / 1000,
    defendis = { id = a.id, source = a.source } }
end

return function(a, host)
  if a.class_uid == 2006 then return dlp(a, host), "cim:dlp" end
  return { app = "defendis", description = a.title, dest = a.host or a.domain or "unknown", id = a.id,
    severity = a.level or "informational",
    severity_id = tostring(alert.severity(a.level) or 0), signature = a.rule.title or a.title, signature_id = a.rule.id or a.kind,
    src = a.ip or a.source or "unknown", type = "alert", user = a.email or a.user or "unknown", user_name = a.user,
    mitre_technique_id = a.techniques[1] and host.array{ table.unpack(a.techniques) } or nil, vendor_product = "Defendis defendis",
    tag = host.array{ "alert" }, _time = a.time / 1000,
    defendis = { group = a.group, evidence = a.evidence, evidence_total = a.total, count = a.count, type = a.type,
      context = a.context } }
end

-- asim.lua: an alert as an ASIM alert event. The schema has no severity above High.
local time = require "defendis.time"

local SEVERITY = { informational = "Informational", low = "Low", medium = "Medium", high = "High", critical = "High" }

local function indicator(a)
  return (a.email or a.user) and "User" or a.ip and "Ip" or a.host and "Host" or a.url and "Url" or a.file and "File" or nil
end

return function(a)
  local name = a.email or a.user
  local extra = { group = a.group, evidence = a.evidence, count = a.count, type = a.type, source = a.source, domain = a.domain,
    context = a.context, tags = a.tags[1] and a.tags or nil }
  return { TimeGenerated = time.format(a.time), EventCount = 1, EventStartTime = time.format(a.from), EventEndTime = time.format(a.to),
    EventType = "Alert", EventSubType = "Threat", EventUid = a.id, EventProduct = "defendis", EventVendor = "Defendis",
      EventSchema = "AlertEvent",
    EventSchemaVersion = "0.1", EventSeverity = SEVERITY[a.level], EventOriginalSeverity = a.level, EventMessage = a.title, AlertId = a.id,
    AlertName = a.title, DetectionMethod = "Threat Intelligence", RuleName = a.rule.title, Rule = a.rule.title or a.rule.id,
    ThreatCategory = a.ransomware and "Ransomware" or nil, ThreatFirstReportedTime = time.format(a.from),
    ThreatLastReportedTime = time.format(a.to), IndicatorType = indicator(a), IndicatorAssociation = indicator(a) and "Targeted" or nil,
    AttackTechniques = a.techniques[1] and table.concat(a.techniques, ", ") or nil, Username = name,
    UsernameType = name and (a.email and "UPN" or "Simple") or nil, DvcHostname = a.host, DvcIpAddr = a.ip, Url = a.url, FileName = a.file,
    FileSHA256 = a.hash and #a.hash == 64 and a.hash or nil, AdditionalFields = next(extra) and extra or nil }
end

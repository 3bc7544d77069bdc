-- asim.lua: Microsoft Sentinel, ASIM alert event 0.1. Not verified: the values of UsernameType, UserType and AlertStatus, and the list of
-- optional fields, which is what a leak fills.
local schema = require "defendis.normalize.targets.schema"

local set = schema.set
local WORDS = "EventCount*:integer EventStartTime*:timestamp EventEndTime*:timestamp EventType* EventUid* EventProduct* EventVendor* "
  .. "EventSchema* "
  .. "EventSchemaVersion* TimeGenerated:timestamp EventSubType EventSeverity EventOriginalSeverity EventOriginalUid EventMessage "
  .. "EventReportUrl "
  .. "EventOwner EventResult EventResultDetails EventProductVersion EventOriginalType AlertId AlertName AlertDescription AlertVerdict "
  .. "AlertStatus "
  .. "AlertOriginalStatus DetectionMethod Rule RuleName RuleNumber:integer RuleDescription ThreatId ThreatName ThreatCategory "
  .. "ThreatRiskLevel:integer "
  .. "ThreatConfidence:integer ThreatFirstReportedTime:timestamp ThreatLastReportedTime:timestamp ThreatIsActive:boolean IndicatorType "
  .. "IndicatorAssociation AttackTactics AttackTechniques AttackRemediationSteps Username UsernameType UserId UserIdType UserType "
  .. "OriginalUserType "
  .. "DvcHostname DvcIpAddr DvcDomain DvcFQDN DvcOs DvcId DvcIdType Url FileName FilePath FileSHA256 FileSHA1 FileMD5 "
  .. "FileSize:integer IpAddr "
  .. "Hostname EmailSubject EmailMessageId AdditionalFields:object"

local ENUMS = {
  EventType = set "Alert", EventSchema = set "AlertEvent", EventSchemaVersion = set "0.1",
  EventSubType = set{ "Threat", "Suspicious Activity", "Anomaly", "Compliance Violation" },
  EventSeverity = set "Informational Low Medium High",
  ThreatCategory = set{ "Malware", "Ransomware", "Trojan", "Virus", "Worm", "Adware", "Spyware", "Rootkit", "Cryptominor", "Phishing",
    "Spam",
    "MaliciousUrl", "Spoofing", "Security Policy Violation", "Unknown" },
  IndicatorType = set{ "Ip", "User", "Process", "Registry", "Url", "Host", "Cloud Resource", "Application", "File", "Email", "Mailbox",
    "Logon Session" },
  IndicatorAssociation = set "Associated Targeted",
  DetectionMethod = set{ "EDR", "Behavioral Analytics", "Reputation", "Threat Intelligence", "Intrusion Detection",
    "Automated Investigation and Response", "Antivirus", "Data Loss Prevention", "User Defined Blocked List",
      "Cloud Security Posture Management",
    "Cloud Workload Protection", "Custom Detection Rule", "Other" },
  UserIdType = set "GUID SID Email Username Phone Other", UsernameType = set "UPN Windows DN Simple",
}

local function conditional(document, fault)
  for _, pair in ipairs{ { "Username", "UsernameType" }, { "UserId", "UserIdType" } } do
    if document[pair[1]] ~= nil and document[pair[2]] == nil then fault(pair[2], "is required where %s is", pair[1]) end
  end
  for _, name in ipairs{ "ThreatRiskLevel", "ThreatConfidence" } do
    local v = document[name]
    if type(v) == "number" and (v < 0 or v > 100) then fault(name, "a number from 0 to 100 expected, got %s", tostring(v)) end
  end
  local from, to = document.EventStartTime, document.EventEndTime
  if type(from) == "string" and type(to) == "string" and from:sub(1, 19) > to:sub(1, 19) then fault("EventEndTime",
    "lies before EventStartTime") end
end

return function(name)
  ENUMS.EventSchemaVersion = { ["0.1"] = true } -- a text, though it looks like a number
  return schema.target{ name = name, version = "0.1", root = "event", objects = { event = { WORDS, enums = ENUMS } }, timestamps = "iso",
    more = conditional, defaults = { EventCount = 1, EventType = "Alert", EventSchema = "AlertEvent", EventSchemaVersion = "0.1",
      EventProduct = "defendis", EventVendor = "Defendis" } }
end

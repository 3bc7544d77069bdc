-- ocsf.lua: OCSF 1.8.0 documents out of the fields that differ; constants are filled in, required ones are checked.
--
--   local ocsf = require("defendis.normalize.ocsf").new()
--   ocsf.detection_finding{ time = ms, severity_id = 4, finding_info = { uid = ... }, ... } -> the same table, filled
--   ocsf.severity_id("high") -> 4, and 0 (Unknown) for anything that is no level
--
-- Faults raise in the caller's name, so that a rule's line is in the message.
local check = require "defendis.check"

local VERSION = "1.8.0"

local function set_of(text)
  local names = {}
  for name in text:gmatch("%S+") do names[name] = true end
  return names
end

-- Class 2004: base event, finding, detection finding, and the profiles incident, host, osint, cloud, security_control.
local DETECTION_FINDING = set_of[[
  activity_id activity_name category_name category_uid class_name class_uid count duration end_time enrichments message
  metadata observables raw_data raw_data_hash raw_data_size severity severity_id start_time status status_code
  status_detail status_id time timezone_offset type_name type_uid unmapped
  comment confidence confidence_id confidence_score device finding_info risk_details risk_level risk_level_id risk_score
  vendor_attributes anomaly_analyses evidences impact impact_id impact_score is_alert malware malware_scan_info
  remediation resources vulnerabilities
  assignee assignee_group is_suspected_breach priority priority_id src_url ticket tickets verdict verdict_id
  actor api cloud osint action action_id attacks authorizations disposition disposition_id firewall_rule policy]]

local SEVERITY = { [0] = "Unknown", "Informational", "Low", "Medium", "High", "Critical", "Fatal", [99] = "Other" }
local LEVEL = { informational = 1, low = 2, medium = 3, high = 4, critical = 5, fatal = 6 }
local ACTIVITY = { "Create", "Update", "Close" }

local function fail(message) error("detection_finding: " .. message, 3) end

local function set_constant(doc, key, value)
  local given = doc[key]
  if given ~= nil and given ~= value then
    error(("detection_finding: %s is %s for this class, got %s"):format(key, value, tostring(given)), 4)
  end
  doc[key] = value
end

local function fill_metadata(doc)
  local metadata = doc.metadata
  if metadata == nil then
    metadata = {}
    doc.metadata = metadata
  elseif type(metadata) ~= "table" then
    error("detection_finding: metadata is a table", 4)
  end
  metadata.version = metadata.version or VERSION
  metadata.product = metadata.product or { name = "defendis", vendor_name = "Defendis" }
end

local function detection_finding(doc)
  if type(doc) ~= "table" then fail("a table expected, got " .. type(doc)) end
  for key in next, doc do
    if not DETECTION_FINDING[key] then fail(check.unknown(key, DETECTION_FINDING, "attribute")) end
  end
  if math.type(doc.time) ~= "integer" then fail("time is required, an integer of milliseconds") end
  local severity = SEVERITY[doc.severity_id]
  if not severity then fail("severity_id is required, one of 0 to 6 or 99") end
  local info = doc.finding_info
  if type(info) ~= "table" or type(info.uid) ~= "string" then fail("finding_info.uid is required, a string") end
  local activity = doc.activity_id or 1
  if not ACTIVITY[activity] then fail("activity_id is one of 1, 2, 3") end
  doc.activity_id, doc.activity_name = activity, doc.activity_name or ACTIVITY[activity]
  doc.severity = doc.severity or severity
  set_constant(doc, "category_uid", 2)
  set_constant(doc, "class_uid", 2004)
  set_constant(doc, "type_uid", 200400 + activity)
  doc.category_name, doc.class_name = "Findings", "Detection Finding"
  fill_metadata(doc)
  return doc
end

local function severity_id(level) return LEVEL[level] or 0 end

--- A fresh table of the functions, so that one user's change of it reaches nobody else.
return {
  new = function() return { version = VERSION, detection_finding = detection_finding, severity_id = severity_id } end,
}

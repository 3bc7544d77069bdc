-- ocsf_classes.lua: attributes of the classes of OCSF 1.8.0 that findings on leaks use, as schema.lua has them; their numbers, names and
-- activities, and the activity that is meant when none is given.
local BASE = "activity_id*:integer activity_name category_name category_uid*:integer class_name class_uid*:integer count:integer "
  .. "duration:integer "
  .. "end_time:timestamp enrichments:enrichment[] message metadata*:metadata observables:observable[] raw_data raw_data_hash:fingerprint "
  .. "raw_data_size:integer severity severity_id*:integer start_time:timestamp status status_code status_detail status_id:integer "
  .. "time*:timestamp "
  .. "timezone_offset:integer type_name type_uid*:integer unmapped:object api:object cloud:object actor:actor device:device"
local FINDING = " comment confidence confidence_id:integer confidence_score:integer finding_info*:finding_info vendor_attributes:object "
  .. "impact impact_id:integer impact_score:integer is_alert:boolean resources:resource_details[] "
  .. "assignee:user assignee_group:group is_suspected_breach:boolean priority priority_id:integer src_url ticket:object "
  .. "tickets:object[] verdict "
  .. "verdict_id:integer osint:osint[] action action_id:integer attacks:attack[] authorizations:object[] disposition "
  .. "disposition_id:integer "
  .. "firewall_rule:object policy:policy malware:malware[]"
local DETECTION = " risk_details risk_level risk_level_id:integer risk_score:integer anomaly_analyses:object[] evidences:evidences[] "
  .. "malware_scan_info:object remediation:object vulnerabilities:vulnerability[]"
local DATA = " data_security:data_security database:database databucket:object dst_endpoint:endpoint file:file src_endpoint:endpoint "
  .. "table:object"

return {
  VERSION = "1.8.0",
  ["ocsf:2004"] = { 2004, "Detection Finding", 2, "Findings", BASE .. FINDING .. DETECTION, { "Create", "Update", "Close" }, 1 },
  ["ocsf:2006"] = { 2006, "Data Security Finding", 2, "Findings", BASE .. FINDING .. DATA, { "Create", "Update", "Close",
    "Suppressed" }, 1 },
  ["ocsf:5021"] = { 5021, "OSINT Inventory Info", 5, "Discovery", BASE .. " osint*:osint[]", { "Log", "Collect" }, 2 },
}

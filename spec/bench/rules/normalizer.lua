-- The bench's own mapping, about 50 fields and 1,600 bytes of JSON; peer.py has the same one.
-- luacheck: read globals array null normalizer time
local SEVERITY = { low = { 2, "Low" }, medium = { 3, "Medium" }, high = { 4, "High" }, critical = { 5, "Critical" } }
local UNKNOWN = { 0, "Unknown" }
local CONFIDENCE = { stealer = { 3, "High" }, breach = { 2, "Medium" }, combolist = { 1, "Low" } }
local OS_TYPE = { Windows = 100, Linux = 200, macOS = 300 }

local function known(v)
  if v == null then return nil end
  return v
end

return normalizer{
  id = "bench.credentials", dataset = "dataleaks.credentials", time = "leakedAt", id_field = "id",

  map = function(r)
    local leaked, source, machine = time.parse(r.leakedAt), r.source, known(r.infectedMachine)
    local severity, confidence = SEVERITY[r.severity] or UNKNOWN, CONFIDENCE[source.type] or UNKNOWN
    local scheme, host = r.url:match("^(%w+)://([^/]+)")
    local malware, email = known(source.malware), r.email
    local observables = array{ { type_id = 5, value = email }, { type_id = 1, value = host } }
    local device
    if machine then
      device = { type_id = 2, type = "Desktop", hostname = machine.hostname, ip = machine.ip,
        os = { name = machine.os, type_id = OS_TYPE[machine.os:match("^%a+")] or 0 }, owner = { name = machine.user } }
      observables[3] = { type_id = 2, value = machine.ip }
    end
    return {
      activity_id = 1, activity_name = "Create", category_uid = 2, category_name = "Findings", class_uid = 2004,
      class_name = "Detection Finding", type_uid = 200401, type_name = "Detection Finding: Create",
      time = leaked, start_time = leaked, status_id = 1, status = "New", is_alert = true,
      severity_id = severity[1], severity = severity[2], confidence_id = confidence[1], confidence = confidence[2],
      message = "Leaked credential of " .. email .. " for " .. source.name,
      finding_info = { uid = r.id, title = "Leaked credential of " .. email, created_time = leaked,
        first_seen_time = leaked, types = array{ "Credential leak" }, data_sources = array{ source.type },
        analytic = { name = source.name, type = "Rule", type_id = 1 } },
      evidences = array{ {
        user = { name = r.username, email_addr = email, domain = r.domain, type_id = 1 },
        url = { url_string = r.url, scheme = scheme, hostname = host },
        data = { cookies = r.cookies, log_id = r.logId, details = r.details },
      } },
      observables = observables, device = device,
      malware = malware and array{ { name = malware, classification_ids = array{ 11 }, path = machine and machine.path } },
      metadata = { version = "1.8.0", original_event_uid = r.id, original_time = r.leakedAt, labels = r.tags,
        log_name = "dataleaks.credentials", product = { name = "defendis", vendor_name = "Defendis" } },
      unmapped = { source_type = source.type, password_length = r.password:length_class() },
    }
  end,
}

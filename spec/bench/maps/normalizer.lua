-- The declarative twin of ../rules/normalizer.lua: the same documents.
-- luacheck: read globals concat constant each field first_of host length_class lookup millis normalizer null scheme split when
local SEVERITY = { low = "Low", medium = "Medium", high = "High", critical = "Critical" }
local CONFIDENCE = { stealer = "High", breach = "Medium", combolist = "Low" }

local function or_null(path) return first_of(path, constant(null)) end

return normalizer{
  id = "bench.credentials", dataset = "dataleaks.credentials", time = "leakedAt", id_field = "id",

  map = {
    activity_id = 1, activity_name = "Create", category_uid = 2, category_name = "Findings", class_uid = 2004,
    class_name = "Detection Finding", type_uid = 200401, type_name = "Detection Finding: Create",
    time = millis "leakedAt", start_time = millis "leakedAt", status_id = 1, status = "New", is_alert = true,
    severity_id = lookup("severity", { low = 2, medium = 3, high = 4, critical = 5 }, 0),
    severity = lookup("severity", SEVERITY, "Unknown"),
    confidence_id = lookup("source.type", { stealer = 3, breach = 2, combolist = 1 }, 0),
    confidence = lookup("source.type", CONFIDENCE, "Unknown"),
    message = concat("Leaked credential of ", field "email", " for ", field "source.name"),
    finding_info = { uid = field "id", title = concat("Leaked credential of ", field "email"), created_time = millis "leakedAt",
      first_seen_time = millis "leakedAt", types = { "Credential leak" }, data_sources = { field "source.type" },
      analytic = { name = field "source.name", type = "Rule", type_id = 1 } },
    evidences = { {
      user = { name = or_null "username", email_addr = or_null "email", domain = or_null "domain", type_id = 1 },
      url = { url_string = field "url", scheme = scheme "url", hostname = host "url" },
      data = { cookies = or_null "cookies", log_id = or_null "logId", details = or_null "details" },
    } },
    observables = { { type_id = 5, value = field "email" }, { type_id = 1, value = host "url" },
      when("infectedMachine", { type_id = 2, value = field "infectedMachine.ip" }) },
    device = when("infectedMachine", { type_id = 2, type = "Desktop", hostname = field "infectedMachine.hostname",
      ip = field "infectedMachine.ip", owner = { name = field "infectedMachine.user" },
      os = { name = field "infectedMachine.os",
        type_id = lookup(split("infectedMachine.os", " ", 1), { Windows = 100, Linux = 200, macOS = 300 }, 0) } }),
    malware = { when("source.malware", { name = field "source.malware", classification_ids = { 11 },
      path = field "infectedMachine.path" }) },
    metadata = { version = "1.8.0", original_event_uid = field "id", original_time = field "leakedAt", labels = field "tags",
      log_name = "dataleaks.credentials", product = { name = "defendis", vendor_name = "Defendis" } },
    unmapped = { source_type = field "source.type", password_length = length_class "password" },
  },
}

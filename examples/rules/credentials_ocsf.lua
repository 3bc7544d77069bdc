-- Leaked credentials as OCSF detection findings. The password stays where it is: no attribute of OCSF is made for one.
local OS_TYPES = { windows = 100, linux = 200, macos = 300 }

local function device_of(machine)
  if machine == nil or machine == null then return nil end
  local os = machine.os ~= null and machine.os or nil
  return {
    type_id = 0, hostname = get(machine, "hostname"), ip = get(machine, "ip"),
    os = os and { name = os, type_id = OS_TYPES[os:lower():match("^%a+")] or 0 },
  }
end

return normalizer{
  id = "credentials.ocsf", dataset = "dataleaks.credentials", time = "leakedAt", id_field = "id",

  map = function(r)
    local leaked = time.parse(r.leakedAt)
    local account = get(r, "email") or get(r, "username") or "unknown account"
    return ocsf.detection_finding{
      time = leaked, start_time = leaked,
      severity_id = ocsf.severity_id(r.severity),
      message = "Leaked credential of " .. account .. " for " .. (get(r, "domain") or "an unknown service"),
      finding_info = { uid = r.id, title = "Leaked credential of " .. account, created_time = leaked },
      is_alert = false,
      evidences = array{ {
        user = { name = get(r, "username") or account, email_addr = get(r, "email") },
        url = get(r, "url") and { url_string = r.url },
      } },
      device = device_of(r.infectedMachine),
      metadata = { original_event_uid = r.id, original_time = r.leakedAt, labels = get(r, "tags") },
      unmapped = { source = get(r, "source"), domain = get(r, "domain"),
        machine_user = get(r, "infectedMachine.user") },
    }
  end,

  tests = {
    { name = "the password is nowhere in the document",
      input = { id = "c-1", email = "eve@acme.example", username = "eve", password = "S3cret!",
        domain = "vpn.acme.example", url = "https://vpn.acme.example/login", leakedAt = "2026-01-05T10:00:00Z",
        severity = "high", source = { name = "redline", type = "stealer" }, infectedMachine = null, tags = { "vip" } },
      expect = { class_uid = 2004, type_uid = 200401, time = 1767607200000, severity_id = 4, severity = "High",
        metadata = { version = "1.8.0", original_event_uid = "c-1", labels = { "vip" } },
        finding_info = { uid = "c-1", title = "Leaked credential of eve@acme.example" },
        evidences = { { user = { email_addr = "eve@acme.example", password = null, credential_uid = null } } },
        unmapped = { password = null }, password = null, device = null } },
    { name = "an infected machine becomes the device",
      input = { id = "c-2", email = null, username = "bob", leakedAt = "2026-01-05", severity = "low",
        source = { name = "lumma", type = "stealer" }, tags = {},
        infectedMachine = { hostname = "PC-7", ip = "192.0.2.7", os = "Windows 11", user = "bob.local" } },
      expect = { severity_id = 2, device = { hostname = "PC-7", ip = "192.0.2.7", os = { type_id = 100 } },
        evidences = { { user = { name = "bob", email_addr = null }, url = null } },
        unmapped = { machine_user = "bob.local" } } },
    { name = "a severity we do not know is Unknown, not an error",
      input = { id = "c-3", email = "a@b.example", leakedAt = "2026-01-05", severity = "apocalyptic" },
      expect = { severity_id = 0, severity = "Unknown" } },
  },
}

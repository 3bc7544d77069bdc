-- credentials.lua: leaked credentials as OCSF Detection Finding. The password is never in it; user.credential_uid has its HMAC.
local credentials = { target = "ocsf:2004" }

local OS_TYPES = { windows = 100, linux = 200, android = 201, macos = 300, ios = 301 }
local TAKEN = { email = true, username = true, url = true, infectedMachine = true, source = true }

local function device_of(k, r)
  local hostname, ip, os = k:text(r, "infectedMachine.hostname"), k:text(r, "infectedMachine.ip"), k:text(r, "infectedMachine.os")
  if not (hostname or ip) then return nil end
  return { type_id = 0, hostname = hostname, ip = ip, os = os and { name = os, type_id = OS_TYPES[os:lower():match "^%a+"] or 0 } }
end

-- What is left of a nested table when its own map took some of it.
local function rest(v, names)
  if type(v) ~= "table" then return v end
  local out = {}
  for name, value in pairs(v) do
    if not names[name] then out[name] = value end
  end
  return out
end

--- The indicators of a record, for 5021: {type_id, value}.
function credentials.indicators(k, r)
  return { { 9, k:text(r, "email") }, { 5, k:url(r, "url") }, { 3, k:text(r, "infectedMachine.hostname") }, { 1, k:text(r,
    "infectedMachine.ip") },
    { 99, not k:text(r, "email") and k:text(r, "username") or nil }, { 2, k:text(r, "domain") } }
end

function credentials.map(k)
  return function(r)
    local email, name = k:text(r, "email"), k:text(r, "username")
    local account = email or name or "an unknown account"
    local url, device = k:url(r, "url"), device_of(k, r)
    local user = (email or name) and { name = name or email, email_addr = email, credential_uid = k:secret(r, "password").hmac }
    local malware = k:text(r, "source.malware")
    local title = "Leaked credential of " .. account
    return k:document(2004, r, {
      message = title .. " for " .. (url and url:match "^%a[%w+.-]*://([^/:?#]+)" or k:text(r, "source.name") or "an unknown service"),
      finding_info = { title = title, types = k:list(k:text(r, "source.type")), data_sources = k:list(k:text(r, "source.name")) },
      is_alert = false, device = device,
      evidences = k:list((user or url) and { user = user, url = url and { url_string = url } } or nil),
      malware = k:list(malware and { name = malware, classification_ids = k:array{ 17 }, classifications = k:array{ "Spyware" } } or nil),
    }, TAKEN, { source = k:get(r, "source"),
      infectedMachine = rest(k:get(r, "infectedMachine"), device and { hostname = true, ip = true, os = true } or {}) })
  end
end

return credentials

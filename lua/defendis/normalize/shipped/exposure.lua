-- exposure.lua: exposed services as OCSF Detection Finding.
local exposure = { target = "ocsf:2004" }

local TAKEN = { asset = true, ip = true, port = true, service = true, cve = true }

--- The indicators of a record, for 5021: {type_id, value}.
function exposure.indicators(k, r)
  return { { 3, k:text(r, "asset") }, { 1, k:text(r, "ip") }, { 10, k:text(r, "cve") }, { 2, k:text(r, "domain") } }
end

function exposure.map(k)
  return function(r)
    local asset, ip, port, service, cve = k:text(r, "asset"), k:text(r, "ip"), k:integer(r, "port"), k:text(r, "service"), k:text(r, "cve")
    local where = asset or ip or k:text(r, "domain") or "an unknown host"
    local title = "Exposed " .. (service or "service") .. " on " .. where
    local endpoint = (asset or ip) and { hostname = asset, ip = ip, port = port, svc_name = service }
    return k:document(2004, r, {
      message = title .. (port and ", port " .. port or ""), is_alert = true,
      finding_info = { title = title, types = k:list("exposure") },
      evidences = k:list(endpoint and { dst_endpoint = endpoint } or nil),
      vulnerabilities = k:list(cve and { cve = { uid = cve } } or nil),
      resources = k:list(where ~= "an unknown host" and { name = where, type = "Host", hostname = asset, ip = ip } or nil),
    }, TAKEN, not endpoint and { port = port, service = service } or nil)
  end
end

return exposure

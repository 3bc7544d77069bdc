-- ransomware.lua: posts on leak sites as OCSF Detection Finding. The site's address is in evidences.url as it is: do not make it a link.
-- T1486 and T1657 are ATT&CK's numbers for encryption for impact and financial theft; not verified here.
local ransomware = { target = "ocsf:2004" }

local TAKEN = { group = true, victim = true, postUrl = true, domain = true, country = true }

--- The indicators of a record, for 5021: {type_id, value}.
function ransomware.indicators(k, r)
  return { { 5, k:url(r, "postUrl") }, { 2, k:text(r, "domain") }, { 99, k:text(r, "victim") } }
end

--- Who is behind it, for the indicators.
function ransomware.actor(k, r) return k:text(r, "group") end

function ransomware.map(k)
  return function(r)
    local group, victim, domain, url = k:text(r, "group"), k:text(r, "victim"), k:text(r, "domain"), k:url(r, "postUrl")
    local named = victim or domain
    local title = "Ransomware post" .. (group and " of " .. group or "") .. (named and " on " .. named or "")
    local actor = group and { name = group, type_id = 2, type = "Cybercriminal" } or nil
    local attacks = k:array{ { technique = { uid = "T1486" } }, { technique = { uid = "T1657" } } }
    local doc = k:document(2004, r, {
      -- the API answers for domains on the key's watchlists only, so one that is named is watched
      message = title, is_alert = domain ~= nil,
      finding_info = { title = title, attacks = attacks, src_url = url, types = k:list("ransomware") },
      malware = k:list{ classification_ids = k:array{ 10 }, classifications = k:array{ "Ransomware" }, name = group },
      osint = k:list((url or domain) and { type_id = url and 5 or 2, value = url or domain, threat_actor = actor, src_url = url,
        tlp = "AMBER",
        vendor_name = "Defendis" } or nil),
      evidences = k:list(url and { url = { url_string = url } } or nil),
      resources = k:list(named and { name = named, type = "Organization", region = k:text(r, "country"), uid = domain } or nil),
    }, TAKEN, { domain = domain, country = k:get(r, "country"), group = not (url or domain) and group or nil,
      victim = not named and k:get(r, "victim") or nil })
    doc.metadata.profiles = k:list(doc.osint and "osint" or nil)
    return doc
  end
end

return ransomware

-- documents.lua: leaked documents as OCSF Data Security Finding.
local documents = { target = "ocsf:2006" }

local TAKEN = { fileName = true, fileType = true, sizeBytes = true, sha256 = true, url = true, author = true }

--- The indicators of a record, for 5021: {type_id, value}.
function documents.indicators(k, r)
  return { { 11, k:text(r, "fileName") }, { 4, k:text(r, "sha256") }, { 5, k:url(r, "url") }, { 2, k:text(r, "domain") } }
end

local function file_of(k, r)
  local name, hash, author = k:text(r, "fileName"), k:text(r, "sha256"), k:text(r, "author")
  if not (name or hash) then return nil end
  return { name = name or hash, type_id = 1, type = "Regular File", ext = k:text(r, "fileType"), size = k:integer(r, "sizeBytes"),
    uri = k:url(r, "url"), owner = author and { name = author } or nil,
    hashes = k:list(hash and { algorithm_id = 3, algorithm = "SHA-256", value = hash } or nil) }
end

function documents.map(k)
  return function(r)
    local file, domain = file_of(k, r), k:text(r, "domain")
    local title = "Leaked document" .. (file and " " .. file.name or "") .. (domain and " of " .. domain or "")
    return k:document(2006, r, {
      message = title, file = file, is_alert = true,
      finding_info = { title = title, src_url = k:url(r, "url"), types = k:list(k:text(r, "source.type")),
        data_sources = k:list(k:text(r, "source.name")) },
      data_security = { category_id = 4, category = "Business", data_lifecycle_state_id = 1, data_lifecycle_state = "Data at-Rest",
        detection_system_id = 99, detection_system = "Leak intelligence" },
      resources = k:list(domain and { name = domain, type = "Organization" } or nil),
    }, TAKEN)
  end
end

return documents

-- shipped.lua: normalizers that come with the program, for every dataset of the catalog, as `normalize = "ocsf"` in a pipeline file.
--
--   shipped.get(dataset, target, host) -> { id, dataset, target = name for targets.get, id_field, time, map } or nil
-- target "ocsf": Detection Finding (2004) for credentials, exposure and ransomware, Data Security Finding (2006) for documents and cards.
-- "ocsf:5021": OSINT Inventory Info for every dataset, for a data lake. host: {null, array, parse_time, protect}; protect =
-- function(value) ->
-- {hmac, last4} or nil: what may be told of a secret; without it nothing is.
-- No field of a record is documented by the vendor, so none is required but the id: a field that is missing, null or of another type is
-- left
-- out, one that no map knows stands in `unmapped`, unless clean.lua holds it for a secret. A record whose time cannot be read has the
-- time 0
-- and the label "time:unknown".
local check = require "defendis.check"
local kit = require "defendis.normalize.shipped.kit"

local shipped = {}

local DATASETS = {
  ["dataleaks.credentials"] = { file = "credentials", time = "leakedAt" },
  ["dataleaks.credentials_email"] = { file = "credentials", time = "leakedAt" },
  ["dataleaks.documents"] = { file = "documents", time = "leakedAt" },
  ["dataleaks.paymentcards"] = { file = "paymentcards", time = "leakedAt" },
  exposure = { file = "exposure", time = "detectedAt" },
  ransomware = { file = "ransomware", time = "publishedAt" },
}

--- The names that a pipeline file may give.
shipped.TARGETS = { "ocsf", "ocsf:5021" }

--- The datasets that have a normalizer, sorted.
function shipped.datasets() return check.sorted_keys(DATASETS) end

--- A normalizer, or nil when there is none for the dataset.
function shipped.get(dataset, target, host)
  local known = DATASETS[dataset]
  if not known then return nil end
  local module, k = require("defendis.normalize.shipped." .. known.file), kit.new(host, known.time)
  local raw = target == "ocsf:5021"
  local map = raw and require("defendis.normalize.shipped.osint")(k, module, dataset) or module.map(k)
  return { id = "shipped." .. dataset, dataset = dataset, target = raw and target or module.target, id_field = "id", time = known.time,
    map = map }
end

return shipped

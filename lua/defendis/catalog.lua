-- catalog.lua: the vendor's endpoints as data, so that a new one is a line here or in the user's configuration.
--
-- status "documented": method, path and required input stand in the vendor's documentation. "assumed": the vendor names
-- the dataset and not its path; the line is a guess that an OpenAPI document or the configuration replaces.
-- Which datasets take fromDate/toDate is documented only as "where supported", and record fields (id_field, time) are
-- not documented at all: they are settings with the values the simulator uses.
local check = require "defendis.check"
local secrets = require "defendis.helpers.secrets"

local catalog = {}

-- `sensitive`: fields that hold what nobody but its owner should read, at any depth and in any case; `cards`: those that hold card
-- numbers; `bare`: those that can hold few values, which an HMAC would not hide from who knows some.
local entries, by_name = {}, {}

local function add(entry)
  entry.family = entry.family or entry.name:match("^[^.]+")
  entry.status = entry.status or "documented"
  entry.required = entry.required or {}
  entries[#entries + 1] = entry
  by_name[entry.name] = entry
end

local function dataset(entry)
  entry.method, entry.required = "GET", { entry.input }
  entry.dataset, entry.paged, entry.window = true, true, true
  entry.id_field = "id"
  add(entry)
end

add{ name = "health", method = "GET", path = "/health", open = true }

add{ name = "watchlists", method = "GET", path = "/api/v1/watchlists", paged = true }
add{ name = "watchlists.create", method = "POST", path = "/api/v1/watchlists/create", body = true }
add{ name = "watchlists.update", method = "PUT", path = "/api/v1/watchlists/{id}", body = true }
add{ name = "watchlists.delete", method = "POST", path = "/api/v1/watchlists/delete", body = true,
  required = { "ids" } }
add{ name = "watchlists.stats", method = "GET", path = "/api/v1/watchlists/stats" }

-- kind -> the field of an item that holds what is watched (the field names are assumed)
catalog.kinds = {
  assets = "asset", domain = "domain", bin = "bin", executive = "email", keyword = "keyword", ransom = "keyword",
}

for _, kind in ipairs{ "assets", "domain", "bin", "executive", "keyword", "ransom" } do
  local name, path = "watchlists." .. kind, "/api/v1/watchlists/" .. kind
  add{ name = name, method = "GET", path = path, paged = true, kind = kind }
  add{ name = name .. ".add", method = "POST", path = path, body = true, kind = kind }
  add{ name = name .. ".update", method = "PUT", path = path .. "/{id}", body = true, kind = kind }
  add{ name = name .. ".delete", method = "POST", path = path .. "/delete", body = true, kind = kind,
    required = { "ids" } }
end

dataset{ name = "dataleaks.credentials", path = "/api/v1/dataleaks/credentials", input = "domain",
  watchlist = "domain", time = "leakedAt", sensitive = secrets.LOGIN, bare = secrets.CODE }
dataset{ name = "dataleaks.credentials_email", path = "/api/v1/dataleaks/credentials/email", input = "email",
  watchlist = "executive", time = "leakedAt", sensitive = secrets.LOGIN, bare = secrets.CODE }
dataset{ name = "dataleaks.documents", path = "/api/v1/dataleaks/documents", input = "domain",
  watchlist = "domain", time = "leakedAt" }
dataset{ name = "dataleaks.paymentcards", path = "/api/v1/dataleaks/paymentcards/bins", input = "bin",
  watchlist = "bin", time = "leakedAt", sensitive = secrets.TRACK, cards = secrets.CARD, bare = secrets.CODE }
add{ name = "dataleaks.stats", method = "GET", path = "/api/v1/dataleaks/stats", required = { "domain" } }
add{ name = "dataleaks.user", method = "GET", path = "/api/v1/dataleaks/user", required = { "id" } }

dataset{ name = "exposure", path = "/api/v1/exposure", input = "domain", watchlist = "domain",
  time = "detectedAt", status = "assumed" }
dataset{ name = "ransomware", path = "/api/v1/ransomware", input = "domain", watchlist = "domain",
  time = "publishedAt", status = "assumed" }

local function unknown(what, name, known) return nil, check.error("config", check.unknown(name, known, what)) end

--- An endpoint by name.
-- @tparam string name such as "dataleaks.credentials" or "watchlists.domain.add"
-- @treturn table|nil {name, family, method, path, required, paged, window, body, open, kind, status, ...}
-- @tparam[opt="endpoint"] string what the message calls it
-- @return err of kind "config" that names the nearest endpoint
function catalog.find(name, what)
  local entry = by_name[name]
  if entry then return entry end
  return unknown(what or "endpoint", name, by_name)
end

--- All endpoints, in the order of the documentation.
function catalog.list() return table.move(entries, 1, #entries, 1, {}) end

--- A record dataset by name.
-- @tparam string name
-- @treturn table|nil {name, path, input = the required parameter, id_field, time, watchlist = its kind, ...}
-- @return err of kind "config" that names the nearest dataset
function catalog.dataset(name)
  local entry = by_name[name]
  if entry and entry.dataset then return entry end
  local known = {}
  for _, e in ipairs(entries) do if e.dataset then known[e.name] = e end end
  return unknown("dataset", name, known)
end

return catalog

-- routes.lua: the documented endpoints under /api/v1, and the two assumed ones.
local cjson = require "cjson"
local catalog = require "defendis.catalog"
local json = require "defendis.simulator.json"
local lists = require "defendis.simulator.lists"

local routes = {}

local function fail(status, text) return { status = status, headers = {}, body = json.object("error", text)[1] } end
local function not_found() return fail(404, "Not found") end
local function out_of_scope() return fail(403, "You don't have permission to view this") end

local function one(value, status)
  return { status = status or 200, headers = {}, body = json.object("data", value)[1] }
end

-- A watchlist entry with its keys in one order: id first, then the alphabet.
local function entry_json(entry)
  local keys, args = {}, { "id", entry.id }
  for key in pairs(entry) do if key ~= "id" then keys[#keys + 1] = key end end
  table.sort(keys)
  for _, key in ipairs(keys) do args[#args + 1], args[#args + 2] = key, entry[key] end
  return json.object(table.unpack(args))
end

local function body_object(req)
  if not utf8.len(req.body or "") then return nil end
  local ok, value = pcall(cjson.decode, req.body or "")
  return ok and type(value) == "table" and value or nil
end

local function body_ids(req)
  local body = body_object(req)
  if not body or type(body.ids) ~= "table" or #body.ids == 0 then return nil end
  return body.ids
end

local function matches(entry, query)
  if query.watchlistid and entry.watchlistid ~= query.watchlistid then return false end
  if not query.search then return true end
  for _, value in pairs(entry) do
    if tostring(value):lower():find(query.search:lower(), 1, true) then return true end
  end
  return false
end

local function list_entries(sim, entries, query, hit)
  local paging, reason = lists.paging(query, sim.page_cap)
  if not paging then return fail(400, reason) end
  local descending, order_reason = lists.descending(query)
  if descending == nil then return fail(400, order_reason) end
  local chosen, rank, by = {}, {}, query.sortBy
  for _, entry in ipairs(entries) do
    if matches(entry, query) then
      chosen[#chosen + 1] = entry
      rank[entry] = #chosen
    end
  end
  table.sort(chosen, function(a, b)
    local x, y = by and tostring(a[by]) or rank[a], by and tostring(b[by]) or rank[b]
    if x == y then return rank[a] < rank[b] end
    if descending then return x > y end
    return x < y
  end)
  return lists.answer(#chosen, paging, hit, function(first, last)
    local parts = {}
    for i = first, last do parts[#parts + 1] = entry_json(chosen[i + 1])[1] end
    return table.concat(parts, ",")
  end)
end

local function written(entry, reason, status)
  if entry then return one(entry_json(entry), status) end
  return reason and fail(400, reason) or not_found()
end

local function add_item(sim, kind, req)
  local fields = body_object(req)
  if not fields then return fail(400, "Invalid JSON") end
  if sim.workspace:blocked(kind) then
    return { status = 403, headers = {}, body = json.object("error", "Enterprise billing access denied", "reason",
      "payment_" .. sim.workspace.unpaid, "status", sim.workspace.unpaid)[1] }
  end
  local item, reason, quota = sim.workspace:add_item(kind, fields)
  if not quota then return written(item, reason, 201) end
  return { status = 409, headers = {}, body = json.object("error", ("quota_%s_reached"):format(quota.metric), "metric",
    quota.metric, "used", quota.used, "limit", quota.limit, "requestedIncrement", 1)[1] }
end

local function watchlist_stats(sim)
  local counts, limits = {}, {}
  for _, kind in ipairs{ "assets", "domain", "bin", "executive", "keyword", "ransom" } do
    counts[#counts + 1], counts[#counts + 2] = kind, #sim.workspace.items[kind]
  end
  for _, metric in ipairs{ "domains", "keywords", "bins" } do
    limits[#limits + 1], limits[#limits + 2] = metric, sim.workspace.limits[metric]
  end
  return one(json.object("watchlists", #sim.workspace.groups, "items", json.object(table.unpack(counts)), "limits",
    json.object(table.unpack(limits))))
end

local function watchlist_items(sim, req, kind, rest, hit)
  local method = req.method
  if rest == "" and method == "GET" then return list_entries(sim, sim.workspace.items[kind], req.query, hit) end
  if rest == "" and method == "POST" then return add_item(sim, kind, req) end
  if rest == "/delete" and method == "POST" then
    local ids = body_ids(req)
    if not ids then return fail(400, "Missing required field: ids") end
    return one(json.object("count", sim.workspace:delete_items(kind, ids)))
  end
  local id = rest:match("^/([^/]+)$")
  if not id or method ~= "PUT" then return not_found() end
  local fields = body_object(req)
  if not fields then return fail(400, "Invalid JSON") end
  return written(sim.workspace:update_item(kind, id, fields))
end

local function watchlists(sim, req, rest, hit)
  local method, space = req.method, sim.workspace
  if rest == "" and method == "GET" then return list_entries(sim, space.groups, req.query, hit) end
  if rest == "/stats" and method == "GET" then return watchlist_stats(sim) end
  local name, tail = rest:match("^/([^/]+)(.*)$")
  if catalog.kinds[name] then return watchlist_items(sim, req, name, tail, hit) end
  if not name or tail ~= "" or (method ~= "POST" and method ~= "PUT") then return not_found() end
  if method == "POST" and name == "delete" then
    local ids = body_ids(req)
    if not ids then return fail(400, "Missing required field: ids") end
    return one(json.object("count", space:delete_groups(ids)))
  end
  if method == "POST" and name ~= "create" then return not_found() end
  local fields = body_object(req)
  if not fields then return fail(400, "Invalid JSON") end
  if method == "PUT" then return written(space:update_group(name, fields)) end
  local group, reason = space:add_group(fields)
  return written(group, reason, 201)
end

-- The required input of a request when it is there and in scope; nil and the refusal.
local function scoped(sim, query, input)
  local value = query[input]
  if not value or value == "" then return nil, fail(400, "Missing required parameter: " .. input) end
  if not sim.workspace:allows(input, value) then return nil, out_of_scope() end
  return value
end

local function records(sim, entry, query, hit)
  local value, refusal = scoped(sim, query, entry.input)
  if not value then return refusal end
  local paging, reason = lists.paging(query, sim.page_cap)
  if not paging then return fail(400, reason) end
  local view = sim.data:view(entry.name, value)
  local low, high = lists.window(view, query)
  if not low then return fail(400, high) end
  local descending, order_reason = lists.descending(query)
  if descending == nil then return fail(400, order_reason) end
  return lists.answer(high - low, paging, hit, function(first, last)
    if descending then return sim:render(view, high - 1 - first, high - 1 - last, -1) end
    return sim:render(view, low + first, low + last, 1)
  end)
end

local function dataleak_stats(sim, query)
  local domain, refusal = scoped(sim, query, "domain")
  if not domain then return refusal end
  return one(json.object("domain", domain, "credentials", sim.data:view("dataleaks.credentials", domain).n, "documents",
    sim.data:view("dataleaks.documents", domain).n))
end

local function dataleak_user(sim, query)
  if not query.id or query.id == "" then return fail(400, "Missing required parameter: id") end
  local record = sim.data:find(query.id, sim.workspace:values("domain"))
  return record and one({ record }) or not_found()
end

local DATASETS = {}
for _, entry in ipairs(catalog.list()) do if entry.dataset then DATASETS[entry.path] = entry end end

--- The answer to an authenticated request under /api/v1. hit: the faults that lists take part in.
function routes.api(sim, req, hit)
  local rest = req.path:match("^/api/v1/watchlists(.*)$")
  if rest and (rest == "" or rest:sub(1, 1) == "/") then return watchlists(sim, req, rest, hit) end
  if req.method ~= "GET" then return not_found() end
  if DATASETS[req.path] then return records(sim, DATASETS[req.path], req.query, hit) end
  if req.path == "/api/v1/dataleaks/stats" then return dataleak_stats(sim, req.query) end
  if req.path == "/api/v1/dataleaks/user" then return dataleak_user(sim, req.query) end
  return not_found()
end

--- A refusal in the API's own form.
routes.fail = fail

return routes

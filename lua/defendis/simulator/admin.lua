-- admin.lua: paths under /simulator, which the real API does not have: what exists, what was asked, faults at run time.
local catalog = require "defendis.catalog"
local faults = require "defendis.simulator.faults"
local json = require "defendis.simulator.json"
local lists = require "defendis.simulator.lists"
local routes = require "defendis.simulator.routes"

local admin = {}

local IDS_PER_PAGE, LOG_LENGTH = 100000, 1000

--- Remembers a request for GET /simulator/log.
function admin.note(sim, req, status, id)
  local keys, parts = {}, {}
  for key in pairs(req.query) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do parts[i] = key .. "=" .. req.query[key] end
  sim.log[sim.api_requests % LOG_LENGTH + 1] = json.object("n", sim.api_requests, "method", req.method,
    "path", req.path, "query", table.concat(parts, "&"), "status", status, "request_id", id)
end

local function log(sim)
  local entries = {}
  for n = math.max(1, sim.api_requests - LOG_LENGTH + 1), sim.api_requests do
    entries[#entries + 1] = sim.log[n % LOG_LENGTH + 1]
  end
  local body = json.object("total", sim.api_requests, "requests", json.array(entries))
  return { status = 200, headers = {}, body = body[1] }
end

-- dataset, input, from (inclusive), to (exclusive), page: ids in time order, one a line, 100,000 a page.
local function ids(sim, query)
  local entry, err = catalog.dataset(query.dataset or "")
  if not entry then return routes.fail(400, err.message) end
  if not query.input then return routes.fail(400, "Missing required parameter: input") end
  local view = sim.data:view(entry.name, query.input)
  local low, high = lists.window(view, { fromDate = query.from, toDate = query.to })
  if not low then return routes.fail(400, high) end
  local paging, reason = lists.paging({ page = query.page }, IDS_PER_PAGE)
  if not paging then return routes.fail(400, reason) end
  local first = low + (paging.page - 1) * IDS_PER_PAGE
  local lines = {}
  for i = first, math.min(high, first + IDS_PER_PAGE) - 1 do lines[#lines + 1] = view.id(i) end
  lines[#lines + 1] = ""
  return { status = 200, headers = { ["content-type"] = "text/plain", ["x-total"] = tostring(high - low) },
    body = table.concat(lines, "\n") }
end

local function set_faults(sim, query)
  local rates, reason = faults.parse(query.set or "")
  if not rates then return routes.fail(400, reason) end
  sim.faults.rates = rates
  return { status = 200, headers = {}, body = json.object("data", json.object("faults", query.set or ""))[1] }
end

--- The answer to a request under /simulator.
function admin.answer(sim, req)
  if req.path == "/simulator/ids" and req.method == "GET" then return ids(sim, req.query) end
  if req.path == "/simulator/log" and req.method == "GET" then return log(sim) end
  if req.path == "/simulator/fault" and req.method == "POST" then return set_faults(sim, req.query) end
  return routes.fail(404, "Not found")
end

return admin

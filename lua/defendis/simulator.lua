-- simulator.lua: the built-in API: the documented behaviour over made-up data, for demos, tests and measurements.
--
-- Without sockets: `simulator.new(options):handle{method =, path =, query = {}, headers = {}, body =}`.
-- With them: `simulator.serve(options)`. Beside the API it has three paths of its own, without a key:
--   GET  /simulator/ids?dataset=&input=[&from=&to=&page=]   ids that exist, one a line
--   GET  /simulator/log                                      the last requests to the API
--   POST /simulator/fault?set=429=0.05,slow=0.1              other faults from now on
local admin = require "defendis.simulator.admin"
local cache = require "defendis.simulator.cache"
local calendar = require "defendis.simulator.calendar"
local check = require "defendis.check"
local data = require "defendis.simulator.data"
local faults = require "defendis.simulator.faults"
local json = require "defendis.simulator.json"
local random = require "defendis.simulator.random"
local routes = require "defendis.simulator.routes"
local workspace = require "defendis.simulator.workspace"

local simulator = {}
local methods = {}
methods.__index = methods

local function natural(at_least)
  return function(v) return math.type(v) == "integer" and v >= at_least, "a whole number from " .. at_least end
end
local function text(v) return type(v) == "string", "a string" end

local LIMITS = { domains = 10, keywords = 10, bins = 10 }
local OPTIONS = {
  records = natural(0), -- leaked credentials over all watched domains; other datasets are 1/40 to 1/500 of it
  seed = natural(0), -- another seed is other data
  from = function(v) return type(v) == "string" and calendar.parse(v), "a date" end, -- first day of the data
  days = natural(1), -- length of the data
  latency_ms = natural(0), -- each answer waits this long
  faults = text, -- "name=probability,..."; see faults.lua for the names
  key = text, -- the one valid API key; default "simulator-key-" .. seed
  page_cap = natural(1), -- larger pageSize values are lowered to this
  cache_bytes = natural(0), -- keep rendered pages, up to this size
  limits = function(v) -- the quotas of the workspace; each is 10 unless given
    local ok = type(v) == "table"
    for key in pairs(ok and v or {}) do ok = ok and LIMITS[key] ~= nil end
    return ok, "a table {domains =, keywords =, bins =}"
  end,
  unpaid = text, -- set it, and billing refuses writes: the word that the answer's `status` holds
  port = natural(0), -- serve only; 0 is any free one
}
local DEFAULTS = { records = 20000, seed = 1, from = "2026-01-01", days = 90, latency_ms = 0, faults = "",
  page_cap = 1000, cache_bytes = 0, port = 0 }

local function check_options(given)
  local options = {}
  for key, value in pairs(given or {}) do
    local validate = OPTIONS[key]
    if not validate then
      error(check.unknown(key, OPTIONS, "option"), 3)
    end
    local ok, what = validate(value)
    if not ok then error(("option '%s' must be %s"):format(key, what), 3) end
    options[key] = value
  end
  for key, value in pairs(DEFAULTS) do if options[key] == nil then options[key] = value end end
  options.key = options.key or "simulator-key-" .. options.seed
  options.limits = setmetatable(options.limits or {}, { __index = LIMITS })
  return options
end

--- A simulation. Options: see OPTIONS above; wrong ones raise.
function simulator.new(given)
  local options = check_options(given)
  local rates, reason = faults.parse(options.faults)
  if not rates then error(reason, 2) end
  return setmetatable({
    key = options.key, page_cap = options.page_cap, latency_ms = options.latency_ms,
    data = data.new(options), workspace = workspace.new(options), faults = faults.new(options.seed, rates),
    cache = options.cache_bytes > 0 and cache.new(options.cache_bytes) or nil,
    run = random.key("run|" .. options.seed) & 0xffffffff, requests = 0, api_requests = 0, log = {},
  }, methods)
end

--- Records first to last of a view as comma-separated JSON; step is 1 or -1.
function methods:render(view, first, last, step)
  local name = self.cache and ("%s|%d|%d"):format(view.name, first, last)
  local page = name and self.cache:get(name)
  if page then return page end
  local parts, record = {}, view.record
  for i = first, last, step do parts[#parts + 1] = record(i) end
  page = table.concat(parts, ",")
  if name then self.cache:put(name, page) end
  return page
end

local function unauthorized(self, headers)
  local value = headers.authorization
  if not value or value == "" then return routes.fail(401, "Missing API key") end
  local scheme, key = value:match("^(%S+)%s+(%S+)%s*$")
  if not scheme or scheme:lower() ~= "bearer" or key ~= self.key then
    return routes.fail(401, "Invalid or revoked API key")
  end
end

local function api(self, req)
  self.api_requests = self.api_requests + 1
  local refusal = unauthorized(self, req.headers)
  if refusal then return refusal end
  local hit = self.faults:roll(self.api_requests)
  return faults.instead(hit) or faults.spoil(hit, routes.api(self, req, hit))
end

--- Answers one request {method, path, query, headers (names in lower case), body} with {status, headers, body,
-- delay_ms, truncate, slow}, as core.httpd's request:answer takes it.
function methods:handle(req)
  self.requests = self.requests + 1
  local id = ("sim-%08x-%08d"):format(self.run, self.requests)
  local answer
  if req.path:find("^/api/v1/") or req.path == "/api/v1" then
    answer = api(self, req)
    admin.note(self, req, answer.status, id)
  elseif req.path == "/health" and req.method == "GET" then
    answer = { status = 200, headers = {}, body = json.object("status", "ok")[1] }
  elseif req.path:find("^/simulator/") then
    answer = admin.answer(self, req)
  else
    answer = routes.fail(404, "Not found")
  end
  answer.headers["x-request-id"] = id
  answer.headers["content-type"] = answer.headers["content-type"] or "application/json"
  if self.latency_ms > 0 then answer.delay_ms = self.latency_ms end
  return answer
end

--- Serves on 127.0.0.1 until SIGINT or SIGTERM. Writes one line {"base_url":...,"api_key":...} to stdout first.
-- @return true; nil, err when it cannot listen
function simulator.serve(given)
  local self, port = simulator.new(given), given and given.port or DEFAULTS.port
  local httpd = require("defendis.core").httpd
  local server <close>, err = httpd.listen{ port = port }
  if not server then return nil, err end
  httpd.on_signals()
  local base_url = ("http://127.0.0.1:%d"):format(server:port())
  io.stdout:write(json.object("base_url", base_url, "api_key", self.key)[1], "\n")
  io.stdout:flush()
  while not server:stopped() do
    local req = server:next(60000)
    if req then assert(req:answer(self:handle(req))) end
  end
  return true
end

return simulator

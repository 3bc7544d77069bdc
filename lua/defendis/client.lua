-- client.lua: the API client: requests, lists page by page, datasets and watchlists.
local core = require "defendis.core"
local catalog = require "defendis.catalog"
local check = require "defendis.check"
local task = require "defendis.task"
local json = core.json

local client = {}

local Client = {}
local methods = {} -- apart from the metatable, so that __close and __gc cannot be reached through a client

Client.__name = "defendis.client"
Client.__metatable = false
Client.__index = methods

local function whole(least, most)
  return function(v)
    if type(v) ~= "number" or not math.tointeger(v) or v < least or v > most then
      return ("a whole number from %d to %d expected, got %s"):format(least, most, tostring(v))
    end
  end
end

local SECONDS = check.between(0.001, 86400)
local OPTIONS = {
  base_url = check.text,
  api_key_file = check.text,
  api_key_command = check.text,
  ca_file = check.text,
  cert_file = check.text,
  key_file = check.text,
  timeout = SECONDS,
  retry = check.shape{ max_attempts = whole(1, 100) },
  rate = check.shape{ per_second = check.between(0.001, 1e6) },
  in_flight = whole(1, 64),
}
local REQUEST = { query = check.table, body = check.any, timeout = SECONDS, key = check.boolean }

--- A client. options: {base_url = text, api_key_file = path, api_key_command = program and arguments that print the key, ca_file = who
-- signs for the API instead of the system's authorities, cert_file and key_file = the client's own certificate, all PEM,
-- timeout = seconds per call with its retries (120), retry = {max_attempts = 5}, rate = {per_second = unlimited}, in_flight = requests on
-- the wire at once (8)}.
-- Wrong options raise. Returns the client, or nil, err (kind "config": the URL). A key that is missing or cannot be read is the
-- error of the first call that needs one.
function client.open(options)
  options = options or {}
  check.argument(options, OPTIONS, "defendis.client")
  local handle, err = core.client.open{ base_url = options.base_url, api_key_file = options.api_key_file,
    api_key_command = options.api_key_command, ca_file = options.ca_file, cert_file = options.cert_file, key_file = options.key_file,
    timeout = options.timeout, max_attempts = options.retry and options.retry.max_attempts,
    per_second = options.rate and options.rate.per_second, max_in_flight = options.in_flight }
  if not handle then return nil, err end
  local self = { handle = handle, watchlists = {} }
  for kind in pairs(catalog.kinds) do self.watchlists[kind] = client.watchlist(self, kind) end
  self.watchlists.groups = client.watchlist(self, nil)
  client.scope(self, self.watchlists)
  return setmetatable(self, Client)
end

--- The same, but raises what open returns as an error: for `local client <close> = defendis.client{...}`.
function client.new(options)
  check.argument(options or {}, OPTIONS, "defendis.client") -- here too, so that the caller's line is named
  local self, err = client.open(options)
  if not self then error(err, 0) end
  return self
end

Client.__close = function(self) self.handle:close() end

--- Ends the client and its connections; requests under way end with an error of kind "config". Also done when a `<close>` variable ends.
function methods:close() self.handle:close() end

--- Starts a request and returns its id for task.await, or nil, err. See core.client's submit.
function methods:submit(request) return self.handle:submit(request) end

-- The fields of an error body that a caller decides on (quota figures, billing reason).
local function enrich(err)
  local body = err.body and json.decode(err.body)
  err.body = nil
  if type(body) == "table" and not json.is_array(body) then
    for _, key in ipairs{ "reason", "metric", "used", "limit", "requestedIncrement" } do
      local value = body[key]
      if type(value) == "string" or math.type(value) == "integer" then err[key] = value end
    end
  end
  return err
end

--- One request. method: "GET"...; path: "/api/v1/..."; options: {query = table, body = value sent as JSON, timeout = seconds,
-- key = false: send none}. Wrong options raise. Returns the decoded body and {status, request_id, attempts, elapsed_ms}, or nil, err.
function methods:request(method, path, options)
  options = check.argument(options or {}, REQUEST, "request")
  local body
  if options.body ~= nil then
    local err
    body, err = json.encode(options.body)
    if not body then return nil, err end
  end
  local id, fault = self.handle:submit{ method = method, path = path, query = options.query, body = body, timeout = options.timeout,
    key = options.key }
  if not id then return nil, fault end
  local answer, err = task.await(id)
  if not answer then return nil, enrich(err) end
  local value = answer.value
  answer.value, answer.body = nil, nil
  return value == nil and json.null or value, answer
end

--- GET. query: table of names to text, integers or booleans. Returns as request does.
function methods:get(path, query) return self:request("GET", path, { query = query }) end

--- Is the API there? Needs no key. Returns {status = "ok"}, or nil, err.
function methods:health() return self:request("GET", "/health", { key = false }) end

-- One page, asked for again (four times at most) while it contradicts what came before. Returns answer, pager, step, detail, or raises.
local function checked_page(self, path, query, pager)
  local answer, attempt, step, detail
  for _ = 1, 5 do
    if answer then answer.page:close() end
    local id, err = self.handle:submit{ method = "GET", path = path, query = query, decode = "page", bulk = true }
    if not id then error(err, 0) end
    answer, err = task.await(id)
    if not answer then error(enrich(err), 0) end
    attempt = pager:copy()
    step, detail = attempt:feed(answer.page)
    if step == "next" or step == "done" then return answer, attempt, step, detail end
  end
  answer.page:close()
  detail.request_id = answer.request_id
  error(detail, 0)
end

--- The pages of a list, in order. path: list endpoint; query: parameters, sent unchanged with each page (pageSize: 100).
-- Iterates page userdata (see core.json.page); raises an error table on failure, so a list that ends is whole.
function methods:pages(path, query)
  local fixed = {}
  for k, v in pairs(query or {}) do fixed[k] = v end
  fixed.pageSize = fixed.pageSize or 100
  local pager, following = core.api.pager{ page_size = fixed.pageSize }, 1
  return function()
    if not following then return nil end
    fixed.page = following
    local answer, step
    answer, pager, step, following = checked_page(self, path, fixed, pager)
    if step == "done" then following = nil end
    return answer.page, answer
  end
end

local DATE = "%d%d%d%d%-%d%d%-%d%d"

-- from/to are our words for the API's fromDate (inclusive) and toDate (exclusive).
local function list_query(entry, parameters)
  local query = {}
  for k, v in pairs(parameters) do query[k] = v end
  for ours, theirs in pairs{ from = "fromDate", to = "toDate" } do
    local date = query[ours]
    if date ~= nil then
      if type(date) ~= "string" or not date:find("^" .. DATE .. "$") or not core.api.days(date) then
        return nil, check.error("config", ('%s = "%s" is not a date; write YYYY-MM-DD'):format(ours, tostring(date)))
      end
      query[theirs], query[ours] = date, nil
    end
  end
  if query.fromDate and query.toDate and query.fromDate > query.toDate then
    return nil, check.error("config", ("from = %s is after to = %s"):format(query.fromDate, query.toDate))
  end
  for _, name in ipairs(entry.required or {}) do
    if query[name] == nil then
      return nil, check.error("config", ('%s needs the input "%s"; give %s=...'):format(entry.name, name, name))
    end
  end
  return query
end

--- The request behind a dataset: path and query for pages(). Returns path, query, or nil, err.
function client.plan(dataset, parameters)
  local entry, err = catalog.find(dataset, "dataset")
  if not entry then return nil, err end
  if not entry.paged then
    return nil, check.error("config", ("%s is not a list of records; request it with %s %s"):format(dataset, entry.method, entry.path))
  end
  local query
  query, err = list_query(entry, parameters or {})
  if not query then return nil, err end
  return entry.path, query
end

--- The records of a dataset or list, one by one. dataset: name in the catalog; parameters: its inputs and
-- from / to ("YYYY-MM-DD", closed-open), pageSize. Raises an error table on failure.
function methods:each(dataset, parameters)
  local path, query = client.plan(dataset, parameters)
  if not path then error(query, 0) end
  local next_page, page, at = self:pages(path, query), nil, 0
  return function()
    while not page or at >= page:len() do
      page, at = next_page(), 0
      if not page then return nil end
    end
    at = at + 1
    local record, err = page:record(at)
    if record == nil then error(err, 0) end
    return record
  end
end

local function data_of(value, err)
  if value == nil then return nil, err end
  return type(value) == "table" and value.data or value
end

--- The calls of one watchlist kind, or of the groups without one: each(query), list(query), add(item), update(id, item), delete(ids). Each
-- but the first returns `data`, or nil, err.
function client.watchlist(owner, kind)
  local base = kind and "/api/v1/watchlists/" .. kind or "/api/v1/watchlists"
  return {
    each = function(_, query) return methods.each(owner, kind and "watchlists." .. kind or "watchlists", query) end,
    list = function(_, query) return data_of(methods.get(owner, base, query)) end,
    add = function(_, item) return data_of(methods.request(owner, "POST", kind and base or base .. "/create", { body = item })) end,
    update = function(_, id, item) return data_of(methods.request(owner, "PUT", base .. "/" .. client.segment(id), { body = item })) end,
    delete = function(_, ids)
      return data_of(methods.request(owner, "POST", base .. "/delete", { body = { ids = json.array(ids) } }))
    end,
  }
end

--- What concerns all watchlists: stats(), and plan and apply, see defendis.watchlist.
function client.scope(owner, watchlists)
  function watchlists.stats() return data_of(methods.get(owner, "/api/v1/watchlists/stats")) end
  for _, name in ipairs{ "plan", "apply" } do
    watchlists[name] = function(_, ...) return require("defendis.watchlist")[name](owner, ...) end
  end
end

--- Text as one segment of a path, percent-encoded.
function client.segment(text)
  return (tostring(text):gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

return client

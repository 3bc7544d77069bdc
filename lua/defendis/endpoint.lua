-- endpoint.lua: HTTP requests to where sinks send, with the retries, limits and TLS rules of the API's own client.
local core = require "defendis.core"
local check = require "defendis.check"
local secret = require "defendis.secret"
local task = require "defendis.task"

local endpoint = {}

local Endpoint = {}
local methods = {}

Endpoint.__name = "defendis.endpoint"
Endpoint.__metatable = false
Endpoint.__index = methods

local function number(least, most)
  return function(v)
    if type(v) ~= "number" or not (v >= least and v <= most) then
      return ("a number from %s to %s expected, got %s"):format(least, most, tostring(v))
    end
  end
end

local function headers(v)
  if type(v) ~= "table" then return check.table(v) end
  for name, value in pairs(v) do
    if type(name) ~= "string" or type(value) ~= "string" then return "a table of header names to text expected" end
  end
end

local function scheme(v)
  if type(v) ~= "string" or not v:find "^[%w_-]+$" then return 'one word such as "Bearer" expected' end
end

--- The settings that every HTTP sink takes as they are: name -> validator.
endpoint.OPTIONS = {
  url = check.required(check.text),
  headers = headers,
  timeout = number(0.001, 86400),
  ca_file = check.text,
  cert_file = check.text,
  key_file = check.text,
  insecure_http = check.boolean,
}

local OPTIONS = {
  secret = secret.check,
  scheme = scheme,
  max_attempts = number(1, 100),
  in_flight = number(1, 64),
}
for name, validator in pairs(endpoint.OPTIONS) do OPTIONS[name] = validator end

local REQUEST = { method = check.text, path = check.string, query = check.table, headers = headers, body = check.any,
  content_type = check.text, timeout = number(0.001, 86400), repeatable = check.boolean }

--- Opens an endpoint. options: url = "https://host:port/path"; secret = from defendis.secret, sent as "Authorization: scheme secret"
-- (scheme: "Bearer"; with "Basic" the secret is user:password); headers = names to text; timeout = seconds for one send with its
-- retries (120); max_attempts (5); in_flight (8); ca_file = who signs for the peer instead of the system's authorities; cert_file and
-- key_file = the client's own certificate, all PEM; insecure_http = true allows http to hosts other than loopback.
-- Wrong options raise. Returns the endpoint, or nil, err (kind "config").
function endpoint.open(options)
  check.argument(options, OPTIONS, "defendis.endpoint")
  local handle, err = core.endpoint.open(options)
  if not handle then return nil, err end
  return setmetatable({ handle = handle }, Endpoint)
end

--- The options of a sink that are an endpoint's, for open. folder: what relative paths count from; more: table of further options.
function endpoint.settings(options, folder, more)
  local out = {}
  for name in pairs(endpoint.OPTIONS) do
    local value = options[name]
    if value and name:find "_file$" and value:sub(1, 1) ~= "/" then value = folder .. value end
    out[name] = value
  end
  for name, value in pairs(more or {}) do out[name] = value end
  return out
end

--- The host and port of a URL: what a sink is named by.
function endpoint.place(url)
  local plain, place = url:match "^(%a+)://([^/]*)"
  if not place then return url end
  return place:find ":%d+$" and place or place .. (plain:lower() == "http" and ":80" or ":443")
end

Endpoint.__close = function(self) self.handle:close() end

--- Ends the endpoint and its connections; requests under way end with an error of kind "config".
function methods:close() self.handle:close() end

--- One request. request: {method = "POST", path = "" (behind the url's), query = table, headers = names to text, body = text or core.json
-- buffer, content_type = "application/json", timeout = seconds, repeatable = may it arrive twice (true)}. Repeatable ones are tried
-- again after 429, 500, 502, 503, 504 and broken transfers. Wrong arguments raise.
-- Returns the last answer {status, body = text, attempts, request_id, retry_after = seconds or nil} whatever its status is, or nil, err
-- when none came.
function methods:send(request)
  check.argument(request, REQUEST, "send")
  local copy = { repeatable = true }
  for name, value in pairs(request) do copy[name] = value end
  local id, fault = self.handle:submit(copy)
  if not id then return nil, fault end
  local answer, err = task.await(id)
  if not answer then
    err.body = nil
    return nil, err
  end
  return answer
end

local KINDS = { [401] = "auth", [403] = "auth", [404] = "not_found", [408] = "timeout", [413] = "too_big", [429] = "rate_limit" }
local REMEDIES = {
  [401] = "check the token", [403] = "check the token and what it may do", [404] = "check the url",
  [413] = "the batch is too big",
}

-- A server's words as one short line of UTF-8.
local function clean(words)
  words = tostring(words):gsub("%c", " ")
  if not utf8.len(words) then words = words:gsub("[\x80-\xff]", "?") end
  return #words <= 200 and words or words:sub(1, (utf8.offset(words, 0, 201)) - 1)
end

--- The error that an answer is to a sink: what its status means, whether to come back, and when. what: "splunk_hec: ..." for the message;
-- words: the server's own, or nil.
function endpoint.refusal(answer, what, words)
  local status = answer.status
  local again = status == 408 or status == 429 or status >= 500
  local message = ("%s answered %d%s"):format(what, status, words and ": " .. clean(words) or "")
  local remedy = REMEDIES[status]
  if status >= 300 and status < 400 then remedy = "redirects are not followed; set the url to the address itself" end
  return check.error(KINDS[status] or (status >= 500 and "unavailable" or status < 400 and "config" or "invalid"),
    remedy and message .. "; " .. remedy or message,
    { status = status, attempts = answer.attempts, request_id = answer.request_id ~= "" and answer.request_id or nil, retryable = again,
      retry_at = again and answer.retry_after and core.sys.wall_ms() + math.ceil(answer.retry_after * 1000) or nil })
end

return endpoint

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

--- A validator: a table of names to text.
function endpoint.texts(v)
  if type(v) ~= "table" then return check.table(v) end
  for name, value in pairs(v) do
    if type(name) ~= "string" or type(value) ~= "string" then return "a table of names to text expected" end
  end
end
check.typed("table of names to texts", endpoint.texts)

local function scheme(v)
  if type(v) ~= "string" or not v:find "^[%w_-]+$" then return 'one word such as "Bearer" expected' end
end

--- The settings that a sink's user has a say in: name -> validator.
endpoint.OPTIONS = {
  url = check.required(check.text, "where to: https://host:port, and a path where the sink has one"),
  headers = check.field(endpoint.texts, "sent along"),
  timeout = check.field(check.between(0.001, 86400), "seconds for one send with its retries (120)"),
  max_attempts = check.field(check.between(1, 100), "how often a send is tried (5)"),
  ca_file = check.field(check.text, "PEM: who signs for the peer, instead of the system's authorities"),
  cert_file = check.field(check.text, "PEM: the client's own certificate"),
  key_file = check.field(check.text, "PEM: its key"),
  insecure_http = check.field(check.boolean, "true: plain http to other hosts than loopback too", false),
  link_local = check.field(check.boolean, "true: also to link-local addresses, where cloud machines serve their keys", false),
}

local OPTIONS = {
  secret = secret.check,
  scheme = scheme,
  in_flight = check.between(1, 64),
}
for name, validator in pairs(endpoint.OPTIONS) do OPTIONS[name] = validator end

local REQUEST = { method = check.text, path = check.string, query = check.table, headers = endpoint.texts, body = check.any,
  content_type = check.text, timeout = check.between(0.001, 86400), repeatable = check.boolean }

--- Opens an endpoint. options: url = "https://host:port/path"; secret = from defendis.secret, sent as "Authorization: scheme secret"
-- (scheme: "Bearer"; with "Basic" the secret is user:password); headers = names to text; timeout = seconds for one send with its
-- retries (120); max_attempts (5); in_flight (8); ca_file = who signs for the peer instead of the system's authorities; cert_file and
-- key_file = the client's own certificate, all PEM; insecure_http = true allows http to hosts other than loopback; link_local = true
-- allows 169.254.0.0/16, fe80::/10 and fd00:ec2::254, looked at after each resolution of the name. A proxy resolves names itself: there
-- it is the proxy's address that is looked at.
-- Wrong options raise. Returns the endpoint, or nil, err (kind "config").
function endpoint.open(options)
  check.argument(options, OPTIONS, "defendis.endpoint")
  local handle, err = core.endpoint.open(options)
  if not handle then return nil, err end
  return setmetatable({ handle = handle }, Endpoint)
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

return endpoint

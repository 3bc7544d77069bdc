-- connection.lua: a byte stream to a host over TCP or TLS, for sinks that speak no HTTP.
local core = require "defendis.core"
local check = require "defendis.check"
local task = require "defendis.task"

local connection = {}

local Connection = {}
local methods = {}

Connection.__name = "defendis.connection"
Connection.__metatable = false
Connection.__index = methods
Connection.__close = function(self) self.handle:close() end

local function port(v)
  if math.type(v) ~= "integer" or v < 1 or v > 65535 then return "a port from 1 to 65535 expected" end
end

local function host_name(v)
  if type(v) ~= "string" or not v:find "^[%w._%-:%[%]]+$" then return "a host name or an address expected" end
end

local OPTIONS = { host = check.required(host_name), port = check.required(port), tls = check.boolean, ca_file = check.text,
  cert_file = check.text, key_file = check.text, timeout = check.between(0.001, 86400) }

local function await(self, ...)
  local id, fault = self.handle:submit(...)
  if not id then return nil, fault end
  local answer, err = task.await(id)
  if not answer then
    err.body = nil
    return nil, err
  end
  return answer
end

--- Connects. options: host, port, tls = true (then the peer's certificate is checked), ca_file = who signs for the peer instead of the
-- system's authorities, cert_file and key_file = our own certificate, timeout = seconds for connecting and for each send (120).
-- Wrong options raise. Returns the connection, or nil, err.
function connection.open(options)
  check.argument(options, OPTIONS, "defendis.connection")
  local host = options.host:find(":", 1, true) and not options.host:find("^%[") and "[" .. options.host .. "]" or options.host
  local handle, err = core.connection.open{ url = ("%s://%s:%d"):format(options.tls and "https" or "http", host, options.port),
    ca_file = options.ca_file, cert_file = options.cert_file, key_file = options.key_file, timeout = options.timeout }
  if not handle then return nil, err end
  local self = setmetatable({ handle = handle }, Connection)
  local ok
  ok, err = await(self, "connect")
  if ok then return self end
  handle:close()
  return nil, err
end

--- Hands all of a text to the network. Returns true, or nil, err; then the connection is closed, because part of it may be out. True does
-- not say that the peer has it.
function methods:send(text)
  local ok, err = await(self, "send", text)
  if not ok then return nil, err end
  return true
end

--- Is the peer still there? What it sent is dropped. False once it has closed or reset the connection, also when we have.
function methods:alive()
  local answer = await(self, "check")
  return answer ~= nil and answer.status == 1
end

--- Ends the connection; twice is fine.
function methods:close() self.handle:close() end

return connection

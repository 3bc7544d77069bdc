-- sinks.lua: sinks against the misbehaving server, and what it was sent.
local hostile = require "support.hostile"
local cjson = require "cjson"
local secret = require "defendis.secret"

local sinks = {}

local opened = {}

--- Ends what a test has opened. For after_each.
function sinks.clean()
  for _, sink in ipairs(opened) do sink:close() end
  opened = {}
  hostile.clean()
end

--- A secret with this text.
function sinks.secret(text) return assert(secret.file(hostile.file("token", text or hostile.KEY))) end

--- A sink of a module, with a server's URL, one attempt for a request, and a token unless the options say otherwise (false: none).
function sinks.open(module, server, options)
  local o = { url = "http://127.0.0.1:" .. server:port(), timeout = 20, token = module.OPTIONS.token and sinks.secret() or nil,
    max_attempts = module.OPTIONS.max_attempts and 1 or nil }
  for name, value in pairs(options or {}) do o[name] = value or nil end
  local problem = require("defendis.check").options(o, module.OPTIONS)
  if problem then error(problem, 2) end
  local sink, err = module.new(o, { name = "test", folder = "/nowhere/" })
  if not sink then return nil, err end
  opened[#opened + 1] = sink
  return sink
end

--- A batch of n documents, as the outbox hands it on. change(i, doc) may alter them.
function sinks.batch(n, change)
  local batch = {}
  for i = 1, n do
    batch[i] = { id = "id-" .. i, kind = "findings", time = 1767225600000 + i, json = ('{"n":%d}'):format(i) }
    if change then change(i, batch[i]) end
  end
  return batch
end

--- The bodies of the requests so far, in order; path: only those to it.
function sinks.bodies(server, path)
  local out = {}
  for _, request in ipairs(server:requests()) do
    local target, body = request:match "^%u+ (%S+) HTTP/1.1\r\n.-\r\n\r\n(.*)$"
    if not path or target:sub(1, #path) == path then out[#out + 1] = body end
  end
  return out
end

--- The lines of a text, decoded as JSON.
function sinks.lines(text)
  local out = {}
  for line in text:gmatch "[^\n]+" do out[#out + 1] = cjson.decode(line) end
  return out
end

--- The value of a header in a request's text, or nil.
function sinks.header(request, name)
  for line in request:gmatch "[^\r\n]+" do
    local n, value = line:match "^([^:]+): (.*)$"
    if n and n:lower() == name:lower() then return value end
  end
end

return sinks

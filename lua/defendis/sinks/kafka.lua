-- kafka.lua: sink that produces to Kafka: idempotent, acknowledged by all in-sync replicas; the id is key and header `defendis-id`.
--
-- What a delivery report says of each document is what the outbox hears. A batch that a crash cut off comes again, with the same ids.
local core = require "defendis.core"
local check = require "defendis.check"
local endpoint = require "defendis.endpoint"
local kinds = require "defendis.kinds"
local secret = require "defendis.secret"
local task = require "defendis.task"

local FIXED = { ["enable.idempotence"] = true, ["acks"] = true, ["request.required.acks"] = true, ["bootstrap.servers"] = true,
  ["metadata.broker.list"] = true, ["message.timeout.ms"] = true, ["delivery.timeout.ms"] = true }

local function properties(v)
  if type(v) ~= "table" then return 'a table such as { ["security.protocol"] = "SASL_SSL" } expected' end
  for name, value in pairs(v) do
    local kind = type(value)
    if type(name) ~= "string" then return "names of librdkafka's properties expected" end
    if FIXED[name] then return "is set by the sink", { name } end
    if kind ~= "string" and kind ~= "number" and kind ~= "boolean" and not secret.is(value) then
      return "a text, number, boolean or secret expected", { name }
    end
  end
end

local function topic(v)
  if type(v) ~= "string" or not v:gsub("{kind}", "k"):find "^[%w._-]+$" then
    return 'a name such as "leaks" or "leaks.{kind}" of letters, digits, dot, underscore and dash expected'
  end
end

local kafka = { GUARANTEE = "at least once, acknowledged by all in-sync replicas; repeats share key and header defendis-id" }
kafka.OPTIONS = { brokers = check.required(check.list(check.text, 1)), topic = check.required(topic), properties = properties,
  timeout = endpoint.number(1, 3600), kinds = kinds.check }

local FIRST_S <const>, LONGEST_S <const> = 0.001, 0.05 -- between two looks for reports
local DEAD = { MSG_SIZE_TOO_LARGE = true, INVALID_MSG = true, INVALID_RECORD = true, INVALID_MSG_SIZE = true }
local REFUSED = { _AUTHENTICATION = "auth", SASL_AUTHENTICATION_FAILED = "auth", TOPIC_AUTHORIZATION_FAILED = "auth",
  CLUSTER_AUTHORIZATION_FAILED = "auth", TOPIC_EXCEPTION = "config", _INVALID_ARG = "config" }

local Sink = {}
Sink.__index = Sink

--- options: brokers = {"host:9092"}; topic = name, in which {kind} stands for the dataset; timeout = seconds for a batch to be
-- acknowledged (30); properties = of librdkafka, such as TLS and SASL, secrets among them; kinds.
function kafka.new(options)
  local self = setmetatable({ name = ("kafka:%s/%s"):format(options.brokers[1], options.topic), topic = options.topic,
    wants = kinds.wants(options.kinds), properties = {} }, Sink)
  for name, value in pairs(options.properties or {}) do self.properties[name] = value end
  self.properties["bootstrap.servers"] = table.concat(options.brokers, ",")
  self.properties["message.timeout.ms"] = math.ceil((options.timeout or 30) * 1000)
  local ok, err = self:open()
  return ok and self, err
end

function Sink:open()
  local err
  self.producer, err = core.kafka.open(self.properties)
  return self.producer and true, err
end

-- Takes the reports that have come; returns how many.
function Sink:collect(results)
  local n = 0
  while true do
    local i, name, why = self.producer:report()
    if not i then return n end
    n = n + 1
    results[i] = not name and true or DEAD[name] and { dead = why } or { again = why, name = name }
  end
end

local function pause(wait)
  task.sleep(wait)
  return math.min(wait * 2, LONGEST_S)
end

-- Hands a batch to the producer and waits for all its reports, which librdkafka gives within message.timeout.ms.
function Sink:exchange(batch)
  local results, open, wait = {}, 0, FIRST_S
  for i, d in ipairs(batch) do
    local name = self.topic:gsub("{kind}", (d.kind:gsub("[^%w._-]", "_")))
    while true do
      local ok, fault, why = self.producer:produce(i, name, d.id, d.kind, d.json, d.time and math.max(d.time, 0))
      if ok then open = open + 1 break end
      if fault ~= "_QUEUE_FULL" or open == 0 then
        results[i] = DEAD[fault] and { dead = why } or { again = why, name = fault }
        break
      end
      open = open - self:collect(results) -- its queue is full: it takes more when some of it has left
      wait = pause(wait)
    end
  end
  wait = FIRST_S
  while open > 0 do
    local n = self:collect(results)
    open = open - n
    if open > 0 then wait = pause(n > 0 and FIRST_S or wait) end
  end
  return results
end

--- Sends a batch; returns as the outbox's contract says.
function Sink:send(batch)
  if not self.producer then
    local ok, err = self:open()
    if not ok then return nil, err end
  end
  local results, settled, why = self:exchange(batch), 0, nil
  local fatal = self.producer:fatal()
  if fatal then self:close() end -- the next attempt starts another producer, which is the only remedy
  for _, r in ipairs(results) do
    if r == true or r.dead then settled = settled + 1 else why = why or r end
  end
  if settled > 0 or not why then return results end
  local trouble = not fatal and self.producer:trouble() or ""
  local message = ("%s: %s%s"):format(self.name, fatal or why.again, trouble ~= "" and " (" .. trouble .. ")" or "")
  return nil, check.error(REFUSED[why.name] or "network", message, { retryable = not REFUSED[why.name] })
end

function Sink:close()
  if self.producer then self.producer:close() end
  self.producer = nil
end

return kafka

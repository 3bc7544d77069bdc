-- kafka.lua: sink that produces to Kafka: idempotent, acknowledged by all in-sync replicas; the id is key and header `defendis-id`.
--
-- What a delivery report says of each document is what the outbox hears. A batch that a crash cut off comes again, with the same ids.
local core = require "defendis.core"
local check = require "defendis.check"
local kinds = require "defendis.kinds"
local producing = require "defendis.producing"
local secret = require "defendis.secret"

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
check.typed("table of librdkafka's properties", properties)
check.typed("name of a topic", topic)
kafka.OPTIONS = {
  brokers = check.required(check.list(check.text, 1), '{ "host:9092" }'),
  topic = check.required(topic, "where to; {kind} in it stands for the dataset"),
  properties = check.field(properties, "librdkafka's own, such as TLS and SASL, secrets among them"),
  timeout = check.field(check.between(1, 3600), "seconds for a batch to be acknowledged", 30),
  kinds = kinds.option,
}

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
  self.properties["message.timeout.ms"] = math.ceil(check.given(options, kafka.OPTIONS, "timeout") * 1000)
  local ok, err = self:open()
  return ok and self, err
end

function Sink:open()
  local err
  self.producer, err = core.kafka.open(self.properties)
  return self.producer and true, err
end

--- Sends a batch; returns as the outbox's contract says.
function Sink:send(batch)
  if not self.producer then
    local ok, err = self:open()
    if not ok then return nil, err end
  end
  local results, settled, why = producing.exchange(self.producer, self.topic, batch), 0, nil
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

-- splunk_hec.lua: sink that sends events to Splunk's HTTP Event Collector, with or without indexer acknowledgment.
local core = require "defendis.core"
local check = require "defendis.check"
local posting = require "defendis.posting"
local secret = require "defendis.secret"
local task = require "defendis.task"

local splunk_hec = {}
splunk_hec.GUARANTEE = "at least once into the collector; into the index only with acknowledge = true; repeats share fields.defendis_id"
local SECONDS = check.between(0.001, 300)
splunk_hec.OPTIONS = posting.options{
  token = check.required(secret.check, "of the collector"),
  index = check.field(check.text, "Splunk's index (the token's)"),
  source = check.field(check.text, "Splunk's source", "defendis"),
  sourcetype = check.field(check.text, "Splunk's sourcetype (defendis:DATASET)"),
  host = check.field(check.text, "Splunk's host"),
  acknowledge = check.field(check.boolean, "true: a batch counts when it is indexed", false),
  ack_timeout = check.field(SECONDS, "seconds to wait for that", 120),
  ack_poll = check.field(SECONDS, "seconds between two questions", 2),
}

local Sink = {}
Sink.__index = Sink

-- A new one also after each acknowledgment that did not come: the server may count from 0 again.
local function new_channel()
  local f <close> = assert(io.open("/dev/urandom", "rb"))
  return core.hash.uuid5("00000000-0000-0000-0000-000000000000", f:read(16))
end

--- options: url = "https://host:8088"; token; index, source ("defendis"), sourcetype ("defendis:KIND"), host; acknowledge = wait until the
-- batch is indexed, for ack_timeout seconds (120), asking every ack_poll seconds (2); and what posting.options has.
function splunk_hec.new(options, context)
  local settings = { url = options.url:gsub("/services/collector.*$", ""), secret = options.token, scheme = "Splunk" }
  local self, err = posting.new("splunk_hec", options, context, settings)
  if not self then return nil, err end
  self.options, self.channel = options, new_channel()
  return setmetatable(self, Sink)
end

local function event(o, doc)
  local meta = { host = o.host, index = o.index, source = check.given(o, splunk_hec.OPTIONS, "source"),
    sourcetype = o.sourcetype or "defendis:" .. doc.kind,
    fields = { defendis_id = doc.id } }
  local head = assert(core.json.encode(meta, { sort_keys = true })):sub(1, -2)
  if doc.time then head = head .. (',"time":%d.%03d'):format(doc.time // 1000, doc.time % 1000) end
  return head .. ',"event":' .. doc.json .. "}"
end

function Sink:post(path, body)
  return self.endpoint:send{ path = path, body = body, headers = { ["x-splunk-request-channel"] = self.channel } }
end

-- Asks until the batch is indexed. "false" also means that nothing is known of it, so that asking has an end and sending comes again.
function Sink:acknowledged(id)
  local o = self.options
  local patience = check.given(o, splunk_hec.OPTIONS, "ack_timeout")
  local until_ms = core.sys.mono_ms() + patience * 1000
  repeat
    local answer = self:post("/services/collector/ack", ('{"acks":[%d]}'):format(id))
    local body = answer and posting.decode(answer)
    if answer and answer.status >= 300 and answer.status < 500 and answer.status ~= 429 then
      return nil, posting.refusal(self, answer, body and body.text)
    end
    if body and type(body.acks) == "table" and body.acks[tostring(id)] == true then return true end
    task.sleep(check.given(o, splunk_hec.OPTIONS, "ack_poll"))
  until core.sys.mono_ms() >= until_ms
  self.channel = new_channel()
  local fault = ("%s did not acknowledge a batch within %g s; it is sent again"):format(self.name, patience)
  return nil, check.error("incomplete", fault, { retryable = true })
end

-- Faults of single events; any other 400 is of the request or of the token, and would be the same for each event.
local OF_EVENT = { [6] = true, [12] = true, [13] = true, [15] = true }

-- HEC stops at the bad event and promises nothing about those in front of it: that one is tried alone, the rest is sent again.
function Sink:refused(batch, answer, body)
  local words, at = body.text, math.tointeger(body["invalid-event-number"])
  if not OF_EVENT[body.code] then return nil, posting.refusal(self, answer, words) end
  if #batch == 1 then return { { dead = posting.reason(400, words) } } end
  if not at or at < 0 or at >= #batch then return nil, check.error("too_big", "one event of the batch was refused, and not said which") end
  local alone, err = self:send{ batch[at + 1] }
  if not alone then return nil, err end
  local results = {}
  for i = 1, #batch do results[i] = { again = "another event of the batch was refused" } end
  results[at + 1] = alone == true or alone[1]
  return results
end

--- Sends a batch; returns as the outbox's contract says.
function Sink:send(batch)
  local parts = {}
  for i, doc in ipairs(batch) do parts[i] = event(self.options, doc) end
  local answer, err = self:post("/services/collector/event", table.concat(parts, "\n"))
  if not answer then return nil, err end
  local body = posting.decode(answer)
  if answer.status == 400 and body then return self:refused(batch, answer, body) end
  if answer.status == 413 and #batch == 1 then return { { dead = posting.reason(413, "larger than the collector takes") } } end
  if answer.status ~= 200 then return nil, posting.refusal(self, answer, body and body.text) end
  if not body or body.code ~= 0 then return nil, posting.strange(self, "the answer (200) is not the collector's") end
  if not self.options.acknowledge then return true end
  local id = math.tointeger(body.ackId)
  if id then return self:acknowledged(id) end
  return nil, check.error("config", self.name .. ": the token has no indexer acknowledgment; enable it there, or leave acknowledge out")
end

function Sink:close() self.endpoint:close() end
return splunk_hec

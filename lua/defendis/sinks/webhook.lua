-- webhook.lua: sink that posts each document to a URL, signed as Standard Webhooks says: HMAC-SHA256 over id.timestamp.body.
local core = require "defendis.core"
local check = require "defendis.check"
local endpoint = require "defendis.endpoint"
local posting = require "defendis.posting"
local secret = require "defendis.secret"
local time = require "defendis.time"

local webhook = {}
webhook.GUARANTEE = "at least once, acknowledged by a 2xx; webhook-id is the document's id and the same in every attempt"

local function moment(v)
  if type(v) ~= "string" or not time.parse(v) then return 'a day such as "2026-12-01", or a time, expected' end
end

check.typed('day such as "2026-12-01", or time', moment)
webhook.OPTIONS = posting.options{
  secrets = check.required(check.list(secret.check, 1), "what signs; two while one replaces the other, the new one first"),
  old_until = check.field(moment, "from then on only the first secret signs"),
  query = check.field(endpoint.texts, "added to the url"),
  token = check.field(secret.check, "sent as a bearer's"),
}
webhook.OPTIONS.max_attempts = nil -- each attempt needs a new signature, which only the next send makes

local Sink = {}
Sink.__index = Sink

--- options: url, to which query = {name = text} is added; secrets = what signs, all of them at once while one replaces another: the new one
-- first, and from old_until on ("2026-12-01", UTC) only that; token, sent as a bearer's; and what posting.options has.
function webhook.new(options, context)
  local mark = options.url:find "^%a+://[^/]+/." and "#" .. core.hash.sha256(options.url):sub(1, 8) or "" -- a path may be a secret
  local self, err = posting.new("webhook", options, context, { secret = options.token, max_attempts = 1 }, mark)
  if not self then return nil, err end
  for i, key in ipairs(options.secrets) do
    local ok, fault = key:sign ""
    if not ok then
      self.endpoint:close()
      return nil, check.error("config", ("webhook: secrets[%d]: %s"):format(i, fault.message))
    end
  end
  self.secrets, self.query = options.secrets, options.query
  self.old_until_ms = options.old_until and time.parse(options.old_until) or math.huge
  self.alerting, self.batch.documents = true, 20 -- one request each: what a crash repeats is what a batch had done
  return setmetatable(self, Sink)
end

-- A header's value holds no other characters, and a dot would let one id and time be read as another.
local function id_of(doc) return doc.id:find "^[%w_-]+$" and #doc.id <= 200 and doc.id or core.hash.sha256(doc.id) end

function Sink:headers(doc)
  local id, ms, signatures = id_of(doc), core.sys.wall_ms(), {}
  local now = tostring(ms // 1000)
  local text = id .. "." .. now .. "." .. doc.json
  for i = 1, ms < self.old_until_ms and #self.secrets or 1 do signatures[i] = "v1," .. self.secrets[i]:sign(text) end
  return { ["webhook-id"] = id, ["webhook-timestamp"] = now, ["webhook-signature"] = table.concat(signatures, " ") }
end

-- What is wrong with the receiver or the settings, and not with this document.
local OF_RECEIVER = { [401] = true, [403] = true, [404] = true, [408] = true, [429] = true }

-- true, {dead = reason}, or nil, err: then this and all behind it wait.
function Sink:deliver(doc)
  local answer, err = self.endpoint:send{ body = doc.json, query = self.query, headers = self:headers(doc) }
  if not answer then return nil, err end
  local status = answer.status
  if status >= 200 and status < 300 then return true end
  if status == 410 then
    local message = self.name .. " answered 410: it wants no more; remove this sink, or set its new url"
    self.gone = check.error("config", message, { status = 410 })
    return nil, self.gone
  end
  if status < 400 or status >= 500 or OF_RECEIVER[status] then return nil, posting.refusal(self, answer) end
  return { dead = posting.reason(status, answer.body) }
end

--- Sends a batch, one request after the other; returns as the outbox's contract says.
function Sink:send(batch)
  if self.gone then return nil, self.gone end
  return posting.each(self, batch)
end

function Sink:close() self.endpoint:close() end

return webhook

-- posting.lua: what the sinks that speak HTTP share: their options, their endpoint, and what an answer's status means to the outbox.
local core = require "defendis.core"
local check = require "defendis.check"
local endpoint = require "defendis.endpoint"
local kinds = require "defendis.kinds"

local posting = {}

--- The options that all of them have.
posting.COMMON = { name = check.field(check.text, "what tells two sinks to the same host apart"), kinds = kinds.option }
for name, entry in pairs(endpoint.OPTIONS) do posting.COMMON[name] = entry end

--- The options of every such sink with those of one: name -> validator. name: what tells two sinks to the same host apart;
-- kinds: the datasets to send, and "findings"; all without it.
function posting.options(own)
  local all = {}
  for name, validator in pairs(posting.COMMON) do all[name] = validator end
  for name, validator in pairs(own) do all[name] = validator end
  return all
end

-- The host and port of a URL: what a sink is named by.
local function place(url)
  local scheme, at = url:match "^(%a+)://([^/]*)"
  if not at then return url end
  return at:find ":%d+$" and at or at .. (scheme:lower() == "http" and ":80" or ":443")
end

--- The common part of a sink: {name, endpoint, batch, wants}, or nil, err. kind: "splunk_hec"...; more: options for endpoint.open, which
-- may replace the url; mark: what the name has behind the place, or nil.
function posting.new(kind, options, context, more, mark)
  local settings = {}
  for name in pairs(endpoint.OPTIONS) do
    local value = options[name]
    if value and name:find "_file$" and value:sub(1, 1) ~= "/" then value = context.folder .. value end
    settings[name] = value
  end
  for name, value in pairs(more) do settings[name] = value end
  local opened, err = endpoint.open(settings)
  if not opened then return nil, check.error(err.kind, kind .. ": " .. err.message) end
  return { name = ("%s:%s"):format(kind, options.name or place(options.url) .. (mark or "")), endpoint = opened,
    batch = { documents = 500, bytes = 1048576 }, wants = kinds.wants(options.kinds) }
end

-- A server's words as one short line of UTF-8.
local function clean(words)
  words = tostring(words):gsub("%c", " ")
  if not utf8.len(words) then words = words:gsub("[\x80-\xff]", "?") end
  return #words <= 200 and words or words:sub(1, utf8.offset(words, 0, 201) - 1)
end

--- `status: type: reason`, of whatever there is of it.
function posting.reason(status, ...)
  local out = tostring(status)
  for i = 1, select("#", ...) do
    local words = select(i, ...)
    if type(words) == "string" or type(words) == "number" then out = out .. ": " .. clean(words) end
  end
  return out
end

--- The body of an answer as a table, or nil when it is none.
function posting.decode(answer)
  local value = core.json.decode(answer.body)
  return type(value) == "table" and not core.json.is_array(value) and value or nil
end

local KINDS = { [401] = "auth", [403] = "auth", [404] = "not_found", [408] = "timeout", [413] = "too_big", [429] = "rate_limit" }
local REMEDIES = { [401] = "check the token", [403] = "check the token and what it may do", [404] = "check the url",
  [413] = "the batch is too big" }

--- The error that an answer is: what its status means, whether to come back, and when. words: the server's own, or nil.
function posting.refusal(sink, answer, words)
  local status = answer.status
  local again = status == 408 or status == 429 or status >= 500
  local remedy = status >= 300 and status < 400 and "redirects are not followed; set the url to the address itself" or REMEDIES[status]
  return check.error(KINDS[status] or (status >= 500 and "unavailable" or status < 400 and "config" or "invalid"),
    ("%s answered %s%s"):format(sink.name, posting.reason(status, words), remedy and "; " .. remedy or ""),
    { status = status, attempts = answer.attempts, request_id = answer.request_id ~= "" and answer.request_id or nil, retryable = again,
      retry_at = again and answer.retry_after and core.sys.wall_ms() + math.ceil(answer.retry_after * 1000) or nil })
end

--- Sends a batch by sink:deliver(doc) -> true, {dead = reason}, or nil, err: then that document and all behind it come again.
function posting.each(sink, batch)
  local results, all = {}, true
  for i, doc in ipairs(batch) do
    local result, err = sink:deliver(doc)
    if not result then
      if i == 1 then return nil, err end
      for j = i, #batch do results[j] = { again = err.message } end
      return results
    end
    results[i] = result
    all = all and result == true
  end
  return all or results
end

--- An answer that came with a good status and is not what the contract says: perhaps of something in between.
function posting.strange(sink, what)
  return check.error("decode", ("%s: %s; a proxy or login page may be answering"):format(sink.name, what), { retryable = true })
end

return posting

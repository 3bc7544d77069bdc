-- elastic.lua: sink that indexes documents in Elasticsearch or OpenSearch through _bulk, into an index or a data stream.
local core = require "defendis.core"
local check = require "defendis.check"
local posting = require "defendis.posting"
local secret = require "defendis.secret"
local json = core.json

local elastic = {}

elastic.GUARANTEE = "at least once, acknowledged per document; _id is the document's id, so that a repeat changes nothing"

local function index(v)
  if type(v) ~= "string" or not v:gsub("{kind}", "k"):find "^[%l%d][%l%d._-]*$" or #v > 200 then
    return 'the name of an index or data stream in small letters expected, such as "logs-defendis-default"; {kind} stands for the dataset'
  end
end

check.typed("name of an index or data stream", index)
elastic.OPTIONS = posting.options{
  index = check.required(index, "where to; {kind} in it stands for the dataset"),
  token = check.field(secret.check, "what lets us in; for Basic user:password"),
  scheme = check.field(check.one_of{ "ApiKey", "Basic", "Bearer" }, "what kind of token it is", "ApiKey"),
}

local Sink = {}
Sink.__index = Sink

--- options: url = "https://host:9200"; index = an index or data stream, {kind} in it is replaced by the dataset; token and its scheme
-- ("ApiKey"; "Basic": the token is user:password); and what posting.options has.
function elastic.new(options, context)
  local access = { secret = options.token, scheme = check.given(options, elastic.OPTIONS, "scheme") }
  local self, err = posting.new("elastic", options, context, access, "/" .. options.index)
  if not self then return nil, err end
  self.index = options.index
  return setmetatable(self, Sink)
end

-- Elasticsearch takes ids up to 512 bytes.
local function id_of(doc) return #doc.id <= 512 and doc.id or core.hash.sha256(doc.id) end

-- A data stream wants an @timestamp; a document that has one anywhere keeps its own.
local function source(doc)
  local text = doc.json:gsub("[\r\n]", " ") -- between tokens only; within strings JSON escapes them
  if not doc.time or text:find('"@timestamp"', 1, true) then return text end
  local stamp = ('{"@timestamp":"%s.%03dZ"'):format(os.date("!%Y-%m-%dT%H:%M:%S", doc.time // 1000), doc.time % 1000)
  return (text:gsub("^%s*{(%s*)(.?)", function(_, next) return stamp .. (next == "}" and "" or ",") .. next end, 1))
end

local function judge(item)
  local status = item.status
  if status == 200 or status == 201 or status == 409 then return true end -- 409: it is there since an earlier attempt
  local fault = type(item.error) == "table" and item.error or {}
  local reason = posting.reason(status, fault.type, fault.reason)
  -- what the cluster's state or the token's rights keep out may go in later
  if status == 401 or status == 403 or status == 429 or status >= 500 then return { again = reason } end
  return { dead = reason }
end

-- The answer's items are ours, one for each document and in their order; or nothing of the answer counts.
local function results_of(self, batch, body)
  local items = type(body) == "table" and body.items
  if type(items) ~= "table" or #items ~= #batch then
    return nil, posting.strange(self, "the answer (200) is not one of _bulk for this batch")
  end
  local results, all = {}, true
  for i, doc in ipairs(batch) do
    local item = type(items[i]) == "table" and items[i].create
    if type(item) ~= "table" or math.type(item.status) ~= "integer" or item._id ~= id_of(doc) then
      return nil, posting.strange(self, ("item %d of the answer is not that of the document sent"):format(i))
    end
    results[i] = judge(item)
    all = all and results[i] == true
  end
  return all or results
end

--- Sends a batch. Returns as the outbox's contract says: true, results by position, or nil, err.
function Sink:send(batch)
  local lines = {}
  for i, doc in ipairs(batch) do
    local action = { create = { _index = self.index:gsub("{kind}", (doc.kind:lower():gsub("%%", "%%%%"))), _id = id_of(doc) } }
    lines[2 * i - 1], lines[2 * i] = assert(json.encode(action, { sort_keys = true })), source(doc)
  end
  lines[#lines + 1] = ""
  local answer, err = self.endpoint:send{ path = "/_bulk", body = table.concat(lines, "\n"), content_type = "application/x-ndjson" }
  if not answer then return nil, err end
  local body = posting.decode(answer)
  if answer.status == 200 then return results_of(self, batch, body) end
  if answer.status == 413 and #batch == 1 then return { { dead = posting.reason(413, "larger than the cluster takes") } } end
  local fault = body and body.error
  return nil, posting.refusal(self, answer, type(fault) == "table" and (fault.reason or fault.type) or fault)
end

--- Ends the sink and its connections.
function Sink:close() self.endpoint:close() end

return elastic

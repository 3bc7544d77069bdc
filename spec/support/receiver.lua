-- receiver.lua: what sinks over HTTP send to, for scripted.start: keeps what comes, fails now and then, and kills its client when told to.
--
-- POST /_bulk is Elasticsearch's, /services/collector/event Splunk's, anything else a webhook's. And for the test, as GET:
--   /receiver/counts                           {"elastic findings": {documents, records, repeats, changed, inversions, sum}, ...}: of
--                                              each sink and kind; inversions: numbers of records that came first after a
--                                              greater one; sum: of ids and documents, whatever their order
--   /receiver/reset                            forgets it
--   /receiver/faults?share=0.1&seed=1          that part of the requests fails; with &whole no part of one alone
--   /receiver/kill?pid=FILE&at=3&when=stored   kill -9 at the third request from now, before it is answered: stored, or not
local cjson = require "cjson"
local core = require "defendis.core"

local boxes, share, armed = {}, 0, nil

local receiver = {}

--- 44 bits that stand for a text: cjson writes numbers of 14 digits.
function receiver.number(text) return tonumber(core.hash.sha256(text):sub(1, 11), 16) end

local number = receiver.number

-- Keeps a document. own: what tells its record apart. Returns false when its id is known.
local function keep(sink, doc, own)
  local name = sink .. " " .. doc.kind
  local box = boxes[name] or { index = {}, owns = {}, documents = 0, records = 0, repeats = 0, changed = 0, sum = 0, last = 0,
    inversions = 0 }
  boxes[name] = box
  local id, text = number(doc.id), number(doc.text)
  local known = box.index[id]
  if known then
    box.repeats = box.repeats + 1
    if known ~= text then box.changed = box.changed + 1 end
    return false
  end
  box.index[id], box.documents, box.sum = text, box.documents + 1, (box.sum + (id ~ text)) & 0xfffffffffff
  local record = doc.text:match(own)
  record = math.tointeger(tonumber(record)) or record
  if math.type(record) then
    if record < box.last then box.inversions = box.inversions + 1 end
    box.last = record
  end
  if record and not box.owns[record] then box.owns[record], box.records = true, box.records + 1 end
  return true
end

-- What a request of each sink is made of, how it is answered, and what of it may fail in part.
local SINKS = {
  elastic = {
    read = function(req)
      local docs = {}
      for action, text in req.body:gmatch "([^\n]*)\n([^\n]*)\n" do
        docs[#docs + 1] = { id = action:match '"_id":"([^"]*)"', kind = action:match '"_index":"([^"]*)"',
          text = text:gsub('^{"@timestamp":"[^"]*",', "{", 1) }
      end
      return docs
    end,
    answer = function(docs, is_new, refused)
      local items = {}
      for i, d in ipairs(docs) do
        items[i] = ('{"create":{"_id":"%s","status":%d}}'):format(d.id, refused[i] and 429 or is_new[i] and 201 or 409)
      end
      return { status = 200, body = ('{"errors":true,"items":[%s]}'):format(table.concat(items, ",")) }
    end,
    faults = { "busy", "limit", "cut", "lost", "page", "some" },
  },
  splunk_hec = {
    read = function(req)
      local docs = {}
      for line in req.body:gmatch "[^\n]+" do
        docs[#docs + 1] = { id = line:match '"defendis_id":"([^"]*)"', kind = line:match '"sourcetype":"defendis:([^"]*)"',
          text = line:match '"event":(.*)}$' }
      end
      return docs
    end,
    answer = function() return { status = 200, body = '{"text":"Success","code":0}' } end,
    faults = { "busy", "limit", "cut", "lost", "page" },
  },
  webhook = {
    read = function(req) return { { id = req.headers["webhook-id"], kind = "findings", text = req.body } } end,
    answer = function() return { status = 204 } end,
    faults = { "busy", "limit", "cut", "lost" },
  },
}

local function sink_of(path)
  return path:find("/_bulk", 1, true) and "elastic" or path:find("/services/collector", 1, true) and "splunk_hec" or "webhook"
end

local BEFORE = { busy = { status = 503, body = "{}" }, limit = { status = 429, body = "{}", headers = { ["retry-after"] = "0" } },
  cut = { status = 200, body = "{}", truncate = 0 }, page = { status = 200, body = "<html>" } }

local function kill_now(when)
  if not armed or armed.when ~= when or armed.at > 0 then return false end
  local f <close> = assert(io.open(armed.pid))
  os.execute("kill -9 " .. f:read "l")
  armed = nil
  return true
end

local function post(req, own)
  local name = sink_of(req.path)
  local sink = SINKS[name]
  local fault = math.random() < share and sink.faults[math.random(#sink.faults)]
  if armed then armed.at = armed.at - 1 end
  if kill_now "unstored" then return { status = 503 } end
  if BEFORE[fault] then return BEFORE[fault] end
  local docs, is_new, refused = sink.read(req), {}, {}
  for i, d in ipairs(docs) do
    if fault == "some" and math.random(2) == 1 then refused[i] = true else is_new[i] = keep(name, d, own) end
  end
  local killed, answer = kill_now "stored", sink.answer(docs, is_new, refused)
  if killed or fault == "lost" then answer.truncate, answer.body = 0, "{}" end
  if answer.status == 204 and answer.truncate then answer.status = 200 end
  return answer
end

local control = {}

function control.counts()
  local out = {}
  for name, box in pairs(boxes) do
    out[name] = { documents = box.documents, records = box.records, repeats = box.repeats, changed = box.changed, sum = box.sum,
      inversions = box.inversions }
  end
  return { status = 200, body = next(out) and cjson.encode(out) or "{}" }
end

function control.reset() boxes = {} end

function control.faults(query)
  if query.whole then SINKS.elastic.faults = SINKS.splunk_hec.faults end
  share = tonumber(query.share)
  math.randomseed(math.tointeger(tonumber(query.seed or 0)))
end

function control.kill(query) armed = { pid = query.pid, at = tonumber(query.at), when = query.when } end

--- The handler. own: a pattern whose capture in a document tells records apart.
function receiver.handler(own)
  return function(req)
    local what = req.path:match "^/receiver/(.*)$"
    if what then return control[what](req.query) or { status = 200, body = "{}" } end
    return post(req, own)
  end
end

return receiver

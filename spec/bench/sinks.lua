-- sinks.lua: what a sink delivers from the outbox, for `make bench`: sinks.lua fill|deliver FOLDER COUNT SINK [ADDRESS].
--
-- fill: COUNT documents into the outbox of FOLDER/state.db, for this sink. deliver: until none is left. jsonl has no outbox: deliver
-- writes pages of 1000 and makes each durable.
local core = require "defendis.core"
local outbox = require "defendis.pipeline.outbox"
local secret = require "defendis.secret"
local store = require "defendis.store"

local mode <const>, folder <const>, count <const>, kind <const>, address = arg[1], arg[2] .. "/", tonumber(arg[3]), arg[4], arg[5]
local PAGE <const> = 1000
local DATASET <const> = "dataleaks.credentials"
local DOC <const> = '{"id":"r%d","domain":"acme.example","email":"user%d@acme.example","leakedAt":'
  .. '"2026-01-02T03:04:05Z","password":"correct horse","severity":"high","source":{"name":"stealer log","type":"stealer"},"tags":["a"],'
  .. '"url":"https://vpn.acme.example/login?next=%%2F","text":"' .. ("lorem ipsum "):rep(25) .. '"}\n'

local OPTIONS = {
  splunk_hec = function() return { url = address, token = secret.env "BENCH_TOKEN" } end,
  elastic = function() return { url = address, index = "leaks" } end,
  webhook = function() return { url = address .. "/hook", secrets = { secret.env "BENCH_TOKEN" } } end,
  syslog = function() return { host = "127.0.0.1", port = math.tointeger(tonumber(address)) } end,
  ["syslog, confirm = 0.01"] = function() return { host = "127.0.0.1", port = math.tointeger(tonumber(address)), confirm = 0.01 } end,
  sqlite = function() return { path = "leaks.db" } end,
  kafka = function() return { brokers = { address }, topic = "leaks" } end,
  jsonl = function() return { path = "out" } end,
}

local sink = assert(require("defendis.sinks." .. kind:match "%w+[_%w]*").new(OPTIONS[kind](), { name = kind, folder = folder }))

-- A page's documents, as one buffer of lines.
local function page(first)
  local buffer = core.json.buffer()
  for n = first, first + PAGE - 1 do buffer:add(DOC:format(n, n)) end
  return buffer
end

local function pages(put)
  for first = 1, count, PAGE do assert(put(first, page(first))) end
end

if not sink.send then
  assert(sink:open(nil, { DATASET }))
  pages(function(_, buffer)
    assert(sink:write(DATASET, buffer))
    return sink:prepare()
  end)
  sink:close()
  return
end

sink.batch = sink.batch or {}
sink.batch.documents, sink.batch.bytes = sink.batch.documents or 500, sink.batch.bytes or 1 << 20 -- as pipeline/sinks.lua has it
local state = assert(store.open(folder .. "state.db", { exclusive = true }))
assert(state:begin())
local box = assert(outbox.open(state, { sink }, { DATASET }, { outbox = 1 << 40, give_up_ms = 60000 }))
if mode == "fill" then
  local row = { dataset = DATASET, input = "i", from = 1, to = 2, unique = 0, received = 0, normalized = 0 }
  pages(function(first, documents)
    local fresh = {}
    for i = 1, PAGE do fresh[i] = { index = i, id = "r" .. first + i, time = 1767225600000 + first + i } end
    row.unique, row.received, row.normalized = row.unique + PAGE, row.received + PAGE, row.normalized + PAGE
    assert(state:put_window(row))
    return box:page(row, fresh, PAGE, { documents = documents, dead = {}, normalized = PAGE })
  end)
end
assert(state:commit())
if mode == "deliver" then
  assert(box:beside(function() return true end))
  local s = box:summary()[1]
  assert(s.delivered == count and s.behind == 0 and s.dead == 0, s.error or "not all of it was delivered")
end
sink:close()
state:close()

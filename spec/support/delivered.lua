-- delivered.lua: an outbox of a test's own, without a pipeline: put documents in, deliver them to sinks written as Lua tables.
local core = require "defendis.core"
local outbox = require "defendis.pipeline.outbox"
local scratch = require "support.scratch"
local store = require "defendis.store"

local delivered = {}
local methods = {}
methods.__index = methods

--- A state in a folder of its own. Waits between attempts are left out, and counted in self.waits.
function delivered.new()
  local self = setmetatable({ dir = scratch.dir(), waits = {}, backoff = core.api.backoff }, methods)
  core.api.backoff = function(n)
    self.waits[#self.waits + 1] = n
    return 0
  end
  self.store = assert(store.open(self.dir .. "/state.db", { exclusive = true }))
  return self
end

--- For after_each.
function methods:close()
  core.api.backoff = self.backoff
  self.store:close()
  scratch.remove(self.dir)
end

--- Opens the outbox for these sinks, as a new run does. options: {outbox = bytes, give_up_ms}.
function methods:open(sinks, options)
  options = options or {}
  for _, sink in ipairs(sinks) do
    sink.batch = sink.batch or {}
    sink.batch.documents, sink.batch.bytes = sink.batch.documents or 500, sink.batch.bytes or 1 << 20
    sink.close = sink.close or function() end
  end
  assert(self.store:begin())
  self.box = assert(outbox.open(self.store, sinks, { "d", "e", "findings" },
    { outbox = options.outbox or 1 << 28, give_up_ms = options.give_up_ms or 60000 }))
  assert(self.store:commit())
  return self.box
end

--- Puts a page of n documents of a kind in, the window being days [1, 2) of input "i". first: number of the first document.
function methods:put(kind, first, n, json)
  local fresh, out = {}, { documents = core.json.buffer(), dead = {}, normalized = n }
  for i = 1, n do
    local number = first + i - 1
    fresh[i] = { index = i, id = "r" .. number, time = 1000 * number }
    out.documents:add((json or '{"n":%d}'):format(number)):add("\n")
  end
  local store_ = self.store
  assert(store_:begin())
  local row = store_:window(kind, "i", 1, 2) or { dataset = kind, input = "i", from = 1, to = 2, unique = 0, received = 0, normalized = 0 }
  row.unique, row.received, row.normalized = row.unique + n, row.received + n, row.normalized + n
  assert(store_:put_window(row))
  assert(self.box:page(row, fresh, n, out))
  assert(store_:commit())
end

--- Delivers until nothing is left or all is given up; work: what runs beside it, or nil. Returns the summary by sink.
function methods:deliver(work)
  local ok, err = self.box:beside(work or function() return true end)
  local by = { ok = ok, err = err }
  for _, s in ipairs(self.box:summary()) do by[s.sink] = s end
  return by
end

--- A sink that keeps the numbers of the documents that it took in sink.took, and each batch's in sink.batches. send: function(sink,
-- batch, n-th call) that returns what send returns; a document counts as taken when it says so. Or nil: all is taken.
function delivered.sink(name, send, more)
  local sink = { name = name, took = {}, batches = {}, ids = {} }
  for k, v in pairs(more or {}) do sink[k] = v end
  function sink:send(batch)
    local numbers = {}
    for i, d in ipairs(batch) do numbers[i] = math.tointeger(d.json:match('"n":(%d+)')) end
    self.batches[#self.batches + 1] = numbers
    local result, err = true, nil
    if send then result, err = send(self, batch, #self.batches) end
    for i, d in ipairs(batch) do
      if result == true or type(result) == "table" and result[i] == true then
        self.took[#self.took + 1] = numbers[i]
        self.ids[#self.ids + 1] = d.id
      end
    end
    return result, err
  end
  return sink
end

--- first..last as an array.
function delivered.range(first, last)
  local out = {}
  for i = first, last do out[#out + 1] = i end
  return out
end

return delivered

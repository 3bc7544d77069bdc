-- order_spec.lua: documents reach a sink that keeps an order in theirs, however often they have to come again.
local cjson = require "cjson"
local core = require "defendis.core"
local delivered = require "support.delivered"
local hostile = require "support.hostile"
local internals = require "defendis_internals"
local run = require "support.run"
local scratch = require "support.scratch"
local scripted = require "support.scripted"
local secret = require "defendis.secret"
local task = require "defendis.task"

local N <const> = scratch.slowness == 1 and 200 or 60

describe("the order of documents", function()
  local d, case
  before_each(function()
    d = delivered.new()
    local seed = tonumber(os.getenv("SEED")) or os.time()
    math.randomseed(seed)
    case = ("seed %d; SEED=%d repeats it"):format(seed, seed)
  end)
  after_each(function()
    d:close()
    d = nil -- and with it the sink and its secret
    hostile.clean()
    run.clean()
  end)

  -- A sink of which some sends do not go out, and the acknowledgement of others is lost, at times that do not depend on luck.
  local function unlucky(name, options)
    local module = require("defendis.sinks." .. name)
    local sink = assert(module.new(options, { name = name, folder = d.dir .. "/" }))
    local send, calls = sink.send, math.random(0, 1)
    sink.batch = { documents = math.random(2, 8) }
    function sink:send(batch)
      calls = calls + 1
      if calls % 5 == 3 then return nil, { message = "not sent", retryable = true } end
      local result, err = send(self, batch)
      if calls % 4 == 2 then return nil, { message = "the answer was lost", retryable = true } end
      return result, err
    end
    return sink
  end

  -- Delivers N documents in pages of any size, some before others are put in.
  local function deliver(sink)
    local next_one = 1
    d:open{ sink }
    while next_one <= N do
      local n = math.min(math.random(1, 60), N - next_one + 1)
      d:put("d", next_one, n)
      next_one = next_one + n
      if math.random(2) == 1 then d:deliver() end
      d:open{ sink }
    end
    local s = d:deliver()[sink.name]
    assert.same({ 0, 0 }, { s.behind, s.dead }, case)
    assert.is_true(#d.waits > 0, "nothing had to come again: " .. case)
    sink:close()
  end

  local HTTP = {
    splunk_hec = function(url, key) return { url = url, token = key, max_attempts = 1 } end,
    webhook = function(url, key) return { url = url .. "/hook", secrets = { key } } end,
    elastic = function(url) return { url = url, index = "d", max_attempts = 1 } end, -- unless it refuses some of a batch
  }

  for name, options in pairs(HTTP) do
    it("is kept by " .. name .. " while requests and answers are lost", function()
      local api = scripted.start [[return require("support.receiver").handler '"n":(%d+)']]
      finally(api.stop)
      scripted.get(api.base_url, ("/receiver/faults?share=0.2&whole&seed=%d"):format(math.random(1000000)))
      deliver(unlucky(name, options(api.base_url, assert(secret.file(hostile.file("key", hostile.KEY))))))
      local _, box = next(cjson.decode(scripted.get(api.base_url, "/receiver/counts")))
      assert.same({ N, N, 0, 0 }, { box.documents, box.records, box.changed, box.inversions }, case)
      assert.is_true(box.repeats > 0, case)
    end)
  end

  it("is kept by sqlite", function()
    deliver(unlucky("sqlite", { path = "leaks.db" }))
    local db <close> = assert(core.store.open(d.dir .. "/leaks.db", { readonly = true, application_id = 0x64666462, migrations = { "" } }))
    local numbers = {}
    for n in db:rows "SELECT json_extract(doc, '$.n') FROM d ORDER BY rowid" do numbers[#numbers + 1] = n end
    assert.same(delivered.range(1, N), numbers, case)
  end)

  it("is kept by syslog while the receiver closes at random points", function()
    local listener <close> = internals.raw.listen()
    local sink = unlucky("syslog", { host = "127.0.0.1", port = listener:port(), confirm = 0.001 })
    local seen, firsts, done = {}, {}, false
    local function take(peer)
      for n in peer:receive(0):gmatch '{"n":(%d+)}' do -- one message is one segment here, or is sent again
        n = math.tointeger(n)
        if not seen[n] then firsts[#firsts + 1] = n end
        seen[n] = true
      end
    end
    local function receive()
      local conn, peer
      while not done do
        if sink.conn and sink.conn ~= conn then
          conn, peer = sink.conn, listener:accept()
        elseif peer then
          local what = math.random(8)
          if what > 1 then take(peer) end
          if what <= 2 then
            peer:close(what == 1 and "rst" or nil)
            peer = nil
          end
        end
        task.sleep(0.001)
      end
      if peer then
        take(peer)
        peer:close()
      end
    end
    hostile.together{ receive, function()
      deliver(sink)
      done = true
    end }
    assert.same(delivered.range(1, N), firsts, case)
  end)

  it("is kept by kafka within a partition", function()
    local mock = internals.kafka
    if not mock then return pending "librdkafka is not installed (package librdkafka-dev)" end
    local cluster <close> = mock.cluster(1)
    cluster:topic("leaks", 1)
    local sink = unlucky("kafka", { brokers = { cluster:bootstrap() }, topic = "leaks" })
    local NOT_ENOUGH_REPLICAS <const> = 19
    cluster:errors(NOT_ENOUGH_REPLICAS, 3)
    deliver(sink)
    local seen, firsts = {}, {}
    for _, m in ipairs(mock.read(cluster:bootstrap(), "leaks", 1)) do
      if not seen[m.id] then firsts[#firsts + 1] = math.tointeger(m.value:match '"n":(%d+)') end
      seen[m.id] = true
    end
    assert.same(delivered.range(1, N), firsts, case)
  end)
end)

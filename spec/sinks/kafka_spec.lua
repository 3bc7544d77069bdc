-- kafka_spec.lua: the sink that produces to Kafka, against librdkafka's mock cluster.
local cjson = require "cjson"
local hostile = require "support.hostile"
local kafka = require "defendis.sinks.kafka"
local mock = require("defendis_internals").kafka
local pipelined = require "support.pipelined"
local run = require "support.run"
local secret = require "defendis.secret"
local task = require "defendis.task"

if not mock then
  describe("the kafka sink, where librdkafka is not installed,", function()
    it("says which package it needs", function()
      local sink, err = kafka.new{ brokers = { "127.0.0.1:1" }, topic = "t" }
      assert.is_nil(sink)
      assert.equal("kafka: this program was built without it; install the package librdkafka-dev and build again", err.message)
      pending "librdkafka is not installed (package librdkafka-dev): nothing else of the sink can be tested"
    end)
  end)
  return
end

local OUT_OF_ORDER <const>, NOT_ENOUGH_REPLICAS <const>, REQUEST_TIMED_OUT <const>, TOO_LARGE <const> =
  45, 19, 7, 10

describe("the kafka sink", function()
  local cluster, sinks

  before_each(function()
    cluster, sinks = mock.cluster(2), {}
    cluster:topic("leaks", 2)
  end)
  after_each(function()
    for _, sink in ipairs(sinks) do sink:close() end
    cluster:close()
    hostile.clean()
    run.clean()
  end)

  local function open(options)
    local o = { brokers = {}, topic = "leaks", timeout = 20, properties = {} }
    for broker in cluster:bootstrap():gmatch "[^,]+" do o.brokers[#o.brokers + 1] = broker end
    for k, v in pairs(options or {}) do o[k] = v end
    local problem = require("defendis.check").options(o, kafka.OPTIONS)
    assert(not problem, problem)
    sinks[#sinks + 1] = assert(kafka.new(o))
    return sinks[#sinks]
  end

  local function batch(first, n, text)
    local out = {}
    for i = 1, n do
      local id = ("id-%05d"):format(first + i - 1)
      out[i] = { id = id, kind = "findings", time = 1767225600000 + i, json = text or ('{"n":"%s"}'):format(id) }
    end
    return out
  end

  -- The ids in a topic, sorted, each as often as it is there.
  local function ids(topic, partitions)
    local out = {}
    for i, m in ipairs(mock.read(cluster:bootstrap(), topic or "leaks", partitions or 2)) do
      assert.equal(m.key, m.id)
      out[i] = m.id
    end
    table.sort(out)
    return out
  end

  local function wanted(b)
    local out = {}
    for i, d in ipairs(b) do out[i] = d.id end
    return out
  end

  local function all_taken(results, n)
    assert.equal(n, #results)
    for _, r in ipairs(results) do assert.is_true(r) end
  end

  it("gives each document its id as key and header, its kind and its time, and reports each", function()
    local b = batch(1, 300)
    b[7].json = '{"t":"\xe2\x82\xac\\u0000"}'
    all_taken(assert(open():send(b)), 300)
    assert.same(wanted(b), ids())
    local by = {}
    for _, m in ipairs(mock.read(cluster:bootstrap(), "leaks", 2)) do by[m.id] = m end
    assert.same({ key = b[7].id, id = b[7].id, kind = "findings", time = b[7].time, value = b[7].json }, by[b[7].id])
  end)

  it("has a topic for each kind when it is told to", function()
    cluster:topic("x.dataleaks.credentials", 1)
    cluster:topic("x.findings", 1)
    local b = batch(1, 2)
    b[1].kind = "dataleaks.credentials"
    all_taken(assert(open{ topic = "x.{kind}" }:send(b)), 2)
    assert.same({ { b[1].id }, { b[2].id } }, { ids("x.dataleaks.credentials", 1), ids("x.findings", 1) })
  end)

  -- K14
  it("comes through answers that ask for another attempt, and a change of leader, without a repeat", function()
    local sink = open()
    for i, code in ipairs{ NOT_ENOUGH_REPLICAS, REQUEST_TIMED_OUT } do
      cluster:errors(code, 2)
      all_taken(assert(sink:send(batch(i * 100, 50))), 50)
    end
    for partition = 0, 1 do cluster:leader("leaks", partition, 1) end
    all_taken(assert(sink:send(batch(300, 50))), 50)
    for partition = 0, 1 do cluster:leader("leaks", partition, 2) end
    all_taken(assert(sink:send(batch(400, 50))), 50)
    assert.equal(200, #ids())
  end)

  it("gives up a document that is too large for the producer, or for the broker, and none beside it", function()
    local sink = open{ properties = { ["message.max.bytes"] = 2000 } }
    local b = batch(1, 3)
    b[2].json = ("x"):rep(3000)
    local results = assert(sink:send(b))
    assert.same({ true, true }, { results[1], results[3] })
    assert.matches("too large", results[2].dead)
    cluster:errors(TOO_LARGE, 1)
    local result = assert(sink:send(batch(10, 1)))[1]
    assert.is_string(result.dead)
  end)

  it("comes back later when no broker is there, and goes on when one is", function()
    local sink = open{ timeout = 1 }
    cluster:down(1, true)
    cluster:down(2, true)
    local ok, err = sink:send(batch(1, 5))
    assert.is_nil(ok)
    assert.same({ "network", true }, { err.kind, err.retryable })
    assert.matches("^kafka:127.0.0.1:%d+/leaks: .+", err.message)
    cluster:down(1, false)
    cluster:down(2, false)
    local results
    repeat results = sink:send(batch(1, 5)) until results
    all_taken(results, 5)
  end)

  -- As the outbox does: what is put off comes again alone. Returns how many attempts it took.
  local function deliver(sink, b)
    local attempts = 0
    repeat
      attempts = attempts + 1
      assert(attempts < 100, "no end")
      local results, err = sink:send(b)
      assert(results or err.retryable, err and err.message)
      local again = {}
      for i, r in ipairs(results or {}) do
        if r ~= true then again[#again + 1] = b[i] end
      end
      if results then b = again end
    until not b[1]
    return attempts
  end

  it("sends again what a broker took out of order", function()
    local sink = open()
    cluster:errors(OUT_OF_ORDER, 1)
    deliver(sink, batch(1, 50))
    local seen = {}
    for _, id in ipairs(ids()) do seen[id] = true end
    for _, id in ipairs(wanted(batch(1, 50))) do assert.is_true(seen[id]) end
  end)

  it("starts another producer when the first can never go on", function()
    local sink = open{ properties = { ["enable.gapless.guarantee"] = true } }
    deliver(sink, batch(1, 1))
    local first = sink.producer
    cluster:errors(OUT_OF_ORDER, 1)
    assert.is_true(deliver(sink, batch(2, 3)) > 1)
    assert.not_equal(first, sink.producer)
    local seen = {}
    for _, id in ipairs(ids()) do seen[id] = true end
    for _, id in ipairs(wanted(batch(1, 4))) do assert.is_true(seen[id]) end
  end)

  -- K16
  it("waits while the producer's queue is full, and drops nothing", function()
    local sink = open{ properties = { ["queue.buffering.max.messages"] = 5 } }
    local b = batch(1, 100)
    all_taken(assert(sink:send(b)), 100)
    assert.same(wanted(b), ids())
  end)

  it("lets others go on while it waits for a broker", function()
    local sink, turns, done = open(), 0, false
    for broker = 1, 2 do cluster:delay(broker, 100) end
    hostile.together{
      function()
        all_taken(assert(sink:send(batch(1, 3))), 3)
        done = true
      end,
      function()
        while not done do
          turns = turns + 1
          task.sleep(0.001)
        end
      end,
    }
    assert.is_true(turns > 10)
  end)

  it("refuses properties that are none, that it sets itself, or that a secret does not fit, without showing it", function()
    local sink, err = kafka.new{ brokers = { "127.0.0.1:1" }, topic = "t", properties = { ["no.such"] = "x" } }
    assert.is_nil(sink)
    assert.matches('^kafka: property no.such: No such configuration property', err.message)
    local key = assert(secret.file(hostile.file("token", "canary-0123456789")))
    sink, err = kafka.new{ brokers = { "127.0.0.1:1" }, topic = "t", properties = { ["security.protocol"] = key } }
    assert.is_nil(sink)
    assert.equal("kafka: the secret is no value for the property security.protocol", err.message)
    kafka.new{ brokers = { "127.0.0.1:1" }, topic = "t", properties = { ["sasl.password"] = key } }:close()
    local check = require "defendis.check"
    for name, value in pairs{ acks = "1", ["enable.idempotence"] = false, x = {} } do
      assert.is_string((check.options({ brokers = { "b" }, topic = "t", properties = { [name] = value } }, kafka.OPTIONS)))
    end
    for _, topic in ipairs{ "", "a b", "a/b", "{kinds}" } do
      assert.is_string((check.options({ brokers = { "b" }, topic = topic }, kafka.OPTIONS)))
    end
  end)

  -- K15
  it("brings every record of a pipeline, also when the program is killed between produce and report", function()
    local sim = run.simulator "--records 400"
    finally(sim.stop)
    local list = '"' .. cluster:bootstrap():gsub(",", '", "') .. '"'
    local p = pipelined.new(sim, { ["until"] = '"2026-04-01"', window = '"10d"', page_size = "50",
      sinks = ('{ kafka{ brokers = { %s }, topic = "leaks" } }'):format(list) })
    for broker = 1, 2 do cluster:delay(broker, 100) end -- so that reports are late
    local kills = 0
    for delay = 2, 8 do
      local got = p:ingest{ prefix = ([[sh -c '"$@" & pid=$!; sleep %.1f; kill -9 $pid 2>/dev/null; wait $pid' sh]]):format(delay / 10) }
      kills = kills + (got.code == 137 and 1 or 0)
    end
    for broker = 1, 2 do cluster:delay(broker, 0) end
    local got = p:ingest()
    assert.equal(0, got.code, got.err)
    assert.is_true(kills > 0)
    assert.equal(0, (p:verify()))
    local records, by_id, twice = {}, {}, 0
    for _, m in ipairs(mock.read(cluster:bootstrap(), "leaks", 2)) do
      assert.equal(m.key, m.id)
      if by_id[m.id] then
        twice = twice + 1
        assert.equal(by_id[m.id], m.value)
      else
        records[#records + 1] = cjson.decode(m.value).id
      end
      by_id[m.id] = m.value
    end
    table.sort(records)
    assert.same(pipelined.announced(sim, "dataleaks.credentials", "acme.example"), records)
    print(("kafka_spec: %d kills, %d of %d came again"):format(kills, twice, #records))
  end)
end)

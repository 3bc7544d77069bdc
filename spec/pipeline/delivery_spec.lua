-- delivery_spec.lua: what a sink may answer, and what becomes of its documents.
local cursor = require "defendis.store.cursor"
local delivered = require "support.delivered"
local ledger = require "defendis.ledger"
local task = require "defendis.task"

local range = delivered.range

describe("a delivery", function()
  local d

  before_each(function() d = delivered.new() end)
  after_each(function() d:close() end)

  local function letters(sink)
    local out = {}
    for l in d.store:dead_letters{ sink = sink } do out[#out + 1] = l.raw .. " " .. l.reason end
    return out
  end

  local function rows() return (d.store.db:row "SELECT count(*) FROM outbox") end

  -- delivered + dead = unique in the window of kind "d", and nothing is left
  local function adds_up(sink)
    local row = d.store:window("d", "i", 1, 2)
    assert.equal(row.unique, row.delivered[sink].documents + row.delivered[sink].dead)
    for _, s in ipairs(ledger.sinks(d.store)) do assert.equal(0, s.behind) end
    assert.equal(0, rows())
  end

  it("hands over every document once, in order, with its kind, time, text and an id of its own", function()
    local got = {}
    local sink = delivered.sink("a", function(_, batch)
      table.move(batch, 1, #batch, #got + 1, got)
      return true
    end)
    d:open{ sink }
    d:put("d", 1, 3)
    d:put("e", 4, 2)
    local by = d:deliver()
    assert.same({ sink = "a", delivered = 5, dead = 0, behind = 0 }, by.a)
    assert.same(range(1, 5), sink.took)
    assert.same({ id = got[4].id, kind = "e", time = 4000, json = '{"n":4}' }, got[4])
    local seen = {}
    for _, doc in ipairs(got) do
      assert.matches("^%x+$", doc.id)
      assert.equal(32, #doc.id)
      assert.is_nil(seen[doc.id])
      seen[doc.id] = true
    end
    adds_up "a"
  end)

  it("keeps to the batch's documents and bytes, and gives a document that is over them alone", function()
    local sink = delivered.sink("a", nil, { batch = { documents = 4, bytes = 100 } })
    d:open{ sink }
    d:put("d", 1, 10)
    d:put("d", 11, 1, '{"n":%d,"long":"' .. ("x"):rep(200) .. '"}')
    d:put("d", 12, 3, '{"n":%d,"long":"' .. ("x"):rep(30) .. '"}')
    d:deliver()
    assert.same({ range(1, 4), range(5, 8), range(9, 10), { 11 }, { 12, 13 }, { 14 } }, sink.batches)
  end)

  it("cuts a page of many bytes into rows, of which none is long and no document is lost", function()
    local sink = delivered.sink("a")
    d:open{ sink }
    d:put("d", 1, 40, '{"n":%d,"long":"' .. ("x"):rep(50000) .. '"}')
    assert.is_true(rows() > 5)
    assert.is_true((d.store.db:row "SELECT max(bytes) FROM outbox") < 262144 + 51000)
    d:deliver()
    assert.same(range(1, 40), sink.took)
    adds_up "a"
  end)

  it("gives each sink what it wants only, and drops rows when the last one has passed them", function()
    local a = delivered.sink("a", nil, { wants = function(kind) return kind == "e" end })
    local b = delivered.sink("b", nil, { wants = function(kind) return kind ~= "e" end })
    d:open{ a, b }
    d:put("d", 1, 3)
    d:put("e", 4, 2)
    d:put("findings", 6, 0)
    local by = d:deliver()
    assert.same({ { 4, 5 }, { 1, 2, 3 } }, { a.took, b.took })
    assert.same({ 2, 3 }, { by.a.delivered, by.b.delivered })
    assert.is_nil(d.store:window("d", "i", 1, 2).delivered.a)
    assert.equal(0, rows())
  end)

  it("writes no row that no sink wants", function()
    d:open{ delivered.sink("a", nil, { wants = function() return false end }) }
    d:put("d", 1, 3)
    assert.equal(0, rows())
  end)

  it("puts a refused document among the dead letters and goes on with the rest in order", function()
    local sink = delivered.sink("a", function(_, batch)
      local results = {}
      for i, doc in ipairs(batch) do results[i] = doc.json ~= '{"n":3}' or { dead = "no such field" } end
      return results
    end)
    d:open{ sink }
    d:put("d", 1, 5)
    local by = d:deliver()
    assert.same({ 1, 2, 4, 5 }, sink.took)
    assert.same({ 4, 1, "no such field" }, { by.a.delivered, by.a.dead, by.a.dead_reason })
    assert.same({ '{"n":3} no such field' }, letters "a")
    adds_up "a"
  end)

  it("asks again for what is put off, alone, before anything that follows, and as long as it takes", function()
    local sink = delivered.sink("a", function(_, batch, call)
      local results = {}
      for i, doc in ipairs(batch) do
        local n = math.tointeger(doc.json:match "%d+")
        results[i] = (n == 2 or n == 4) and call < 9 and { again = "busy" } or true
      end
      return results
    end, { batch = { documents = 5 } })
    d:open{ sink }
    d:put("d", 1, 12)
    d:deliver()
    local expected = { range(1, 5) }
    for i = 2, 9 do expected[i] = { 2, 4 } end
    expected[10], expected[11] = range(6, 10), range(11, 12)
    assert.same(expected, sink.batches)
    assert.same({ 1, 3, 5, 2, 4, 6, 7, 8, 9, 10, 11, 12 }, sink.took)
    assert.same({}, letters "a")
    assert.same(range(0, 7), d.waits)
    adds_up "a"
  end)

  it("remembers over a restart which documents of a batch were settled", function()
    local calls = 0
    local sink = delivered.sink("a", function(_, batch)
      calls = calls + 1
      if calls > 1 then return nil, { message = "gone", retryable = false } end
      local results = {}
      for i in ipairs(batch) do results[i] = i % 2 == 0 and { again = "later" } or true end
      return results
    end)
    d:open{ sink }
    d:put("d", 1, 6)
    local by = d:deliver()
    assert.same({ 3, "gone" }, { by.a.behind, by.a.error })
    local again = delivered.sink "a"
    d:open{ again }
    d:put("d", 7, 2)
    d:deliver()
    assert.same({ 1, 3, 5 }, sink.took)
    assert.same({ 2, 4, 6, 7, 8 }, again.took)
    adds_up "a"
  end)

  it("halves a batch that is too big down to the one document, which is dead, and grows again", function()
    local sink = delivered.sink("a", function(_, batch)
      for _, doc in ipairs(batch) do
        if doc.json == '{"n":5}' then return nil, { kind = "too_big", message = "413" } end
      end
      return true
    end, { batch = { documents = 16 } })
    d:open{ sink }
    d:put("d", 1, 40)
    d:deliver()
    local wanted = range(1, 40)
    table.remove(wanted, 5)
    assert.same(wanted, sink.took)
    assert.same({ '{"n":5} 413' }, letters "a")
    assert.equal(16, #sink.batches[1])
    assert.is_true(#sink.batches[#sink.batches - 1] > 4)
    assert.same({}, d.waits)
    adds_up "a"
  end)

  it("tries a batch again after a failure that may pass, with growing waits, and loses and doubles nothing", function()
    local sink = delivered.sink("a", function(_, _, call)
      if call % 4 ~= 0 then return nil, { message = "503", retryable = true } end
      return true
    end, { batch = { documents = 10 } })
    d:open{ sink }
    d:put("d", 1, 25)
    local by = d:deliver()
    assert.same(range(1, 25), sink.took)
    assert.same({ 0, 1, 2, 0, 1, 2, 0, 1, 2 }, d.waits)
    assert.is_nil(by.a.error)
    adds_up "a"
  end)

  it("does not try again before the moment that the sink names, and gives up when that is too late", function()
    local core = require "defendis.core"
    local at = core.sys.wall_ms() + 60
    local early = 0
    local sink = delivered.sink("a", function(_, _, call)
      if call == 1 then return nil, { message = "429", retryable = true, retry_at = at } end
      if core.sys.wall_ms() < at then early = early + 1 end
      return true
    end)
    d:open{ sink }
    d:put("d", 1, 2)
    d:deliver()
    assert.same({ 0, range(1, 2) }, { early, sink.took })
    local late = delivered.sink("a", function()
      return nil, { message = "429", retryable = true, retry_at = core.sys.wall_ms() + 3600000 }
    end)
    d:open{ late }
    d:put("d", 3, 2)
    local by = d:deliver()
    assert.same({ 2, "429", 1 }, { by.a.behind, by.a.error, #late.batches })
  end)

  it("gives a sink up that fails for too long, and keeps what it did not take for the next run", function()
    local sink = delivered.sink("a", function() return nil, { message = "refused", retryable = true } end)
    d:open({ sink }, { give_up_ms = 30 })
    d:put("d", 1, 5)
    local by = d:deliver()
    assert.same({ 5, "refused", 0 }, { by.a.behind, by.a.error, by.a.delivered })
    assert.is_true(#sink.batches > 1)
    assert.same({ { sink = "a", behind = 5, dead = 0 } }, ledger.sinks(d.store))
    local well = delivered.sink "a"
    d:open{ well }
    d:deliver()
    assert.same(range(1, 5), well.took)
    adds_up "a"
  end)

  for what, send in pairs{
    ["raises"] = function() error "boom" end,
    ["raises an error table"] = function() error({ message = "boom", retryable = false }, 0) end,
    ["says that trying again is no use"] = function() return nil, { message = "boom", retryable = false } end,
    ["returns fewer results than documents"] = function() return { true } end,
    ["returns more results than documents"] = function(_, batch) return table.move(range(1, #batch + 1), 1, #batch + 1, 1, {}) end,
    ["returns results of another form"] = function(_, batch)
      local results = {}
      for i in ipairs(batch) do results[i] = i == 3 and "ok" or true end
      return results
    end,
    ["returns false"] = function() return false end,
    ["returns nothing"] = function() end,
    ["returns a text"] = function() return "ok" end,
  } do
    it("stops a sink that " .. what .. " at once, takes nothing for acknowledged, and says so", function()
      local sink, other = delivered.sink("a", send), delivered.sink "b"
      d:open{ sink, other }
      d:put("d", 1, 5)
      local by = d:deliver()
      assert.same({ 1, 0, 5 }, { #sink.batches, by.a.delivered, by.a.behind })
      assert.is_string(by.a.error)
      assert.same(range(1, 5), other.took)
      assert.is_true(rows() > 0)
      local well = delivered.sink "a"
      d:open{ well, other }
      d:deliver()
      assert.same({ range(1, 5), range(1, 5) }, { well.took, other.took })
      adds_up "a"
    end)
  end

  it("has one batch of a sink under way at a time, and batches of several sinks at once", function()
    local now, most, all = {}, {}, {}
    local function slow(sink)
      now[sink.name] = (now[sink.name] or 0) + 1
      most[sink.name] = math.max(most[sink.name] or 0, now[sink.name])
      all[#all + 1] = (now.a or 0) + (now.b or 0)
      task.sleep(0.005)
      now[sink.name] = now[sink.name] - 1
      return true
    end
    local a, b = delivered.sink("a", slow, { batch = { documents = 3 } }), delivered.sink("b", slow, { batch = { documents = 3 } })
    d:open{ a, b }
    d:put("d", 1, 30)
    d:deliver()
    assert.same({ range(1, 30), range(1, 30) }, { a.took, b.took })
    assert.same({ a = 1, b = 1 }, most)
    table.sort(all)
    assert.equal(2, all[#all])
  end)

  it("gives a sink that is new what comes from then on, and one that is taken out holds nothing back", function()
    local a, b = delivered.sink("a", function() return nil, { message = "away", retryable = false } end), delivered.sink "b"
    d:open{ a }
    d:put("d", 1, 3)
    d:deliver()
    d:open{ a, b }
    assert.same({}, d.box.notices)
    d:put("d", 4, 2)
    d:deliver()
    assert.same({ 4, 5 }, b.took)
    assert.is_nil(d.store:window("d", "i", 1, 2).delivered.b)
    d:open{ b }
    assert.same({ "the sink a is not in the pipeline any more; 5 documents that it did not take are given up" }, d.box.notices)
    assert.equal(0, rows())
    d:put("d", 6, 1)
    d:deliver()
    assert.same({ 4, 5, 6 }, b.took)
  end)

  -- What a sink may answer, at random; sink.calm: it does not fail as a whole.
  local function capricious(dead)
    return function(sink, batch)
      local dice = sink.calm and 12 or math.random(12)
      if dice == 1 then return nil, { message = "busy", retryable = true } end
      if dice == 2 and #batch > 1 then return nil, { kind = "too_big", message = "413" } end
      if dice == 3 then return nil, { message = "a restart", retryable = false } end
      if dice < 8 then return true end
      local results = {}
      for i, doc in ipairs(batch) do
        local n = math.tointeger(doc.json:match "%d+")
        results[i] = dead[n] and { dead = "poison" } or math.random(4) == 1 and { again = "later" } or true
      end
      return results
    end
  end

  local function one_course()
    local sinks, dead, last = {}, { [math.random(40)] = true, [math.random(40)] = true }, 0
    for i = 1, math.random(3) do sinks[i] = delivered.sink("s" .. i, capricious(dead), { batch = { documents = math.random(9) } }) end
    for _ = 1, 12 do
      d:open(sinks, { outbox = math.random(2) == 1 and 100 or nil })
      for _ = 1, math.random(0, 3) do
        local n = math.random(0, 9)
        d:put("d", last + 1, n)
        last = last + n
      end
      d:deliver()
    end
    for _, sink in ipairs(sinks) do sink.calm = true end
    d:open(sinks)
    d:deliver()
    return sinks, last
  end

  it("settles every document once in any course of answers, restarts and pages, the oldest first", function()
    local seed = tonumber(os.getenv("SEED")) or os.time()
    math.randomseed(seed)
    for course = 1, 60 do
      local case = ("seed %d, course %d"):format(seed, course)
      local sinks, last = one_course()
      for _, sink in ipairs(sinks) do
        local settled = table.move(sink.took, 1, #sink.took, 1, {})
        for l in d.store:dead_letters{ sink = sink.name } do settled[#settled + 1] = math.tointeger(l.raw:match "%d+") end
        table.sort(settled)
        assert.same(range(1, last), settled, case)
        local least = 0
        for _, batch in ipairs(sink.batches) do
          assert.is_true(batch[1] >= least, case)
          least = batch[1]
          for i = 2, #batch do assert.is_true(batch[i] > batch[i - 1], case) end
        end
        adds_up(sink.name)
      end
      d:close()
      d = delivered.new()
    end
  end)

  it("leaves a sink alone whose send does not return, and holds nothing else up for it", function()
    local hangs, calls = true, 0
    local a = delivered.sink("a", function()
      calls = calls + 1
      if hangs then task.signal():wait() end
      return true
    end, { deadline = 0.02 })
    local b = delivered.sink "b"
    d:open({ a, b }, { outbox = 100 })
    d.box.persistent = true -- of a daemon
    d:put("d", 1, 30)
    local full
    local by = d:deliver(function() full = select(2, d.box:give_way()) return true end)
    assert.same({ 1, "stopped", 30, 0 }, { calls, by.a.stopped, by.a.behind, by.a.delivered })
    assert.equal("send has not returned for 0.02 s, so it gets no more until the program is started again", by.a.error)
    assert.matches("the outbox is full .* a: send has not returned", full.message)
    assert.same({ 30, 0 }, { by.b.delivered, by.b.behind })
    hangs = false
    d:open{ a, b }
    assert.same(30, d:deliver().a.delivered)
    adds_up "a"
  end)

  it("never gives a number of a row again, so that no cursor is ahead of a new row", function()
    local sink = delivered.sink "a"
    for n = 1, 4 do
      d:open{ sink }
      d:put("d", n, 1)
      d:deliver()
    end
    assert.same(range(1, 4), sink.took)
  end)

  it("keeps settled documents as text and reads them back", function()
    local set, n = cursor.parse "7:0-3 7:9-9 12:1-2"
    assert.equal(7, n)
    assert.is_true(set[7][9] and set[12][2] and not set[7][4])
    assert.equal("7:0-3 7:9-9 12:1-2", cursor.text(set))
    assert.equal("", cursor.text {})
  end)
end)

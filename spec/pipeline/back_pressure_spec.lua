-- back_pressure_spec.lua: an outbox that is full makes the walk wait, and loses nothing.
local delivered = require "support.delivered"
local pipelined = require "support.pipelined"
local run = require "support.run"
local scratch = require "support.scratch"
local sunk = require "support.sunk"
local task = require "defendis.task"

describe("a full outbox", function()
  local d

  before_each(function() d = delivered.new() end)
  after_each(function()
    d:close()
    run.clean()
  end)

  local function outbox_bytes() return (d.store.db:row "SELECT coalesce(sum(bytes), 0) FROM outbox") end

  -- A walk of n pages of 10 documents. Returns the most that the outbox held.
  local function walk(n)
    local most = 0
    local function work()
      for i = 1, n do
        local ok, err = d.box:give_way()
        if not ok then return nil, err end
        d:put("d", 10 * i - 9, 10)
        most = math.max(most, outbox_bytes())
      end
      return true
    end
    return work, function() return most end
  end

  it("makes the walk wait until there is room, and all documents come in order", function()
    local sink = delivered.sink("a", function()
      task.sleep(0.001)
      return true
    end, { batch = { documents = 7 } })
    d:open({ sink }, { outbox = 200 })
    local work, most = walk(60)
    local by = d:deliver(work)
    assert.is_true(by.ok)
    assert.same(delivered.range(1, 600), sink.took)
    assert.is_true(most() > 200 and most() < 2 * 200, most())
    assert.equal(0, outbox_bytes())
  end)

  it("waits for the slowest of several sinks", function()
    local fast = delivered.sink "fast"
    local slow = delivered.sink("slow", function()
      task.sleep(0.002)
      return true
    end, { batch = { documents = 5 } })
    d:open({ fast, slow }, { outbox = 300 })
    local work, most = walk(30)
    d:deliver(work)
    assert.same(fast.took, slow.took)
    assert.equal(300, #slow.took)
    assert.is_true(most() < 600)
  end)

  it("ends the walk when the sink that holds it back is given up, names it, and keeps what it holds", function()
    local away = delivered.sink("away", function() return nil, { message = "connection refused", retryable = true } end)
    local well = delivered.sink "well"
    d:open({ away, well }, { outbox = 300, give_up_ms = 20 })
    local by = d:deliver((walk(60)))
    assert.is_nil(by.ok)
    assert.same({ "incomplete", true }, { by.err.kind, by.err.fatal })
    assert.matches("the outbox is full %(%d+ bytes of 300%), so nothing more is fetched; away: connection refused", by.err.message)
    assert.equal(#well.took, by.away.behind)
    assert.is_true(outbox_bytes() > 300)
    away.send = function() return true end
    d:open({ away, well }, { outbox = 300 })
    by = d:deliver()
    assert.same({ 0, #well.took }, { by.away.behind, by.away.delivered })
    assert.equal(0, outbox_bytes())
  end)

  it("ends the run when the state cannot be written, without another attempt", function()
    local sink = delivered.sink("a", nil, { batch = { documents = 5 } })
    d:open{ sink }
    d:put("d", 1, 20)
    local commit = d.store.commit
    d.store.commit = function(self)
      self.db:rollback()
      return nil, { kind = "store", message = "the disk is full" }
    end
    local by = d:deliver()
    d.store.commit = commit
    assert.same({ nil, "the disk is full", 1 }, { by.ok, by.err.message, #sink.batches })
    d:open{ sink }
    d:deliver()
    assert.same(delivered.range(1, 5), table.move(sink.took, 1, 5, 1, {}))
    assert.same(delivered.range(1, 20), table.move(sink.took, 6, 25, 1, {}))
  end)

  describe("of a pipeline", function()
    local sim
    setup(function() sim = run.simulator "--records 20000 --cache 67108864" end)
    teardown(function() sim.stop() end)

    it("costs nothing but time: with a sink that is away it ends with exit code 6, later runs go on where it stopped", function()
      local p = pipelined.new(sim, { sinks = "{ " .. sunk.entry "got" .. " }", outbox = '"64KiB"', give_up = '"0s"',
        ["until"] = '"2026-04-01"', window = '"30d"', page_size = "100" })
      sunk.write(p)
      sunk.down(p, "got", true)
      local got = p:ingest()
      assert.equal(6, got.code)
      assert.matches("defendis: the outbox is full %(%d+ bytes of 65536%), so nothing more is fetched; test:got: connection refused\n$",
        got.err)
      assert.equal(0, #sunk.took(p, "got"))
      assert.equal(6, (p:verify()))
      sunk.down(p, "got", false)
      got = p:ingest()
      assert.same({ 0, "" }, { got.code, got.err })
      local ids, twice = sunk.records(p, "got")
      assert.equal(0, twice)
      assert.is_true(table.concat(pipelined.announced(sim, "dataleaks.credentials", "acme.example")) == table.concat(ids))
      assert.equal(0, (p:verify()))
    end)

    if os.getenv("ASAN_OPTIONS") or scratch.slowness > 1 then
      pending("memory is not measured under a sanitizer or valgrind, which take their own")
    else
      it("is small in memory with a backlog of all records", function()
        local p = pipelined.new(sim, { sinks = "{ " .. sunk.entry "got" .. " }", give_up = '"0s"', scope = '"watchlists"',
          ["until"] = '"2026-04-01"', window = '"30d"', page_size = "1000" })
        sunk.write(p)
        sunk.down(p, "got", true)
        assert.equal(6, p:ingest().code)
        sunk.down(p, "got", false)
        local limited = { prefix = [[sh -c 'ulimit -d 32768; exec "$@"' sh]] }
        local got = p:ingest(limited)
        assert.same({ 0, "" }, { got.code, got.err })
        assert.equal(20000, #sunk.took(p, "got"))
      end)
    end
  end)

  it("says in the pipeline file what its size and patience are, and refuses what is none", function()
    local folder = run.folder()
    local function load(line)
      run.write(folder .. "/p.lua", ([[return pipeline{ scope = "watchlists", datasets = { "dataleaks.documents" }, since = "2026-01-01",
        sinks = { jsonl{ path = "out" } }, store = "s.db", %s }]]):format(line))
      return require("defendis.pipeline.file").load(folder .. "/p.lua")
    end
    local plan = load ""
    assert.same({ 256 << 20, 60000 }, { plan.outbox, plan.give_up_ms })
    plan = load 'outbox = "3KiB", give_up = "2m"'
    assert.same({ 3072, 120000 }, { plan.outbox, plan.give_up_ms })
    for _, bad in ipairs{ "1", '"0MiB"', '"5MB"', '""', '"1.5GiB"' } do
      local none, err = load("outbox = " .. bad)
      assert.is_nil(none)
      assert.truthy(err.message:find('field "outbox": a size such as "256MiB" expected', 1, true), err.message)
    end
    assert.is_nil((load 'give_up = "soon"'))
  end)
end)

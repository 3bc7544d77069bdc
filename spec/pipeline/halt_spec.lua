-- halt_spec.lua: deliveries and walks when the end is asked for.
local core = require "defendis.core"
local delivered = require "support.delivered"
local halt = require "defendis.pipeline.halt"
local scratch = require "support.scratch"
local sys = require("defendis.core").sys
local task = require "defendis.task"
local walker = require "defendis.pipeline.walker"

describe("an outbox that is to end soon", function()
  local d
  before_each(function() d = delivered.new() end)
  after_each(function() d:close() end)

  it("lets the batch under way be acknowledged, and begins no other", function()
    local sink
    sink = delivered.sink("a", function()
      d.box:halt_within(60000)
      task.sleep(0.02)
      return true
    end, { batch = { documents = 2 } })
    d:open{ sink }
    d:put("d", 1, 6)
    local by = d:deliver()
    assert.same({ { 1, 2 } }, sink.batches)
    assert.same({ 2, 4 }, { by.a.delivered, by.a.behind })
  end)

  it("leaves a batch that takes too long, settles nothing of it, and gives it again", function()
    local long
    local sink = delivered.sink("a", function(_, _, call)
      if call > 1 then return true end
      d.box:halt_within(10)
      long = core.client.timer(100)
      task.await(long)
      return true
    end)
    d:open{ sink }
    d:put("d", 1, 3)
    local by = d:deliver()
    assert.same({ 0, 3 }, { by.a.delivered, by.a.behind })
    d:open{ sink }
    by = d:deliver()
    assert.same({ 3, 0 }, { by.a.delivered, by.a.behind })
    task.forget(long)
  end)

  it("does not settle what is acknowledged when it is over", function()
    local late
    local sink = delivered.sink("a", function()
      d.box:halt_within(10)
      task.sleep(0.05)
      late = true
      return true
    end)
    d:open{ sink }
    d:put("d", 1, 3)
    task.parallel{ function()
      d.box:beside(function() return true end)
      while not late do task.sleep(0.01) end
    end }
    assert.equal(3, d.box:summary()[1].behind)
    assert.equal(3, (d.store.db:row "SELECT sum(count) FROM outbox"))
  end)

  it("ends waits between attempts and for room at once", function()
    local later = sys.wall_ms() + 3600000
    local sink = delivered.sink("a", function() return nil, { message = "away", retryable = true, retry_at = later } end)
    d:open({ sink }, { outbox = 10, give_up_ms = math.maxinteger // 2 })
    local by = d:deliver(function()
      d:put("d", 1, 5)
      task.spawn(function()
        while #sink.batches == 0 do task.sleep(0.001) end
        d.box:halt_within(60000)
      end)
      return d.box:give_way()
    end)
    assert.is_true(by.ok)
    assert.same({ 5, "failing", "away" }, { by.a.behind, by.a.stopped, by.a.error })
  end)

  it("that is persistent gives no sink up, whatever it answers", function()
    local sink = delivered.sink("a", function(_, _, call)
      if call < 5 then return nil, { message = "401", retryable = false } end
      return true
    end)
    d:open{ sink }
    d.box.persistent = true
    d:put("d", 1, 3)
    local by = d:deliver()
    assert.same({ 3, 0 }, { by.a.delivered, by.a.behind })
    assert.equal(5, #sink.batches)
  end)
end)

describe("a walk that is to end soon", function()
  it("does not wait for the API any more, nor ask it again", function()
    local ending, asked, from = halt.new(), 0, scratch.uptime()
    local fake = { halt = ending, answered = true, give_way = function() return true end, prefetch = { page = function()
      asked = asked + 1
      return nil, { kind = "rate_limit", retryable = true, retry_at = sys.wall_ms() + 59000 }
    end } }
    local results = task.parallel{ function() return walker.run(fake, { first = 1, row = {} }) end, function()
      while asked == 0 do task.sleep(0.001) end
      ending:ask "stopped by SIGTERM"
    end }
    assert.is_nil(results[1][1])
    assert.same({ "incomplete", true, "stopped by SIGTERM; the next run goes on where this one ended" },
      { results[1][2].kind, results[1][2].halted, results[1][2].message })
    assert.equal(1, asked)
    assert.is_true(scratch.uptime() - from < 30)
  end)
end)

local hostile = require "support.hostile"
local core = require "defendis.core"
local defendis = require "defendis"
local task = require "defendis.task"

describe("sleep", function()
  it("lasts at least as long as asked, and several last no longer than the longest", function()
    local from = core.sys.mono_ms()
    defendis.sleep(0.05)
    local one = core.sys.mono_ms() - from
    assert.is_true(one >= 50 and one < 500, one)
    from = core.sys.mono_ms()
    local sleeps = {}
    for i = 1, 8 do sleeps[i] = function() task.sleep(0.05) end end
    task.parallel(sleeps)
    assert.is_true(core.sys.mono_ms() - from < 300)
    defendis.sleep(0)
  end)

  it("raises for what is no time", function()
    for _, bad in ipairs{ -1, 0 / 0, 1 / 0, "soon", {} } do assert.has_error(function() defendis.sleep(bad) end) end
  end)
end)

describe("await", function()
  after_each(hostile.clean)

  it("raises, and does not wait for ever, for what is not under way", function()
    local server = hostile.serve{ bytes = "" }
    local client = hostile.client(server)
    assert.has_error(function() task.await(1 << 40) end, "nothing is under way that could be waited for")
    local id = assert(client:submit{ method = "GET", path = "/x" })
    assert.has_error(function() task.await(1 << 40) end, "nothing is under way that could be waited for")
    core.client.cancel(id)
  end)

  it("hands out completions in any order", function()
    local server = hostile.serve{ echo = true, spread_ms = 10 }
    local client, ids = hostile.client(server, { in_flight = 16 }), {}
    for i = 1, 10 do ids[i] = client:submit{ method = "GET", path = "/" .. i } end
    for i = 10, 1, -1 do assert.are.equal("/" .. i, task.await(ids[i]).value.target) end
  end)

  it("takes what has come by without waiting for the rest", function()
    local server = hostile.serve({ echo = true }, { bytes = "" })
    local client = hostile.client(server)
    local first = client:submit{ method = "GET", path = "/1" }
    assert.is_false((task.try(first)))
    assert.are.equal("/1", task.await(first).value.target)
    local second = client:submit{ method = "GET", path = "/2" }
    core.client.poll()
    assert.is_false((task.try(second)))
    core.client.cancel(second)
    assert.has_error(function() task.await(second) end, "nothing is under way that could be waited for")
  end)
end)

describe("a signal", function()
  local parallel = task.parallel

  local function good(results)
    for _, r in ipairs(results) do
      if not r.ok then error(r[1], 0) end
    end
  end

  it("wakes all that wait for it, once, and none that comes later", function()
    local signal, said = task.signal(), {}
    local function waiter(name) return function()
      signal:wait()
      said[#said + 1] = name
    end end
    good(parallel{ waiter "a", waiter "b", function()
      signal:notify()
      said[#said + 1] = "notified"
      task.pass()
      said[#said + 1] = "passed"
    end })
    assert.same({ "notified", "a", "b", "passed" }, said)
    assert.has_error(function() good(parallel{ function()
      signal:notify()
      signal:wait()
    end }) end, "nothing is under way that could be waited for")
  end)

  it("is waited for no longer than asked, and is then forgotten", function()
    local signal = task.signal()
    local woken = 0
    good(parallel{ function()
      signal:wait(0.001)
      woken = woken + 1
      signal:notify() -- nobody: it must not wake itself later
      task.sleep(0.002)
      woken = woken + 1
    end })
    assert.equal(2, woken)
  end)

  it("wakes before the time, and the timer wakes nobody afterwards", function()
    local signal, said = task.signal(), {}
    good(parallel{ function()
      signal:wait(0.003)
      said[#said + 1] = "woken"
      task.sleep(0.01)
      said[#said + 1] = "slept"
    end, function() signal:notify() end })
    assert.same({ "woken", "slept" }, said)
  end)

  it("that comes with its timer wakes once", function()
    local signal, turns = task.signal(), 0
    good(parallel{ function()
      signal:wait(0)
      turns = turns + 1
      task.sleep(0.002)
      turns = turns + 1
    end, function()
      local until_ms = core.sys.mono_ms() + 2
      while core.sys.mono_ms() < until_ms do core.client.poll() end
      task.pass() -- collects the timer
      signal:notify()
    end })
    assert.equal(2, turns)
  end)

  it("cannot be waited for where nobody could notify it", function()
    assert.has_error(function() task.signal():wait() end)
  end)
end)

describe("pass", function()
  it("lets the others go on while one works, and takes in what has come", function()
    local said = {}
    local results = task.parallel{ function()
      for i = 1, 3 do
        said[#said + 1] = "a" .. i
        task.pass()
      end
    end, function()
      said[#said + 1] = "b1"
      task.pass()
      said[#said + 1] = "b2"
    end }
    assert.same({ true, true }, { results[1].ok, results[2].ok })
    assert.same({ "a1", "b1", "a2", "b2", "a3" }, said)
    task.pass() -- outside it does nothing
  end)

  it("does not keep a function from its timer", function()
    local slept = false
    local results = task.parallel{ function()
      task.sleep(0.002)
      slept = true
    end, function()
      while not slept do task.pass() end
    end }
    assert.is_true(results[2].ok)
  end)
end)

describe("forget", function()
  after_each(hostile.clean)

  it("drops a request, whether its completion was taken in or not", function()
    local server = hostile.serve{ echo = true }
    local client = hostile.client(server)
    local first = client:submit{ method = "GET", path = "/1" }
    task.forget(first)
    assert.has_error(function() task.await(first) end)
    first = client:submit{ method = "GET", path = "/1" }
    while not core.client.ready(first) do core.client.poll() end
    task.parallel{ task.pass } -- takes in what has come
    assert.is_false(core.client.ready(first))
    task.forget(first)
    assert.has_error(function() task.await(first) end)
  end)
end)

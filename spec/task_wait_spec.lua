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

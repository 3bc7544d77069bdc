-- A function that slept for no time at all, again and again, kept every request of the others from being sent.
local hostile = require "support.hostile"
local scratch = require "support.scratch"
local task = require "defendis.task"

describe("sleeping for no time", function()
  after_each(hostile.clean)

  it("lets the requests of others go on", function()
    local server = hostile.serve{ echo = true }
    local client = hostile.client(server)
    local value
    local deadline = scratch.uptime() + 5 * scratch.slowness
    task.parallel{ function() value = client:get "/api/v1/x" end, function()
      while not value and scratch.uptime() < deadline do task.sleep(0) end
    end }
    assert.equal("/api/v1/x", value.target)
    assert.is_true(scratch.uptime() < deadline)
    client:close()
  end)
end)

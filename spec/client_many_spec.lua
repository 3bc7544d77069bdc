-- client_many_spec.lua: many calls at once on one client.
local hostile = require "support.hostile"
local scratch = require "support.scratch"
local task = require "defendis.task"

describe("64 calls at once on one client", function()
  after_each(hostile.clean)

  it("H23: get each its own answer in 10,000, on no more connections than may be open, which are used again", function()
    local server = hostile.serve{ echo = true }
    local client = hostile.client(server, { in_flight = 32, timeout = 120 })
    local total, mixed, functions = 10000 // scratch.slowness, 0, {}
    for lane = 1, 64 do
      functions[lane] = function()
        for n = lane, total, 64 do
          local path = ("/api/v1/%d"):format(n)
          if assert(client:get(path)).target ~= path then mixed = mixed + 1 end
        end
      end
    end
    for _, r in ipairs(task.parallel(functions, { concurrency = 64 })) do assert.is_true(r.ok, tostring(r[1])) end
    local requests, connections, peak = server:count()
    assert.same({ 0, total }, { mixed, requests })
    assert.is_true(connections <= 32 and peak <= 32, connections .. " " .. peak)
  end)

  it("keep every place on the wire in use while the server takes its time", function()
    local server = hostile.serve{ echo = true, delay_ms = 250 * scratch.slowness } -- time enough for 64 to be sent
    local client, functions = hostile.client(server, { in_flight = 64, timeout = 60 }), {}
    for i = 1, 128 do functions[i] = function() assert(client:get("/" .. i)) end end
    for _, r in ipairs(task.parallel(functions, { concurrency = 128 })) do assert.is_true(r.ok, tostring(r[1])) end
    local requests, connections, peak = server:count()
    assert.equal(128, requests)
    assert.is_true(peak <= 64 and connections <= 64)
    assert.is_true(peak >= 58, peak) -- nine in ten of them
  end)
end)

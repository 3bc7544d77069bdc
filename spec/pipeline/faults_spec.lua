-- faults_spec.lua: an API that misbehaves costs time and nothing else.
local cjson = require "cjson"
local pipelined = require "support.pipelined"
local run = require "support.run"
local scripted = require "support.scripted"

describe("ingest against an API with faults", function()
  local sim

  after_each(function()
    sim.stop()
    run.clean()
  end)

  local function complete(faults, records, options)
    sim = run.simulator(("--records %d --fault %s"):format(records, faults))
    local p = pipelined.new(sim, options)
    local got = p:ingest()
    assert.equal("", got.err)
    assert.equal(0, got.code)
    local code, text = p:verify()
    assert.equal(0, code, text)
    for _, dataset in ipairs{ "dataleaks.credentials", "dataleaks.documents", "dataleaks.paymentcards" } do
      local wanted = {}
      if (options.datasets or "dataleaks.credentials"):find(dataset, 1, true) then
        local inputs = dataset == "dataleaks.paymentcards" and { "411111", "555555" }
          or { "acme.example", "acme-labs.example", "globex.example" }
        if options.scope and not options.scope:find("watchlists") then inputs = { "acme.example" } end
        for _, input in ipairs(inputs) do
          for _, id in ipairs(pipelined.announced(sim, dataset, input)) do wanted[#wanted + 1] = id end
        end
        assert.is_true(#wanted > 0)
      end
      table.sort(wanted)
      assert.same(wanted, p:ids(dataset))
    end
    return p
  end

  local ALL = { scope = '"watchlists"', datasets = '{ "dataleaks.credentials", "dataleaks.documents", "dataleaks.paymentcards" }',
    ["until"] = '"2026-04-01"', window = '"30d"', page_size = "25" }

  it("finishes with exactly the records announced when requests fail at random", function()
    complete("429=0.1,500=0.05,truncate=0.02,repeat=0.02", 2000, ALL)
  end)

  it("goes on when the client's budget for retries is used up many times over", function()
    -- without Retry-After, so that the faults do not slow the test; a third of all requests fail
    complete("429-bare=0.2,500=0.1,truncate=0.05,repeat=0.02", 1100, { ["until"] = '"2026-04-01"', window = '"10d"', page_size = "10",
      scope = '{ domain = { "acme.example" } }' })
  end)

  local ONE = { scope = '{ domain = { "acme.example" } }', ["until"] = '"2026-04-01"', window = '"30d"', page_size = "10" }
  for name, rate in pairs{ badjson = 0.05, totals = 0.15, emptymore = 0.15, ["repeat"] = 0.08, ["502"] = 0.15, ["503"] = 0.15,
    truncate = 0.1, slow = 0.1 } do
    it("is complete with " .. name .. " alone", function() complete(("%s=%g"):format(name, rate), 600, ONE) end)
  end

  it("sends the same frozen parameters with every request of a window", function()
    sim = run.simulator("--records 1000 --fault totals=0.2,500=0.05")
    local p = pipelined.new(sim, { ["until"] = '"2026-04-01"', window = '"30d"', page_size = "20" })
    assert.equal(0, p:ingest().code)
    local seen, n = {}, 0
    for _, r in ipairs(cjson.decode(scripted.get(sim.base_url, "/simulator/log")).requests) do
      local query = ("&" .. r.query .. "&"):gsub("&page=%d+&", "&")
      local from = query:match("fromDate=([%d-]+)")
      assert.equal(seen[from] or query, query)
      seen[from] = query
      n = n + 1
    end
    assert.is_true(n > 40)
    local windows = {}
    for from, query in pairs(seen) do windows[#windows + 1] = from .. query:match("toDate=([%d-]+)") .. query:match("pageSize=(%d+)") end
    table.sort(windows)
    assert.same({ "2026-01-012026-01-3120", "2026-01-312026-03-0220", "2026-03-022026-04-0120" }, windows)
    for _, query in pairs(seen) do assert.truthy(query:find("&domain=acme.example&", 1, true)) end
  end)
end)

-- memory_spec.lua: what ingest holds does not grow with what it ingests.
local pipelined = require "support.pipelined"
local run = require "support.run"
local scratch = require "support.scratch"

-- A pipeline in stock Lua, which can say how much memory it took at most.
local MEASURED = [[
local core = require "defendis.core"
local plan = assert(require("defendis.pipeline.file").load((...)))
local summary, err = require("defendis.pipeline").run(plan, {})
assert(summary and not err, err and err.message)
for line in io.lines("/proc/self/status") do
  local peak = line:match("^VmHWM:%s+(%d+) kB")
  if peak then print(summary.records, peak) end
end
]]

describe("the memory of ingest", function()
  local sim

  after_each(function()
    if sim then sim.stop() end
    sim = nil
    run.clean()
  end)

  local function pipeline(records, options)
    if sim then sim.stop() end
    sim = run.simulator("--records " .. records)
    options["until"], options.scope, options.page_size = '"2026-04-01"', '"watchlists"', "100"
    return pipelined.new(sim, options)
  end

  local function peak(records)
    local p = pipeline(records, {})
    local out, code = scratch.lua(MEASURED, ("DEFENDIS_BASE_URL=%s DEFENDIS_API_KEY=%s"):format(sim.base_url, sim.api_key), p.path)
    assert.equal(0, code, out)
    local got, kib = out:match("^(%d+)%s+(%d+)")
    assert.equal(records, tonumber(got))
    return tonumber(kib)
  end

  if os.getenv("ASAN_OPTIONS") or scratch.slowness > 1 then
    pending("is not measured under a sanitizer or valgrind, which take their own")
  else
    it("is under 64 MiB and does not follow the number of pages", function()
      local small, large = peak(50000), peak(200000)
      assert.is_true(large < 64 * 1024, large .. " KiB")
      assert.is_true(large - small < 8 * 1024, ("%d KiB, then %d KiB"):format(small, large))
    end)

    it("stays small when rules have a window of many days to decide at once", function()
      local rules = io.popen("cd examples/rules && pwd"):read("l")
      local p = pipeline(50000, { rules = ('{ "%s/" }'):format(rules), window = '"90d"' })
      -- all memory that is not shared with a file: malloc fails beyond 64 MiB
      local got = p:ingest{ prefix = [[sh -c 'ulimit -d 65536; exec "$@"' sh]] }
      assert.equal("", got.err)
      assert.equal(0, got.code)
      assert.equal(50000, #p:lines())
    end)
  end
end)

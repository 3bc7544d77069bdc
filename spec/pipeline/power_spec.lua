-- power_spec.lua: what was committed is there after a power loss at any moment, whatever the disk made of what was not synced.
-- SEED=n repeats one case; POWER_SEEDS=n runs so many in all.
local disk = require "support.disk"
local exact = require "support.exact"
local run = require "support.run"
local scratch = require "support.scratch"

local ONE = math.tointeger(tonumber(os.getenv("SEED")))
local SEEDS = math.tointeger(tonumber(os.getenv("POWER_SEEDS"))) or 500
local CONTROLS <const> = 40

-- Calls work(seed) for a number of seeds, or for the one asked for. It returns what is wrong, or nothing.
local function each_seed(count, work)
  for seed = ONE or 1, ONE or count do
    local problem = work(seed)
    if problem then error(("%s; SEED=%d make test SPECS=spec/pipeline/power_spec.lua repeats it"):format(problem, seed), 0) end
  end
end

-- The page commit in small, as pipeline/commit.lua does it. First it looks at what it finds: the records 1 to n, n being no less
-- than what was acknowledged. Then it says each page that is acknowledged. pages = 0: only looks.
local COMMITS = [[
  local folder, acknowledged, pages, checkpoint, synchronous, syncs = ...
  local core = require "defendis.core"
  local path, out_path = folder .. "/state.db", folder .. "/out.jsonl"
  local function pad(i) return ("%d "):format(i):rep(20 + i % 60) end
  local s = assert(core.store.open(path, { exclusive = true,
    migrations = { "CREATE TABLE seen(n INTEGER PRIMARY KEY, pad); CREATE TABLE at(o); INSERT INTO at VALUES(0)" } }))
  assert(s:row "PRAGMA integrity_check" == "ok", "the state is damaged")
  assert(s:exec("PRAGMA wal_autocheckpoint=" .. checkpoint))
  assert(s:exec("PRAGMA synchronous=" .. synchronous))
  local out = assert(core.stream.open(out_path, (s:row "SELECT o FROM at")))
  local n, rows = 0, 0
  for line in io.lines(out_path) do
    n = n + 1
    assert(line == tostring(n), "line " .. n)
  end
  for i, text in s:rows "SELECT n, pad FROM seen ORDER BY n" do
    rows = rows + 1
    assert(i == rows and text == pad(i), "row " .. rows)
  end
  assert(n == rows, rows .. " rows, " .. n .. " lines")
  assert(n >= tonumber(acknowledged), acknowledged .. " acknowledged, there are " .. n)
  for _ = 1, pages do
    assert(s:begin())
    for i = n + 1, n + 20 do
      assert(s:exec("INSERT INTO seen VALUES(?, ?)", i, pad(i)))
      assert(out:write(i .. "\n"))
    end
    n = n + 20
    assert(syncs == "no" or out:sync())
    assert(s:exec("UPDATE at SET o = ?", out:offset()))
    assert(s:commit())
    io.stdout:write(n, "\n")
    io.stdout:flush()
  end
]]

if scratch.slowness > 1 then
  describe("a power loss", function()
    pending "a program that ends at an operation of our choice leaves what it had: not under valgrind"
  end)
  return
end

describe("a power loss", function()
  after_each(run.clean)

  local function commits(seed, synchronous, syncs)
    local dir, acknowledged, case = run.folder(), 0, nil
    math.randomseed(seed)
    local rounds = math.random(2)
    for round = 1, rounds + 1 do
      local lossy = round <= rounds
      local fault = { dir = dir, fault = lossy and "power" or "none", at = math.random(round == 1 and 190 or 150), seed = seed + round }
      local out, code = scratch.lua(COMMITS, disk.words(fault), dir, acknowledged, lossy and 8 or 0, math.random(2) == 1 and 10 or 8000,
        synchronous or "FULL", syncs or "yes")
      if code ~= (lossy and disk.LOST_POWER or 0) or out:find("traceback", 1, true) then return ("%s%s"):format(out, case or "") end
      acknowledged = tonumber(out:match("(%d+)\n?$")) or acknowledged
      case = (" (loss %d at operation %d %s %s)"):format(round, disk.report())
    end
    scratch.remove(dir)
  end

  it("costs no acknowledged page and doubles no line, in state and files", function()
    each_seed(SEEDS - SEEDS // 8, commits)
  end)

  local function blind(work)
    for seed = 1, CONTROLS do
      if work(seed) then return false end
    end
    return true
  end

  it("is felt when the state is not synced, or the file is not: the test sees", function()
    assert.is_false(blind(function(seed) return commits(seed, "OFF") end))
    assert.is_false(blind(function(seed) return commits(seed, "FULL", "no") end))
  end)

  describe("during a pipeline", function()
    local whole

    -- A run looks at the state that it finds, then says how many records were received in acknowledged pages.
    local INGEST = [[
      local path, state, acknowledged = ...
      local total = 0
      if io.open(state) then
        local s <close> = assert(require("defendis.store").open(state, { exclusive = true }))
        assert(s.db:row "PRAGMA integrity_check" == "ok", "the state is damaged")
        for row in s:windows() do total = total + row.received end
      end
      assert(total >= tonumber(acknowledged), acknowledged .. " acknowledged, there are " .. total)
      local plan = assert(require("defendis.pipeline.file").load(path))
      local function say(r)
        io.stdout:write(total + r.records, "\n")
        io.stdout:flush()
      end
      local summary, err = require("defendis.pipeline").run(plan, { progress = say })
      assert(summary and not err, err)
    ]]

    setup(function() whole = exact.new() end)
    teardown(function() whole.sim.stop() end)

    local function ingests(seed, fault)
      local p, acknowledged, case = whole:pipeline(), 0, nil
      math.randomseed(seed)
      local rounds = math.random(2)
      for round = 1, rounds + 1 do
        local lossy = round <= rounds
        local o = { dir = p.folder, fault = lossy and (fault or "power") or "none", at = math.random(400), seed = seed + round }
        local out, code = scratch.lua(INGEST, disk.words(o, p.env), p.path, p.folder .. "/state.db", acknowledged)
        if code ~= (lossy and disk.LOST_POWER or 0) or out:find("traceback", 1, true) then return out .. (case or "") end
        acknowledged = tonumber(out:match("(%d+)\n?$")) or acknowledged
        case = (" (loss %d at operation %d %s %s)"):format(round, disk.report())
      end
      local problem = whole:problem(p)
      return problem and problem .. case
    end

    it("costs no acknowledged page; the next run delivers every record and finding once", function()
      each_seed(SEEDS // 8, function(seed)
        local problem = ingests(seed)
        run.clean()
        return problem
      end)
    end)

    it("is felt on a disk that ignores syncs: the test sees", function()
      assert.is_false(blind(function(seed) return ingests(seed, "unsynced") end))
    end)
  end)
end)

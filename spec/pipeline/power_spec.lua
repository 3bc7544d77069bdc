-- power_spec.lua: what was committed is there after a power loss at any moment, whatever the disk made of what was not synced.
-- SEED=n repeats one case; POWER_SEEDS=n runs so many in all.
local core = require "defendis.core"
local disk = require "support.disk"
local pipelined = require "support.pipelined"
local run = require "support.run"
local scratch = require "support.scratch"
local store = require "defendis.store"

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

-- The page commit in small, as pipeline/commit.lua does it. Says each page that was acknowledged.
local COMMITS = [[
  local path, out_path, checkpoint, synchronous, syncs = ...
  local core = require "defendis.core"
  local s = assert(core.store.open(path, { exclusive = true,
    migrations = { "CREATE TABLE seen(n INTEGER PRIMARY KEY, pad); CREATE TABLE at(o); INSERT INTO at VALUES(0)" } }))
  assert(s:exec("PRAGMA wal_autocheckpoint=" .. checkpoint))
  assert(s:exec("PRAGMA synchronous=" .. synchronous))
  local out = assert(core.stream.open(out_path, (s:row "SELECT o FROM at")))
  for _ = 1, 8 do
    local n = s:row "SELECT coalesce(max(n), 0) FROM seen"
    assert(s:begin())
    for i = n + 1, n + 20 do
      assert(s:exec("INSERT INTO seen VALUES(?, ?)", i, ("%d "):format(i):rep(20 + i % 60)))
      assert(out:write(i .. "\n"))
    end
    assert(syncs == "no" or out:sync())
    assert(s:exec("UPDATE at SET o = ?", out:offset()))
    assert(s:commit())
    io.stdout:write(n + 20, "\n")
    io.stdout:flush()
  end
]]

-- What the next start finds, or what is wrong with it.
local function examine(path, out_path, acknowledged)
  local s <close>, err = core.store.open(path, { exclusive = true,
    migrations = { "CREATE TABLE seen(n INTEGER PRIMARY KEY, pad); CREATE TABLE at(o); INSERT INTO at VALUES(0)" } })
  if not s then return err.message end
  local sound = s:row "PRAGMA integrity_check"
  if sound ~= "ok" then return "integrity_check: " .. sound end
  local out <close>, problem = core.stream.open(out_path, (s:row "SELECT o FROM at"))
  if not out then return problem.message end
  local n = 0
  for line in io.lines(out_path) do
    n = n + 1
    if line ~= tostring(n) then return ("line %d is %q"):format(n, line) end
  end
  local rows = 0
  for i, pad in s:rows "SELECT n, pad FROM seen ORDER BY n" do
    rows = rows + 1
    if i ~= rows or pad ~= ("%d "):format(i):rep(20 + i % 60) then return ("row %d is wrong"):format(rows) end
  end
  if rows ~= n then return ("%d rows, %d lines"):format(rows, n) end
  if n < acknowledged then return ("%d records were acknowledged, %d are there"):format(acknowledged, n) end
end

describe("a power loss", function()
  after_each(run.clean)

  local function commits(seed, synchronous, syncs)
    local dir, acknowledged, at = run.folder(), 0, nil
    local path, out_path = dir .. "/state.db", dir .. "/out.jsonl"
    math.randomseed(seed)
    for round = 1, math.random(3) do
      at = math.random(round == 1 and 190 or 150)
      local out, code = scratch.lua(COMMITS, disk.words{ dir = dir, fault = "power", at = at, seed = seed + round }, path, out_path,
        math.random(2) == 1 and 10 or 8000, synchronous or "FULL", syncs or "yes")
      if code ~= disk.LOST_POWER then return out end
      acknowledged = tonumber(out:match("(%d+)\n?$")) or acknowledged
      local problem = examine(path, out_path, acknowledged)
      if problem then return ("%s (round %d, operation %d %s %s)"):format(problem, round, disk.report()) end
    end
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
    local sim, announced, findings

    -- A run says how many records its commits have acknowledged.
    local INGEST = [[
      local plan = assert(require("defendis.pipeline.file").load(...))
      local function say(r)
        io.stdout:write(r.records, "\n")
        io.stdout:flush()
      end
      local summary, err = require("defendis.pipeline").run(plan, { progress = say })
      assert(summary, err)
      assert(not err, err)
    ]]

    local function pipeline()
      local rules = io.popen("cd examples/rules && pwd"):read("l")
      return pipelined.new(sim, { ["until"] = '"2026-04-01"', window = '"45d"', page_size = "30", rules = ('{ "%s/" }'):format(rules) })
    end

    setup(function()
      sim = run.simulator("--records 300")
      announced = table.concat(pipelined.announced(sim, "dataleaks.credentials", "acme.example"), "\n")
      local p = pipeline()
      assert.equal(0, p:ingest().code)
      findings = p:lines("findings")
      table.sort(findings)
      findings = table.concat(findings, "\n")
      assert.is_true(#findings > 0)
      run.clean()
    end)
    teardown(function() sim.stop() end)

    -- Records that the state says were received, or nil, what is wrong.
    local function received(p)
      if not io.open(p.folder .. "/state.db") then return 0 end
      local s <close>, err = store.open(p.folder .. "/state.db", { exclusive = true })
      if not s then return nil, err.message end
      local sound = s.db:row "PRAGMA integrity_check"
      if sound ~= "ok" then return nil, "integrity_check: " .. sound end
      local n = 0
      for row in s:windows() do n = n + row.received end
      return n
    end

    local function whole(p)
      local got = p:ingest()
      if got.code ~= 0 then return ("exit code %d: %s"):format(got.code, got.err) end
      local code, text = p:verify()
      if code ~= 0 then return text end
      local lines, ids = p:lines("findings"), {}
      table.sort(lines)
      for i, line in ipairs(p:lines()) do ids[i] = line:match('"original_event_uid":"([%x-]+)"') or "broken line" end
      table.sort(ids)
      if table.concat(ids, "\n") ~= announced then return "the records are not those announced, each once" end
      if table.concat(lines, "\n") ~= findings then return "the findings differ" end
    end

    local function ingests(seed, fault)
      local p, before = pipeline(), 0
      math.randomseed(seed)
      for round = 1, math.random(2) do
        local at = math.random(400)
        local out, code = scratch.lua(INGEST, disk.words({ dir = p.folder, fault = fault or "power", at = at, seed = seed + round }, p.env),
          p.path)
        local case = ("(round %d, operation %d %s %s)"):format(round, disk.report())
        if code ~= disk.LOST_POWER then return ("exit code %d: %s %s"):format(code, out, case) end
        local after, problem = received(p)
        local acknowledged = before + (tonumber(out:match("(%d+)\n?$")) or 0)
        if not after then return problem .. " " .. case end
        if after < acknowledged then return ("%d records were acknowledged, %d are there %s"):format(acknowledged, after, case) end
        before = after
      end
      local problem = whole(p)
      return problem and ("%s (operation %d %s %s)"):format(problem, disk.report())
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

-- kill_spec.lua: a process that dies at any moment loses nothing and doubles nothing.
local pipelined = require "support.pipelined"
local run = require "support.run"
local scratch = require "support.scratch"

local KILLS = math.tointeger(tonumber(os.getenv("KILLS"))) or scratch.slowness == 1 and 100 or 5 -- `make soak` asks for more
local RECORDS <const> = scratch.slowness == 1 and 20000 or 2000

local function sorted(lines)
  table.sort(lines)
  return lines
end

-- The ids of the records behind the normalized documents.
local function record_ids(p, folder)
  local ids = {}
  for i, line in ipairs(p:lines(nil, folder)) do ids[i] = assert(line:match('"original_event_uid":"([%x-]+)"')) end
  return sorted(ids)
end

-- Words before the program that kill it when a command of the shell has ended; its exit code is then 137.
local function killed_after(command)
  return ([[sh -c '"$@" & pid=$!; %s; kill -9 $pid 2>/dev/null; wait $pid' sh]]):format(command)
end

describe("kill -9", function()
  local sim

  setup(function() sim = run.simulator(("--records %d --cache 67108864"):format(RECORDS)) end)
  teardown(function()
    sim.stop()
    run.clean()
  end)

  local function pipeline()
    local rules = io.popen("cd examples/rules && pwd"):read("l")
    return pipelined.new(sim, { scope = '"watchlists"', ["until"] = '"2026-04-01"', window = '"10d"', page_size = "50",
      rules = ('{ "%s/" }'):format(rules), sinks = '{ jsonl{ path = "out" }, jsonl{ path = "second" } }' })
  end

  it("at " .. KILLS .. " random moments costs no record, doubles none, and changes no finding", function()
    local announced = {}
    for _, domain in ipairs{ "acme.example", "acme-labs.example", "globex.example" } do
      for _, id in ipairs(pipelined.announced(sim, "dataleaks.credentials", domain)) do announced[#announced + 1] = id end
    end
    sorted(announced)
    assert.equal(RECORDS, #announced)

    local undisturbed = pipeline()
    undisturbed:ingest() -- fills the simulator's cache
    undisturbed = pipeline()
    local began = scratch.uptime()
    assert.equal(0, undisturbed:ingest().code)
    local duration = scratch.uptime() - began
    local findings = sorted(undisturbed:lines("findings"))
    assert.is_true(#findings > 100)
    assert.same(announced, record_ids(undisturbed))

    local seed = tonumber(os.getenv("SEED")) or os.time()
    math.randomseed(seed)
    local case = ("seed %d; SEED=%d repeats it"):format(seed, seed)
    local hits, tries, rounds, p = 0, 0, 0, nil
    while hits < KILLS do
      assert.is_true(tries < 2 * KILLS, "too few kills met a running process: " .. case)
      p = p or pipeline()
      tries = tries + 1
      -- short against the whole, so that a round takes many kills; now and then up to all of it
      local delay = math.random() * duration * (math.random(10) == 1 and 1 or 0.1)
      local got = p:ingest{ prefix = killed_after(("sleep %.4f"):format(delay)) }
      if got.code == 137 then
        hits = hits + 1
      else
        assert.equal(0, got.code, case .. ": " .. got.err)
      end
      if got.code == 0 or hits == KILLS then
        rounds = rounds + 1
        local last = p:ingest()
        assert.equal(0, last.code, case .. ": " .. last.err)
        local code, text = p:verify()
        assert.equal(0, code, case .. ": " .. text)
        for _, folder in ipairs{ "out", "second" } do
          assert.is_true(table.concat(announced) == table.concat(record_ids(p, folder)), "records differ: " .. case)
          assert.is_true(table.concat(findings, "\n") == table.concat(sorted(p:lines("findings", folder)), "\n"),
            "findings differ: " .. case)
        end
        p = nil
      end
    end
    print(("kill_spec: %d of %d kills met a running process, in %d rounds, an undisturbed run takes %.1f s (%s)"):format(hits, tries,
      rounds, duration, case))
  end)

  it("is what a ledger notices until the work is done", function()
    local p = pipeline()
    assert.equal(137, p:ingest{ prefix = killed_after("until [ -s " .. p.folder .. "/out/dataleaks.credentials.jsonl ]; do :; done") }.code)
    local code, text = p:verify()
    assert.equal(6, code, text)
    assert.truthy(text:find("not complete", 1, true))
  end)
end)

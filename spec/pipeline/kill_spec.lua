-- kill_spec.lua: a process that dies at any moment loses nothing; files and databases are exact, other sinks get a batch twice at most.
local core = require "defendis.core"
local pipelined = require "support.pipelined"
local run = require "support.run"
local scratch = require "support.scratch"
local sunk = require "support.sunk"

local KILLS = math.tointeger(tonumber(os.getenv("KILLS"))) or scratch.slowness == 1 and 100 or 5 -- `make soak` asks for more
local RECORDS <const> = scratch.slowness == 1 and 20000 or 2000
local BATCH <const> = 500
local LEAKS <const> = 0x64666462 -- application id of the sink's files

local function sorted(lines)
  table.sort(lines)
  return lines
end

-- The ids of the records behind the normalized documents.
local function record_ids(p)
  local ids = {}
  for i, line in ipairs(p:lines()) do ids[i] = assert(line:match('"original_event_uid":"([%x-]+)"')) end
  return sorted(ids)
end

-- The same of what the database sink has, and its findings.
local function in_database(p)
  local db <close> = assert(core.store.open(p.folder .. "/leaks.db", { readonly = true, application_id = LEAKS, migrations = { "" } }))
  local ids, findings = {}, {}
  for doc in db:rows "SELECT doc FROM dataleaks_credentials" do ids[#ids + 1] = assert(doc:match('"original_event_uid":"([%x-]+)"')) end
  for doc in db:rows "SELECT doc FROM findings" do findings[#findings + 1] = doc end
  return sorted(ids), sorted(findings)
end

-- And of what a sink took that only appends; and how many documents came again.
local function taken(p)
  local seen, ids, findings, again = {}, {}, {}, 0
  for _, d in ipairs(sunk.took(p, "took")) do
    if seen[d.id] then
      again = again + 1
      assert(seen[d.id] == d.json, "one id, two documents")
    else
      seen[d.id] = d.json
      if d.kind == "findings" then
        findings[#findings + 1] = d.json
      else
        ids[#ids + 1] = assert(d.json:match('"original_event_uid":"([%x-]+)"'))
      end
    end
  end
  return sorted(ids), sorted(findings), again
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
    return sunk.write(pipelined.new(sim, { scope = '"watchlists"', ["until"] = '"2026-04-01"', window = '"10d"', page_size = "50",
      rules = ('{ "%s/" }'):format(rules), sinks = ('{ jsonl{ path = "out" }, sqlite{ path = "leaks.db" }, %s }'):format(
        sunk.entry("took", "documents = " .. BATCH)) }))
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
    local hits, tries, rounds, killed, p = 0, 0, 0, 0, nil
    while hits < KILLS do
      assert.is_true(tries < 2 * KILLS, "too few kills met a running process: " .. case)
      p = p or pipeline()
      tries = tries + 1
      -- short against the whole, so that a round takes many kills; now and then up to all of it
      local delay = math.random() * duration * (math.random(10) == 1 and 1 or 0.1)
      local got = p:ingest{ prefix = killed_after(("sleep %.4f"):format(delay)) }
      if got.code == 137 then
        hits, killed = hits + 1, killed + 1
      else
        assert.equal(0, got.code, case .. ": " .. got.err)
      end
      if got.code == 0 or hits == KILLS then
        rounds = rounds + 1
        local last = p:ingest()
        assert.equal(0, last.code, case .. ": " .. last.err)
        local code, text = p:verify()
        assert.equal(0, code, case .. ": " .. text)
        local function same(sink, ids, found)
          assert.is_true(table.concat(announced) == table.concat(ids), ("%s: %d records, not the %d announced: %s"):format(sink, #ids,
            #announced, case))
          assert.is_true(table.concat(findings, "\n") == table.concat(found, "\n"), sink .. ": findings differ: " .. case)
        end
        same("jsonl", record_ids(p), sorted(p:lines "findings"))
        same("sqlite", in_database(p))
        local ids, found, again = taken(p)
        same("own", ids, found)
        assert.is_true(again <= BATCH * killed, ("%d documents came again after %d kills: %s"):format(again, killed, case))
        p, killed = nil, 0
        run.clean() -- the folders of a thousand kills are many gigabytes
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

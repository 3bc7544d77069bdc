-- elastic_kill_spec.lua: an index has each document once, at whichever moments the program that fills it dies.
local cjson = require "cjson"
local pipelined = require "support.pipelined"
local run = require "support.run"
local scratch = require "support.scratch"
local scripted = require "support.scripted"

local KILLS = math.tointeger(tonumber(os.getenv("KILLS"))) or scratch.slowness == 1 and 100 or 5 -- `make soak` asks for more
local RECORDS <const> = scratch.slowness == 1 and 7000 or 1000
local BATCH <const> = 500 -- documents in a request
local MOST <const> = scratch.slowness == 1 and 3 or 1 -- requests until the index kills

describe("the elastic sink", function()
  local sim, index

  setup(function()
    sim = run.simulator(("--records %d --cache 67108864"):format(RECORDS))
    index = scripted.start [[return require("support.receiver").handler '"id":"([^"]+)"']]
  end)
  teardown(function()
    index.stop()
    sim.stop()
    run.clean()
  end)

  local function ask(what) return scripted.get(index.base_url, "/receiver/" .. what) end

  local function pipeline()
    ask "reset"
    return pipelined.new(sim, { ["until"] = '"2026-04-01"', window = '"30d"', page_size = "250",
      sinks = ('{ elastic{ url = "%s", index = "leaks" } }'):format(index.base_url) })
  end

  -- Words before the program that kill it after a random time, or note which process the index is to kill.
  local function doom(p, try)
    local moment = try % 3
    if moment == 1 then
      return ([[sh -c '"$@" & pid=$!; sleep %.4f; kill -9 $pid 2>/dev/null; wait $pid' sh]]):format(math.random() * 0.15 * scratch.slowness)
    end
    local file = p.folder .. "/pid"
    ask(("kill?pid=%s&at=%d&when=%s"):format(file, math.random(MOST), moment == 2 and "stored" or "unstored"))
    return ([[sh -c 'echo $$ >%s; exec "$@"' sh]]):format(file)
  end

  it("fills an index with each document once over " .. KILLS .. " kills, and sends a batch again for each at most", function()
    local announced = #pipelined.announced(sim, "dataleaks.credentials", "acme.example")
    assert.is_true(announced > RECORDS // 2)
    local seed = tonumber(os.getenv("SEED")) or os.time()
    math.randomseed(seed)
    local case = ("seed %d; SEED=%d repeats it"):format(seed, seed)
    local hits, tries, rounds, killed, repeats, p = 0, 0, 0, 0, 0, nil
    while hits < KILLS do
      assert.is_true(tries < 3 * KILLS, "too few kills met a running process: " .. case)
      p, tries = p or pipeline(), tries + 1
      local got = p:ingest{ prefix = doom(p, tries) }
      if got.code == 137 then
        hits, killed = hits + 1, killed + 1
      else
        assert.equal(0, got.code, case .. ": " .. got.err)
      end
      if got.code == 0 or hits == KILLS then
        ask "kill?at=0&when=never"
        local last = p:ingest()
        assert.equal(0, last.code, case .. ": " .. last.err)
        local there = cjson.decode(ask "counts")["elastic leaks"]
        assert.same({ announced, announced, 0 }, { there.documents, there.records, there.changed }, case)
        assert.is_true(there.repeats <= BATCH * killed, ("%d documents came again after %d kills: %s"):format(there.repeats, killed, case))
        rounds, repeats, killed, p = rounds + 1, repeats + there.repeats, 0, nil
      end
    end
    assert.is_true(repeats > 0, "no kill met a batch on its way: " .. case)
    print(("elastic_kill_spec: %d of %d kills met a running process, in %d rounds, %d documents came again (%s)"):format(hits, tries,
      rounds, repeats, case))
  end)
end)

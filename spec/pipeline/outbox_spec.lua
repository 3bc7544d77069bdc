-- outbox_spec.lua: documents on their way to sinks, from the page to the acknowledgement, whatever happens in between.
local cjson = require "cjson"
local core = require "defendis.core"
local pipelined = require "support.pipelined"
local run = require "support.run"
local sunk = require "support.sunk"

local KILLS <const> = 25
local RECORDS <const> = 3000

describe("the outbox", function()
  local sim, announced

  setup(function()
    sim = run.simulator(("--records %d --cache 67108864"):format(RECORDS))
    announced = pipelined.announced(sim, "dataleaks.credentials", "acme.example")
  end)
  teardown(function() sim.stop() end)
  after_each(run.clean)

  local function pipeline(sinks, options)
    options = options or {}
    options.sinks = "{ " .. table.concat(sinks, ", ") .. " }"
    options["until"] = options["until"] or '"2026-04-01"'
    options.window, options.page_size = options.window or '"10d"', options.page_size or "100"
    local p = pipelined.new(sim, options)
    sunk.write(p)
    return p
  end

  local function complete(p, to)
    local ids, twice = sunk.records(p, to, "dataleaks.credentials")
    assert.same(announced, ids)
    return twice
  end

  local function ingest(p, code)
    local got = p:ingest()
    assert.equal(code or 0, got.code, got.err)
    return got
  end

  for mode, more in pairs{ flaky = "", partial = ", documents = 200", too_big = "" } do
    it(("brings every record once to a sink that is %s"):format(mode), function()
      local p = pipeline({ sunk.entry("got", ('mode = "%s"%s'):format(mode, more)) }, mode == "too_big" and { ["until"] = '"2026-01-11"' })
      assert.equal("", ingest(p).err)
      if mode == "too_big" then
        assert.same({ pipelined.announced(sim, "dataleaks.credentials", "acme.example", "2026-01-01", "2026-01-11"), 0 },
          { sunk.records(p, "got") })
      else
        assert.equal(0, complete(p, "got"))
      end
      assert.equal(0, (p:verify()))
    end)
  end

  it("gives documents in the order of the file sink, with findings, and kinds and times", function()
    local rules = io.popen("cd examples/rules && pwd"):read("l")
    local p = pipeline({ 'jsonl{ path = "out" }', sunk.entry "got" }, { rules = ('{ "%s/" }'):format(rules) })
    ingest(p)
    local by = { ["dataleaks.credentials"] = {}, findings = {} }
    for _, d in ipairs(sunk.took(p, "got")) do
      table.insert(by[d.kind], d.json)
      if d.kind == "findings" then
        assert.truthy(d.json:find('"id":"' .. d.id .. '"', 1, true))
        assert.truthy(d.json:find('"time":' .. d.time, 1, true))
      else
        local text = d.json:match('"original_time":"([^"]+)"')
        assert.equal(core.api.time(text), d.time)
      end
    end
    assert.same(p:lines(), by["dataleaks.credentials"])
    assert.is_true(#by.findings > 20)
    assert.same(p:lines "findings", by.findings)
  end)

  it("gives a record the same id in any page size, order of windows and run", function()
    local ids = {}
    for i, options in ipairs{ { page_size = "100" }, { page_size = "7", window = '"30d"' } } do
      local p = pipeline({ sunk.entry "got" }, { page_size = options.page_size, window = options.window, ["until"] = '"2026-01-31"' })
      ingest(p)
      ids[i] = {}
      for _, d in ipairs(sunk.took(p, "got")) do ids[i][d.id] = cjson.decode(d.json).id end
    end
    assert.is_true(next(ids[1]) ~= nil)
    assert.same(ids[1], ids[2])
  end)

  it("delivers while pages come in, not only at the end", function()
    local p = pipeline({ sunk.entry("got", "documents = 50") }, { page_size = "10" })
    local got = p:ingest{ prefix = [[sh -c '"$@" & pid=$!; until [ -s ]] .. p.folder .. [[/got ]; do sleep 0.01; done
      kill -9 $pid; wait $pid' sh]] }
    assert.equal(137, got.code)
    assert.equal(6, (p:verify()))
    ingest(p)
    complete(p, "got")
  end)

  it("goes on for two sinks while the third is away, says so, and gives the third what it missed when it is back", function()
    local p = pipeline({ sunk.entry "one", sunk.entry "two", sunk.entry "three" }, { give_up = '"0s"' })
    sunk.down(p, "two", true)
    local got = ingest(p, 6)
    assert.equal(("defendis: sink test:two: %d documents behind, to be delivered by the next run; given up: connection refused\n")
      :format(#announced), got.err)
    complete(p, "one")
    complete(p, "three")
    assert.equal(0, #sunk.took(p, "two"))
    local code, text = p:verify()
    assert.equal(6, code)
    assert.truthy(text:find(("sink test:two: %d documents behind"):format(#announced), 1, true))
    assert.truthy(text:find("test:two took 0 of ", 1, true))
    assert.truthy(p:command("ledger show PIPELINE").out:find(("\ntest:two%%s+%d%%s+0\n"):format(#announced)))
    sunk.down(p, "two", false)
    assert.equal("", ingest(p).err)
    for _, to in ipairs{ "one", "two", "three" } do assert.equal(0, complete(p, to)) end
    assert.equal(0, (p:verify()))
  end)

  it("delivers what is left of the last run when the API is away", function()
    local p = pipeline({ sunk.entry "got" }, { give_up = '"0s"', scope = '"watchlists"', ["until"] = '"2026-01-11"' })
    sunk.down(p, "got", true)
    ingest(p, 6)
    sunk.down(p, "got", false)
    local got = p:ingest{ env = { DEFENDIS_BASE_URL = sim.base_url, DEFENDIS_API_KEY = "wrong-key-123456" } }
    assert.equal(3, got.code, got.err)
    assert.is_true(#sunk.took(p, "got") > 0)
    assert.equal(0, (p:verify()))
  end)

  it("puts poison among the dead letters, delivers the rest, and ends with exit code 6 and the reason", function()
    local p = pipeline{ sunk.entry("got", 'mode = "poison"'), sunk.entry "other" }
    local got = ingest(p, 6)
    local n = tonumber(got.err:match("^defendis: sink test:got: (%d+) documents refused for good and kept as dead letters: "
      .. "poison\\x1B%[31m\n$"))
    assert.is_true(n > 10)
    assert.equal(#announced, #sunk.took(p, "got") + n)
    complete(p, "other")
    assert.equal(0, (p:verify()))
  end)

  it("costs no record and doubles at most one batch per kill -9", function()
    local seed = tonumber(os.getenv("SEED")) or os.time()
    math.randomseed(seed)
    local p, kills, tries, rounds = nil, 0, 0, 0
    while kills < KILLS do
      tries = tries + 1
      assert.is_true(tries < 4 * KILLS, "too few kills met a running process")
      if not p then
        p = pipeline({ 'jsonl{ path = "out" }', sunk.entry("a", "documents = 40, delay = 0.001"), sunk.entry("b", "documents = 70") },
          { page_size = "50" })
        p.kills = 0
      end
      local got = p:ingest{ prefix = ([[sh -c '"$@" & pid=$!; sleep %.4f; kill -9 $pid 2>/dev/null; wait $pid' sh]])
        :format(0.005 + math.random() * 0.12) }
      if got.code == 137 then kills, p.kills = kills + 1, p.kills + 1 end
      if got.code == 0 or kills == KILLS then
        rounds = rounds + 1
        ingest(p)
        local case = ("seed %d, %d kills"):format(seed, p.kills)
        assert.is_true(complete(p, "a") <= 40 * p.kills, case)
        assert.is_true(complete(p, "b") <= 70 * p.kills, case)
        assert.same(announced, p:ids(), case)
        assert.equal(0, (p:verify()), case)
        p = nil
      end
    end
  end)
end)

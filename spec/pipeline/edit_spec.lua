-- edit_spec.lua: pipelines whose files, states, outputs or clocks are changed between two runs.
local core = require "defendis.core"
local pipelined = require "support.pipelined"
local run = require "support.run"
local scripted = require "support.scripted"

local DAY <const> = 86400000

-- Ten records a day, ids dDDrI, as toDate and fromDate select them; `extra` is a chunk that may add more.
local function api_of(extra)
  return ([[
local all = {}
for day = 1, 20 do
  for i = 0, 9 do all[#all + 1] = { day, record(("d%%02dr%%d"):format(day, i), day) } end
end
local asked = {}
local function answer(req, n)
  local first, last, records = tonumber(req.query.fromDate:sub(-2)), tonumber(req.query.toDate:sub(-2)), {}
  %s
  for _, r in ipairs(all) do if r[1] >= first and r[1] < last then records[#records + 1] = r[2] end end
  return list(req, records)
end
return answer]]):format(extra or "")
end

local RULE = [[rule{ id = "all", title = "all", level = "low", dataset = "dataleaks.credentials", generate = true,
  match = function() return true end, tests = { { name = "a", record = {}, match = true } } }]]
local PAIRS = [[correlation{ id = "pairs", title = "Ten a day", type = "event_count", rules = { "all" }, group_by = { "kind" },
  timespan = "1d", condition = { gte = 10 }, level = "high", tests = { { name = "a", events = {}, findings = 0 } } }]]

describe("a pipeline that is edited between runs", function()
  local api

  after_each(function()
    api.stop()
    run.clean()
  end)

  local function pipeline(options, extra, rules)
    api = scripted.start(api_of(extra))
    return pipelined.new(api, options, rules)
  end

  local function check(p, n, folder)
    local code, text = p:verify()
    assert.equal(0, code, text)
    local ids = p:ids(nil, folder)
    for i = 2, #ids do assert.are_not.equal(ids[i - 1], ids[i]) end
    assert.equal(n, #ids)
  end

  local function ingest(p)
    local got = p:ingest()
    assert.equal("", got.err)
    assert.equal(0, got.code)
  end

  it("does nothing when there is nothing new", function()
    local p = pipeline{ ["until"] = '"2026-01-11"' }
    ingest(p)
    local asked = #api.log()
    ingest(p)
    assert.equal(asked, #api.log())
    check(p, 100)
  end)

  it("doubles nothing when its windows become longer, shorter or shifted", function()
    local p = pipeline{ ["until"] = '"2026-01-11"' }
    ingest(p)
    for _, edit in ipairs{ { window = '"1w"' }, { window = '"3d"' }, { since = '"2026-01-02"' },
      { window = '"1d"', since = '"2026-01-01"' } } do
      p:edit(edit)
      ingest(p)
      check(p, 100)
    end
  end)

  it("gets what is missing when since moves back and until moves on", function()
    local p = pipeline{ since = '"2026-01-05"', ["until"] = '"2026-01-08"', window = '"2d"' }
    ingest(p)
    check(p, 30)
    p:edit{ since = '"2026-01-02"', ["until"] = '"2026-01-11"' }
    ingest(p)
    check(p, 90)
  end)

  it("forgets an open window of the earlier plan once its days are walked", function()
    local p = pipeline({ ["until"] = '"2026-01-11"', window = '"5d"', concurrency = "1" }, [[
      if n == 3 then return { status = 429, headers = { ["retry-after"] = "3600" }, body = "{}" } end]])
    assert.equal(4, p:ingest().code)
    p:edit{ window = '"2d"' }
    ingest(p)
    check(p, 100)
  end)

  it("walks an added input from the beginning", function()
    local p = pipeline({ ["until"] = '"2026-01-04"' }, [[
      local all = req.query.domain == "b.example" and { { 2, record("b", 2) } } or all]])
    ingest(p)
    p:edit{ scope = '{ domain = { "acme.example", "b.example", "b.example" } }' }
    ingest(p)
    check(p, 31)
    assert.equal(6, #api.log())
  end)

  it("gives a sink that joins what is new from then on, and keeps the proof of the others", function()
    local p = pipeline{ ["until"] = '"2026-01-03"', lateness = '"36500d"' }
    ingest(p)
    p:edit{ sinks = '{ jsonl{ path = "out" }, jsonl{ path = "more" } }', ["until"] = '"2026-01-04"' }
    ingest(p)
    check(p, 30)
    check(p, 10, "more")
    p:edit{ sinks = '{ jsonl{ path = "more" } }', ["until"] = '"2026-01-05"' }
    ingest(p)
    check(p, 20, "more")
    check(p, 30)
  end)

  it("walks again after a reset and sends nothing twice", function()
    local p = pipeline{ ["until"] = '"2026-01-04"' }
    ingest(p)
    assert.equal(0, p:command("state reset PIPELINE --yes").code)
    ingest(p)
    check(p, 30)
    assert.equal(60, p:ledger()[1].received + p:ledger()[2].received + p:ledger()[3].received)
  end)

  it("sends everything again, behind what is there, after a reset of all", function()
    local p = pipeline{ ["until"] = '"2026-01-03"' }
    ingest(p)
    local before = p:lines() -- the order of keys in a document is not promised
    assert.equal(0, p:command("state reset PIPELINE --all --yes").code)
    ingest(p)
    local after = p:lines()
    assert.equal(40, #after)
    assert.same(before, table.move(after, 1, 20, 1, {}))
    local ids = p:ids()
    for i = 1, 40, 2 do assert.equal(ids[i], ids[i + 1]) end
  end)

  it("applies changed rules to records that are new, and to no other", function()
    local p = pipeline({ ["until"] = '"2026-01-03"' }, nil, "return " .. RULE)
    ingest(p)
    assert.equal(20, #p:lines("findings"))
    p:rules("return " .. RULE:gsub('id = "all"', 'id = "renamed"'))
    p:edit{ ["until"] = '"2026-01-04"' }
    ingest(p)
    assert.equal(30, #p:lines("findings"))
  end)

  it("refuses a second run at the same time", function()
    local p = pipeline{}
    local store <close> = assert(require("defendis.store").open(p.folder .. "/state.db", { exclusive = true }))
    local got = p:ingest()
    assert.equal(2, got.code)
    assert.truthy(got.err:find("state.db", 1, true))
    assert.equal(0, #api.log())
    store:close()
    ingest(p)
  end)

  it("refuses a folder that another state writes to, and cuts nothing off", function()
    local p = pipeline{ ["until"] = '"2026-01-02"' }
    ingest(p)
    local other = pipelined.new(api, { sinks = ('{ jsonl{ path = "%s/out" } }'):format(p.folder), since = '"2026-01-05"',
      ["until"] = '"2026-01-06"' })
    ingest(other)
    local lines = p:lines()
    assert.equal(20, #lines)
    p:edit{ ["until"] = '"2026-01-03"' }
    local got = p:ingest()
    assert.equal(2, got.code)
    assert.truthy(got.err:find("another pipeline's state", 1, true))
    assert.same(lines, p:lines())
  end)

  describe("and a clock", function()
    local wall_ms = core.sys.wall_ms
    after_each(function() core.sys.wall_ms = wall_ms end)

    local function day(n) return assert(core.api.days(("2026-01-%02d"):format(n))) * DAY end

    -- Runs it in this process on a day of this month, at 01:00 unless milliseconds are given.
    local function ingest_at(p, n, ms)
      core.sys.wall_ms = function() return day(n) + (ms or 3600000) end
      local key = p.folder .. "/key"
      run.write(key, "scripted-key-0123456789\n")
      os.execute("chmod 600 " .. key)
      local plan = assert(require("defendis.pipeline.file").load(p.path))
      local summary, err = require("defendis.pipeline").run(plan, { client = { base_url = api.base_url, api_key_file = key } })
      assert.is_nil(err and err.message)
      assert.same({}, summary.problems)
      return summary
    end

    local OPEN = { ["until"] = '"2027-01-01"', settle = '"1h"', lateness = '"2d"' }

    it("walks a day when it is over and settled", function()
      local p = pipeline(OPEN)
      ingest_at(p, 3, 3600000 - 1)
      assert.equal(10, #p:ids())
      ingest_at(p, 3, 3600000)
      assert.equal(20, #p:ids())
    end)

    it("gets records that came late for as long as lateness says, each once", function()
      local p = pipeline(OPEN, [[
        asked[first] = (asked[first] or 0) + 1
        if first == 1 and asked[1] == 2 then all[#all + 1] = { 1, record("late-1", 1) } end
        if first == 2 and asked[2] == 2 then all[#all + 1] = { 2, record("late-2", 2) } end]])
      ingest_at(p, 3)
      assert.equal(20, #p:ids())
      ingest_at(p, 4)
      check(p, 32)
      ingest_at(p, 6) -- from here on days 1 to 3 are final
      local asked = #api.log()
      ingest_at(p, 6)
      assert.equal(asked + 2, #api.log())
      check(p, 52)
    end)

    it("asks for nothing twice into the future when it goes back", function()
      local p = pipeline(OPEN)
      ingest_at(p, 10)
      ingest_at(p, 5)
      check(p, 90)
      for _, line in ipairs(api.log()) do assert.is_true(line:match("toDate=([%d-]+)") <= "2026-01-10") end
      ingest_at(p, 11)
      check(p, 100)
    end)

    it("decides correlations up to what is final, and counts what comes behind that as late", function()
      -- the eleventh record of day 9 has a time of day 1
      local p = pipeline(OPEN, [[
        if first == 9 and not asked.stray then all[#all + 1], asked.stray = { 9, record("stray", 1, '"kind":"k"') }, true end
        for i, r in ipairs(all) do if not r[2]:find("kind") then r[2] = r[2]:gsub("}$", ',"kind":"k"}') end end]],
        "return { " .. RULE .. ", " .. PAIRS .. " }")
      local summary = ingest_at(p, 8)
      assert.equal(0, summary.late)
      local function pairs_found()
        local n = 0
        for _, line in ipairs(p:lines("findings")) do if line:find('"id":"pairs"', 1, true) then n = n + 1 end end
        return n
      end
      assert.equal(5, pairs_found()) -- day 6 may still get records
      summary = ingest_at(p, 12)
      assert.equal(1, summary.late)
      assert.same({ pairs = 1 }, summary.late_by)
      assert.equal(9, pairs_found())
      assert.equal(111, #p:ids())
    end)
  end)
end)

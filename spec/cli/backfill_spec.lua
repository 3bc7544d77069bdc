-- backfill_spec.lua: days of the past walked beside the live pipeline.
local cjson = require "cjson"
local pipelined = require "support.pipelined"
local process = require "support.process"
local run = require "support.run"
local sunk = require "support.sunk"

local RULE = [[return {
  rule{ id = "r", name = "all", title = "All", dataset = "dataleaks.credentials", level = "low", match = function() return true end,
    generate = true, tests = { { name = "y", match = true, record = {} }, { name = "n", match = false, record = {} } } },
  correlation{ id = "c", title = "Two", type = "event_count", rules = { "all" }, group_by = { "domain" }, timespan = "24h",
    condition = { gte = 2 }, level = "high",
    tests = { { name = "y", findings = 1, events = {} }, { name = "n", findings = 0, events = {} } } },
  normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt", map = function(r) return r end,
    tests = { { name = "t", input = {}, expect = {} } } },
}]]

local OUT <const> = "out/backfill-old"

describe("a backfill", function()
  local sim, p, running

  setup(function() sim = run.simulator("--records 600") end)
  teardown(function() sim.stop() end)
  after_each(function()
    if running then running:clean() end
    running = nil
    run.clean()
  end)

  -- The live pipeline is of February, all backfills of January.
  local function new(options, rules)
    options = options or {}
    options.since, options["until"] = '"2026-02-01"', '"2026-03-01"'
    options.window, options.page_size = options.window or '"5d"', options.page_size or "5"
    p = sunk.write(pipelined.new(sim, options, rules or RULE))
    return p
  end

  local WORDS <const> = " --backfill old --from 2026-01-01 --to 2026-02-01 "

  local function fill(more) return run.defendis("ingest " .. p.path .. WORDS .. (more or ""), { env = p.env }) end

  local function decoded(kind, folder)
    local out = {}
    for i, line in ipairs(p:lines(kind, folder)) do out[i] = cjson.decode(line) end
    return out
  end

  it("has all records of its days, leaves live state and files as they are, and can be verified and shown", function()
    new()
    assert.equal(0, p:ingest().code)
    local before = { p:command("state export PIPELINE").out, table.concat(p:lines(), "\n"), table.concat(p:lines "findings", "\n") }
    local got = fill()
    assert.same({ 0, "" }, { got.code, got.err })
    assert.same(before, { p:command("state export PIPELINE").out, table.concat(p:lines(), "\n"), table.concat(p:lines "findings", "\n") })
    assert.same(pipelined.announced(sim, "dataleaks.credentials", "acme.example", "2026-01-01", "2026-02-01"), p:ids(nil, OUT))
    got = p:command("ledger verify PIPELINE --backfill old --from 2026-01-01 --to 2026-02-01")
    assert.same({ 0, "" }, { got.code, got.err })
    assert.equal(6, p:command("ledger verify PIPELINE --from 2026-01-01 --to 2026-02-01").code)
    assert.matches("acme%.example +2026%-01%-01 +2026%-02%-01 +0 ", p:command("state show PIPELINE --backfill old").out)
    assert.matches("acme%.example +2026%-02%-01 +2026%-03%-01 +0 ", p:command("state show PIPELINE").out)
    assert.matches("2026%-01%-01 +2026%-01%-06 +closed", p:command("ledger show PIPELINE --backfill old").out)
    assert.equal("forgot everything\n", p:command("state reset PIPELINE --backfill old --all --yes").out)
    assert.equal(before[1], p:command("state export PIPELINE").out)
    assert.equal(0, fill().code)
  end)

  it("labels documents and findings with its name and the time that it stands at", function()
    new()
    assert.equal(0, fill("--as-of 2026-06-01T00:00:00Z").code)
    local documents, findings = decoded(nil, OUT), decoded("findings", OUT)
    assert.is_true(#documents > 20 and #findings > #documents) -- the correlation's among them
    for _, d in ipairs(documents) do assert.same({ backfill = "old", as_of = "2026-06-01T00:00:00Z" }, d.defendis) end
    for _, f in ipairs(findings) do assert.same({ "old", "2026-06-01T00:00:00Z" }, { f.backfill, f.as_of }) end
  end)

  it("labels OCSF events in metadata.labels, behind those that they have", function()
    new({}, [[local shared = { "vip" }
      return normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt",
        tests = { { name = "t", input = {}, expect = {} } },
        map = function(r)
          return { class_uid = 2004, id = r.id, metadata = { version = "1.8.0", labels = r.id < "8" and shared or null } }
        end }]])
    assert.equal(0, fill("--as-of 2026-06-01").code)
    local seen = {}
    for _, d in ipairs(decoded(nil, OUT)) do
      seen[#d.metadata.labels] = true
      local expected = { "backfill:old", "as_of:2026-06-01T00:00:00Z" }
      if d.id < "8" then table.insert(expected, 1, "vip") end
      assert.same({ expected, "1.8.0" }, { d.metadata.labels, d.metadata.version })
      assert.is_nil(d.defendis)
    end
    assert.same({ [2] = true, [3] = true }, seen)
  end)

  it("gives sinks the ids that the live pipeline would give", function()
    new{ sinks = ("{ %s }"):format(sunk.entry "one") }
    assert.equal(0, fill().code)
    local ids = {}
    for _, d in ipairs(sunk.took(p, "one")) do ids[#ids + 1] = d.kind .. d.id end
    os.remove(p.folder .. "/one")
    p:edit{ since = '"2026-01-01"', ["until"] = '"2026-02-01"' }
    assert.equal(0, p:ingest().code)
    local live = {}
    for _, d in ipairs(sunk.took(p, "one")) do live[#live + 1] = d.kind .. d.id end
    table.sort(ids)
    table.sort(live)
    assert.is_true(#ids > 40)
    assert.same(live, ids)
  end)

  it("holds findings back from sinks that alert, and nothing else, unless it is told to alert", function()
    new{ sinks = ("{ %s, %s }"):format(sunk.entry("loud", "alerting = true"), sunk.entry "quiet") }
    local function kinds(to)
      local n = { ["dataleaks.credentials"] = 0, findings = 0 }
      for _, d in ipairs(sunk.took(p, to)) do n[d.kind] = n[d.kind] + 1 end
      return n
    end
    assert.equal(0, fill().code)
    local quiet, loud = kinds "quiet", kinds "loud"
    assert.is_true(quiet.findings > 20)
    assert.same({ 0, quiet["dataleaks.credentials"] }, { loud.findings, loud["dataleaks.credentials"] })
    local got = run.defendis("ingest " .. p.path .. " --backfill other --from 2026-01-01 --to 2026-02-01 --alert", { env = p.env })
    assert.equal(0, got.code)
    assert.equal(quiet.findings, kinds("loud").findings)
  end)

  it("decides as of a time: what was not over by then is not walked, what was still late decides no correlation, and 6 says so", function()
    new()
    local got = fill("--as-of 2026-01-17T12:00:00Z")
    assert.equal(6, got.code)
    assert.matches("defendis: incomplete: dataleaks%.credentials acme%.example 2026%-01%-16%.%.2026%-02%-01: these days were not over",
      got.err)
    assert.same(pipelined.announced(sim, "dataleaks.credentials", "acme.example", "2026-01-01", "2026-01-16"), p:ids(nil, OUT))
    local latest = 0
    for _, f in ipairs(decoded("findings", OUT)) do
      if f.type == "correlation" then latest = math.max(latest, f.time) end
    end
    -- the window up to 16 January may still get late records at noon of the 17th
    assert.is_true(latest > 0 and latest < 1768089600000) -- 2026-01-11
  end)

  it("keeps the time of its first run, and refuses another", function()
    new()
    assert.equal(6, fill("--as-of 2026-01-17").code)
    assert.equal(6, fill().code)
    local got = fill("--as-of 2026-06-01")
    assert.same({ 2, "", "defendis: the backfill old was begun with --as-of 2026-01-17T00:00:00Z; leave it out, or choose another name\n" },
      { got.code, got.out, got.err })
  end)

  it("goes on after kill -9 at any moment, and what comes of it is the same", function()
    local options = { sinks = '{ jsonl{ path = "out" }, ' .. sunk.entry("one", "documents = 10") .. " }", page_size = "3",
      concurrency = "1" }
    new(options)
    assert.equal(0, fill("--as-of 2026-06-01").code)
    local function all()
      local findings, records = p:lines("findings", OUT), {}
      for i, d in ipairs(decoded(nil, OUT)) do records[i] = d.id .. d.defendis.as_of .. d.defendis.backfill end
      table.sort(findings)
      table.sort(records)
      return table.move(records, 1, #records, #findings + 1, findings)
    end
    local expected, kills, ids = all(), 0, sunk.records(p, "one", "dataleaks.credentials")
    new(options)
    for n = 1, 6 do
      running = process.start("ingest " .. p.path .. WORDS .. "--as-of 2026-06-01", p.env)
      process.eventually("lines", function()
        return #p:lines(nil, OUT) >= 15 * n or not io.open("/proc/" .. running.pid .. "/exe")
      end)
      if running:stop("KILL") == 137 then kills = kills + 1 end
    end
    assert.is_true(kills > 1, kills)
    assert.equal(0, fill().code)
    local got = all()
    assert.equal(#expected, #got)
    for i, line in ipairs(expected) do assert.equal(line, got[i]) end
    assert.same(ids, (sunk.records(p, "one", "dataleaks.credentials")))
    assert.equal(0, p:command("ledger verify PIPELINE --backfill old").code)
  end)

  it("runs beside a live one", function()
    new()
    running = process.start("ingest " .. p.path .. " --every 1h", p.env)
    running:says "next run ()"
    assert.equal(0, fill().code)
    assert.equal(0, running:stop())
  end)

  it("that is not described well is refused with the reason", function()
    new()
    local function refused(expected, words)
      local got = run.defendis("ingest " .. p.path .. " " .. words, { env = p.env })
      assert.same({ 2, "", "defendis: " .. expected .. "\n" }, { got.code, got.out, got.err })
    end
    refused("--backfill needs --from DATE", "--backfill a --to 2026-02-01")
    refused("--backfill needs --to DATE", "--backfill a --from 2026-02-01")
    refused('--to "soon" is not a date; write YYYY-MM-DD', "--backfill a --from 2026-02-01 --to soon")
    refused("--from 2026-02-01 is not before --to 2026-02-01", "--backfill a --from 2026-02-01 --to 2026-02-01")
    refused('--as-of "now" is not a time such as 2026-01-31T12:00:00Z', "--backfill a --from 2026-01-01 --to 2026-02-01 --as-of now")
    refused("--as-of 2999-01-01 lies in the future", "--backfill a --from 2026-01-01 --to 2026-02-01 --as-of 2999-01-01")
    refused('--backfill "../a" is not a name of letters, digits, "-", "_" and "."', "--backfill ../a --from 2026-01-01 --to 2026-02-01")
    refused("--backfill and --every exclude each other", "--backfill a --from 2026-01-01 --to 2026-02-01 --every 1h")
    refused("--as-of goes with --backfill only", "--as-of 2026-01-01")
    refused("--alert goes with --backfill only", "--alert")
    local got = p:command("ledger show PIPELINE --backfill never")
    assert.equal(2, got.code)
    assert.matches("no state file [^\n]*state%.db%.backfill%-never; run an ingest first", got.err)
  end)
end)

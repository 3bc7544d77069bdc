-- daemon_spec.lua: ingest that runs again and again, and how it ends.
local cjson = require "cjson"
local daemon = require "defendis.cli.daemon"
local manager = require("defendis_internals").manager
local pipelined = require "support.pipelined"
local process = require "support.process"
local run = require "support.run"
local scratch = require "support.scratch"
local scripted = require "support.scripted"
local sunk = require "support.sunk"

local RUN = "defendis: %d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ run of [%d.]+ s: %d+ windows, (%d+) records"

describe("the next run", function()
  it("is at the next multiple of the interval, and up to a tenth of it or a minute later", function()
    assert.equal(900000, daemon.next_time(1, 900000, 0))
    assert.equal(1800000, daemon.next_time(900000, 900000, 0))
    assert.equal(900000 + 59999, daemon.next_time(899999, 900000, 0.99999))
    assert.equal(10000 + 500, daemon.next_time(7, 10000, 0.5))
  end)
end)

describe("a daemon", function()
  local sim, p, running, api

  setup(function() sim = run.simulator("--records 600") end)
  teardown(function() sim.stop() end)
  before_each(function() scripted.get(sim.base_url, "/simulator/fault?set=", "POST") end)
  after_each(function()
    if running then running:clean() end
    if api then api.stop() end
    running, api = nil, nil
    run.clean()
  end)

  -- down: a sink that is away from the beginning
  local function start(words, options, env, down)
    p = sunk.write(pipelined.new(api or sim, options))
    if down then sunk.down(p, down, true) end
    local all = {}
    for _, t in ipairs{ p.env, env or {} } do
      for k, v in pairs(t) do all[k] = v end
    end
    running = process.start("ingest " .. p.path .. " " .. words, all)
    return running
  end

  local ALL = { ["until"] = '"2026-04-01"', window = '"10d"' }

  it("runs at once and then again, says so in one line each, and ends with 0 on SIGTERM and SIGINT while it waits", function()
    for _, signal in ipairs{ "TERM", "INT" } do
      local d = start("--every 1s", ALL)
      assert.is_true(tonumber(d:says(RUN)) > 0)
      assert.equal("0", d:says(RUN, 2))
      assert.equal(0, d:stop(signal))
      assert.equal("", d:out())
      assert.equal(0, p:verify())
    end
  end)

  it("with --json prints a document per run", function()
    local d = start("--every 1s --json", ALL)
    d:says(RUN, 2)
    assert.equal(0, d:stop())
    local lines = {}
    for line in d:out():gmatch("[^\n]+") do lines[#lines + 1] = cjson.decode(line) end
    assert.is_true(#lines >= 2)
    assert.same({ true, 0 }, { lines[1].complete, lines[2].records })
  end)

  it("refuses a second one on its state, with exit code 2", function()
    local d = start("--every 1h", ALL)
    d:says(RUN)
    local got = p:ingest()
    assert.same({ 2, "" }, { got.code, got.out })
    assert.equal(0, d:stop())
  end)

  it("goes on when the API is away or refuses the key, and ends with the code of the last run", function()
    api = scripted.start [[return function(req, n) return n == 1 and fail(401) or list(req, { record("a", 1) }) end]]
    local d = start("--every 1s", {}, { DEFENDIS_BASE_URL = "http://127.0.0.1:1" })
    d:says("run of [^\n]* ended early; next run ()", 2)
    assert.equal(4, d:stop())
    d = start("--every 1s")
    d:says(RUN, 2)
    assert.matches("%(401%)", d:err())
    assert.equal(0, d:stop())
    assert.same({ "a" }, p:ids())
    api.stop()
    api = scripted.start "return function() return fail(401) end"
    d = start("--every 1s")
    d:says(RUN, 2)
    assert.equal(3, d:stop())
  end)

  it("delivers while it waits, to a sink that was away, without giving it up", function()
    local d = start("--every 1h", { ["until"] = '"2026-04-01"', window = '"10d"', give_up = '"1ms"',
      sinks = ("{ %s }"):format(sunk.entry("one")) }, nil, "one")
    d:says(RUN)
    assert.same({}, sunk.took(p, "one"))
    sunk.down(p, "one", false)
    local wanted = pipelined.announced(sim, "dataleaks.credentials", "acme.example")
    process.eventually("all delivered", function() return #sunk.records(p, "one") == #wanted end)
    assert.equal(0, d:stop())
    assert.equal(0, p:verify())
  end)

  it("ends with 6 when a sink is behind", function()
    local d = start("--every 1h", { ["until"] = '"2026-04-01"', window = '"10d"', sinks = ("{ %s }"):format(sunk.entry("one")) },
      nil, "one")
    d:says(RUN)
    assert.equal(6, d:stop())
    assert.same({}, sunk.took(p, "one"))
  end)

  -- An API that answers one page of many and then holds the next back for ever.
  local HELD = [[
    local all = {}
    for i = 1, 95 do all[i] = record(("%03d"):format(i), 1) end
    return function(req)
      local answer = list(req, all)
      if tonumber(req.query.page or 1) > 3 then answer.delay_ms = 3600000 end
      return answer
    end]]

  for _, words in ipairs{ "", "--every 1h" } do
    for _, signal in ipairs{ "TERM", "INT" } do
      it(("ends a wait for a page on SIG%s with 6, keeps what was committed, and the next run goes on (%s)"):format(signal,
        words == "" and "single run" or "daemon"), function()
        api = scripted.start(HELD)
        local d = start(words, { concurrency = "2" })
        process.eventually("the third page", function() return #p:lines() == 30 end)
        assert.equal(6, d:stop(signal))
        assert.equal("defendis: stopped by SIG" .. signal .. "; the next run goes on where this one ended\n", d:err())
        assert.equal(30, #p:ids())
        assert.equal(6, (p:verify()))
        p.env = sim.env
        assert.equal(0, p:ingest().code)
      end)
    end
  end

  it("ends a wait between attempts at once", function()
    api = scripted.start [[return function(req, n)
      local more = { hasMore = true, nextPage = 2, totalRecords = 20, totalPages = 2 }
      if n == 1 then return list(req, { record("a", 1), record("b", 1) }, more) end
      return { status = 503, body = "{}", headers = { ["retry-after"] = "50", ["content-type"] = "application/json" } }
    end]]
    local d = start("")
    process.eventually("attempts", function() return #api.log() >= 2 end)
    assert.equal(6, d:stop())
  end)

  it("ends at once on a second signal, and loses nothing by it", function()
    if scratch.slowness > 1 then return pending "valgrind catches every signal itself" end
    api = scripted.start [[
      local all = {}
      for i = 1, 5 do all[i] = record("r" .. i, 1) end
      return function(req) return list(req, all) end]]
    -- the sink does not answer: the first signal gives it some seconds
    local d = start("", { sinks = '{ jsonl{ path = "out" }, ' .. sunk.entry("one", "delay = 600") .. " }" })
    process.eventually("the page", function() return #p:lines() == 5 end)
    d:signal "TERM"
    process.eventually("the first one is noted", function()
      return run.read("/proc/" .. d.pid .. "/status"):match("SigCgt:%s*(%x+)"):sub(-4, -4):match("[0123]") -- 15 is bit 14
    end)
    assert.equal(128 + 15, d:stop())
    assert.equal(5, #p:ids())
    p:edit{ sinks = '{ jsonl{ path = "out" }, ' .. sunk.entry("one") .. " }" }
    assert.equal(0, p:ingest().code)
    assert.equal(5, #sunk.records(p, "one"))
    assert.equal(5, #p:ids())
  end)

  it("reads the files again on SIGHUP, waking from its wait, and applies what changed in the sinks", function()
    local d = start("--every 1h", ALL)
    d:says(RUN)
    p:edit{ ["until"] = '"2026-02-01"', window = '"5d"',
      sinks = '{ jsonl{ path = "out" }, sqlite{ path = "a.db" }, ' .. sunk.entry("one") .. " }" }
    d:signal "HUP"
    d:says "defendis: (reloaded)\n"
    d:says(RUN, 2)
    p:edit{ ["until"] = '"2026-02-01"', sinks = '{ jsonl{ path = "out" }, sqlite{ path = "a.db" } }' }
    d:signal "HUP"
    d:says("defendis: (reloaded)\n", 2)
    d:says "defendis: the sink test:one is not in the pipeline any more()"
    assert.equal(0, d:stop())
  end)

  it("keeps the old files on SIGHUP when the new ones do not load or cannot be opened, and says why with file and line", function()
    local d = start("--every 1h", ALL)
    d:says(RUN)
    p:edit{ since = '"yesterday"' }
    d:signal "HUP"
    local at = d:says('defendis: not reloaded: ([^\n]*/pipeline%.lua:%d+: field "since": a date such as "2026%-01%-31" expected)\n')
    assert.truthy(at)
    p:edit{ since = '"2026-01-01"', sinks = '{ jsonl{ path = "/proc/nowhere" } }' }
    d:signal "HUP"
    d:says "defendis: not reloaded: [^\n]*(/proc/nowhere)"
    d:says(RUN, 2)
    assert.equal(0, d:stop())
    assert.is_nil(d:err():find("defendis: reloaded", 1, true))
  end)

  it("goes on with the old files on SIGHUP when a sink of both is open already as the new ones turn out to be wrong", function()
    local LEAKS = 'sqlite{ path = "leaks.db" }'
    local d = start("--every 1h", { ["until"] = ALL["until"], window = ALL.window, sinks = "{ " .. LEAKS .. " }" })
    d:says(RUN)
    run.write(p.folder .. "/raises.lua", 'return { OPTIONS = {}, GUARANTEE = "none", new = function() error("not today", 0) end }')
    for i, edit in ipairs{
      { { store = '"/proc/nowhere/state.db"' }, "/proc/nowhere" },
      { { store = '"state.db"', sinks = ("{ %s, jsonl{ path = '/proc/nowhere' } }"):format(LEAKS) }, "/proc/nowhere" },
      { { sinks = ("{ %s, %s }"):format(LEAKS, LEAKS) }, "leaks%.db" },
      { { sinks = ('{ %s, sink "raises.lua" {} }'):format(LEAKS) }, "raises%.lua: not today" },
    } do
      p:edit(edit[1])
      d:signal "HUP"
      assert.matches(edit[2], d:says("defendis: not reloaded: ([^\n]*)", i))
      assert.equal("0", d:says(RUN, i + 1))
    end
    assert.equal(0, d:stop())
    assert.equal(0, p:command("ledger verify " .. p.folder .. "/state.db").code)
  end)

  it("tells the service manager when it is ready, what it does, that it lives, reads again and stops", function()
    for _, name in ipairs{ run.folder() .. "/notify", "@defendis-spec-" .. run.folder():match("[^/]+$") } do
      local m = manager.listen(name)
      local heard = {}
      local function hear(pattern)
        return process.eventually(pattern .. " in " .. table.concat(heard, "|"), function()
          local text = m:receive(100)
          heard[#heard + 1] = text
          return text and text:match(pattern)
        end)
      end
      local d = start("--every 1h", ALL, { NOTIFY_SOCKET = name, WATCHDOG_USEC = "200000" })
      hear "^READY=1\n?STATUS=running$"
      hear "^STATUS=run of [^\n]*; next run [^\n]*$"
      hear "^WATCHDOG=1$"
      hear "^WATCHDOG=1$"
      d:signal "HUP"
      assert.is_true(tonumber(hear "^RELOADING=1\nMONOTONIC_USEC=(%d+)$") > 0)
      hear "^READY=1$"
      d:signal "TERM"
      hear "^STOPPING=1\n"
      assert.equal(0, d:wait())
      m:close()
    end
  end)

  it("refuses words that do not fit, with the reason", function()
    local function refused(expected, words)
      p = pipelined.new(sim)
      local got = run.defendis("ingest " .. p.path .. " " .. words, { env = p.env })
      assert.same({ 2, "", "defendis: " .. expected .. "\n" }, { got.code, got.out, got.err })
    end
    refused('--every "soon" is not a time of at least 1s, such as 15m', "--every soon")
    refused('--every "10ms" is not a time of at least 1s, such as 15m', "--every 10ms")
    refused("--once and --every exclude each other", "--every 1h --once")
    refused("--listen goes with --every only: a single run is over before anybody asks", "--listen 127.0.0.1:0")
    refused('--listen "9464" is not an address such as 127.0.0.1:9464', "--every 1h --listen 9464")
    refused('--listen "0.0.0.0:9464" is refused: only loopback is listened on, 127.0.0.1:9464; let a proxy with TLS and a password '
      .. "stand before it", "--every 1h --listen 0.0.0.0:9464")
  end)
end)

-- metrics_spec.lua: what a daemon tells who watches over it.
local cjson = require "cjson"
local monitor = require "defendis.cli.monitor"
local metrics = require "defendis.pipeline.metrics"
local pipelined = require "support.pipelined"
local process = require "support.process"
local run = require "support.run"
local scripted = require "support.scripted"
local sunk = require "support.sunk"

-- Samples by name and labels. Fails when a line is not of the text format, or a metric has no HELP and TYPE before it.
local function samples(text)
  local out, helped, typed = {}, {}, {}
  for line in text:gmatch("([^\n]*)\n") do
    local name, help = line:match("^# HELP ([%l_]+) (.+)$")
    local of, kind = line:match("^# TYPE ([%l_]+) (%l+)$")
    if name then
      assert.is_nil(helped[name], line)
      helped[name] = help
    elseif of then
      assert.truthy(helped[of] and (kind == "counter" or kind == "gauge" or kind == "summary"), line)
      typed[of] = kind
    else
      local sample, value = line:match("^([%l_]+%b{}) ([%d.]+)$")
      if not sample then sample, value = line:match("^([%l_]+) ([%d.]+)$") end
      assert.truthy(sample, line)
      local base = sample:match("^[%l_]+")
      assert.truthy(typed[base] or typed[base:gsub("_sum$", ""):gsub("_count$", "")], line)
      assert.matches("^defendis_", base)
      assert.is_nil(out[sample], line)
      out[sample] = tonumber(value)
    end
  end
  return out
end

describe("a daemon's metrics", function()
  local sim, running, api

  setup(function() sim = run.simulator("--records 600 --fault 503=0.1") end)
  teardown(function() sim.stop() end)
  after_each(function()
    if running then running:clean() end
    if api then api.stop() end
    running, api = nil, nil
    run.clean()
  end)

  local function start(p)
    running = process.start("ingest " .. sunk.write(p).path .. " --every 1h --listen localhost:0", p.env)
    return running
  end

  it("add up with the ledger, and hold no input and no secret", function()
    local p = pipelined.new(sim, { ["until"] = '"2026-04-01"', window = '"10d"', sinks = ('{ jsonl{ path = "out" }, %s }')
      :format(sunk.entry "one") }, io.open("examples/rules/stealer_corporate.lua"):read("a"))
    local d = start(p)
    d:says "next run ()"
    process.eventually("all is delivered", function()
      return samples(select(2, d:get "/metrics"))['defendis_sink_behind_documents{sink="test:one"}'] == 0
    end)
    local status, text, head = d:get "/metrics"
    assert.equal(200, status)
    assert.matches("content%-type: text/plain; version=0%.0%.4", head:lower())
    local s = samples(text)
    local n = #p:ids()
    assert.is_true(n > 100)
    assert.equal(n, s['defendis_records_received_total{dataset="dataleaks.credentials"}'])
    assert.equal(n, s['defendis_records_unique_total{dataset="dataleaks.credentials"}'])
    assert.equal(0, s['defendis_records_dead_total{dataset="dataleaks.credentials"}'])
    assert.equal(#p:ledger(), s['defendis_windows{dataset="dataleaks.credentials",state="closed"}'])
    assert.equal(0, s['defendis_windows{dataset="dataleaks.credentials",state="open"}'])
    local levels = { critical = 0, high = 0 }
    for _, line in ipairs(p:lines "findings") do
      local level = cjson.decode(line).level
      levels[level] = levels[level] + 1
    end
    assert.is_true(levels.critical > 0 and levels.high > 0)
    for level, count in pairs(levels) do assert.equal(count, s[('defendis_findings_total{level="%s"}'):format(level)]) end
    assert.equal(n, s['defendis_event_lateness_seconds_count{dataset="dataleaks.credentials"}'])
    assert.is_true(s['defendis_event_lateness_seconds_sum{dataset="dataleaks.credentials"}'] > 86400 * n)
    local by = { ["2"] = 0, ["5"] = 0 }
    for _, r in ipairs(process.requests(sim)) do by[tostring(r.status):sub(1, 1)] = by[tostring(r.status):sub(1, 1)] + 1 end
    assert.same({ by["2"], by["5"] }, { s['defendis_requests_total{status="2xx"}'], s['defendis_requests_total{status="5xx"}'] })
    assert.equal(by["5"], s.defendis_retries_total)
    assert.is_true(by["5"] > 0)
    assert.same({ 0, 0, 0 }, { s.defendis_outbox_documents, s.defendis_outbox_bytes, s['defendis_sink_failures_total{sink="test:one"}'] })
    assert.is_true(s.defendis_resident_memory_bytes > 1e6)
    assert.equal(s.defendis_last_run_timestamp_seconds, s.defendis_last_success_timestamp_seconds)
    assert.is_true(s.defendis_last_run_duration_seconds > 0)
    for _, word in ipairs{ "acme.example", sim.api_key } do assert.is_nil(text:find(word, 1, true)) end
    assert.equal(0, d:stop())
  end)

  it("show a sink that fails: its failures, what it has yet to take, what the outbox holds", function()
    local p = pipelined.new(sim, { ["until"] = '"2026-04-01"', window = '"10d"', sinks = ("{ %s }"):format(sunk.entry "one") })
    sunk.down(p, "one", true)
    local d = start(p)
    d:says "next run ()"
    local s = process.eventually("a failure", function()
      local got = samples(select(2, d:get "/metrics"))
      return got['defendis_sink_failures_total{sink="test:one"}'] > 0 and got
    end)
    local n = s['defendis_records_unique_total{dataset="dataleaks.credentials"}']
    assert.same({ n, n }, { s['defendis_sink_behind_documents{sink="test:one"}'], s.defendis_outbox_documents })
    assert.is_true(s.defendis_outbox_bytes > n)
    assert.equal(200, (d:get "/healthz")) -- not yet for an hour
    assert.equal(6, d:stop())
  end)

  it("are there while a page is waited for; then health is 503 and says that no run has ended", function()
    api = scripted.start [[return function(req) return { status = 200, body = "{}", delay_ms = 3600000 } end]]
    local d = start(pipelined.new(api))
    local status, text = d:get "/healthz"
    assert.same({ 503, "failing", { "no run has ended yet" } }, { status, cjson.decode(text).status, cjson.decode(text).problems })
    assert.equal(0, samples(select(2, d:get "/metrics"))['defendis_requests_total{status="2xx"}'])
    assert.equal(6, d:stop())
  end)

  it("come with health 503 and the reason when the last run ended early or left windows open, without naming an input", function()
    api = scripted.start "return function() return fail(401) end"
    local d = start(pipelined.new(api))
    d:says "next run ()"
    local status, text = d:get "/healthz"
    assert.same({ 503, { "the last run ended early (auth)" } }, { status, cjson.decode(text).problems })
    assert.is_nil(text:find("acme", 1, true))
    assert.equal(3, d:stop())
    api.stop()
    api = scripted.start "return function() return fail(403) end"
    d = start(pipelined.new(api))
    d:says "next run ()"
    status, text = d:get "/healthz"
    assert.same({ 503, { "the last run left 1 windows open" } }, { status, cjson.decode(text).problems })
    assert.equal(6, d:stop())
  end)

  it("are the only thing that is served", function()
    local d = start(pipelined.new(sim))
    assert.equal(404, (d:get "/"))
    local port = math.tointeger(tonumber(d:says "listening on 127%.0%.0%.1:(%d+)\n"))
    for _, path in ipairs{ "/metrics", "/healthz" } do assert.equal(405, (process.get(port, path, "POST"))) end
    d:stop()
  end)

  it("refuse a port that is taken, with exit code 2", function()
    local d = start(pipelined.new(sim))
    local port = d:says "listening on 127%.0%.0%.1:(%d+)\n"
    local got = run.defendis("ingest " .. pipelined.new(sim).path .. " --every 1h --listen 127.0.0.1:" .. port, { env = sim.env })
    assert.equal(2, got.code)
    assert.matches("^defendis: cannot listen on 127%.0%.0%.1:" .. port .. "[^\n]*\n$", got.err)
    d:stop()
  end)
end)

describe("the figures", function()
  local function daemon(deliveries)
    return { pipeline = { commit = { outbox = { deliveries = deliveries } },
      store = { totals = function() return function() end end, outbox_size = function() return 0, 0 end } } }
  end

  it("escape what a label must not hold as it is, and go on counting for a sink that was closed and opened", function()
    local counts, d = metrics.new(), { { name = 'a"b\\c', behind = 2, failures = 3 } }
    metrics.keep_failures(counts, { deliveries = d })
    local s = samples(metrics.text(counts, daemon(d)))
    assert.equal(2, s['defendis_sink_behind_documents{sink="a\\"b\\\\c"}'])
    assert.equal(6, s['defendis_sink_failures_total{sink="a\\"b\\\\c"}'])
  end)

  it("add up what correlations did without, by correlation and by reason, over the runs", function()
    local m = monitor.new()
    m:note_run({ problems = {}, late = 5, late_by = { ["r\"1"] = 3, r2 = 2 }, counters = { evicted = 7, group_capped = 0 } }, nil, 1)
    m:note_run({ problems = {}, late = 4, late_by = { r2 = 4 }, counters = { evicted = 1, group_capped = 2 } }, nil, 1)
    m:note_run({ problems = {}, late = 0 }, "it could not begin", 1)
    local s = samples(metrics.text(m.counts, daemon{}))
    assert.equal(9, s.defendis_late_records_total)
    assert.equal(3, s['defendis_late_events_total{rule="r\\"1"}'])
    assert.equal(6, s['defendis_late_events_total{rule="r2"}'])
    assert.equal(8, s['defendis_correlation_skipped_total{reason="evicted"}'])
    assert.equal(2, s['defendis_correlation_skipped_total{reason="group_capped"}'])
  end)

  it("make health 503 when a sink has been failing for more than an hour, and name it", function()
    local m = monitor.new()
    m:note_run({ problems = {}, late = 0 }, nil, 1)
    local now = require("defendis.core").sys.mono_ms()
    m.pipeline = daemon{ { name = "a", failing_since = now - 3500000 }, { name = "b" } }.pipeline
    assert.equal(200, m:health().status)
    m.pipeline.commit.outbox.deliveries[2].failing_since = now - 3700000
    local h = m:health()
    assert.equal(503, h.status)
    assert.same({ "the sink b has been failing for 61 minutes" }, cjson.decode(h.body).problems)
  end)
end)

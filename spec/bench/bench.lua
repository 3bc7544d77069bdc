-- bench.lua: `make bench`: the same work done by this program and by peer.py against the same simulator, and what it took.
--
-- BENCH_RECORDS=200000: records of the comparison. BENCH_ROUNDS=3. BENCH_BIG=1: memory at 1,000,000 records too.
-- BENCH_ONLY=work|maps|commit|start|latency|calls|memory|sinks|groups|rules: one part. Ratios count, absolute figures are this machine's.
local json = require "cjson"
local rules_part = require "bench.rules_part"
local run = require "support.run"

local RECORDS = math.tointeger(tonumber(os.getenv("BENCH_RECORDS") or 200000))
local ROUNDS = math.tointeger(tonumber(os.getenv("BENCH_ROUNDS") or 3))
local PYTHON = os.getenv("PYTHON") or "python3"
local HERE = "spec/bench/"
local DOMAINS = { "acme.example", "acme-labs.example", "globex.example" } -- 70, 20 and 10 % of the records
local SINCE, UNTIL = "2026-01-01", "2026-04-01"

local PIPELINE = [[
return pipeline{
  scope = { domain = { %s } }, datasets = { "dataleaks.credentials" },
  since = "%s", ["until"] = "%s", window = "%dd", page_size = %d, concurrency = 8,
  rules = { %s }, sinks = { jsonl{ path = "out" } }, store = "state.db",
  sensitive = { clear = { "cookies" } }, -- the simulator's are a count
}
]]

local function say(...) print((...):format(select(2, ...))) end

local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local n = #sorted
  return n % 2 == 1 and sorted[n // 2 + 1] or (sorted[n // 2] + sorted[n // 2 + 1]) / 2
end

local function medians(runs)
  local out = {}
  for _, key in ipairs{ "wall", "cpu", "rss" } do
    local values = {}
    for i, r in ipairs(runs) do values[i] = r[key] end
    out[key] = median(values)
  end
  return out
end

local function absolute(path)
  local p <close> = io.popen("realpath " .. run.quote(path))
  return p:read("l")
end

-- A simulator for the time of f(sim).
local function with_simulator(line, f)
  local sim = run.simulator(line)
  local ok, err = xpcall(f, debug.traceback, sim)
  sim.stop()
  if not ok then error(err, 0) end
end

-- Runs commands in turn. Returns a list of {wall, user, sys, cpu, rss, code} for each of them.
local function measure(rounds, env, ...)
  local words = { "env", PYTHON, HERE .. "measure.py", rounds }
  for i, command in ipairs{ ... } do
    words[4 + i] = run.quote(command)
  end
  for name, value in pairs(env or {}) do table.insert(words, 2, name .. "=" .. run.quote(value)) end
  local out, p = {}, io.popen(table.concat(words, " "))
  for i = 1, select("#", ...) do out[i] = {} end
  for line in p:lines() do
    local r = json.decode(line)
    r.cpu = r.user + r.sys
    table.insert(out[r.command], r)
  end
  assert(p:close(), "a measured command failed")
  return table.unpack(out)
end

-- A folder with a pipeline in it. o: {domains, days, page_size, rules = paths below this folder, or nil}.
local function pipeline(o)
  local folder, names, rules = run.folder(), {}, {}
  for i, path in ipairs(o.rules or { "rules/" }) do rules[i] = ("%q"):format(absolute(HERE .. path)) end
  for i, d in ipairs(o.domains) do names[i] = ("%q"):format(d) end
  run.write(folder .. "/pipeline.lua", PIPELINE:format(table.concat(names, ", "), SINCE, UNTIL, o.days, o.page_size,
    table.concat(rules, ", ")))
  return folder
end

local function ingest(sim, folder)
  return measure(1, sim.env, run.bin .. " ingest " .. folder .. "/pipeline.lua")[1]
end

local function pages_walked(folder)
  local pages, records, p = 0, 0, io.popen(run.bin .. " ledger show --json " .. folder .. "/state.db")
  for line in p:lines() do
    local row = json.decode(line)
    pages, records = pages + row.pages, records + row.received
  end
  p:close()
  return pages, records
end

-- What the simulator gives when nothing is done with its pages: the roof over everybody.
local function drain(sim, paths, in_flight)
  local file = run.folder() .. "/urls"
  local lines = { 'header = "Authorization: Bearer ' .. sim.api_key .. '"', "silent", "no-progress-meter", "fail" }
  if in_flight then lines[#lines + 1] = "parallel\nparallel-max = " .. in_flight end
  for _, path in ipairs(paths) do
    lines[#lines + 1] = ('url = "%s%s"\noutput = /dev/null'):format(sim.base_url, path)
  end
  run.write(file, table.concat(lines, "\n"))
  return measure(1, nil, "curl -q -K " .. file)[1]
end

-- The pages that were asked for last, as paths, from the simulator's log.
local function asked(sim)
  local p = io.popen("curl -s " .. sim.base_url .. "/simulator/log")
  local log, paths = json.decode(p:read("a")), {}
  p:close()
  for i, r in ipairs(log.requests) do paths[i] = r.path .. "?" .. r.query end
  return paths
end

local function row(name, m, records)
  say("  %-14s %9.0f records/s %9.0f per CPU s %7.2f s wall %7.2f s CPU %6.1f MiB", name, records / m.wall, records / m.cpu,
    m.wall, m.cpu, m.rss)
end

local function ratios(ours, peer)
  local a, b, low, high = medians(ours), medians(peer), math.huge, 0
  for i = 1, #ours do
    local pair = peer[i].wall / ours[i].wall
    low, high = math.min(low, pair), math.max(high, pair)
  end
  say("  ours / peer: %.2fx records/s (pairs %.2f to %.2f), %.2fx records per CPU second, %.2fx memory", b.wall / a.wall, low, high,
    b.cpu / a.cpu, a.rss / b.rss)
end

local function compare(folder)
  local p = io.popen(("%s %scompare.py %s/out %s/peer"):format(PYTHON, HERE, folder, folder))
  local text = p:read("a")
  assert(p:close(), "the outputs differ")
  return json.decode(text)
end

-- Ours walks its inputs in the order of their names.
local function in_order(names)
  local sorted = { table.unpack(names) }
  table.sort(sorted)
  return table.concat(sorted, " ")
end

local function work(sim)
  local o = { domains = DOMAINS, days = 10, page_size = 1000 }
  local first = pipeline(o)
  ingest(sim, first) -- fills the simulator's cache
  local paths, pages = asked(sim), pages_walked(first)
  local roof = drain(sim, paths)
  local ours, peer, outcome = {}, {}, nil
  for i = 1, ROUNDS do
    run.clean()
    local folder = pipeline(o)
    assert(os.execute("mkdir " .. folder .. "/peer"))
    ours[i] = ingest(sim, folder)
    peer[i] = measure(1, sim.env, ("%s %speer.py %s/peer %d %s %s %d %s"):format(PYTHON, HERE, folder, o.page_size, SINCE, UNTIL,
      o.days, in_order(DOMAINS)))[1]
    if i == 1 then outcome = compare(folder) end
  end
  assert(outcome.records == RECORDS, "records are missing")
  say("%d records in %d pages of up to %d, %d findings, documents of %d bytes; both outputs are the same", RECORDS, pages,
    o.page_size, outcome.findings, outcome.bytes)
  row("ours", medians(ours), RECORDS)
  row("peer (Python)", medians(peer), RECORDS)
  ratios(ours, peer)
  local share = roof.wall / #paths * pages / medians(ours).wall
  say("  the simulator alone gives %.0f pages/s: its part of our wall time is at most %.0f %%%s", #paths / roof.wall, 100 * share,
    share > 0.5 and ", TOO MUCH TO COMPARE" or "")
end

-- The same map as a Lua function and declared, and the peer, in turn; and both once more without a rule that looks at the records.
local function maps(sim)
  local WAYS = { { "function", { "rules/" } }, { "declared", { "maps/normalizer.lua", "rules/correlation.lua" } },
    { "function, no rules", { "rules/normalizer.lua" } }, { "declared, no rules", { "maps/normalizer.lua" } } }
  local times, peer, bytes = { {}, {}, {}, {} }, {}, nil
  for i = 1, ROUNDS do
    local theirs = run.folder()
    assert(os.execute("mkdir " .. theirs .. "/peer"))
    peer[i] = measure(1, sim.env, ("%s %speer.py %s/peer 1000 %s %s 10 %s"):format(PYTHON, HERE, theirs, SINCE, UNTIL,
      in_order(DOMAINS)))[1]
    for k, way in ipairs(WAYS) do
      local folder = pipeline{ domains = DOMAINS, days = 10, page_size = 1000, rules = way[2] }
      times[k][i] = ingest(sim, folder)
      if i == 1 and k <= 2 then
        assert(os.execute(("mkdir %s/peer && cp %s/peer/*.jsonl %s/peer"):format(folder, theirs, folder)))
        bytes = compare(folder).bytes
      end
    end
    run.clean()
  end
  say("%d records, documents of %d bytes; both maps write what the peer writes", RECORDS, bytes)
  row("peer (Python)", medians(peer), RECORDS)
  for k, way in ipairs(WAYS) do
    local m = medians(times[k])
    row(way[1], m, RECORDS)
    say("    %.2fx the peer's records per CPU second, %.2fx the function's", medians(peer).cpu / m.cpu,
      medians(times[k > 2 and 3 or 1]).cpu / m.cpu)
  end
end

-- What of the CPU time goes into making results last: the same ingest with and without, in turn; see commit.lua.
local function commit(sim)
  local o = { domains = DOMAINS, days = 10, page_size = 1000 }
  local times = { whole = {}, without = {} }
  for _ = 1, ROUNDS + 1 do
    for mode, list in pairs(times) do
      local folder = pipeline(o)
      local p = io.popen(("env DEFENDIS_BASE_URL=%s DEFENDIS_API_KEY=%s lua5.4 %scommit.lua %s %s/pipeline.lua"):format(sim.base_url,
        sim.api_key, HERE, mode, folder))
      list[#list + 1] = assert(tonumber(p:read("a")), "the measured ingest failed")
      p:close()
      run.clean()
    end
  end
  local whole, rest = median(times.whole), median(times.without)
  say("the commit: %.2f of %.2f s of CPU time, %.1f %% (medians of %d)", whole - rest, whole, 100 * (whole - rest) / whole, ROUNDS + 1)
end

local SCRIPT = [[
local services = {}
for _, name in ipairs{ "vpn", "mail", "vpn" } do
  services[name] = (services[name] or 0) + 1
end
local worst, most = nil, 0
for name, n in pairs(services) do
  if n > most then worst, most = name, n end
end
local level = most > 2 and "high" or "low"
return { worst = worst, count = most, level = level }
]]

local function start()
  local script = run.write(run.folder() .. "/script.lua", SCRIPT)
  local ours, curl = measure(40, nil, run.bin .. " run " .. script, "curl -q --version")
  local a, b = medians(ours), medians(curl)
  say("start-up: run of a ten-line script %.2f ms, curl --version %.2f ms: %.2fx (medians of 40)", a.wall * 1000, b.wall * 1000,
    a.wall / b.wall)
end

local function latency(sim)
  for _, days in ipairs{ 90, 2 } do
    local o, ours, curl, pages, records = { domains = { DOMAINS[1] }, days = days, page_size = 100 }, {}, {}, nil, nil
    for i = 1, ROUNDS do
      local folder = pipeline(o)
      ours[i] = ingest(sim, folder)
      pages, records = pages_walked(folder)
      local paths = asked(sim)
      curl[i] = drain(sim, table.move(paths, #paths - pages + 1, #paths, 1, {}), 8)
    end
    local ideal, wall = pages * 0.05 / 8 + 0.05, medians(ours).wall
    say("50 ms latency, pages of 100, 8 in flight, %d records in %d pages, windows of %d days:", records, pages, days)
    say("  %.2f s, ideal %.2f s: %.2fx (curl that knows all pages beforehand: %.2f s)", wall, ideal, wall / ideal, medians(curl).wall)
  end
end

-- Calls of one client, 64 at once.
local function calls(sim)
  local core, task, functions, times = require "defendis.core", require "defendis.task", {}, {}
  core.sys.setenv("DEFENDIS_API_KEY", sim.api_key)
  local client = require("defendis.client").new{ base_url = sim.base_url, in_flight = 64 }
  for i = 1, 1280 do functions[i] = function() assert(client:health()) end end
  for i = 1, ROUNDS do
    local from = core.sys.mono_ms()
    for _, r in ipairs(task.parallel(functions, { concurrency = 64 })) do assert(r.ok, r[1]) end
    times[i] = core.sys.mono_ms() - from
  end
  client:close()
  table.sort(times)
  local wall = times[(ROUNDS + 1) // 2] / 1000
  say("50 ms latency, 64 calls at once, %d calls: %.2f s, ideal %.2f s: %.0f %% of it", #functions, wall, #functions / 64 * 0.05,
    100 * #functions / 64 * 0.05 / wall)
end

local function memory()
  local base
  say("memory and CPU time over the number of records, pages of 1000:")
  for _, records in ipairs{ 20000, 200000, os.getenv("BENCH_BIG") and 1000000 or nil } do
    with_simulator("--records " .. records, function(sim)
      local m = ingest(sim, pipeline{ domains = DOMAINS, days = 10, page_size = 1000 })
      local per_record = m.cpu / records * 1e6
      base = base or per_record
      say("  %8d records: %5.1f MiB, %5.1f us CPU per record (%.2fx)", records, m.rss, per_record, per_record / base)
    end)
    run.clean()
  end
end

-- A program beside the measurement, which prints what the sinks need of it, for the time of f(that).
local function beside(command, f)
  local p = assert(io.popen("echo $$; exec " .. command))
  local pid, said = p:read("l"), p:read("l")
  local ok, err = xpcall(f, debug.traceback, said)
  os.execute("kill " .. pid)
  p:close()
  if not ok then error(err, 0) end
end

local HTTP <const> = [[lua5.4 -e 'require("support.scripted").serve "%s"']]
local KAFKA <const> = [[lua5.4 -e 'local c = require("defendis_internals").kafka.cluster(1) c:topic("leaks", 2) print(c:bootstrap())
  io.stdout:flush() while true do require("defendis.task").sleep(60) end']]

-- What is delivered from a full outbox, one sink after the other, to receivers that do little. Goals are ours.
local function sinks()
  local handler = run.write(run.folder() .. "/handler.lua", [[return require("support.receiver").handler '"id":"r(%d+)"']])
  local http, syslogd = HTTP:format(handler), "lua5.4 spec/soak/syslogd.lua /dev/null 0"
  local has_kafka = require("defendis_internals").kafka and KAFKA
  say("sinks, from the outbox to a receiver on this machine:")
  for _, s in ipairs{ { "splunk_hec", http, 100000, 5000 }, { "elastic", http, 100000, 5000 }, { "webhook", http, 10000 },
    { "syslog", syslogd, 20000, 20000 }, { "syslog, confirm = 0.01", syslogd, 100000, 20000 }, { "kafka", has_kafka, 100000 },
    { "sqlite", "echo", 100000 }, { "jsonl", "echo", 100000 } } do
    local name, receiver, count, goal = table.unpack(s)
    if receiver then
      beside(receiver, function(said)
        local folder, env = run.folder(), { BENCH_TOKEN = "a-token-of-the-bench-0123456789" }
        local address = said:find "^%d+$" and receiver == http and "http://127.0.0.1:" .. said or said
        local line = ("lua5.4 %ssinks.lua %%s %s %d %s %s"):format(HERE, folder, count, run.quote(name), run.quote(address))
        if name ~= "jsonl" then measure(1, env, line:format "fill") end
        local m = measure(1, env, line:format "deliver")[1]
        say("  %-22s %9.0f records/s %9.0f per CPU s %6.1f MiB%s", name, count / m.wall, count / m.cpu, m.rss,
          goal and ("   goals %d and 64 MiB: %s"):format(goal, count / m.wall >= goal and m.rss <= 64 and "met" or "MISSED") or "")
      end)
    end
  end
end

local PARTS = {
  { "work", function() with_simulator(("--records %d --cache %d"):format(RECORDS, RECORDS * 1600 + 1000000), work) end },
  { "maps", function() with_simulator(("--records %d --cache %d"):format(RECORDS, RECORDS * 1600 + 1000000), maps) end },
  { "commit", function() with_simulator(("--records %d --cache %d"):format(RECORDS, RECORDS * 1600 + 1000000), commit) end },
  { "start", start },
  -- the first domain has 70 % of the records
  { "latency", function() with_simulator("--latency 50ms --records 28572", latency) end },
  { "calls", function() with_simulator("--latency 50ms", calls) end },
  { "memory", memory },
  { "sinks", sinks },
}
for _, name in ipairs{ "groups", "rules" } do
  local tools = { measure = measure, medians = medians, say = say, rounds = ROUNDS, python = PYTHON }
  PARTS[#PARTS + 1] = { name, function() rules_part[name](tools) end }
end

local only = os.getenv("BENCH_ONLY")
for _, part in ipairs(PARTS) do
  if not only or only == part[1] then
    local ok, err = xpcall(part[2], debug.traceback)
    run.clean()
    if not ok then
      io.stderr:write("bench: ", err, "\n")
      os.exit(1, true)
    end
  end
end

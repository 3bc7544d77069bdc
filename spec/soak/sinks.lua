-- sinks.lua: four sinks at once, of which a tenth of the requests fails, behind a daemon that gets more records in each round.
-- usage: sinks.lua [SECONDS]. Fails when a sink lacks a document or has another one, when the database, which may have none, has a
-- repeat, when the outbox is not drained, or when memory is not flat.
local cjson = require "cjson"
local core = require "defendis.core"
local process = require "support.process"
local receiver = require "support.receiver"
local run = require "support.run"
local scratch = require "support.scratch"
local scripted = require "support.scripted"
local task = require "defendis.task"

local SECONDS <const> = tonumber(arg[1] or 3600)
local SHARE <const> = 0.1      -- of the requests
local A_DAY <const>, DAYS <const> = 2000, 16 -- records of a day; days of a round
local EACH <const> = 500       -- of so many records one is a finding
local DEADLINE <const> = 600   -- seconds for a round
local GROWTH <const> = 1.3     -- most, from the end of the warm-up on

local API = ([[
return function(req)
  local day, records = require("defendis.core").api.days(req.query.fromDate), {}
  for i = 1, %d do
    local n = day * %d + i
    records[i] = ('{"id":"r%%d","leakedAt":"%%sT12:00:00Z","n":%%d,"email":"user%%d@acme.example","text":"%%s"}'):format(n,
      req.query.fromDate, n, n, ("\xc3\xa9\\n"):rep(n %% 200))
  end
  return list(req, records)
end]]):format(A_DAY, A_DAY)

local RULE <const> = [[
return rule{ id = "3d0e0a52-6c57-4d55-8d5a-5f0a4c1f7b01", name = "each", title = "One of many", dataset = "dataleaks.credentials",
  level = "high", match = function(r) return r.n %% %d == 0 end,
  tests = { { name = "one", match = true, record = { n = %d } }, { name = "none", match = false, record = { n = 1 } } } }]]

local PIPELINE <const> = [[
return pipeline{ scope = { domain = { "acme.example" } }, datasets = { "dataleaks.credentials" }, since = "1971-01-01", ["until"] = "%s",
  window = "1d", page_size = 500, rules = { "rule.lua" }, outbox = "2MiB", store = "state.db", sinks = {
    elastic{ url = "%s", index = "{kind}", max_attempts = 1 },
    splunk_hec{ url = "%s", token = secret.env "SOAK_TOKEN", max_attempts = 3 },
    webhook{ url = "%s/hook", secrets = { secret.env "SOAK_TOKEN" }, kinds = { "findings" } },
    syslog{ host = "127.0.0.1", port = %d, confirm = 0.2 }, sqlite{ path = "found.db", kinds = { "findings" } } } }
]]

local folder = run.folder()
local api = scripted.start(API)
local http = scripted.start [[return require("support.receiver").handler '"id":"r(%d+)"']]
local logged = folder .. "/syslog"
local syslogd = assert(io.popen(("echo $$; exec lua5.4 spec/soak/syslogd.lua %s %g"):format(logged, SHARE)))
local syslogd_pid, port = syslogd:read "l", syslogd:read "n"

local function ask(what) return scripted.get(http.base_url, "/receiver/" .. what) end

local function write(round)
  run.write(folder .. "/pipeline.lua", PIPELINE:format(os.date("!%Y-%m-%d", (365 + round * DAYS) * 86400), http.base_url, http.base_url,
    http.base_url, port))
end

-- What the syslog receiver wrote down, counted as support/receiver.lua counts.
local function syslog_counts()
  local out, seen = {}, {}
  for line in io.lines(logged) do
    local id, kind, record, text = line:match "^(%S+) (%S+) (%d+) (%d+)$"
    local name = "syslog " .. kind
    local box = out[name] or { documents = 0, records = 0, repeats = 0, changed = 0, sum = 0, owns = {} }
    out[name] = box
    if not seen[id] then
      seen[id], box.documents = text, box.documents + 1
      box.sum = (box.sum + (receiver.number(id) ~ math.tointeger(tonumber(text)))) & 0xfffffffffff
      if not box.owns[record] then box.owns[record], box.records = true, box.records + 1 end
    else
      box.repeats, box.changed = box.repeats + 1, box.changed + (seen[id] == text and 0 or 1)
    end
  end
  return out
end

-- Rows and records in the database so far.
local function in_database()
  local db <close> = assert(core.store.open(folder .. "/found.db", { readonly = true, application_id = 0x64666462, migrations = { "" } }))
  return db:row [[SELECT count(*), count(DISTINCT json_extract(doc, '$.evidence[0].id')) FROM findings]]
end

local total = { documents = 0, repeats = 0 }

-- Every sink has each document of this round, and the same ones.
local function check(round)
  local counts, sums = cjson.decode(ask "counts"), {}
  for name, box in pairs(syslog_counts()) do counts[name] = box end
  for _, sink in ipairs{ "elastic", "splunk_hec", "webhook", "syslog" } do
    for kind, n in pairs{ ["dataleaks.credentials"] = DAYS * A_DAY, findings = DAYS * A_DAY // EACH } do
      local box = counts[sink .. " " .. kind]
      if sink == "webhook" and kind ~= "findings" then
        assert(not box, "the webhook got what it does not want")
      else
        local case = ("round %d, %s %s: %s, and %d were expected"):format(round, sink, kind, cjson.encode{ box and box.documents,
          box and box.records, box and box.repeats, box and box.changed }, n)
        assert(box and box.documents == n and box.records == n and box.changed == 0, case)
        sums[kind] = sums[kind] or box.sum
        assert(sums[kind] == box.sum, "other documents: " .. case)
        total.documents, total.repeats = total.documents + n, total.repeats + box.repeats
      end
    end
  end
  local rows, records = in_database()
  assert(rows == round * DAYS * A_DAY // EACH and records == rows, ("round %d: %d findings in the database, %d records"):format(round, rows,
    records))
  ask "reset"
  scratch.write(logged, "")
end

local function figure(text, name) return tonumber(text:match("\ndefendis_" .. name .. " ([%d.]+)")) end

-- Waits until a run has ended after `since` and all is delivered; returns the metrics.
local function drained(daemon, since)
  local from = scratch.uptime()
  while true do
    local answered, _, text = pcall(daemon.get, daemon, "/metrics")
    if not answered then text = "" end -- a machine that gives it no time for 20 s
    local behind, sinks, failures = 0, 0, 0
    for name, n in text:gmatch "defendis_sink_(%l+)[^\n]* (%d+)\n" do
      if name == "behind" then behind, sinks = behind + n, sinks + 1 else failures = failures + n end
    end
    if (figure(text, "last_run_timestamp_seconds") or 0) > since and sinks == 5 and behind == 0 then
      assert(figure(text, "outbox_documents") == 0, "nobody is behind, and the outbox is not empty")
      local mib = figure(text, "resident_memory_bytes") / (1 << 20)
      return { at = figure(text, "last_run_timestamp_seconds"), mib = mib, failures = failures }
    end
    assert(scratch.uptime() - from < DEADLINE, "a round does not end: " .. text)
    task.sleep(0.05)
  end
end

local function soak(daemon)
  local began, round, since, warm = scratch.uptime(), 1, 0, nil
  local got
  while true do
    got = drained(daemon, since)
    check(round)
    local passed = scratch.uptime() - began
    if not warm and (passed > SECONDS / 3 or passed > 600) and round >= 3 then warm = got.mib end -- SQLite's cache is full then
    if round == 1 or round % 10 == 0 or passed >= SECONDS then
      print(("%5.0f s  %5d rounds  %9d documents delivered, %7d repeats, %6d failed attempts  %5.1f MiB"):format(passed, round,
        total.documents, total.repeats, got.failures, got.mib))
      io.stdout:flush()
    end
    if passed >= SECONDS and warm then break end
    since, round = got.at, round + 1
    write(round)
    daemon:signal "HUP"
  end
  assert(got.failures > 0, "nothing failed, so nothing was shown")
  assert(got.mib <= GROWTH * warm, ("memory grows: %.1f MiB after the warm-up, %.1f MiB now"):format(warm, got.mib))
  local code = daemon:stop()
  assert(code == 0, ("exit code %d: %s"):format(code, daemon:err()))
  print(("%d rounds: nothing lost, nothing else came, the outbox is empty; %.1f MiB after the warm-up, %.1f MiB at the end"):format(round,
    warm, got.mib))
end

run.write(folder .. "/rule.lua", RULE:format(EACH, EACH))
write(1)
ask(("faults?share=%g&seed=1"):format(SHARE))
local env = { SOAK_TOKEN = "a-token-of-the-soak-0123456789", DEFENDIS_BASE_URL = api.env.DEFENDIS_BASE_URL,
  DEFENDIS_API_KEY = api.env.DEFENDIS_API_KEY }
local daemon = process.start("ingest " .. folder .. "/pipeline.lua --every 24h --listen 127.0.0.1:0", env)
local ok, err = xpcall(soak, debug.traceback, daemon)
if not ok then io.stderr:write(daemon:err():sub(-2000)) end
daemon:clean()
os.execute("kill " .. syslogd_pid)
syslogd:close()
http.stop()
api.stop()
run.clean()
if not ok then error(err, 0) end

-- metrics.lua: figures of a daemon as Prometheus reads them (text format 0.0.4). Labels hold datasets, levels, states, ids of
-- rules and names of sinks; never an input or a value of a record.
local core = require "defendis.core"

local metrics = {}

--- What is counted since the process began: {late = records, late_by = rule -> records, skipped = one of set.counters -> records,
-- lateness = dataset -> {ms, count}, failures = sink -> count of the sinks that are closed}; and findings = level -> count in the state.
function metrics.new() return { late = 0, late_by = {}, skipped = {}, lateness = {}, failures = {}, findings = {} } end

local function add_all(to, from)
  for name, n in pairs(from or {}) do to[name] = (to[name] or 0) + n end
end

--- A run ended. summary: see Pipeline:summary.
function metrics.note_run(counts, summary)
  counts.late = counts.late + summary.late
  add_all(counts.late_by, summary.late_by)
  add_all(counts.skipped, summary.counters)
end

--- A state was opened: takes in what is not read from it each time.
function metrics.begin(counts, store)
  counts.findings = {}
  for level, _, n in store:findings_by_rule() do counts.findings[level] = (counts.findings[level] or 0) + n end
end

--- The sinks of an outbox are closed: their failures stay counted.
function metrics.keep_failures(counts, box)
  for _, d in ipairs(box.deliveries) do counts.failures[d.name] = (counts.failures[d.name] or 0) + d.failures end
end

--- Records came: how long after their events. fresh: array of {time = Unix ms or nil}, of which the first n count.
function metrics.note_lateness(counts, dataset, fresh, n)
  local now, ms, count = core.sys.wall_ms(), 0, 0
  for i = 1, n do
    local at = fresh[i].time
    if at then ms, count = ms + now - at, count + 1 end
  end
  local known = counts.lateness[dataset] or { ms = 0, count = 0 }
  counts.lateness[dataset] = { ms = known.ms + ms, count = known.count + count }
end

local function escape(text) return (text:gsub('[\\\n"]', { ["\\"] = "\\\\", ["\n"] = "\\n", ['"'] = '\\"' })) end

local function number(v) return math.type(v) == "integer" and ("%d"):format(v) or ("%.3f"):format(v) end

local Text = {}
Text.__index = Text

-- One metric: its help, then a line per sample {value, label, value of the label, ...}.
function Text:add(name, kind, help, samples)
  self[#self + 1] = ("# HELP defendis_%s %s\n# TYPE defendis_%s %s\n"):format(name, help, name, kind)
  for _, s in ipairs(samples) do
    local labels = {}
    for i = 2, #s - 1, 2 do labels[#labels + 1] = ('%s="%s"'):format(s[i], escape(s[i + 1])) end
    local all = labels[1] and "{" .. table.concat(labels, ",") .. "}" or ""
    self[#self + 1] = ("defendis_%s%s %s\n"):format(s.name or name, all, number(s[1]))
  end
end

local function add_state(text, store, counts)
  local records, windows, findings = {}, {}, {}
  for dataset, received, unique, duplicate, dead, open, closed in store:totals() do
    for outcome, n in pairs{ received = received, unique = unique, duplicate = duplicate, dead = dead } do
      records[outcome] = records[outcome] or {}
      table.insert(records[outcome], { n, "dataset", dataset })
    end
    windows[#windows + 1] = { open, "dataset", dataset, "state", "open" }
    windows[#windows + 1] = { closed, "dataset", dataset, "state", "closed" }
  end
  for _, r in ipairs{ { "received", "Records that came." }, { "unique", "Records that were new and could be used." },
    { "duplicate", "Records that were known." }, { "dead", "Records that could not be used." } } do
    text:add("records_" .. r[1] .. "_total", "counter", r[2], records[r[1]] or {})
  end
  text:add("windows", "gauge", "Windows by state.", windows)
  for level, n in pairs(counts.findings) do findings[#findings + 1] = { n, "level", level } end
  text:add("findings_total", "counter", "Findings by level.", findings)
  local documents, bytes = store:outbox_size()
  text:add("outbox_documents", "gauge", "Documents in the outbox.", { { documents } })
  text:add("outbox_bytes", "gauge", "Bytes in the outbox.", { { bytes } })
end

local function add_sinks(text, counts, box)
  local behind, failures, failing = {}, {}, {}
  for name, n in pairs(counts.failures) do failures[name] = n end
  for _, d in ipairs(box and box.deliveries or {}) do
    behind[#behind + 1] = { d.behind, "sink", d.name }
    failures[d.name] = (failures[d.name] or 0) + d.failures
  end
  for name, n in pairs(failures) do failing[#failing + 1] = { n, "sink", name } end
  text:add("sink_behind_documents", "gauge", "Documents that a sink has yet to take.", behind)
  text:add("sink_failures_total", "counter", "Attempts to deliver to a sink that failed.", failing)
end

local function add_requests(text)
  local counts, samples = core.sys.requests(), {}
  for class = 1, 5 do samples[class] = { counts[class], "status", class .. "xx" } end
  samples[6] = { counts[0], "status", "none" }
  text:add("requests_total", "counter", "Requests to the API by class of status; none: no answer.", samples)
  text:add("retries_total", "counter", "Requests to the API that repeated one.", { { counts[6] } })
end

local function add_lateness(text, counts)
  local samples = {}
  for dataset, l in pairs(counts.lateness) do
    samples[#samples + 1] = { l.ms / 1000, "dataset", dataset, name = "event_lateness_seconds_sum" }
    samples[#samples + 1] = { l.count, "dataset", dataset, name = "event_lateness_seconds_count" }
  end
  text:add("event_lateness_seconds", "summary", "Time from a record's event until it came, of records that were new.", samples)
end

local function labelled(counts, label)
  local out = {}
  for name, n in pairs(counts) do out[#out + 1] = { n, label, name } end
  return out
end

local function resident()
  local f <close> = io.open("/proc/self/status", "r")
  local kib = f and f:read("a"):match("VmRSS:%s*(%d+) kB")
  return kib and math.tointeger(tonumber(kib)) * 1024 or 0
end

local function seconds(ms) return ms / 1000 end

--- The text. counts: from metrics.new; daemon: {pipeline = the open one or nil, last = {at, took_ms} or nil, success_at = Unix ms or nil}.
function metrics.text(counts, daemon)
  local text, p, last = setmetatable({}, Text), daemon.pipeline, daemon.last
  if p then add_state(text, p.store, counts) end
  add_sinks(text, counts, p and p.commit.outbox)
  add_requests(text)
  add_lateness(text, counts)
  text:add("late_records_total", "counter", "Records that came too late for the correlations.", { { counts.late } })
  text:add("late_events_total", "counter", "The same by correlation: what it did without.", labelled(counts.late_by, "rule"))
  text:add("correlation_skipped_total", "counter", "Records that did not (fully) take part in a correlation; evicted: from a full window.",
    labelled(counts.skipped, "reason"))
  text:add("last_run_timestamp_seconds", "gauge", "When the last run ended.", last and { { seconds(last.at) } } or {})
  text:add("last_success_timestamp_seconds", "gauge", "When the last run ended that left no window open.",
    daemon.success_at and { { seconds(daemon.success_at) } } or {})
  text:add("last_run_duration_seconds", "gauge", "How long the last run took.", last and { { seconds(last.took_ms) } } or {})
  text:add("resident_memory_bytes", "gauge", "Resident memory of the process.", { { resident() } })
  return table.concat(text)
end

return metrics

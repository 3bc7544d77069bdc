-- report.lua: what came of an ingest: tables on stdout, what is wrong as lines on stderr, the exit code.
local json = require("defendis.core").json
local check = require "defendis.check"
local replay = require "defendis.replay"
local time = require "defendis.time"
local ui = require "defendis.cli.ui"

local report = {}

local SHOWN <const> = 5
local LEVELS = { critical = 1, high = 2, medium = 3, low = 4, informational = 5 }

-- Worst first; within a level correlations first, then the rule with fewer findings.
local function by_weight(a, b)
  if a.level ~= b.level then return (LEVELS[a.level] or 9) < (LEVELS[b.level] or 9) end
  if a.correlation ~= b.correlation then return a.correlation end
  if a.count ~= b.count then return a.count < b.count end
  return a.rule < b.rule
end

local function damaged(what)
  error(check.error("store", ("state damaged: %s cannot be read; restore a backup or run `defendis state reset --all`"):format(what)))
end

local function finding_row(f)
  local doc = json.decode(f.doc)
  if not doc then damaged("the finding " .. f.id) end
  return { f.level, time.format(f.time_ms), doc.title, replay.about(doc), doc.evidence_total, correlation = doc.type == "correlation" }
end

local function show_findings(store)
  local kinds, total, rows = {}, {}, {}
  for level, rule, count in store:findings_by_rule() do kinds[#kinds + 1] = { level = level, rule = rule, count = count } end
  if #kinds == 0 then
    print("\nno findings")
    return
  end
  for _, k in ipairs(kinds) do
    for f in store:newest_findings(k.level, k.rule, SHOWN) do k[#k + 1] = finding_row(f) end
    if not k[1] then damaged("a finding") end -- an index that leads elsewhere
    k.correlation = k[1].correlation
  end
  table.sort(kinds, by_weight)
  for i, k in ipairs(kinds) do
    total[i] = ("%d %s%s"):format(k.count, ui.plain(k.level), k.correlation and " correlated" or "")
    table.move(k, 1, #k, #rows + 1, rows)
  end
  print("\nfindings: " .. table.concat(total, ", ") .. "; the newest of each:")
  ui.table({ "level", "time", "finding", "about", "records" }, rows)
end

-- What no correlation counted, or not all the time.
local function show_left_out(summary)
  if summary.late > 0 then
    print(("\n%d records came too late for the correlations"):format(summary.late))
    for _, rule in ipairs(check.sorted_keys(summary.late_by)) do print(("  %s: %d"):format(ui.plain(rule), summary.late_by[rule])) end
  end
  local evicted = summary.counters.evicted
  if evicted > 0 then
    print(("\n%d records did not count for correlations that were full; raise max_events or max_groups to count them"):format(evicted))
  end
end

--- Prints the tables of a state: windows by dataset and input, the newest findings.
function report.show(plan, summary)
  local store = require("defendis.store").open(plan.store, { readonly = true })
  if not store then return end
  local rows, by = {}, {}
  for w in store:windows() do
    local key = w.dataset .. "\0" .. w.input
    local r = by[key]
    if not r then
      r = { w.dataset, w.input, 0, 0, 0, 0, 0, 0 }
      by[key], rows[#rows + 1] = r, r
    end
    r[w.state == "closed" and 3 or 4] = r[w.state == "closed" and 3 or 4] + 1
    r[5], r[6], r[7], r[8] = r[5] + w.received, r[6] + w.unique, r[7] + w.duplicate, r[8] + w.dead
  end
  ui.table({ "dataset", "input", "closed", "open", "received", "unique", "duplicate", "dead" }, rows)
  show_findings(store)
  store:close()
  show_left_out(summary)
end

-- One line for all windows of a dataset and input that have the same problem.
local function complain_of(problems)
  local by, order = {}, {}
  for _, p in ipairs(problems) do
    local key = table.concat({ p.dataset, p.input, p.message }, "\0")
    local g = by[key]
    if not g then
      g = { problem = p, from = p.from, to = p.to, windows = 0 }
      by[key], order[#order + 1] = g, g
    end
    g.windows = g.windows + 1
    if p.from < g.from then g.from = p.from end
    if p.to > g.to then g.to = p.to end
  end
  for _, g in ipairs(order) do
    io.stderr:write(("defendis: incomplete: %s %s %s..%s%s: %s\n"):format(g.problem.dataset, ui.plain(g.problem.input), g.from, g.to,
      g.windows > 1 and (" (%d windows)"):format(g.windows) or "", ui.error_line(g.problem)))
  end
end

--- Says on stderr what went wrong in a run. goes_on: its sinks are served further.
function report.complain(summary, goes_on)
  complain_of(summary.problems)
  for message, f in pairs(summary.faults) do
    io.stderr:write(("defendis: rule %s failed on %d records: %s\n"):format(f.rule, f.count, ui.plain(message)))
  end
  local kept = 0
  for _, n in pairs(summary.kept or {}) do kept = kept + n end
  if kept > 0 then
    io.stderr:write(("defendis: %d records that rules failed on are kept: see state dead list, mend the rules, then state dead retry\n")
      :format(kept))
  end
  if summary.dead > 0 then
    io.stderr:write(("defendis: %d records could not be used and are kept as dead letters\n"):format(summary.dead))
  end
  for _, notice in ipairs(summary.notices) do io.stderr:write("defendis: ", ui.plain(notice), "\n") end
  for _, s in ipairs(summary.sinks) do
    if s.dead > 0 then
      io.stderr:write(("defendis: sink %s: %d documents refused for good and kept as dead letters: %s\n"):format(ui.plain(s.sink), s.dead,
        ui.plain(s.dead_reason)))
    end
    if s.behind > 0 and (s.stopped or not goes_on) then
      io.stderr:write(("defendis: sink %s: %d documents behind, to be delivered %s%s\n"):format(ui.plain(s.sink), s.behind,
        goes_on and "as soon as it can be" or "by the next run",
        s.stopped and ("; %s: %s"):format(s.stopped, ui.plain(s.error)) or ""))
    end
  end
end

--- Does no sink lack anything, or only what it will get if it is served further?
function report.all_delivered(summary, goes_on)
  for _, s in ipairs(summary.sinks) do
    if s.behind > 0 and not goes_on or s.dead > 0 then return false end
  end
  return true
end

--- The exit code of a run that came to its end. goes_on: its sinks are served further.
function report.code(summary, goes_on)
  if #summary.problems > 0 or summary.dead > 0 or not report.all_delivered(summary, goes_on) then return 6 end
  return next(summary.faults) and 1 or 0
end

--- Prints a run as one JSON document. err: why it ended early, or nil.
function report.document(summary, err)
  summary.complete = not err and #summary.problems == 0 and report.all_delivered(summary)
  for _, name in ipairs{ "problems", "sinks", "notices" } do summary[name] = json.array(summary[name]) end
  ui.document(summary)
end

return report

-- ingest.lua: `defendis ingest PIPELINE.lua`: runs a pipeline up to now and says what came of it.
local common = require "defendis.cli.common"
local file = require "defendis.pipeline.file"
local ui = require "defendis.cli.ui"

local ingest = {}

function ingest.options(command)
  command:argument("pipeline", "Lua file that returns pipeline{ ... }.")
  command:flag("--once", "Run once and end (the default).")
  common.client_options(command)
end

local SHOWN <const> = 10

-- Worst first; then the newest.
local LEVELS = { critical = 1, high = 2, medium = 3, low = 4, informational = 5 }

local function show_findings(store)
  local counts = {}
  for level, n in store:findings_by_level() do counts[#counts + 1] = { level, n } end
  if #counts == 0 then return end
  table.sort(counts, function(a, b) return (LEVELS[a[1]] or 9) < (LEVELS[b[1]] or 9) end)
  local time, rows = require "defendis.time", {}
  for _, c in ipairs(counts) do
    local newest = {}
    for f in store:findings(c[1]) do
      newest[#newest + 1] = f
      if #newest > SHOWN then table.remove(newest, 1) end
    end
    for i = #newest, 1, -1 do
      if #rows == SHOWN then break end
      local doc, group = assert(require("defendis.core").json.decode(newest[i].doc)), {}
      for _, v in pairs(doc.group or {}) do group[#group + 1] = type(v) == "table" and table.concat(v, " ") or tostring(v) end
      rows[#rows + 1] = { c[1], time.format(newest[i].time_ms), doc.title, table.concat(group, " "), doc.evidence_total }
    end
  end
  local total = {}
  for i, c in ipairs(counts) do total[i] = c[2] .. " " .. c[1] end
  print(("\nfindings: %s%s"):format(table.concat(total, ", "), #rows == SHOWN and "; the worst and newest:" or ""))
  ui.table({ "level", "time", "finding", "about", "records" }, rows)
end

local function show(plan, summary)
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
  if summary.late > 0 then print(("\n%d records came too late for the correlations"):format(summary.late)) end
end

local function complain(summary)
  for _, p in ipairs(summary.problems) do
    io.stderr:write(("defendis: incomplete: %s %s %s..%s: %s\n"):format(p.dataset, ui.plain(p.input), p.from, p.to, ui.error_line(p)))
  end
  for message, f in pairs(summary.faults) do
    io.stderr:write(("defendis: rule %s failed on %d records: %s\n"):format(f.rule, f.count, ui.plain(message)))
  end
  if summary.dead > 0 then
    io.stderr:write(("defendis: %d records could not be used and are kept as dead letters\n"):format(summary.dead))
  end
end

local function code_of(summary)
  if #summary.problems > 0 or summary.dead > 0 then return 6 end
  return next(summary.faults) and 1 or 0
end

function ingest.run(args)
  local plan, err = file.load(args.pipeline)
  if not plan then return nil, err end
  local update, finish = ui.progress()
  local summary
  summary, err = require("defendis.pipeline").run(plan, { client = { base_url = args.base_url, api_key_file = args.api_key_file },
    progress = function(run) update(0, ("%d windows, %d records"):format(run.done, run.records)) end })
  finish()
  if not summary then return nil, err end
  if args.json then
    summary.complete = not err and #summary.problems == 0
    ui.document(summary)
  else
    show(plan, summary)
  end
  complain(summary)
  if err then return nil, err end
  return code_of(summary)
end

return ingest

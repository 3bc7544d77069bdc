-- replay.lua: `defendis replay PIPELINE.lua`: its rules on recorded records, and what other rules, or ingest, would find instead.
local core = require "defendis.core"
local cassettes = require "defendis.cassettes"
local catalog = require "defendis.catalog"
local check = require "defendis.check"
local common = require "defendis.cli.common"
local file = require "defendis.pipeline.file"
local replay = require "defendis.replay"
local report = require "defendis.report"
local rules = require "defendis.rules"
local sensitive = require "defendis.sensitive"
local time = require "defendis.time"
local ui = require "defendis.cli.ui"

local command = {}

function command.options(c)
  c:argument("pipeline", "Lua file that returns pipeline{ ... }; its rules are run, its state and sinks are left alone.")
  c:option("--records", "File of JSON lines as fetch prints them, or folder of *.jsonl; may be given again."):argname "PATH":count "*"
  c:option("--dataset", "What the records are, where neither their lines nor their file's name say it."):argname "NAME"
  c:option("--cassette", "Folder that --record of another command has made: its pages of records."):argname "DIR"
  c:option("--state", "Compare with what this state (or the pipeline that names it) found; alone: show that."):argname "STORE"
  c:option("--against", "Compare with what these rule files, or folders of them, find; may be given again."):argname "RULES":count "*"
  c:option("--from", "Only records of this day and later; correlations begin with it."):argname "DATE"
  c:option("--to", "Only records before this day; correlations are decided up to it."):argname "DATE"
  c:option("--report", "Also write an HTML file."):argname "FILE"
  c:flag("--fail-on-change", "Exit code 1 when a finding was added, removed or changed.")
end

local function config(...) return nil, check.error("config", string.format(...)) end

local function check_words(args)
  local recorded = #args.records > 0 or args.cassette ~= nil
  for _, name in ipairs{ "from", "to" } do
    local text = args[name]
    args[name] = text and core.api.days(text)
    if text and not args[name] then return config('--%s "%s" is not a date; write YYYY-MM-DD', name, text) end
  end
  if args.from and args.to and args.from >= args.to then return config "--from is not before --to" end
  if #args.records > 0 and args.cassette then return config "--records and --cassette exclude each other" end
  if not recorded and not args.state then return config "nothing to run on: give --records FILE, as `defendis fetch` prints them" end
  if not recorded and #args.against > 0 then
    return config "--against needs --records: a state keeps ids and findings, not the records that rules look at"
  end
  if args.state and #args.against > 0 then return config "--against and --state exclude each other: compare with one of them" end
  if args.fail_on_change and not args.state and #args.against == 0 then return config "--fail-on-change needs --against or --state" end
  if args.fail_on_change and not recorded then return config "--fail-on-change needs --records" end
  return true
end

-- Other rules, with what the pipeline's own are given by the program.
local function load_rules(paths, host)
  local sources, err = file.sources(paths, "")
  if not sources then return nil, err end
  return rules.load(sources, host)
end

-- Hides what ingest hides, under the same key, so that what is compared stays equal; of all datasets, for the records may be of others
-- than the pipeline's. set: which rules are to see it so.
local function guard(plan, set)
  local datasets = {}
  for _, entry in ipairs(catalog.list()) do
    if entry.dataset then datasets[#datasets + 1] = entry.name end
  end
  return sensitive.guard(setmetatable({ set = set, datasets = datasets }, { __index = plan }))
end

-- The findings of a state between two days.
local function of_state(store, args)
  local from, to = args.from and args.from * 86400000, args.to and args.to * 86400000
  local next_row, state, first, closing = store:findings()
  return function()
    while true do
      local f = next_row(state)
      if not f or (not from or f.time_ms >= from) and (not to or f.time_ms < to) then return f end
    end
  end, nil, first, closing
end

local function show_state(args, tell)
  local state <close>, err = common.store(args.state)
  if not state then return nil, err end
  return tell(args, { rules = report.summary(of_state(state, args)),
    notes = { "findings that ingest has kept in " .. args.state .. "; it keeps no records, so no rule was run" } })
end

-- What there is to compare with: another replay, a state, or nothing. Returns it or nil, and err.
local function other_side(plan, files, args, options)
  if args.state then return common.store(args.state) end
  if #args.against == 0 then return nil end
  local set, err = load_rules(args.against, plan.set.host)
  if not set then return nil, err end
  local ok, problem = guard(plan, set)
  if not ok then return nil, problem end
  return replay.run(set, files, options)
end

-- Runs what there is to run, and tells of it. Returns the exit code, or nil, err.
local function work(plan, args, tell)
  local options = { since = plan.since, until_day = plan.until_day, from = args.from, to = args.to }
  local files, err
  if args.cassette then files, err = cassettes.files(args.cassette) else files, err = replay.files(args.records, args.dataset) end
  if not files then return nil, err end
  local ok
  ok, err = guard(plan, plan.set)
  if not ok then return nil, err end
  local own <close>, fault = replay.run(plan.set, files, options)
  if not own then return nil, fault end
  local other <close>, problem = other_side(plan, files, args, options)
  if problem then return nil, problem end
  local changes, run
  if args.state then
    changes = replay.changes(of_state(other, args), own:findings())
    changes.what = args.state .. " -> this replay"
  elseif other then
    if own.received ~= other.received then return config "the records could not be read twice alike; give a file that stays as it is" end
    changes, run = replay.changes(own:findings(), other:findings()), other
    changes.what = args.pipeline .. " -> " .. table.concat(args.against, ", ")
  end
  run = run or own
  return tell(args, { run = run, changes = changes, rules = report.summary(run:findings()), dead = run:first_dead(), notes = {} })
end

local function notes(out)
  local run, lines = out.run, out.notes
  if not run then return lines end
  lines[1] = ("%d records, %d of them known already, %d unusable, %d outside of the days asked for; correlations decided from %s to %s")
    :format(run.received, run.duplicate, run.received - run.unique - run.duplicate, run.outside, core.api.date(run.since),
      core.api.date(run.upto))
  if run.late > 0 then
    lines[#lines + 1] = ("%d events lie before %s, where the pipeline begins, and count in no correlation; --from begins earlier"):format(
      run.late, core.api.date(run.since))
  end
  if run.dead > 0 then lines[#lines + 1] = ("%d records could not be used, the first: %s"):format(run.dead, out.dead or "unknown") end
  for message, f in pairs(run.faults) do
    lines[#lines + 1] = ("rule %s failed on %d records: %s"):format(f.rule, f.count, message)
  end
  return lines
end

local function change_row(mark, doc, what)
  return { mark, doc.level, doc.time and time.format(doc.time) or "-", doc.rule.id, doc.title, replay.about(doc), doc.id, what or "" }
end

local function show(out)
  local rows = {}
  print(ui.plain(out.notes[1]))
  for _, r in ipairs(out.rules) do
    for _, level in ipairs(check.sorted_keys(r.levels)) do rows[#rows + 1] = { level, r.levels[level], r.rule, r.title } end
  end
  if #rows == 0 then print "no findings" else ui.table({ "level", "findings", "rule", "title" }, rows) end
  local changes = out.changes
  if not changes then return end
  print(("\n%s: %d added, %d removed, %d changed"):format(ui.plain(changes.what), #changes.added, #changes.removed, #changes.changed))
  local list = {}
  for _, doc in ipairs(changes.added) do list[#list + 1] = change_row("added", doc) end
  for _, doc in ipairs(changes.removed) do list[#list + 1] = change_row("removed", doc) end
  for _, c in ipairs(changes.changed) do list[#list + 1] = change_row("changed", c.after, report.what(c)) end
  if list[1] then ui.table({ "change", "level", "time", "rule", "title", "about", "finding", "what" }, list) end
end

local function document(out)
  local list, run, changes = core.json.array{}, out.run, out.changes
  for i, r in ipairs(out.rules) do
    list[i] = { rule = r.rule, title = r.title, type = r.type, findings = r.total, levels = r.levels, first = r.first, last = r.last }
  end
  local doc = { rules = list, changes = changes }
  if run then
    doc.records = { received = run.received, unique = run.unique, duplicate = run.duplicate, dead = run.dead, outside = run.outside,
      late = run.late }
    doc.counters, doc.findings = run.counters, core.json.array{}
    for f in run:findings() do table.insert(doc.findings, (assert(core.json.decode(f.doc)))) end
  end
  ui.document(doc)
end

local function write(path, text)
  local f, problem = io.open(path, "wb")
  if not f then return config("cannot write %s", problem) end
  local ok, fault = f:write(text)
  if ok then ok, fault = f:close() end
  if not ok then return config("cannot write %s: %s", path, tostring(fault)) end
  return true
end

local function tell(args, out)
  local lines, run, changes = notes(out), out.run, out.changes
  if args.report then
    local ok, err = write(args.report, report.html{ title = "Replay of " .. args.pipeline, notes = lines, rules = out.rules,
      changes = changes })
    if not ok then return nil, err end
  end
  if args.json then document(out) else show(out) end
  for i, line in ipairs(lines) do
    if i > 1 then io.stderr:write("defendis: ", ui.plain(line), "\n") end
  end
  if run and run.dead > 0 then return 6 end
  if run and next(run.faults) then return 1 end
  return args.fail_on_change and #changes.added + #changes.removed + #changes.changed > 0 and 1 or 0
end

function command.run(args)
  local ok, err = check_words(args)
  if not ok then return nil, err end
  local plan
  plan, err = file.read(args.pipeline, true)
  if not plan then return nil, err end
  if #args.records == 0 and not args.cassette then return show_state(args, tell) end
  return work(plan, args, tell)
end

return command

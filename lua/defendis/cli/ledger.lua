-- ledger.lua: `defendis ledger show|verify`: proof of completeness.
local core = require "defendis.core"
local api, json = core.api, core.json
local check = require "defendis.check"
local common = require "defendis.cli.common"
local ledger = require "defendis.ledger"
local ui = require "defendis.cli.ui"

local command = {}

local function options(c)
  c:argument("store", "The state file, or the pipeline file that names it.")
  c:option("--from", "First day, YYYY-MM-DD."):argname "DATE"
  c:option("--to", "Day after the last, YYYY-MM-DD."):argname "DATE"
  common.backfill_option(c)
  c:flag("--json", "JSON instead of text.")
end

function command.options(c)
  c:command_target "action"
  options(c:command("show", "A row per dataset, input and window."))
  options(c:command("verify", "Exit 0 only when every window in between is closed and adds up."))
end

local COLUMNS = { "dataset", "input", "from", "to", "state", "announced", "pages", "received", "unique", "duplicate", "dead" }

local function show(store, filter, as_json)
  local rows = {}
  for w in store:windows(filter) do
    w.from, w.to = api.date(w.from), api.date(w.to)
    if as_json then
      print(assert(json.encode(w, { sort_keys = true })))
    else
      local row = {}
      for i, name in ipairs(COLUMNS) do row[i] = w[name] == nil and "-" or w[name] end
      rows[#rows + 1] = row
    end
  end
  if as_json then return 0 end
  ui.table(COLUMNS, rows)
  local sinks = {}
  for i, s in ipairs(ledger.sinks(store)) do sinks[i] = { s.sink, s.behind, s.dead } end
  if sinks[1] then
    print()
    ui.table({ "sink", "behind", "dead" }, sinks)
  end
  return 0
end

local function verify(store, filter, as_json)
  local sum = ledger.verify(store, filter)
  if sum.windows == 0 then return nil, check.error("incomplete", "no window was walked, so nothing is proven; run ingest first") end
  if as_json then
    sum.problems, sum.sinks = json.array(sum.problems), json.array(sum.sinks)
    ui.document(sum)
  else
    print(("%d windows: announced %d, received %d = unique %d + duplicate %d + dead %d"):format(sum.windows, sum.announced, sum.received,
      sum.unique, sum.duplicate, sum.dead))
    for _, p in ipairs(sum.problems) do
      local what = p.sink and "sink " .. ui.plain(p.sink) or ("%s %s %s..%s"):format(p.dataset, ui.plain(p.input), p.from, p.to)
      print(ui.colour("red", what .. ": " .. ui.plain(p.message)))
    end
    print(#sum.problems == 0 and ui.colour("green", "complete") or ("%d problems; run ingest again"):format(#sum.problems))
  end
  return #sum.problems == 0 and 0 or 6
end

function command.run(args)
  local filter = {}
  for _, name in ipairs{ "from", "to" } do
    if args[name] then
      filter[name] = api.days(args[name])
      if not filter[name] then return nil, check.error("config", ('--%s "%s" is not a date; write YYYY-MM-DD'):format(name, args[name])) end
    end
  end
  local store <close>, err = common.store(args.store, args.backfill)
  if not store then return nil, err end
  return (args.action == "show" and show or verify)(store, filter, args.json)
end

return command

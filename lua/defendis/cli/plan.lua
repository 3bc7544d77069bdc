-- plan.lua: `--plan` of fetch and ingest: what a run would take, as a table or as JSON.
local core = require "defendis.core"
local common = require "defendis.cli.common"
local json = core.json
local planner = require "defendis.pipeline.planner"
local store = require "defendis.store"
local ui = require "defendis.cli.ui"

local plan = {}

local UNITS = { "B", "KiB", "MiB", "GiB", "TiB" }

local function size(bytes)
  local unit = 1
  while bytes >= 1024 and unit < #UNITS do bytes, unit = bytes / 1024, unit + 1 end
  return (unit == 1 and "%d %s" or "%.1f %s"):format(bytes, UNITS[unit])
end

local function duration(minutes)
  if minutes < 1.5 then return ("%d s"):format(math.ceil(minutes * 60)) end
  return minutes < 120 and ("%.0f minutes"):format(minutes) or ("%.1f hours"):format(minutes / 60)
end

local function row(f) return { f.dataset, f.input, f.windows, f.closed, f.requests, f.records, size(f.bytes) } end

local function show(figures, args)
  if args.json then
    figures.streams = json.array(figures.streams)
    ui.document(figures)
  else
    local rows = {}
    for i, f in ipairs(figures.streams) do rows[i] = row(f) end
    if #rows > 1 then
      rows[#rows + 1] = { "all", "", figures.windows, figures.closed, figures.requests, figures.records, size(figures.bytes) }
    end
    ui.table({ "dataset", "input", "windows", "closed", "requests", "records", "about" }, rows)
    if figures.requests == 0 then
      print "nothing to do: all windows are closed"
    else
      print(("%d requests, about %s at %.1f requests/s, as %d were answered now"):format(figures.requests, duration(figures.minutes),
        figures.requests_per_second, figures.asked))
    end
  end
  local code = 0
  for _, f in ipairs(figures.streams) do
    if f.error then
      io.stderr:write(("defendis: %s %s: %s\n"):format(f.dataset, ui.plain(f.input), ui.plain(f.error)))
      code = 6
    elseif not f.exact then
      io.stderr:write(("defendis: %s %s: the list has no totals, so there may be more\n"):format(f.dataset, ui.plain(f.input)))
    end
  end
  return code
end

--- Plans a fetch. Returns the exit code, or nil, err.
function plan.fetch(client, args, path, query)
  local figures, err = planner.list(client, args.dataset, path, query)
  if not figures then return nil, err end
  figures.streams[1].input = table.concat(args.inputs, " ")
  return show(figures, args)
end

-- The state as it is, or an empty one.
local function open_state(path)
  local f = io.open(path, "rb")
  if not f then return store.open(":memory:") end
  f:close()
  return store.open(path, { readonly = true })
end

--- Plans an ingest. Returns the exit code: 0, or 6 when an input is refused; or nil, err.
function plan.ingest(read, args)
  local state <close>, err = open_state(read.store)
  if not state then return nil, err end
  local client <close>, problem = common.client(args, { in_flight = read.concurrency })
  if not client then return nil, problem end
  local update, finish = ui.progress()
  local past = read.backfill
  local now = past and (past.as_of or state:meta "as_of") or core.tape.now() or core.sys.wall_ms()
  local figures, fault = planner.run(read, state, client, now, function(n) update(n, n .. " windows") end)
  finish()
  if not figures then return nil, fault end
  return show(figures, args)
end

return plan

-- ingest.lua: `defendis ingest PIPELINE.lua`: runs a pipeline up to now, or again and again, and says what came of it.
local core = require "defendis.core"
local check = require "defendis.check"
local common = require "defendis.cli.common"
local file = require "defendis.pipeline.file"
local halt = require "defendis.pipeline.halt"
local report = require "defendis.cli.report"
local replayed = require "defendis.pipeline.replayed"
local signals = require "defendis.cli.signals"
local tape = require "defendis.cli.tape"
local time = require "defendis.time"
local ui = require "defendis.cli.ui"

local ingest = {}

function ingest.options(command)
  command:argument("pipeline", "Lua file that returns pipeline{ ... }.")
  command:flag("--once", "Run once and end (the default).")
  command:option("--every", "Run again at each multiple of this time, for ever, such as 15m."):argname "SPAN"
  command:option("--listen", "With --every: serve /metrics and /healthz on this address of loopback."):argname "127.0.0.1:PORT"
  command:option("--backfill", "Walk days of the past beside the live pipeline, with a state of this name and labels."):argname "NAME"
  command:option("--from", "With --backfill: first day, YYYY-MM-DD."):argname "DATE"
  command:option("--to", "With --backfill: day after the last, YYYY-MM-DD."):argname "DATE"
  command:option("--as-of", "With --backfill: decide as if it were this time, such as 2026-01-31T12:00:00Z."):argname "TIME"
  command:flag("--alert", "With --backfill: give findings also to sinks that alert somebody.")
  command:flag("--plan", "Ask for the first page of each window only, and print what all would take; changes no state.")
  common.client_options(command)
  require("defendis.cli.tape").options(command)
end

local function config(...) return nil, check.error("config", string.format(...)) end

-- Checks the words that belong to a daemon. Returns {every_ms, port = or nil}, or nil, err.
local function daemon_words(args)
  if args.once then return config("--once and --every exclude each other") end
  local every = time.span(args.every)
  if not every or every < 1000 then return config('--every "%s" is not a time of at least 1s, such as 15m', args.every) end
  if not args.listen then return { every_ms = every } end
  local host, port = args.listen:match("^(.*):(%d+)$")
  port = port and math.tointeger(tonumber(port))
  if not port or port > 65535 then return config('--listen "%s" is not an address such as 127.0.0.1:9464', args.listen) end
  if host ~= "127.0.0.1" and host ~= "localhost" then
    return config('--listen "%s" is refused: only loopback is listened on, 127.0.0.1:%d; let a proxy with TLS and a password stand '
      .. "before it", args.listen, port)
  end
  return { every_ms = every, port = port }
end

local function day(args, name)
  local text = args[name]
  if not text then return config("--backfill needs --%s DATE", name) end
  local days = core.api.days(text)
  if not days then return config('--%s "%s" is not a date; write YYYY-MM-DD', name, text) end
  return days
end

-- The words that belong to a backfill. Returns {name, from, to, as_of, alert}, or nil, err.
local function backfill_words(args)
  if args.every then return config("--backfill and --every exclude each other") end
  local from, err = day(args, "from")
  if not from then return nil, err end
  local to
  to, err = day(args, "to")
  if not to then return nil, err end
  if from >= to then return config("--from %s is not before --to %s", args.from, args.to) end
  local as_of = args.as_of and time.parse(args.as_of)
  if args.as_of and not as_of then return config('--as-of "%s" is not a time such as 2026-01-31T12:00:00Z', args.as_of) end
  if as_of and as_of > core.sys.wall_ms() then return config("--as-of %s lies in the future", args.as_of) end
  return { name = args.backfill, from = from, to = to, as_of = as_of, alert = args.alert or false }
end

-- Reads the pipeline file; on a tape, its state and its files are others. Returns the plan, or nil, err.
local function load_plan(args, past)
  local plan, err = file.read(args.pipeline, args.plan, past)
  if not plan then return nil, err end
  local ok
  ok, err = tape.hide(plan.sensitive)
  if not ok then return nil, err end
  if args.plan then return plan end
  if core.tape.playing() then
    local left_out
    plan, left_out = replayed.apply(plan)
    if not plan then return nil, left_out end
    if left_out[1] then io.stderr:write("defendis: a replay does not deliver to ", table.concat(left_out, ", "), "\n") end
  end
  return file.make_sinks(plan)
end

local function once(plan, args)
  local update, finish = ui.progress()
  local ending = halt.new()
  local ok, err = signals.watch(ending)
  if not ok then return nil, err end
  local summary
  summary, err = require("defendis.pipeline").run(plan, { client = { base_url = args.base_url, api_key_file = args.api_key_file },
    halt = ending, progress = function(run) update(0, ("%d windows, %d records"):format(run.done, run.records)) end })
  finish()
  if not summary then return nil, err end
  if args.json then report.document(summary, err) else report.show(plan, summary) end
  report.complain(summary)
  if err then return nil, err end
  return report.code(summary)
end

function ingest.run(args)
  local words, past, err
  for _, name in ipairs(args.backfill and {} or { "from", "to", "as_of", "alert" }) do
    if args[name] then return config("--%s goes with --backfill only", (name:gsub("_", "-"))) end
  end
  if args.backfill then
    past, err = backfill_words(args)
    if not past then return nil, err end
  end
  if args.every and (args.plan or args.record or args.tape) then
    return config("--every and --%s exclude each other", args.plan and "plan" or args.record and "record" or "replay")
  end
  if args.every then
    words, err = daemon_words(args)
    if not words then return nil, err end
  elseif args.listen then
    return config("--listen goes with --every only: a single run is over before anybody asks")
  end
  local plan
  plan, err = load_plan(args, past)
  if not plan then return nil, err end
  if args.plan then return require("defendis.cli.plan").ingest(plan, args) end
  if words then return require("defendis.cli.daemon").run(plan, args, words) end
  return once(plan, args)
end

return ingest

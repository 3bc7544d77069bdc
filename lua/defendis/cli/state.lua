-- state.lua: `defendis state show|reset`: checkpoints of a store.
local api = require("defendis.core").api
local check = require "defendis.check"
local common = require "defendis.cli.common"
local ui = require "defendis.cli.ui"

local state = {}

local function options(c)
  c:argument("store", "The state file, or the pipeline file that names it.")
  c:flag("--json", "JSON instead of text.")
  return c
end

function state.options(c)
  c:command_target "action"
  options(c:command("show", "How far each dataset and input is walked."))
  local reset = options(c:command("reset", "Forget windows, so that they are walked again; records seen are not sent again."))
  reset:option("--dataset", "Only this one.")
  reset:option("--input", "Only this one.")
  reset:flag("--all", "Forget everything, also which records were seen: they are sent again.")
  reset:flag("--yes", "Do it.")
end

local function show(path, as_json)
  local store <close>, err = common.store(path)
  if not store then return nil, err end
  local streams, by = {}, {}
  for w in store:windows() do
    local key = w.dataset .. "\0" .. w.input
    local s = by[key]
    if not s then
      s = { dataset = w.dataset, input = w.input, since = w.from, open = 0, records = 0 }
      by[key], streams[#streams + 1] = s, s
    end
    s.records = s.records + w.unique
    if w.state ~= "closed" then s.open = s.open + 1 end
  end
  local rows = {}
  for i, s in ipairs(streams) do
    s.checkpoint, s.since = api.date(store:checkpoint(s.dataset, s.input, s.since)), api.date(s.since)
    rows[i] = { s.dataset, s.input, s.since, s.checkpoint, s.open, s.records }
  end
  if as_json then
    ui.document{ streams = require("defendis.core").json.array(streams), dead_letters = store:dead_count() }
  else
    ui.table({ "dataset", "input", "since", "checkpoint", "open windows", "records" }, rows)
    print(("dead letters: %d"):format(store:dead_count()))
  end
  return 0
end

local function reset(args)
  local what = "everything"
  if not args.all then what = "the windows of " .. (args.dataset or "all datasets") .. (args.input and " " .. args.input or "") end
  if args.all and (args.dataset or args.input) then return nil, check.error("config", "--all goes without --dataset and --input") end
  if not args.yes then return nil, check.error("config", ("this forgets %s in %s; add --yes to do it"):format(what, args.store)) end
  local path, err = common.store_path(args.store)
  if not path then return nil, err end
  local ok
  local store <close>, problem = require("defendis.store").open(path, { exclusive = true })
  if not store then
    if not (args.all and problem.message:find("^state damaged")) then return nil, problem end
    ok, err = require("defendis.store").discard(path)
    if not ok then return nil, err end
    print(("forgot everything; the damaged state is kept as %s.old"):format(path))
    return 0
  end
  ok, err = store:reset(not args.all and { dataset = args.dataset, input = args.input } or nil)
  if not ok then return nil, err end
  print("forgot " .. what)
  return 0
end

function state.run(args)
  if args.action == "show" then return show(args.store, args.json) end
  return reset(args)
end

return state

-- state.lua: `defendis state show|reset|dead|export|import`: checkpoints of a store, dead letters, and the whole of it as JSON lines.
local api = require("defendis.core").api
local check = require "defendis.check"
local common = require "defendis.cli.common"
local dead = require "defendis.cli.dead"
local json = require("defendis.core").json
local store_module = require "defendis.store"
local transfer = require "defendis.transfer"
local ui = require "defendis.cli.ui"

local state = {}

local function options(c)
  c:argument("store", "The state file, or the pipeline file that names it.")
  common.backfill_option(c)
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
  dead.options(c:command("dead", "What could not be used."))
  options(c:command("export", "Print the whole state as JSON lines, passwords in documents and dead letters included."))
  options(c:command("import", "Make a state of what export printed, from stdin; STORE must not be there."))
end

local function show(args)
  local store <close>, err = common.store(args.store, args.backfill)
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
  if args.json then
    ui.document{ streams = json.array(streams), dead_letters = store:dead_count() }
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
  local path, err = common.store_path(args.store, args.backfill)
  if not path then return nil, err end
  local ok
  local store <close>, problem = store_module.open(path, { exclusive = true })
  if not store then
    if not (args.all and problem.message:find("^state damaged")) then return nil, problem end
    ok, err = store_module.discard(path)
    if not ok then return nil, err end
    print(("forgot everything; the damaged state is kept as %s.old"):format(path))
    return 0
  end
  ok, err = store:reset(not args.all and { dataset = args.dataset, input = args.input } or nil)
  if not ok then return nil, err end
  print("forgot " .. what)
  return 0
end

local function export(args)
  -- not for reading only: nothing may move meanwhile, and an older state is brought up to date
  local store <close>, err = common.exclusive_store(args.store, args.backfill)
  if not store then return nil, err end
  for row in transfer.export(store) do ui.write(assert(json.encode(row, { sort_keys = true })) .. "\n") end
  return 0
end

-- Takes the lines in. Returns their number, or nil, err.
local function take_in(store)
  local n = 0
  for line in io.lines() do
    n = n + 1
    local row, err = json.decode(line)
    local ok
    if row ~= nil then ok, err = transfer.import(store, type(row) == "table" and row or {}) end
    if not ok then return nil, check.error("store", ("line %d: %s"):format(n, err.message)) end
  end
  return n
end

local function import(args)
  local path, err = common.store_path(args.store, args.backfill)
  if not path then return nil, err end
  local f = io.open(path, "rb")
  if f then
    f:close()
    return nil, check.error("store", path .. " is there; name a state that is not, or put this one aside")
  end
  local store <close>, problem = store_module.open(path, { exclusive = true })
  if not store then return nil, problem end
  local ok, n
  ok, err = store:begin()
  if ok then
    n, err = take_in(store)
    if n then ok, err = store:commit() end
  end
  if not ok or not n then
    store:close()
    os.remove(path)
    return nil, err
  end
  print(("took in %d rows"):format(n))
  return 0
end

function state.run(args)
  if args.action == "show" then return show(args) end
  if args.action == "dead" then return dead.run(args) end
  return ({ reset = reset, export = export, import = import })[args.action](args)
end

return state

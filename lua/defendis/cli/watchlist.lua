-- watchlist.lua: `defendis watchlist list|stats|add|rm|update|plan|apply`: scope by hand, or as a file.
local core = require "defendis.core"
local check = require "defendis.check"
local common = require "defendis.cli.common"
local current = require "defendis.watchlist.current"
local desired = require "defendis.watchlist.desired"
local difference = require "defendis.watchlist.plan"
local scope = require "defendis.cli.scope"
local ui = require "defendis.cli.ui"
local values = require "defendis.watchlist.values"
local watchlist = require "defendis.watchlist"

local command = {}

local function positive(text)
  local n = tonumber(text)
  if n and n > 0 and n <= 1e6 then return n end
  return nil, ('--rate "%s" is not a number of requests per second'):format(text)
end

local function options(c)
  common.client_options(c)
  c:option("--rate", "Requests per second at most."):argname "N":convert(positive)
  c:flag("--json", "JSON instead of text.")
  return c
end

local function writes(c)
  c:option("--audit", "File that each change is written to, before and after."):argname "FILE"
  return options(c)
end

local function file_options(c)
  c:argument("file", "A .lua or .csv file, see the README.")
  c:flag("--prune", "Take out what the file does not list, of the kinds that it has.")
  c:option("--max-removals", "Removals at most.", "10"):argname "N":convert(common.integer("--max-removals", 0))
  return c
end

function command.options(c)
  c:command_target "action"
  local list = options(c:command("list", "What is watched."))
  list:argument("kinds", "domain, bin, executive, keyword, ransom, assets, group; default all of the items."):args "*":argname "KIND"
  list:option("--group", "Only what is in this group."):argname "NAME"
  options(c:command("stats", "How many there are, and the limits."))
  local add = writes(c:command("add", "Add what is not there yet."))
  add:argument("kind", "As for list.")
  add:argument("values", "Domains, e-mails, ..., or names of groups."):args "+":argname "VALUE"
  add:option("--group", "The group that they are to be in."):argname "NAME"
  local rm = writes(c:command("rm", "Remove."))
  rm:argument("kind", "As for list.")
  rm:argument("values", "Values or ids."):args "+":argname "VALUE"
  rm:flag("--yes", "Groups go with what is in them.")
  local update = writes(c:command("update", "Change one."))
  update:argument("kind", "As for list.")
  update:argument("value", "Its value or id.")
  update:option("--value", "The new value, or a group's new name."):argname "VALUE":target "value_new"
  update:option("--group", "The group that it is to be in."):argname "NAME"
  update:option("--set", "Another field."):argname "NAME=VALUE":count "*"
  file_options(options(c:command("plan", "What apply would do. Exit code 6 when something differs, 3 when a quota is too small.")))
  local apply = file_options(writes(c:command("apply", "Make it so. Can be interrupted, and run again.")))
  apply:flag("--yes", "Do not ask.")
end

local function open(args) return common.client(args, args.rate and { rate = { per_second = args.rate } } or nil) end

local function list(args, client)
  local kinds = {}
  for i, name in ipairs(args.kinds) do
    local err
    kinds[i], err = values.kind(name)
    if not kinds[i] then return nil, err end
  end
  if #kinds == 0 then kinds = values.KINDS end
  local groups, err = current.list(client, "group")
  if not groups then return nil, err end
  local by_id, chosen = {}, nil
  for _, g in ipairs(groups) do
    by_id[g.id] = g.value
    if args.group and g.value == args.group then chosen = g.id end
  end
  if args.group and not chosen then return nil, check.error("not_found", ('there is no group "%s"'):format(args.group)) end
  local rows = {}
  for _, kind in ipairs(kinds) do
    local items = groups
    if kind ~= "group" then items, err = current.list(client, kind) end
    if not items then return nil, err end
    for _, item in ipairs(items) do
      if not chosen or item.watchlistid == chosen then
        local row = { kind = kind, value = item.value, group = by_id[item.watchlistid], id = item.id, item = item.record }
        if args.json then ui.document(row) else rows[#rows + 1] = { kind, row.value, row.group, row.id } end
      end
    end
  end
  if not args.json then ui.table({ "kind", "value", "group", "id" }, rows) end
  return 0
end

local function stats(args, client)
  local body, err = client:get "/api/v1/watchlists/stats"
  if not body then return nil, err end
  local data = type(body) == "table" and body.data or body
  if args.json then
    ui.document(data)
    return 0
  end
  local items, limits, rows = type(data) == "table" and data.items, type(data) == "table" and data.limits, {}
  if type(items) ~= "table" then
    return nil, check.error("decode", "the API's statistics have a form that is not known; see them with --json")
  end
  for i, kind in ipairs(values.KINDS) do
    rows[i] = { kind, items[kind], type(limits) == "table" and limits[values.METRICS[kind]] or "" }
  end
  ui.table({ "watchlist", "items", "limit" }, rows)
  return 0
end

-- Entries of a kind by value or id; or nil, err. Two with one value have to be told apart by their ids.
local function resolve(client, kind, words)
  local entries, err = current.list(client, kind)
  if not entries then return nil, err end
  local by, out = {}, {}
  for _, e in ipairs(entries) do
    local key = e.value and values.canonical(kind, e.value)
    if key then by[key] = by[key] and "two" or e end
  end
  for _, e in ipairs(entries) do by[tostring(e.id)] = e end
  for _, word in ipairs(words) do
    local e = by[word] or by[values.canonical(kind, word)]
    if e == "two" then return nil, check.error("config", ('%s "%s" is there twice; give an id'):format(kind, word)) end
    if not e then return nil, check.error("not_found", ('there is no %s "%s"'):format(kind, word)) end
    out[#out + 1] = e
  end
  return out
end

local function add(args, client)
  local kind, err = values.kind(args.kind)
  if not kind then return nil, err end
  local t = {}
  if kind == "group" then t.groups = args.values else t[kind] = {} end
  for i, value in ipairs(t[kind] and args.values or {}) do t[kind][i] = { value = value, group = args.group } end
  local want, problem = desired.of(t)
  if not want then return nil, check.error("config", problem) end
  if args.group then want.groups = {} end -- a typo in its name must not make one
  local p
  p, err = watchlist.plan_of(client, want, {})
  if not p then return nil, err end
  return scope.carry_out(client, p, args, { max_removals = 0 })
end

local function rm(args, client)
  local kind, err = values.kind(args.kind)
  if not kind then return nil, err end
  local entries
  entries, err = resolve(client, kind, args.values)
  if not entries then return nil, err end
  if kind == "group" and not args.yes then
    local now, problem = current.read(client, values.KINDS)
    if not now then return nil, problem end
    local used = {}
    for _, items in pairs(now.items) do for _, item in ipairs(items) do used[item.watchlistid or ""] = true end end
    for _, e in ipairs(entries) do
      if used[e.id] then
        return nil, check.error("config", ('the group "%s" is not empty, and what is in it may go with it; add --yes'):format(e.value))
      end
    end
  end
  local changes = {}
  for i, e in ipairs(entries) do changes[i] = { action = "remove", kind = kind, id = e.id, value = e.value } end
  return scope.carry_out(client, difference.of(changes), args, { max_removals = #changes, cascade = args.yes })
end

local function update(args, client)
  local kind, err = values.kind(args.kind)
  if not kind then return nil, err end
  local fields
  fields, err = common.pairs(args.set)
  if not fields then return nil, err end
  local problem = args.value_new and kind ~= "group" and values.check(kind)(args.value_new)
  if problem then return nil, check.error("config", "--value: " .. problem) end
  fields[values.field(kind)] = args.value_new
  if not (next(fields) or args.group) then return nil, check.error("config", "nothing to change; give --value, --group or --set") end
  local entries, groups
  entries, err = resolve(client, kind, { args.value })
  if not entries then return nil, err end
  groups, err = current.list(client, "group")
  if not groups then return nil, err end
  local e = entries[1]
  return scope.carry_out(client, difference.of({ { action = "update", kind = kind, id = e.id, value = args.value_new or e.value,
    group = args.group, fields = fields } }, groups), args, { max_removals = 0 })
end

local function read(args)
  local text, err = common.read_file(args.file)
  if not text then return nil, err end
  return desired.read(args.file, text)
end

local function plan(args, client, want)
  local p, err = watchlist.plan_of(client, want, { prune = args.prune })
  if not p then return nil, err end
  return scope.report(p, args)
end

local function apply(args, client, want)
  local p, err = watchlist.plan_of(client, want, { prune = args.prune })
  if not p then return nil, err end
  args.audit = args.audit or args.file .. ".audit.jsonl"
  if not args.yes and #p.changes > 0 then
    if not core.sys.isatty(0) then return nil, check.error("config", "nobody is there to ask; look at the plan, and add --yes") end
    local ok
    ok, err = scope.ask(p, args, function() return watchlist.plan_of(client, want, { prune = args.prune }) end)
    if not ok then return nil, err end
  end
  return scope.carry_out(client, p, args, { max_removals = args.max_removals })
end

local ACTIONS = { list = list, stats = stats, add = add, rm = rm, update = update, plan = plan, apply = apply }

function command.run(args)
  local want, problem
  if args.file then
    want, problem = read(args)
    if not want then return nil, problem end
  end
  local client <close>, err = open(args)
  if not client then return nil, err end
  return ACTIONS[args.action](args, client, want)
end

return command

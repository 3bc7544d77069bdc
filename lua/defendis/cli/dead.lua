-- dead.lua: `defendis state dead list|retry|drop`: records that could not be used, and documents that a sink refused for good.
local core = require "defendis.core"
local check = require "defendis.check"
local common = require "defendis.cli.common"
local sensitive = require "defendis.sensitive"
local cursor = require "defendis.store.cursor"
local time = require "defendis.time"
local ui = require "defendis.cli.ui"

local dead = {}

local HIDDEN <const> = "(not JSON: --reveal shows the bytes)"

local function common_options(c)
  c:argument("store", "The state file, or the pipeline file that names it.")
  c:option("--sink", "Only what this sink refused.")
  c:option("--dataset", "Only this one; findings are one too.")
  c:option("--id", "Only this one."):argname "N":convert(common.integer("--id", 1))
  c:flag("--json", "JSON instead of text; with the bytes.")
  return c
end

--- Adds the options of the command.
function dead.options(c)
  c:command_target "dead_action"
  local show = common_options(c:command("list", "Show them."))
  show:flag("--raw", "Show the bytes too, control characters as \\xNN.")
  show:flag("--reveal", "Records with their passwords, tokens and card numbers; a line on stderr says that it was done.")
  common_options(c:command("retry", "Give documents to their sink again, and records to normalizer and rules, with the next ingest."))
  common_options(c:command("drop", "Forget them.")):flag("--yes", "Do it.")
end

local function document_id(letter)
  return letter.doc and cursor.item({ kind = letter.dataset, ids = letter.doc }, 0).id or nil
end

-- The bytes of a letter as they may be shown: of a record as JSON, masked; of what is masked already, or with --reveal, as
-- they are. nil when they are no JSON: nobody can tell then what in them is sensitive.
local function shown(letter, args, options)
  if args.reveal or letter.sink or letter.where:find "^rule " then return letter.raw end
  return sensitive.masked(letter.raw, sensitive.list_of(letter.dataset, options))
end

local function print_json(letter)
  letter.time, letter.from = time.format(letter.time_ms), letter.dataset ~= "findings" and core.api.date(letter.from) or nil
  letter.document = document_id(letter)
  -- what is not UTF-8 has no form as JSON text
  if letter.raw and not utf8.len(letter.raw) then
    letter.raw_hex = letter.raw:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
    letter.raw = nil
  end
  letter.time_ms, letter.to, letter.doc = nil, nil, nil
  ui.document(letter)
end

local function list(store, filter, args)
  local options, err = common.sensitive_options(args.store)
  if not options then return nil, err end
  if args.reveal then sensitive.note("state dead list --reveal", args.store) end
  if args.json then
    for letter in store:dead_letters(filter) do
      letter.raw = shown(letter, args, options)
      print_json(letter)
    end
    return 0
  end
  local rows = {}
  for l in store:dead_letters{ dataset = filter.dataset, sink = filter.sink, id = filter.id, bare = true } do
    rows[#rows + 1] = { l.id, time.format(l.time_ms), l.dataset, l.input, l.sink and "sink " .. l.sink or l.where or "-", l.size,
      l.reason .. (l.retry and " (to be tried again)" or "") }
  end
  ui.table({ "id", "time", "dataset", "input", "refused by", "bytes", "reason" }, rows)
  if args.raw then
    for l in store:dead_letters(filter) do print(("%d: %s"):format(l.id, ui.plain(shown(l, args, options) or HIDDEN))) end
  end
  return 0
end

-- Back into the outbox, for its sink alone. Returns true, nil when the sink would not take it any more, or nil, err.
local function put_back(store, letter)
  local d = store:delivery(letter.sink)
  if not d or not d.kinds:find("\n" .. letter.dataset .. "\n", 1, true) then return nil end
  local input = letter.input ~= "" and letter.input or nil
  local ok, err = store:put_outbox{ seq = store:outbox_end(), sink = letter.sink, kind = letter.dataset, input = input,
    from = input and letter.from, to = letter.to, count = 1, ids = letter.doc, body = letter.raw .. "\n" }
  if ok and input then
    ok, err = store:add_delivered({ dataset = letter.dataset, input = input, from = letter.from, to = letter.to }, letter.sink, 0, -1)
  end
  if ok then ok, err = store:drop_dead(letter.id) end
  if not ok then return nil, err end
  return true
end

local function retry(store, filter)
  local ids, documents, records, stay = {}, 0, 0, 0
  for letter in store:dead_letters{ dataset = filter.dataset, sink = filter.sink, id = filter.id, bare = true } do
    ids[#ids + 1] = letter.id
  end
  local ok, err = store:begin()
  if not ok then return nil, err end
  for _, id in ipairs(ids) do
    local letter = store:dead_letter(id)
    if letter.sink then
      ok, err = put_back(store, letter)
      if ok then documents = documents + 1 elseif not err then stay = stay + 1 end
    else
      err = select(2, store:mark_dead(id, 1))
      records = records + 1
    end
    if err then break end
  end
  if not err then err = select(2, store:commit()) end
  if err then
    store:rollback()
    return nil, err
  end
  print(("the next ingest tries %d documents and %d records again"):format(documents, records))
  if stay > 0 then print(("%d stay: their sink is not in the pipeline any more, or does not want them"):format(stay)) end
  return 0
end

local function drop(store, filter, args)
  local n = store:dead_count(filter)
  if not args.yes then
    return nil, check.error("config", ("this forgets %d dead letters in %s; add --yes to do it"):format(n, args.store))
  end
  local ok, err = store:drop_all_dead(filter)
  if not ok then return nil, err end
  print(("forgot %d dead letters"):format(n))
  return 0
end

--- Returns the exit code, or nil, err.
function dead.run(args)
  local filter = { sink = args.sink, dataset = args.dataset, id = args.id }
  if args.dead_action == "list" then
    local store <close>, err = common.store(args.store, args.backfill)
    if not store then return nil, err end
    return list(store, filter, args)
  end
  local store <close>, err = common.exclusive_store(args.store, args.backfill)
  if not store then return nil, err end
  return (args.dead_action == "retry" and retry or drop)(store, filter, args)
end

return dead

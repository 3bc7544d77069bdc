-- groups.lua: records through rules, state and correlation in one process, for `make bench`: groups.lua RECORDS GROUPS KIND FOLDER.
--
-- What `defendis ingest` does with a page, without what does not know of groups: the fetch, the JSON and the documents. The state is a
-- file, each page a transaction, and each day is decided when it is whole. Two days; each group comes up equally often on each, so that
-- all groups live. CPU seconds of the pages and of the decisions, bytes of the state, findings and evictions go to FOLDER/figures.
local commit = require "defendis.pipeline.commit"
local core = require "defendis.core"
local file = require "defendis.pipeline.file"
local rules = require "defendis.rules"
local store = require "defendis.store"

collectgarbage "generational" -- as the program has it

local records, groups, kind, folder = math.tointeger(tonumber(arg[1])), math.tointeger(tonumber(arg[2])), arg[3], arg[4]
local DAY <const>, DAYS <const>, PAGE <const> = 86400000, 2, 1000

local BASE <const> = [[return { rule{ id = "bench.leak", title = "Leaked credential", level = "low", dataset = "d",
    match = function(r) return r.email ~= nil end },
  correlation{ id = "bench.%s", title = "T", level = "high", rules = { "bench.leak" }, group_by = { "email" }, %s } }]]
-- A window that looks back and could fire with the events that it holds, and one that has to close, and whose state says when.
local KINDS <const> = {
  slide = 'type = "value_count", timespan = "36h", condition = { field = "service", gte = 2 }',
  close = 'type = "session", timespan = "36h", gap = "2h", condition = { gte = 1000000 }, max_events = 1000000',
}

local set = assert(rules.load({ { name = "bench.lua", text = BASE:format(kind, KINDS[kind]) } }, file.host()))
local state = assert(store.open(folder .. "/state.db"))
local work = commit.new(state, {}, set, 0)
assert(work:open{})

local per_day = records // DAYS
local meta, record = {}, {}

-- A record in the order of time. The groups of a day are in no order: the step has no factor in common with their number.
local function deliver(i)
  local n = i % per_day
  meta.id, meta.time = ("%012x"):format(i), i // per_day * DAY + n * DAY // per_day
  local group = n * 7919 % groups
  record.email = ("user%07d@acme.example"):format(group)
  record.service = group % 100 == 0 and i % 3 == 0 and "b.service.example" or "a.service.example" -- a group in a hundred fires
  local events = set:apply("d", record, meta).events
  work:add_events(events)
end

local function pages(day)
  for first = day * per_day, (day + 1) * per_day - 1, PAGE do
    assert(work:transaction(function()
      for i = first, first + PAGE - 1 do deliver(i) end
      return state:flush_events()
    end))
  end
end

local adding, deciding = 0, 0
for day = 0, DAYS - 1 do
  local began = os.clock()
  pages(day)
  local added = os.clock()
  for _, c in ipairs(set:correlations()) do assert(work:correlate(c, (day + 1) * DAY)) end
  adding, deciding = adding + added - began, deciding + os.clock() - added
end
local bytes = state.db:row "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
local found, evicted = work.totals.findings, set.counters.evicted
work:close()

local out <close> = assert(io.open(folder .. "/figures", "w"))
out:write(assert(core.json.encode{ adding = adding, deciding = deciding, bytes = bytes, findings = found, evicted = evicted }))

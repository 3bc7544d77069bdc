-- commit.lua: ingest in this process with or without the commit, for `make bench`: commit.lua whole|without PIPELINE.
--
-- Prints CPU seconds. Both leave out what the correlations decide. "without" also leaves out what makes a page's results last: ids
-- seen, events, findings, watermarks and the transaction itself. The files are written and synced by both.
local file = require "defendis.pipeline.file"
local store = require "defendis.store"

local mode, path = arg[1], arg[2]
local open = store.open

local function yes() return true end

-- Keeps the windows' rows in memory: the walk needs them.
local function without(real)
  local rows, stub = {}, { each_group = function() return function() end end, count_events = function() return 15000 end }
  function stub.add_events() return 0, {} end
  for _, name in ipairs{ "begin", "commit", "rollback", "seen_new", "pass_new", "pass_clear", "flush_events", "add_finding",
    "drop_events", "drop_fired", "set_meta", "set_sink_state", "set_watermark" } do stub[name] = yes end
  function stub.seen_all(_, _, n, news)
    for i = 1, n // 2 do news[i] = true end
    return n // 2
  end
  function stub.put_window(_, row)
    if row.walks then rows[row.dataset .. row.input .. row.from] = row end
    return true
  end
  function stub.window(_, dataset, input, from) return rows[dataset .. input .. from] end
  function stub.watermark() end
  function stub.close() real:close() end
  return setmetatable(stub, { __index = real })
end

function store.open(...)
  local real, err = open(...)
  if not real then return nil, err end
  if mode == "without" then return without(real) end
  real.each_group = function() return function() end end
  return real
end

local plan = assert(file.load(path))
local before = os.clock()
local summary = assert(require("defendis.pipeline").run(plan, {}))
assert(#summary.problems == 0 and summary.records > 0)
print(os.clock() - before)

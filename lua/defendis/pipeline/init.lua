-- pipeline: scope -> windows -> pages -> normalize -> rules -> correlate -> sinks, one window after the other for every input.
local core = require "defendis.core"
local check = require "defendis.check"
local client_module = require "defendis.client"
local commit = require "defendis.pipeline.commit"
local prefetch = require "defendis.pipeline.prefetch"
local scope = require "defendis.pipeline.scope"
local store = require "defendis.store"

local DAY_MS <const> = 86400000
local PASSES <const> = 3  -- times a window is walked before it is given up as unstable
local TRIES <const> = 3   -- times a page is asked for before its contradictions are believed

local pipeline = {}

local Run = {}
Run.__index = Run

-- Ends the whole run: whatever comes next would fail too.
local FATAL = { config = true, auth = true, billing = true, rate_limit = true, unavailable = true, network = true, timeout = true,
  store = true, script = true, limit = true }

local function is_final(row, lateness) return row.state == "closed" and row.updated_ms >= row.to * DAY_MS + lateness end

-- How far a stream is walked without a hole, and how far no late record is expected: days.
local function progress(run, stream)
  local reached, final = run.plan.since, run.plan.since
  for row in run.store:windows{ dataset = stream.dataset, input = stream.value, from = run.plan.since } do
    if row.from > reached or row.state ~= "closed" then break end
    reached = row.to
    if final == row.from and is_final(row, run.plan.lateness_ms) then final = row.to end
  end
  stream.final = final
  return reached
end

local function fields_of(set, stream)
  local normalizer = set:normalizer(stream.dataset)
  return { id = normalizer.id_field or stream.entry.id_field or "id", time = normalizer.time or stream.entry.time }
end

-- The walk over one window of one stream, or nil when there is nothing to do.
local function new_walk(run, stream, from, to)
  local row = run.store:window(stream.dataset, stream.value, from, to)
  if row and is_final(row, run.plan.lateness_ms) then return nil end
  if stream.refused then return nil end
  local resumed = row and row.state == "open" and row.pass_pages > 0 and row.page_size == run.plan.page_size
  if not row then
    row = { dataset = stream.dataset, input = stream.value, from = from, to = to, pages = 0, received = 0, unique = 0, duplicate = 0,
      dead = 0, normalized = 0, replaced = 0, walks = 0, pass = 1, emitted = {} }
  end
  local walk = { row = row, stream = stream, path = stream.entry.path, first = 1, query = { [stream.input] = stream.value,
    fromDate = core.api.date(from), toDate = core.api.date(to), pageSize = run.plan.page_size } }
  if resumed then
    walk.first, walk.last = row.next_page, row.total_pages
    walk.pager = core.api.pager{ page_size = row.page_size, next_page = row.next_page, total_records = row.announced,
      total_pages = row.total_pages, items = row.pass_received, pages = row.pass_pages }
    walk.exact = row.walks == 1 and row.pass == 1
  else
    walk.exact = row.received == 0
    row.walks, row.pass = row.walks + 1, 1
    pipeline.start_pass(run, walk)
  end
  return walk
end

-- A pass begins: nothing of an earlier one counts for whether this one is whole.
function pipeline.start_pass(run, walk)
  local row = walk.row
  row.state, row.reason = "open", nil
  row.page_size, row.next_page, row.total_pages, row.announced = run.plan.page_size, 1, nil, nil
  row.pass_pages, row.pass_received, row.pass_unique = 0, 0, 0
  walk.pager = core.api.pager{ page_size = run.plan.page_size }
end

-- Walks in the order in which they are worked on: a window of all streams, then the next window.
local function planner(run)
  local plan = run.plan
  local windows = assert(core.api.windows{ since = plan.since, ["until"] = plan.until_day, step = plan.step, settle_ms = plan.settle_ms,
    start = plan.since })
  local now, from, to, at = core.sys.wall_ms(), nil, nil, 0
  return function()
    while true do
      if not from or at == #run.streams then
        from, to = windows:next(now)
        at = 0
        if not from then return nil end
      end
      at = at + 1
      run.windows = run.windows + 1
      local walk = new_walk(run, run.streams[at], from, to)
      if walk then return walk end
      run.done = run.done + 1
    end
  end
end

-- The page that the walk needs next, asked for again while it contradicts what came before.
-- Returns answer, step ("next", "done", "rewalk", "fail"), detail; or nil, err.
local function next_page(run, walk, n)
  local answer, err, step, detail, pager
  for try = 1, TRIES do
    if answer then answer.page:close() end
    answer, err = run.prefetch:page(walk, n, try > 1)
    if not answer then return nil, err end
    pager = walk.pager:copy()
    step, detail = pager:feed(answer.page)
    if step == "next" or step == "done" then break end
  end
  walk.pager = pager
  return answer, step, detail
end

-- What the last page of a pass decides: closed, or another pass because records are missing from it.
local function settle(row)
  local announced = row.announced or row.pass_received
  local stable = row.pass_before == row.pass_unique and row.pass >= 2
  if row.pass_unique >= announced or stable then
    row.state, row.pass_before, row.reason = "closed", nil, nil
    return true
  end
  row.reason = ("%d records announced, %d distinct ones came"):format(announced, row.pass_unique)
  row.pass_before = row.pass_unique
  return false
end

-- One pass over a window. Returns "closed", or "again", or nil, err.
local function walk_pass(run, walk)
  local row, n = walk.row, walk.first
  while true do
    local answer, step, detail = next_page(run, walk, n)
    if not answer then return nil, step end
    local page <close> = answer.page
    local closed
    local ok, err = run.commit:page(walk, answer, function()
      local state = walk.pager:state()
      row.announced = state.total_records >= 0 and state.total_records or nil
      row.total_pages = state.total_pages >= 0 and state.total_pages or nil
      if step == "next" then
        row.next_page, row.page_size = detail, run.plan.page_size
      elseif step == "done" then
        closed = settle(row)
      else
        row.reason = detail.message
      end
    end)
    if not ok then return nil, err end
    run:tick(page:len())
    if step == "done" then return closed and "closed" or "again" end
    if step == "fail" then return nil, check.error("incomplete", detail.message, { request_id = answer.request_id }) end
    if step == "rewalk" then return "again" end
    n = detail
  end
end

-- A window, in as many passes as it takes. Returns true, or nil, err.
local function walk_window(run, walk)
  while true do
    local outcome, err = walk_pass(run, walk)
    if outcome == "closed" then return true end
    if not outcome then return nil, err end
    if walk.row.pass >= PASSES then
      return nil, check.error("incomplete", ("the list kept changing during %d passes: %s"):format(PASSES, walk.row.reason or "?"))
    end
    walk.row.pass, walk.exact = walk.row.pass + 1, false
    local reason = walk.row.reason
    pipeline.start_pass(run, walk)
    walk.row.reason = reason
    run.prefetch:restart(walk, 1)
  end
end

-- Decides the correlations as far as all their streams are whole and final.
function Run:correlate()
  for _, c in ipairs(self.set:correlations()) do
    local wanted, to = {}, math.maxinteger
    for _, name in ipairs(c.datasets) do wanted[name] = true end
    for _, stream in ipairs(self.streams) do
      if wanted[stream.dataset] then to = math.min(to, stream.final) end
    end
    if to < math.maxinteger then
      local ok, err = self.commit:correlate(c, self.plan.since * DAY_MS, to * DAY_MS)
      if not ok then return nil, err end
    end
  end
  return true
end

-- Counts records that came and shows the progress.
function Run:tick(records)
  self.records = self.records + records
  if self.progress then self.progress(self) end
end

local function problem_of(walk, err)
  return { dataset = walk.row.dataset, input = walk.row.input, from = core.api.date(walk.row.from), to = core.api.date(walk.row.to),
    kind = err.kind, message = err.message, request_id = err.request_id }
end

-- Works through the walks. Returns true, or nil, err when the run cannot go on.
function Run:walk_all()
  local from
  while true do
    local walk = self.prefetch:current()
    if not walk or walk.row.from ~= from then
      local ok, err = self:correlate()
      if not ok then return nil, err end
    end
    if not walk then return true end
    from = walk.row.from
    local ok, err = walk_window(self, walk)
    self.prefetch:finish(walk)
    if ok then
      self.done = self.done + 1
      if walk.stream.final == walk.row.from and is_final(walk.row, self.plan.lateness_ms) then walk.stream.final = walk.row.to end
    else
      self.problems[#self.problems + 1] = problem_of(walk, err)
      if FATAL[err.kind] then return nil, err end
      if err.kind ~= "incomplete" and err.kind ~= "decode" then walk.stream.refused = true end
    end
  end
end

--- Runs a pipeline once, up to the last window that is closed by now. plan: from file.load; options: {client = options for a client,
-- progress = function(run) or nil}. Returns a summary {windows, done, records, findings, late, problems, faults, streams}, and err when
-- the run had to stop early; or nil, err when it could not start.
function pipeline.run(plan, options)
  local client_options = { in_flight = plan.concurrency }
  for k, v in pairs(options.client or {}) do client_options[k] = v end
  local client <close>, err = client_module.open(client_options)
  if not client then return nil, err end
  local state
  state, err = store.open(plan.store, { exclusive = true })
  if not state then return nil, err end
  local run <close> = setmetatable({ plan = plan, set = plan.set, store = state, windows = 0, done = 0, records = 0, problems = {},
    progress = options.progress, commit = commit.new(state, plan.sinks, plan.set) }, Run)
  local ok
  ok, err = run.commit:open(plan.datasets)
  if not ok then return nil, err end
  run.streams, err = scope.streams(plan, client)
  if not run.streams then return nil, err end
  for _, stream in ipairs(run.streams) do
    stream.fields = fields_of(plan.set, stream)
    progress(run, stream)
  end
  run.prefetch = prefetch.new(client, planner(run), plan.concurrency + 4)
  ok, err = run:walk_all()
  local totals = run.commit.totals
  return { windows = run.windows, done = run.done, records = run.records, findings = totals.findings, late = totals.late,
    problems = run.problems, faults = totals.faults, dead = state:dead_count(), counters = plan.set.counters }, not ok and err or nil
end

Run.__close = function(self) self.commit:close() end

return pipeline

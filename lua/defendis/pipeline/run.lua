-- run.lua: one run: finds out what there is to walk by now, and walks it, one window after the other for every input.
local core = require "defendis.core"
local prefetch = require "defendis.pipeline.prefetch"
local revive = require "defendis.pipeline.revive"
local scope = require "defendis.pipeline.scope"
local split = require "defendis.pipeline.split"
local task = require "defendis.task"
local walker = require "defendis.pipeline.walker"

local DAY_MS <const> = 86400000

local run_module = {}

local Run = {}
Run.__index = Run

-- Ends the whole run: whatever comes next would fail too.
local FATAL = { config = true, auth = true, billing = true, rate_limit = true, unavailable = true, network = true, timeout = true,
  store = true, script = true, limit = true }

-- How far a stream is whole and no late record is expected, as a day. Windows of an edited plan may overlap older ones.
local function final_day(run, stream)
  local final = run.plan.since
  for row in run.store:windows{ dataset = stream.dataset, input = stream.value, from = final } do
    if row.from > final then break end
    if walker.is_final(row, run.plan.lateness_ms) then final = math.max(final, row.to) end
  end
  return final
end

-- Forgets open windows of an earlier plan whose days are walked by now in windows of this one; nobody would ever close them.
local function forget_superseded(run, stream)
  local reached, open = run.plan.since, {}
  for row in run.store:windows{ dataset = stream.dataset, input = stream.value, from = run.plan.since } do
    if row.state ~= "closed" then
      open[#open + 1] = row
    elseif row.from <= reached then
      reached = math.max(reached, row.to)
    end
  end
  for _, row in ipairs(open) do
    if row.to <= reached then
      local ok, err = run.store:drop_window(row.dataset, row.input, row.from, row.to)
      if not ok then return nil, err end
    end
  end
  stream.final = final_day(run, stream)
  return true
end

local function fields_of(set, stream)
  local normalizer = set:normalizer(stream.dataset)
  return { id = normalizer.id_field or stream.entry.id_field or "id", time = normalizer.time or stream.entry.time }
end

local function planned_windows(plan)
  return assert(core.api.windows{ since = plan.since, ["until"] = plan.until_day, step = plan.step, settle_ms = plan.settle_ms,
    start = plan.since })
end

-- A backfill is meant to reach its last day; what is not over yet by then would be left out without a word.
local function note_short(run, reached)
  local last = run.plan.until_day
  for _, s in ipairs(reached < last and run.streams or {}) do
    run.problems[#run.problems + 1] = { dataset = s.dataset, input = s.value, from = core.api.date(reached), to = core.api.date(last),
      kind = "incomplete", message = "these days were not over, or not long enough, at the time that this backfill stands at" }
  end
end

-- Writes down how far this run is meant to get: the last window of every stream. Without it a run that was killed would leave a
-- ledger with nothing missing in it.
local function write_goal(run)
  local windows, last_from, last_to = planned_windows(run.plan), nil, nil
  for from, to in function() return windows:next(run.now) end do last_from, last_to = from, to end
  if run.plan.backfill then note_short(run, last_to or run.plan.since) end
  if not last_from then return true end
  return run.commit:transaction(function()
    local ok, err = true, nil
    for _, s in ipairs(run.streams) do
      local rows, are_there = split.rows(run.store, s, last_from, last_to)
      if ok and not are_there then ok, err = run.store:put_window(rows[1]) end
    end
    return ok, err
  end)
end

-- Walks in the order in which they are worked on: a window of all streams, then the next window.
local function planner(run)
  local windows, from, to, at, rows = planned_windows(run.plan), nil, nil, 0, {}
  return function()
    while true do
      if not rows[1] then
        if not from or at == #run.streams then
          from, to = windows:next(run.now)
          at = 0
          if not from then return nil end
        end
        at = at + 1
        rows = split.rows(run.store, run.streams[at], from, to)
      end
      run.windows = run.windows + 1
      local walk = walker.new(run, run.streams[at], table.remove(rows, 1), from)
      if walk then return walk end
      if not run.streams[at].refused then run.done = run.done + 1 end
    end
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
      local ok, err = self:give_way()
      if ok then ok, err = self.commit:correlate(c, to * DAY_MS) end
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

--- Between two pages: whatever runs beside has its turn. Returns true, or nil, err when the walk must end.
function Run:give_way()
  local ok, err = true, nil
  if self.commit.outbox then ok, err = self.commit.outbox:give_way() else task.pass() end
  if self.halt.asked then return nil, self.halt:error() end
  return ok, err
end

-- Walks the halves of a window in its place. Returns true, or nil, err.
function Run:split(walk)
  local rows, err = split.halve(self.commit, walk.stream, walk.row)
  if not rows then return nil, err end
  local walks = {}
  self.windows = self.windows + #rows - 1
  for _, row in ipairs(rows) do
    local half = walker.new(self, walk.stream, row, walk.origin)
    if half then walks[#walks + 1] = half else self.done = self.done + 1 end
  end
  self.prefetch:put_first(walks)
  return true
end

-- All walks are over: drops what an earlier plan left open, and notes how far each stream is final. Returns true, or nil, err.
function Run:settle_streams()
  for _, stream in ipairs(self.streams) do
    local ok, err = forget_superseded(self, stream)
    if not ok then return nil, err end
  end
  return true
end

-- A walk ended without closing its window. Returns true, or nil, err when the run cannot go on.
function Run:give_up(walk, err)
  if err.splits then return self:split(walk) end
  self.problems[#self.problems + 1] = problem_of(walk, err)
  if FATAL[err.kind] or err.fatal then return nil, err end
  if err.kind ~= "incomplete" and err.kind ~= "decode" then walk.stream.refused = true end
  return true
end

-- Works through the walks. Returns true, or nil, err when the run cannot go on.
function Run:walk_all()
  local from
  while true do
    local walk = self.prefetch:current()
    local ok, err = true, nil
    if not walk then ok, err = self:settle_streams() end
    if ok and (not walk or walk.row.from ~= from) then ok, err = self:correlate() end
    if not ok then return nil, err end
    if not walk then return true end
    from = walk.row.from
    ok, err = walker.run(self, walk)
    self.prefetch:finish(walk)
    if ok then
      self.done = self.done + 1
      if walk.row.from <= walk.stream.final and walker.is_final(walk.row, self.plan.lateness_ms) then
        walk.stream.final = math.max(walk.stream.final, walk.row.to)
      end
    elseif self.halt.asked then
      return nil, self.halt:error()
    else
      ok, err = self:give_up(walk, err)
      if not ok then return nil, err end
    end
  end
end

--- Finds out what there is to walk, and walks it. Returns true, or nil, err.
function Run:work()
  local err, ok
  self.streams, err = scope.streams(self.plan, self.client)
  if self.halt.asked then err = self.halt:error() end
  if not self.streams or self.halt.asked then return nil, err end
  local fields = {}
  for _, stream in ipairs(self.streams) do
    stream.fields = fields_of(self.set, stream)
    stream.final = final_day(self, stream)
    fields[stream.dataset] = stream.fields
  end
  ok, err = write_goal(self)
  if ok then ok, err = revive.run(self.commit, fields) end
  if not ok then return nil, err end
  self.prefetch = prefetch.new(self.client, planner(self), self.plan.concurrency, self.halt)
  ok, err = self:walk_all()
  self.prefetch:close()
  return ok, err
end

--- Makes a run. pipeline: an open one, see init.lua; client: an open client. Returns {windows, done, records, problems, ...}.
function run_module.new(pipeline, client, now)
  return setmetatable({ plan = pipeline.plan, set = pipeline.plan.set, store = pipeline.store, commit = pipeline.commit,
    halt = pipeline.halt, progress = pipeline.options.progress, client = client, now = now, windows = 0, done = 0, records = 0,
    problems = {} }, Run)
end

return run_module

-- pipeline: scope -> windows -> pages -> normalize -> rules -> correlate -> sinks: opened once, then run once or again and again.
local backfill = require "defendis.pipeline.backfill"
local core = require "defendis.core"
local client_module = require "defendis.client"
local commit = require "defendis.pipeline.commit"
local halt = require "defendis.pipeline.halt"
local metrics = require "defendis.pipeline.metrics"
local run_module = require "defendis.pipeline.run"
local sensitive = require "defendis.sensitive"
local sinks = require "defendis.pipeline.sinks"
local store = require "defendis.store"
local task = require "defendis.task"

local DAY_MS <const> = 86400000
local LAST_MS <const> = 8000 -- what batches under way have left to be acknowledged when the end is asked for

local pipeline = {}

local Pipeline = {}
Pipeline.__index = Pipeline

-- The folder of the state is made when it is missing.
local function open_store(plan)
  local folder = plan.store:match("^(.+)/[^/]*$")
  if folder then
    local made, problem = core.stream.mkdir(folder)
    if not made then return nil, problem end
  end
  local state, err = store.open(plan.store, { exclusive = true })
  if not state then return nil, err end
  local ok = true
  if plan.sensitive then ok, err = sensitive.guard(plan) end
  if ok and plan.backfill then ok, err = backfill.pin(plan.backfill, state) end
  if ok then return state end
  state:close()
  return nil, err
end

--- Opens state and sinks. plan: from file.load, whose sinks are the pipeline's from here on: they are closed with it, or when it cannot
-- be opened. options: {client = options for a client, progress = function(run) or nil, halt = from halt.new, or nil;
-- persistent = true: a sink that fails is tried for ever; counts = from metrics.new, or nil}. Returns it, or nil, err.
function pipeline.open(plan, options)
  local state, err = open_store(plan)
  if not state then
    sinks.close(plan.sinks)
    return nil, err
  end
  local self = setmetatable({ plan = plan, options = options, store = state, halt = options.halt or halt.new(),
    commit = commit.new(state, plan.sinks, plan.set, plan.since * DAY_MS,
      { outbox = plan.outbox, give_up_ms = plan.give_up_ms, persistent = options.persistent, counts = options.counts,
        backfill = plan.backfill }) }, Pipeline)
  local read, ok
  read, ok, err = pcall(self.commit.open, self.commit, plan.datasets)
  if not read or not ok then
    self:close()
    return nil, not read and ok or err
  end
  if options.counts then metrics.begin(options.counts, state) end
  self.forget_halt = self.halt:on_ask(function() self:end_waits() end)
  return self
end

--- No wait for the API goes on, and none for a sink for long.
function Pipeline:end_waits()
  if self.client then self.client:close() end
  if self.commit.outbox then self.commit.outbox:halt_within(LAST_MS) end
end

--- Calls work() with the deliveries beside it, and lets them end. Returns what work returned, or nil, err.
function Pipeline:beside(work)
  if self.commit.outbox then return self.commit.outbox:beside(work) end
  local results
  local outcome = task.parallel({ function() results = table.pack(work()) end })[1]
  if not outcome.ok then error(outcome[1], 0) end
  return table.unpack(results, 1, results.n)
end

--- Walks what there is to walk by now; within beside. Returns the run, and err when it had to stop early; or nil, err when there is no
-- client.
function Pipeline:run()
  local client_options = { in_flight = self.plan.concurrency }
  for k, v in pairs(self.options.client or {}) do client_options[k] = v end
  local client <close>, err = client_module.open(client_options)
  if not client then return nil, err end
  self.client = client
  if self.halt.asked then client:close() end
  local past = self.plan.backfill
  local run = run_module.new(self, client, past and past.as_of or core.tape.now() or core.sys.wall_ms())
  local ok, fault = run:work()
  self.client = nil
  return run, not ok and fault or nil
end

--- What came of a run: {windows, done, records, findings, late, late_by, problems, faults, kept, dead, counters, sinks, notices}.
function Pipeline:summary(run)
  local totals, box = self.commit.totals, self.commit.outbox
  return { windows = run.windows, done = run.done, records = run.records, findings = totals.findings,
    late = totals.late, late_by = totals.late_by, problems = run.problems, faults = totals.faults, kept = totals.kept, dead = totals.dead,
    counters = self.plan.set.counters, sinks = box and box:summary() or {}, notices = self.commit.notices }
end

--- Is there anything to tell of a run that began with an error?
function Pipeline:has_news(run)
  local box = self.commit.outbox
  return run.prefetch ~= nil or box ~= nil and box:has_news()
end

--- Closes sinks and state.
function Pipeline:close()
  if self.forget_halt then self.forget_halt() end
  self.commit:close()
end
Pipeline.__close = Pipeline.close

--- Runs a pipeline once, up to the last window that is closed by now. plan, options: as for pipeline.open. Returns a summary, see
-- Pipeline:summary, and err when the run had to stop early; or nil, err when it could not start.
function pipeline.run(plan, options)
  local self <close>, problem = pipeline.open(plan, options)
  if not self then return nil, problem end
  local run, err
  local ok, fault = self:beside(function()
    run, err = self:run()
    return run ~= nil, err
  end)
  if not run then return nil, err end
  if not ok then err = fault end -- the state could not be written for a delivery
  if err and not self:has_news(run) then return nil, err end
  return self:summary(run), err
end

return pipeline

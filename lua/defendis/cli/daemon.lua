-- daemon.lua: `defendis ingest --every`: run, wait for the next multiple of the interval, run again, until a signal.
local core = require "defendis.core"
local file = require "defendis.pipeline.file"
local halt = require "defendis.pipeline.halt"
local manager = require "defendis.cli.manager"
local monitor = require "defendis.cli.monitor"
local metrics = require "defendis.pipeline.metrics"
local pipeline = require "defendis.pipeline"
local report = require "defendis.cli.report"
local signals = require "defendis.cli.signals"
local task = require "defendis.task"
local time = require "defendis.time"
local ui = require "defendis.cli.ui"
local sys = core.sys

local JITTER_MAX_MS <const> = 60000
local LOOK_MS <const> = 60000 -- longest sleep in one piece: the wall clock may be set meanwhile

local daemon = {}

local Daemon = {}
Daemon.__index = Daemon

local function say(...) io.stderr:write("defendis: ", string.format(...), "\n") end

--- When the next run is due, Unix ms. now: Unix ms; random: from 0 up to 1.
function daemon.next_time(now, every_ms, random)
  return (now // every_ms + 1) * every_ms + math.floor(random * math.min(every_ms / 10, JITTER_MAX_MS))
end

local function clock(ms) return time.format(ms // 1000 * 1000) end

-- What this run came to, as a line. err: why it ended early, or nil.
local function line_of(summary, err, took_ms)
  local behind = 0
  for _, s in ipairs(summary.sinks) do behind = behind + s.behind end
  return ("run of %.1f s: %d windows, %d records, %d findings, %d behind%s"):format(took_ms / 1000, summary.done, summary.records,
    summary.findings, behind, err and ", ended early" or #summary.problems > 0 and ", incomplete" or "")
end

-- What a run came to that could not begin.
local function nothing()
  return { windows = 0, done = 0, records = 0, findings = 0, late = 0, dead = 0, problems = {}, faults = {}, sinks = {}, notices = {} }
end

-- What is told of a run: once, then it is forgotten.
function Daemon:tell(summary, err, took_ms)
  local code = err and require("defendis.cli").exit_code(err) or report.code(summary, true)
  self.line, self.code = line_of(summary, err, took_ms), code
  self.monitor:note_run(summary, err, took_ms)
  self.finish()
  if self.args.json then report.document(summary, err) end
  report.complain(summary, true)
  if err then say("%s", ui.error_line(err)) end
end

-- One run. Returns true, or nil, err when the daemon cannot go on.
function Daemon:run(p)
  local began = sys.mono_ms()
  manager.status(self.ready and "running" or nil, self.ready and "" or "READY=1\n")
  self.ready = true
  if p.commit.outbox then p.commit.outbox:rest(false) end
  local run, err = p:run()
  if p.commit.outbox then p.commit.outbox:rest(true) end
  if type(err) == "table" and err.kind == "store" then return nil, err end
  self:tell(run and p:summary(run) or nothing(), err, sys.mono_ms() - began)
  p.commit:forget_counts()
  return true
end

function Daemon:show_wait(at)
  local text = ("%s; next run %s"):format(self.line, clock(at))
  if not sys.isatty(2) then say("%s %s", clock(sys.wall_ms()), text) end
  manager.status(text)
  return ("next run %s; last: %s"):format(clock(at), self.line) -- a narrow terminal cuts the end off
end

-- Waits for the next run. Returns true when the files were read again, else false; or nil, err.
function Daemon:rest(p)
  local at = daemon.next_time(sys.wall_ms(), self.every_ms, math.random())
  local text = self:show_wait(at)
  while not self.halt.asked do
    local failure = p.commit.outbox and p.commit.outbox.failure
    if failure then return nil, failure end
    if self.hangup and self:reload() then return true end
    local left = at - sys.wall_ms()
    if left <= 0 then return false end
    self.update(0, text, true)
    self.wake:wait(math.min(left, LOOK_MS) / 1000)
  end
  return false
end

-- Reads the pipeline file and its rules again. The old ones stay when that fails.
function Daemon:reload()
  self.hangup = false
  manager.reloading()
  local plan, err = file.read(self.args.pipeline)
  if plan then
    self.old, self.plan = self.plan, plan
    return true
  end
  self.finish()
  say("not reloaded: %s", ui.error_line(err))
  manager.ready()
  return false
end

-- Opens the plan; the one before when the new one cannot be opened.
function Daemon:open()
  local options = { client = { base_url = self.args.base_url, api_key_file = self.args.api_key_file }, halt = self.halt, persistent = true,
    counts = self.monitor.counts,
    progress = function(run) self.update(0, ("running: %d windows, %d records"):format(run.done, run.records)) end }
  local p, err = self.plan, nil
  if self.old then p, err = file.make_sinks(p) end -- now that those of the old one are closed
  if p then p, err = pipeline.open(p, options) end
  if self.old then
    self.finish()
    if p then
      say("reloaded")
    else
      say("not reloaded: %s", ui.error_line(err))
      self.plan, err = file.make_sinks(self.old)
      if self.plan then p, err = pipeline.open(self.plan, options) end
    end
    self.old = nil
    manager.ready()
  end
  if p and p.commit.outbox then p.commit.outbox.on_failure = function() self.wake:notify() end end
  return p, err
end

-- Runs one plan until it is replaced (true), until the end is asked for (false), or until it fails (nil, err).
function Daemon:serve()
  local p <close>, err = self:open()
  if not p then return nil, err end
  self.monitor.pipeline = p
  local replaced
  local ok, failure = p:beside(function()
    repeat
      local going, fault = self:run(p)
      if going and not self.halt.asked then replaced, fault = self:rest(p) end
      if fault then return false, fault end
    until replaced or self.halt.asked
    if replaced then p:end_waits() end
    return true
  end)
  self.monitor.pipeline = nil
  if p.commit.outbox then metrics.keep_failures(self.monitor.counts, p.commit.outbox) end
  if not ok then return nil, failure end
  self.behind = 0
  for _, s in ipairs(p.commit.outbox and p.commit.outbox:summary() or {}) do self.behind = self.behind + s.behind end
  return replaced or false
end

--- Runs until SIGTERM or SIGINT. words: {every_ms, port = or nil}. Returns the exit code of the last run, or nil, err.
function daemon.run(plan, args, words)
  local update, finish = ui.progress()
  local self = setmetatable({ plan = plan, args = args, every_ms = words.every_ms, update = update, finish = finish, halt = halt.new(),
    wake = task.signal(), code = 0, behind = 0 }, Daemon)
  self.monitor = monitor.new()
  local ok, err = signals.watch(self.halt, function()
    self.hangup = true
    self.wake:notify()
  end)
  if ok and words.port then ok, err = self.monitor:listen(words.port) end
  if not ok then return nil, err end
  self.halt:on_ask(function()
    manager.stopping()
    self.wake:notify()
  end)
  manager.feed_watchdog()
  local outcome = task.parallel({ function()
    repeat
      ok, err = self:serve()
    until not ok
  end })[1]
  self.monitor:close()
  finish()
  if not outcome.ok then error(outcome[1], 0) end
  if ok == nil then return nil, err end
  return self.code == 0 and self.behind > 0 and 6 or self.code
end

return daemon

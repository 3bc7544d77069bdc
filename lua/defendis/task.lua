-- task.lua: straight-line code over requests that complete later: await one, or run many functions at once.
local check = require "defendis.check"
local client = require("defendis.core").client

local task = {}

-- Coroutines that the dispatcher below resumes. A coroutine that a script made itself is not among them: awaiting in it
-- blocks until the answer is there.
local managed = {}
local waiting = {}  -- request id -> coroutine
local early = {}    -- request id -> completion that came while another one was waited for
local ready = {}    -- coroutines to resume, each with its values
local PARKED = {}   -- what our own yields hand over, in front of the id waited for: no yield of a script can look like one

local function resume(co, ...)
  local job = managed[co]
  local function done(ok, first, id, ...)
    if coroutine.status(co) == "dead" then
      managed[co] = nil
      return job(ok, first, id, ...)
    end
    if first ~= PARKED then
      managed[co] = nil
      return job(false, "a function that parallel runs must not yield by itself; nobody would resume it")
    end
    if id then waiting[id] = co end
  end
  done(coroutine.resume(co, ...))
end

-- Behind a C function, such as string.gsub's callback, nothing can yield: there awaiting blocks.
local function may_yield() return managed[coroutine.running()] and coroutine.isyieldable() end

local function keep(id, ...)
  local co = waiting[id]
  if co then
    waiting[id] = nil
    ready[#ready + 1] = table.pack(co, ...)
  else
    early[id] = table.pack(...)
  end
end

-- Resumes whoever can go on; with nobody ready, waits for the next completion.
local function step()
  if #ready == 0 then keep(client.wait()) end
  local batch = ready
  ready = {}
  for _, r in ipairs(batch) do resume(table.unpack(r, 1, r.n)) end
end

--- Waits for a request. id: integer from client:submit. Returns what it completed with: answer, or nil, err.
function task.await(id)
  local done = early[id]
  if done then
    early[id] = nil
    return table.unpack(done, 1, done.n)
  end
  if may_yield() then return coroutine.yield(PARKED, id) end
  return select(2, client.wait(id))
end

--- Takes a completion that has come, without waiting. Returns true and its values, or false.
function task.try(id)
  if not early[id] and not client.ready(id) then return false end
  return true, task.await(id)
end

--- Waits for a time. seconds: number, 0 or more.
function task.sleep(seconds) task.await(client.timer(seconds)) end

--- Waits until a descriptor is readable. seconds: at most.
function task.readable(fd, seconds) task.await(assert(client.readable(fd, seconds))) end

--- Forgets a request, whether it is under way or complete.
function task.forget(id)
  early[id] = nil
  client.cancel(id)
end

--- Lets the other functions that run at once go on as far as they can without waiting. In none of them it does nothing.
function task.pass()
  if not may_yield() then return end
  client.poll()
  while client.ready() do keep(client.wait()) end
  ready[#ready + 1] = { n = 1, coroutine.running() }
  coroutine.yield(PARKED)
end

local Signal = {}
Signal.__index = Signal

--- A signal between functions that run at once: signal:wait([seconds]) until the next signal:notify(), which wakes all that wait, or
-- until the time is over.
function task.signal() return setmetatable({ waiting = {} }, Signal) end

--- Waits to be notified. seconds: at most, or nil.
function Signal:wait(seconds)
  if not may_yield() then error("signal:wait outside of a function that parallel runs; nobody could notify it", 2) end
  local entry = { co = coroutine.running(), timer = seconds and client.timer(seconds) }
  self.waiting[#self.waiting + 1] = entry
  coroutine.yield(PARKED, entry.timer)
  for i, other in ipairs(self.waiting) do -- still there when it was the timer
    if other == entry then table.remove(self.waiting, i) break end
  end
end

--- Wakes all that wait.
function Signal:notify()
  local woken = self.waiting
  self.waiting = {}
  for _, entry in ipairs(woken) do
    local timer = entry.timer
    -- a timer that has ended has made it ready already
    if not timer or waiting[timer] then ready[#ready + 1] = { n = 1, entry.co } end
    if timer then
      waiting[timer] = nil
      task.forget(timer)
    end
  end
end

--- Starts a function that nobody waits for. It goes on while parallel runs, and is left where it is when that has ended. What it
-- raises ends the call of parallel.
function task.spawn(fn)
  local co = coroutine.create(fn)
  managed[co] = function(ok, err)
    if not ok then error(err, 0) end
  end
  ready[#ready + 1] = { n = 1, co }
end

local OPTIONS = {
  concurrency = function(v)
    if math.type(v) ~= "integer" or v < 1 then return "a whole number from 1 expected, got " .. tostring(v) end
  end,
}

-- A copy of the array: what a script does to its own one later does not matter.
local function check_functions(functions)
  if type(functions) ~= "table" then error("parallel: an array of functions expected, got a " .. type(functions), 3) end
  local copy = {}
  for i = 1, #functions do
    copy[i] = functions[i]
    if type(copy[i]) ~= "function" then error(("parallel: element %d is a %s, not a function"):format(i, type(copy[i])), 3) end
  end
  return copy
end

--- Runs functions at once; their calls to the API overlap.
-- functions: array. options: {concurrency = most at a time, default 8}.
-- Returns an array, one {ok = true, values...} or {ok = false, err} per function, in their order. Wrong arguments raise.
function task.parallel(functions, options)
  functions = check_functions(functions)
  local most = check.argument(options or {}, OPTIONS, "parallel").concurrency or 8
  local results, started, ended, parent = {}, 0, 0, nil
  local function start()
    started = started + 1
    local n = started
    local co = coroutine.create(functions[n])
    managed[co] = function(ok, ...)
      results[n] = table.pack(...)
      results[n].n, results[n].ok = nil, ok
      ended = ended + 1
      if started < #functions then start() end
      if ended == #functions and parent then ready[#ready + 1] = { n = 1, parent } end
    end
    ready[#ready + 1] = { n = 1, co }
  end
  for _ = 1, math.min(most, #functions) do start() end
  if #functions == 0 then return results end
  if may_yield() then
    parent = coroutine.running()
    coroutine.yield(PARKED) -- the dispatcher above us resumes it when the last one has ended
  else
    while ended < #functions do step() end
  end
  return results
end

return task

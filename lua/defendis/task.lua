-- task.lua: straight-line code over requests that complete later: await one, or run many functions at once.
local client = require("defendis.core").client

local task = {}

-- Coroutines that the dispatcher below resumes. A coroutine that a script made itself is not among them: awaiting in it
-- blocks until the answer is there.
local managed = {}
local waiting = {}  -- request id -> coroutine
local early = {}    -- request id -> completion that came while another one was waited for
local ready = {}    -- coroutines to resume, each with its values

local function resume(co, ...)
  local job = managed[co]
  local function done(ok, first, ...)
    if coroutine.status(co) ~= "dead" then
      if first ~= nil then waiting[first] = co end
      return
    end
    managed[co] = nil
    job(ok, first, ...)
  end
  done(coroutine.resume(co, ...))
end

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
  if managed[coroutine.running()] then return coroutine.yield(id) end
  return select(2, client.wait(id))
end

--- Takes a completion that has come, without waiting. Returns true and its values, or false.
function task.try(id)
  if not early[id] and not client.ready(id) then return false end
  return true, task.await(id)
end

--- Waits for a time. seconds: number, 0 or more.
function task.sleep(seconds) task.await(client.timer(seconds)) end

local function check_functions(functions)
  assert(type(functions) == "table", "parallel takes an array of functions")
  for i, f in ipairs(functions) do
    if type(f) ~= "function" then error(("parallel: element %d is a %s, not a function"):format(i, type(f)), 3) end
  end
end

--- Runs functions at once; their calls to the API overlap.
-- functions: array. options: {concurrency = most at a time, default 8}.
-- Returns an array, one {ok = true, values...} or {ok = false, err} per function, in their order.
function task.parallel(functions, options)
  check_functions(functions)
  local most = options and options.concurrency or 8
  if math.type(most) ~= "integer" or most < 1 then error("parallel: concurrency must be an integer of at least 1", 2) end
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
  if managed[coroutine.running()] then
    parent = coroutine.running()
    coroutine.yield(nil) -- the dispatcher above us resumes it when the last one has ended
  else
    while ended < #functions do step() end
  end
  return results
end

return task

-- halt.lua: the wish that a pipeline ends soon, seen by all that wait.
local check = require "defendis.check"
local core = require "defendis.core"
local task = require "defendis.task"

local halt = {}

local Halt = {}
Halt.__index = Halt

--- {asked = why, or nil; at = monotonic ms when it was asked}.
function halt.new() return setmetatable({ signal = task.signal(), actions = {} }, Halt) end

--- fn is called when it is asked. Returns a function that takes fn out again.
function Halt:on_ask(fn)
  self.actions[fn] = true
  return function() self.actions[fn] = nil end
end

--- Asks: waits end, and nothing new is begun. why: a few words such as "stopped by SIGTERM". Once is enough.
function Halt:ask(why)
  if self.asked then return end
  self.asked, self.at = why, core.sys.mono_ms()
  for fn in pairs(self.actions) do fn() end
  self.signal:notify()
end

--- Waits so many seconds, or until it is asked. Only in functions that parallel runs.
function Halt:wait(seconds)
  if not self.asked then self.signal:wait(seconds) end
end

--- The error of what was ended by it.
function Halt:error() return check.error("incomplete", self.asked .. "; the next run goes on where this one ended", { halted = true }) end

return halt

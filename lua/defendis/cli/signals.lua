-- signals.lua: SIGTERM and SIGINT as the wish to end, SIGHUP as the wish to read the files again.
local sys = require("defendis.core").sys
local task = require "defendis.task"

local signals = {}

--- Watches from now on, as long as parallel runs. ending: from halt.new; on_hangup: function, or nil: SIGHUP does what it usually does.
-- A second SIGTERM or SIGINT ends the process. Returns true, or nil, err.
function signals.watch(ending, on_hangup)
  local fd, err = sys.catch_signals(on_hangup ~= nil)
  if not fd then return nil, err end
  task.spawn(function()
    while true do
      for name in sys.next_signal do
        if name == "SIGHUP" then on_hangup() else ending:ask("stopped by " .. name) end
      end
      task.readable(fd, 3600)
    end
  end)
  return true
end

return signals

-- manager.lua: what the service manager is told (sd_notify(3)); nothing happens without $NOTIFY_SOCKET.
local sys = require("defendis.core").sys
local task = require "defendis.task"

local manager = {}

--- A line for who looks at the service. before: assignments that go in front of it, or nil.
function manager.status(text, before)
  sys.notify((before or "") .. (text and "STATUS=" .. text:gsub("%c", " ") or "STATUS=running"))
end

--- The service works, or does so again after manager.reloading().
function manager.ready() sys.notify "READY=1" end

--- Files are being read again.
function manager.reloading() sys.notify(("RELOADING=1\nMONOTONIC_USEC=%d"):format(sys.mono_ms() * 1000)) end

--- The end has begun.
function manager.stopping() sys.notify "STOPPING=1\nSTATUS=stopping" end

local function own_pid()
  local f <close> = io.open("/proc/self/stat", "r")
  return f and f:read("n")
end

--- Says twice in each $WATCHDOG_USEC that the process is alive, as long as parallel runs.
function manager.feed_watchdog()
  local usec, pid = tonumber(os.getenv("WATCHDOG_USEC") or ""), tonumber(os.getenv("WATCHDOG_PID") or "")
  if not usec or usec <= 0 or pid and pid ~= own_pid() then return end
  task.spawn(function()
    while true do
      sys.notify "WATCHDOG=1"
      task.sleep(usec / 2e6)
    end
  end)
end

return manager

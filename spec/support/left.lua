-- left.lua: busted helper: a test, and a file of tests, leaves what it found: descriptors, processes, bytes of the C core.
local lfs = require "lfs"
local busted = require "busted"
local internals = require "defendis_internals"
local live = internals.live

-- The core whose bytes are counted takes the place of the one that is shipped; it is made of the same objects.
package.preload["defendis.core"] = internals.core
live.adopt()

-- kind -> what there is of it: a number, or a table name -> what to print of it
local function held()
  local now = { descriptor = {}, process = {} }
  now["bytes of the core"], now["bytes of libcurl"], now["bytes of SQLite"], now["open clients"], now["calls under way"] = live.held()
  for fd in lfs.dir "/proc/self/fd" do
    local target = lfs.symlinkattributes("/proc/self/fd/" .. fd, "target")
    if target and not target:find "^/proc/%d+/fd$" then now.descriptor[fd] = target end -- without the one that lists them
  end
  for pid in io.lines("/proc/thread-self/children", "n") do
    local file = io.open(("/proc/%d/cmdline"):format(pid))
    now.process[pid] = file and file:read("a"):gsub("%z", " ") or "ended"
    if file then file:close() end
  end
  return now
end

-- What is there now and was not before, or the other way round, as text; nil when that is nothing.
local function difference(before, now)
  local lines = {}
  for kind, had in pairs(before) do
    local has = now[kind]
    if math.type(had) then
      if had ~= has then lines[#lines + 1] = ("%+d %s"):format(has - had, kind) end
    else
      for name, what in pairs(has) do if not had[name] then lines[#lines + 1] = ("one more %s: %s, %s"):format(kind, name, what) end end
      for name, what in pairs(had) do if not has[name] then lines[#lines + 1] = ("one %s less: %s, %s"):format(kind, name, what) end end
    end
  end
  table.sort(lines)
  return #lines > 0 and table.concat(lines, "; ") or nil
end

-- twice: an object that a finalizer kept goes with the second
local function collect()
  collectgarbage()
  collectgarbage()
  return held()
end

local function more_processes(before, now)
  for pid in pairs(now.process) do if not before.process[pid] then return true end end
end

-- What is held, and how it differs, once garbage is collected and what was about to end has ended.
local function settled(before)
  local now = held()
  if difference(before, now) then now = collect() end
  for _ = 1, 100 do
    if not more_processes(before, now) then break end
    live.reap()
    now = held()
  end
  return now, difference(before, now)
end

local function full_name(element)
  local names = {}
  while element and element.name do
    table.insert(names, 1, element.name)
    element = busted.parent(element)
  end
  return table.concat(names, " ")
end

-- Around a test before_each and after_each belong to it, setup and teardown to the file.
local before, of_file, name
local function check(had, who)
  local _, what = settled(had)
  live.drop()
  if what then error(("%s: leaves %s"):format(who, what), 0) end
end

busted.subscribe({ "file", "start" }, function() of_file = collect() end)
busted.subscribe({ "test", "start" }, function(element) name = full_name(element) end)
busted.before_each(function()
  name = "before_each"
  local now = held()
  if not before or difference(before, now) then before = collect() end
end)
busted.after_each(function() check(before, name) end)
busted.subscribe({ "file", "end" }, function(file) check(of_file, file.name) end)

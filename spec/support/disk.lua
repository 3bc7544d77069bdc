-- disk.lua: programs on a disk that fails: words and environment that preload spec/disk, see hooks.c for the faults.
local scratch = require "support.scratch"

local disk = {}

disk.LIBRARY = (os.getenv("DEFENDIS_BUILD") or "build") .. "/disk.so"
local report

disk.LOST_POWER = 75

--- The environment of a program. o: {dir = absolute folder, fault =, at = number of the operation, seed =}; env: more of it.
function disk.env(o, env)
  report = o.dir .. "/report"
  local out = { LD_PRELOAD = ((os.getenv("LD_PRELOAD") or "") .. " " .. disk.LIBRARY):gsub("^ ", ""),
    DISK_DIR = o.dir, DISK_FAULT = o.fault,
    DISK_AT = o.at, DISK_SEED = o.seed, DISK_REPORT = report }
  for name, value in pairs(env or {}) do out[name] = value end
  return out
end

--- The same as words before a program.
function disk.words(o, env)
  local words = { "env" }
  for name, value in pairs(disk.env(o, env)) do words[#words + 1] = ("%s='%s'"):format(name, value) end
  return table.concat(words, " ")
end

--- What the last program met: number, name and file of the operation; with "done" as the name nothing was hit.
function disk.report()
  local n, what, path = scratch.read(report):match("^(%d+) (%S+) ([^\n]*)\n$")
  return tonumber(n), what, path
end

return disk

-- exact.lua: a small pipeline for many runs, and whether it delivered every record and every finding exactly once.
local disk = require "support.disk"
local pipelined = require "support.pipelined"
local run = require "support.run"

local exact = {}
local methods = {}
methods.__index = methods

local function text(lines)
  table.sort(lines)
  return table.concat(lines, "\n")
end

function methods:pipeline()
  local pipe <close> = io.popen("cd examples/rules && pwd")
  local p = pipelined.new(self.sim, { ["until"] = '"2026-04-01"', window = '"45d"', page_size = "60",
    rules = ('{ "%s/" }'):format(pipe:read("l")) })
  if self.more then self.more:equip(p) end
  return p
end

--- Runs the pipeline with a fault of the disk, see support/disk.lua; without one it is not disturbed.
function methods.ingest(_, p, o)
  o = o or { fault = "none" }
  o.dir = p.folder
  return p:ingest{ env = disk.env(o, p.env) }
end

--- What is wrong with that which was delivered, or nil.
function methods:difference(p)
  local ids = {}
  for i, line in ipairs(p:lines()) do ids[i] = line:match('"original_event_uid":"([%x-]+)"') or "a broken line" end
  if text(ids) ~= self.announced then return "the records are not those announced, each once" end
  if text(p:lines("findings")) ~= self.findings then return "the findings differ" end
  return self.more and self.more:problem(p)
end

--- The same, or what the ledger says.
function methods:problem(p)
  local code, said = p:verify()
  if code ~= 0 then return said end
  return self:difference(p)
end

--- Runs the pipeline to its end. What is wrong, or nil.
function methods:finish(p)
  local got = self:ingest(p)
  if got.code ~= 0 then return ("exit code %d: %s"):format(got.code, got.err) end
  return self:problem(p)
end

--- Starts a simulator; stop it with the result's sim.stop(). more: further sinks, see three.lua, or nil.
function exact.new(more)
  local self = setmetatable({ sim = run.simulator("--records 300"), more = more }, methods)
  self.announced = table.concat(pipelined.announced(self.sim, "dataleaks.credentials", "acme.example"), "\n")
  local p = self:pipeline()
  assert(self:ingest(p).code == 0)
  self.findings = text(p:lines("findings"))
  assert(#self.announced > 0 and #self.findings > 0 and not self:problem(p))
  return self
end

return exact

-- inject_spec.lua: the program is killed, or its disk fails, at one operation after the other.
-- AT=n repeats one case of each; INJECT_STEP=1 takes every operation.
local disk = require "support.disk"
local exact = require "support.exact"
local run = require "support.run"
local scratch = require "support.scratch"
local three = require "support.three"

local ONE = math.tointeger(tonumber(os.getenv("AT")))
local STEP = math.tointeger(tonumber(os.getenv("INJECT_STEP")))

if scratch.slowness > 1 then
  describe("ingest", function()
    pending "a program that ends at an operation of our choice leaves what it had: not under valgrind"
  end)
  return
end

describe("ingest", function()
  local whole, sinks

  setup(function()
    whole, sinks = exact.new(), three.new()
    sinks = exact.new(sinks)
  end)
  teardown(function()
    whole.sim.stop()
    sinks.sim.stop()
    sinks.more.receiver.stop()
  end)
  after_each(run.clean)

  -- Calls work(p, got, over) after a run of a pipeline of `of` with the fault at operation first, first + step, ... until one is past the
  -- last operation. It returns what is wrong, or nothing; then the next run has to deliver everything. Returns how many were hit.
  local function each_operation(of, fault, first, step, work)
    local hits = 0
    for at = ONE or first, ONE or 5000, STEP or step do
      local p = of:pipeline()
      local got = of:ingest(p, { fault = fault, at = at })
      local _, what, path = disk.report()
      local over = what == "done"
      local problem = work(p, got, over) or of:finish(p)
      if problem then
        error(("%s (%s at operation %d %s %s); AT=%d make test SPECS=spec/pipeline/inject_spec.lua repeats it"):format(problem, fault, at,
          what, path, at), 0)
      end
      run.clean()
      if over then return hits end
      hits = hits + 1
    end
    return hits
  end

  for fault, first in pairs{ kill = 1, torn = 4 } do
    it(("loses and doubles nothing when it is killed at any operation (%s); a webhook gets a batch twice at most"):format(fault), function()
      sinks.more.again = 0
      local hits = each_operation(sinks, fault, first, 29, function(p, got, over)
        p.kills = over and 0 or 1
        if got.code ~= (over and 0 or 137) then return ("exit code %d: %s"):format(got.code, got.err) end
      end)
      local again = sinks.more.again
      assert.is_true(ONE or hits > 30 and again > 30, ("%d operations, %d documents came again"):format(hits, again))
    end)
  end

  -- A failure says one line about each window that is open, and one that names the file.
  local function refusal(p, got)
    local count, last = 0, nil
    for line in got.err:gmatch("[^\n]+") do
      count, last = count + 1, line
      if not line:find("^defendis: ") then return "not a message: " .. got.err end
    end
    if got.code ~= 2 then return ("exit code %d: %s"):format(got.code, got.err) end
    if count > 2 then return "more than one line: " .. got.err end
    if not last:find(p.folder, 1, true) then return "names no file: " .. got.err end
  end

  for fault, step in pairs{ ENOSPC = 12, EIO = 12, EDQUOT = 24, EROFS = 24, ["ENOSPC+"] = 12, ["EROFS+"] = 24, read = 2 } do
    it(("says what failed with %s, skips nothing, and the next run goes on"):format(fault), function()
      local failures = 0
      each_operation(whole, fault, 1, step, function(p, got)
        if got.code ~= 0 then
          failures = failures + 1
          return refusal(p, got)
        end
        return whole:problem(p)
      end)
      assert.is_true(ONE or failures > 5, failures .. " failures")
    end)
  end

  it("goes on after a write that took only a part", function()
    each_operation(whole, "short", 2, 12, function(_, got)
      if got.code ~= 0 then return ("exit code %d: %s"):format(got.code, got.err) end
    end)
  end)
end)

-- requests.lua: many requests of one process, one in twenty of which meets a fault, with clients that come and go.
-- usage: requests.lua [COUNT]. Fails when a call is lost, descriptors grow, or memory does.
local hostile = require "support.hostile"
local scratch = require "support.scratch"
local task = require "defendis.task"

local COUNT <const> = math.tointeger(tonumber(arg[1] or "1000000"))
local LANES <const> = 16
local ROUND <const> = 500 -- requests of a client
local SLOPE_MAX <const> = 1024 -- KiB, from a tenth of the way to the end

local function memory()
  for line in io.lines "/proc/self/status" do
    local kib = line:match "^VmRSS:%s+(%d+)"
    if kib then return tonumber(kib) end
  end
end

local good, script = { echo = true }, {}
local faults = { hostile.answer(404, '{"error":"no"}'), hostile.answer(400, "{"),
  hostile.answer(200, '{"half":', nil, { length = 99, close = true }),
  hostile.answer(200, "{}", nil, { close = "rst" }), { bytes = "", close = true } }
for i = 1, 500 do script[i] = i % 20 == 0 and faults[i // 20 % #faults + 1] or good end
script[501] = good

local done, failed, wrong = 0, 0, 0

-- One client's requests over one server; both end with the round.
local function round()
  local server = hostile.serve(table.unpack(script))
  local client, functions = hostile.client(server, { in_flight = LANES, timeout = 60 }), {}
  for lane = 1, LANES do
    functions[lane] = function()
      for n = lane, ROUND, LANES do
        local value, err = client:get("/" .. n)
        if value and value.target and value.target ~= "/" .. n then wrong = wrong + 1 end
        if not value and not err.message then wrong = wrong + 1 end
        if not value then failed = failed + 1 end
        done = done + 1
      end
    end
  end
  for _, r in ipairs(task.parallel(functions, { concurrency = LANES })) do if not r.ok then error(r[1], 0) end end
  hostile.clean()
end

local seen, descriptors, started = {}, nil, os.clock()
while done < COUNT do
  round()
  local fds = scratch.descriptors()
  descriptors = descriptors or fds
  assert(math.abs(fds - descriptors) <= 2, ("%d descriptors, %d at first"):format(fds, descriptors))
  seen[#seen + 1] = memory()
  if #seen % 100 == 1 or done >= COUNT then
    print(("%8d requests, %d failed  %6.1f MiB  %d descriptors  %5.0f s of CPU"):format(done, failed, seen[#seen] / 1024, fds,
      os.clock() - started))
    io.stdout:flush()
  end
end
local grown = seen[#seen] - seen[math.max(1, #seen // 10)]
print(("memory grew by %d KiB from a tenth of the way on"):format(grown))
assert(wrong == 0, wrong .. " answers were another's")
assert(grown < SLOPE_MAX, "memory grows")

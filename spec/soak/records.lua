-- records.lua: many records through the walk, the commit, the store and the outbox into a sink that counts, and is away now and then, so
-- that the outbox fills up; no network.
-- usage: records.lua [COUNT]. Fails when memory is not flat, the state is larger than its ids explain, or the outbox is not drained.
local core = require "defendis.core"
local scratch = require "support.scratch"
local world = require "support.world"

local COUNT <const> = math.tointeger(tonumber(arg[1] or "10000000"))
local A_DAY <const> = 100000
local PAGE <const> = 1000
local EACH <const> = 1000000
local RSS_MAX <const> = 64 * 1024 -- KiB
local SLOPE_MAX <const> = 1024    -- KiB per million, after the first
local BYTES_MAX <const> = 64      -- of the state, per record

local days = math.max(1, COUNT // A_DAY)
local dir = scratch.dir()
local last_page <const> = A_DAY // PAGE

local function memory()
  for line in io.lines "/proc/self/status" do
    local kib = line:match "^VmRSS:%s+(%d+)"
    if kib then return tonumber(kib) end
  end
end

local ENVELOPE <const> = '{"data":[%s],"paging":{"currentPage":%d,"pageSize":%d,"totalRecords":%d,"totalPages":%d,"hasMore":%s,'
  .. '"nextPage":%s}}'

-- Ids look as random as real ones: that is what the set of seen ids is made of.
local function api(request)
  local n, texts, more = request.query.page, {}, request.query.page < last_page
  local day = core.api.days(request.query.fromDate)
  for i = 1, PAGE do
    local number = (n - 1) * PAGE + i
    texts[i] = world.record(("%08x-%06x"):format((day * A_DAY + number) * 2654435761 & 0xffffffff, number), day, '"password":"horse"')
  end
  return ENVELOPE:format(table.concat(texts, ","), n, PAGE, A_DAY, last_page, more, more and n + 1 or "null")
end

local w = world.new({ until_day = core.api.days "2026-01-01" + days, page_size = PAGE, lateness_ms = 0, outbox = 8 << 20,
  give_up_ms = 1 << 40 }, nil, api, dir)
w.requests = setmetatable({}, { __newindex = function() end })

-- Asked from outside: a descriptor of this file that is closed here would take SQLite's locks with it.
local function size()
  local pipe <close> = assert(io.popen(("stat -c %%s '%s/state.db'"):format(w.folder)))
  return pipe:read "n"
end

local taken, seen, started = 0, {}, os.clock()
local away_at, back_ms, times = 3 * A_DAY, 0, 0
local sink = { name = "counting", send = function(_, batch)
  if taken >= away_at then away_at, back_ms, times = taken + 3 * A_DAY, w.mono + 3600000, times + 1 end
  if w.mono < back_ms then return world.error("network", { retryable = true }) end
  local before = taken // EACH
  taken = taken + #batch
  if taken // EACH > before then
    seen[#seen + 1] = memory()
    print(("%9d records  %6.1f MiB of memory  %7.1f MiB of state  %5.0f s of CPU"):format(taken, seen[#seen] / 1024, size() / (1 << 20),
      os.clock() - started))
    io.stdout:flush()
  end
  return true
end }

local summary = assert(w:run({ sink }, "no file"))
local s = w:open()
local left = s.db:row "SELECT count(*) FROM outbox"
local ids, whole = s.db:row "SELECT count(*) FROM seen", s.db:row "PRAGMA integrity_check"
local pages, free, page = s.db:row "PRAGMA page_count", s.db:row "PRAGMA freelist_count", s.db:row "PRAGMA page_size"
s:close()
local slope = #seen > 2 and (seen[#seen] - seen[2]) / (#seen - 2) or 0
print(("%d windows, %d records taken by a sink that was away %d times, %d ids, %d rows left in the outbox"):format(summary.done, taken,
  times, ids, left))
print(("state %.1f MiB, %.1f of it free, %.1f bytes a record; memory grows by %.2f MiB a million"):format(pages * page / (1 << 20),
  free * page / (1 << 20), pages * page / taken, slope / 1024))
w:close()
world.clean()
scratch.remove(dir)
assert(whole == "ok" and left == 0 and taken == days * A_DAY and ids == taken, "not all of it came through")
assert(math.max(memory(), table.unpack(seen)) <= RSS_MAX, "too much memory")
assert(slope < SLOPE_MAX, "memory grows")
assert(pages * page <= BYTES_MAX * taken + (16 << 20), "the state grows faster than its ids")

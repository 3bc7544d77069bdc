-- damage_spec.lua: a state that is spoiled, locked or out of reach is refused with a remedy, or nothing is lost by it.
-- SEED=n repeats the random places; DAMAGES=n tries so many.
local disk = require "support.disk"
local exact = require "support.exact"
local run = require "support.run"
local scratch = require "support.scratch"
local store = require "defendis.store"

local SEED = math.tointeger(tonumber(os.getenv("SEED"))) or 1
local DAMAGES = math.tointeger(tonumber(os.getenv("DAMAGES"))) or scratch.slowness > 1 and 100 or 1000

describe("the state of a pipeline", function()
  local whole

  setup(function() whole = exact.new() end)
  teardown(function() whole.sim.stop() end)
  before_each(function() math.randomseed(SEED) end)
  after_each(run.clean)

  local function flip(path, at, mask)
    local f <close> = assert(io.open(path, "r+b"))
    f:seek("set", at)
    local byte = f:read(1):byte()
    f:seek("set", at)
    f:write(string.char(byte ~ mask))
  end

  -- Work(at) with one bit of the file flipped, at random places.
  local function each_flip(path, times, work)
    local size = #scratch.read(path)
    for _ = 1, times do
      local at, mask = math.random(0, size - 1), 1 << math.random(0, 7)
      flip(path, at, mask)
      work(("byte %d of %s; SEED=%d repeats it: "):format(at, path, SEED))
      flip(path, at, mask)
    end
  end

  -- Reads what there is of a state.
  local function read_all(path)
    local s <close>, err = store.open(path, { exclusive = true })
    if not s then error(err, 0) end
    local n = 0
    for row in s:windows() do
      s:checkpoint(row.dataset, row.input, row.from)
      n = n + 1
    end
    for _ in s:findings() do n = n + 1 end
    for _ in s:dead_letters() do n = n + 1 end
    return n
  end

  it("with one bit flipped anywhere opens whole, or is refused as an error that names it", function()
    local p = whole:pipeline()
    whole:ingest(p)
    local path = p.folder .. "/state.db"
    local rows, opened, refused = read_all(path), 0, 0
    each_flip(path, DAMAGES, function(case)
      local ok, got = pcall(read_all, path)
      if ok then
        opened = opened + 1
        assert.equal(rows, got, case)
      else
        refused = refused + 1
        assert.equal("store", type(got) == "table" and got.kind, case .. tostring(got))
        assert.truthy(got.message:find(path, 1, true), case .. got.message)
      end
    end)
    assert.is_true(opened > refused and refused > DAMAGES // 50, ("%d opened, %d refused"):format(opened, refused))
  end)

  it("with one bit flipped anywhere is refused by ingest in one line with the remedy, or nothing that was delivered changes", function()
    local p = whole:pipeline()
    whole:ingest(p)
    each_flip(p.folder .. "/state.db", DAMAGES // 10, function(case)
      local got = whole:ingest(p)
      if got.code == 0 then
        local problem = whole:difference(p) -- a number in a row may be another now: the ledger may say so
        assert.is_nil(problem, case .. tostring(problem))
      else
        assert.equal(2, got.code, case .. got.err)
        assert.matches("^defendis: [^\n]+\n$", got.err)
        assert.truthy(got.err:find("; restore a backup or run `defendis state reset --all`", 1, true), case .. got.err)
      end
    end)
  end)

  -- A pipeline that was killed while its last pages were in the log only.
  local function killed()
    local p = whole:pipeline()
    assert.equal(137, whole:ingest(p, { fault = "kill", at = 260 }).code)
    assert.is_true(#scratch.read(p.folder .. "/state.db-wal") > 100000)
    return p
  end

  local function restored(p)
    local copy = whole:pipeline()
    assert(os.execute(("cp -r %s/state.db* %s/out %s/"):format(p.folder, p.folder, copy.folder)))
    return copy
  end

  it("whose log has a flipped bit or lost its end falls back to a page before, and the next run delivers the rest once", function()
    local p = killed()
    local log = scratch.read(p.folder .. "/state.db-wal")
    for i = 1, DAMAGES // 20 do
      local copy = restored(p)
      -- a log without its first half is a state that knows of no files: it would append to them, and lose nothing either
      local path, at = copy.folder .. "/state.db-wal", math.random(#log // 2, #log - 1)
      if i % 2 == 0 then flip(path, at, 1 << math.random(0, 7)) else scratch.write(path, log:sub(1, at)) end
      local problem = whole:finish(copy)
      assert.is_nil(problem, ("byte %d of %d, SEED=%d: %s"):format(at, #log, SEED, problem))
    end
  end)

  it("is refused while another run holds it, which is not disturbed", function()
    local p = whole:pipeline()
    local words = disk.words({ dir = p.folder, fault = "stop", at = 200 }, p.env)
    local first = assert(io.popen(("echo $$; exec %s %s ingest %s 2>&1"):format(words, run.bin, p.path)))
    local pid = first:read("l")
    repeat until scratch.read("/proc/" .. pid .. "/stat"):find(") T", 1, true)
    local got = p:ingest()
    assert.equal(2, got.code)
    assert.equal(("defendis: %s/state.db is in use by another process (%s); wait for it or stop it\n"):format(p.folder, pid), got.err)
    os.execute("kill -CONT " .. pid)
    local said = first:read("a")
    assert.is_true(first:close(), said)
    assert.is_nil(whole:problem(p))
    assert.is_nil(whole:finish(p))
  end)

  it("in a folder that cannot be written is refused, and unharmed", function()
    local function attempt(p, pattern)
      local mounted = ('unshare -m sh -c \'mount --bind %s %s && mount -o remount,ro,bind %s && exec "$@"\' sh')
        :format(p.folder, p.folder, p.folder)
      if not os.execute(mounted .. " true 2>/dev/null") then return pending("mounting is not permitted here") end
      local got = p:ingest{ prefix = mounted }
      assert.equal(2, got.code, got.err)
      assert.matches("^defendis: cannot [^\n]*" .. pattern .. "\n$", got.err)
      assert.truthy(got.err:find(p.folder .. "/state.db", 1, true))
      assert.is_nil(whole:finish(p))
    end
    attempt(whole:pipeline(), "Read%-only file system")
    attempt(killed(), "Read%-only file system")
  end)
end)

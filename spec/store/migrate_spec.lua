-- migrate_spec.lua: a state of an older version becomes one of this version, whole or not at all.
local core = require "defendis.core"
local schema = require "defendis.store.schema"
local scratch = require "support.scratch"
local store = require "defendis.store"

local OPEN = [[assert(require("defendis.store").open(..., { exclusive = true })):close()]]

local DAY <const> = 86400000
local VALUES <const> = { [0] = -7, 0.1, "a\0b\n1 2", 1e300 }

local function key_of(rule) return (string.unpack("<i8", core.hash.key16(rule))) end

describe("a state of version 1", function()
  local dir, path

  before_each(function()
    dir = scratch.dir()
    path = dir .. "/state.db"
    local db <close> = assert(core.store.open(path, { migrations = { schema.MIGRATIONS[1] } }))
    assert(db:begin())
    for i = 1, 40 do
      assert(db:exec([[INSERT INTO dead(dataset, input, "from", hash, reason, "where", time_ms, raw)
        VALUES(?, ?, ?, CAST(? AS BLOB), ?, ?, ?, CAST(? AS BLOB))]], "d", "i", i,
        ("h"):rep(16), "reason " .. i, i % 2 == 0 and "id" or nil, i, ("raw %d "):format(i):rep(100)))
    end
    for i = 1, 20 do
      assert(db:exec("INSERT INTO event VALUES(?, ?, ?, ?, ?, ?, ?)", key_of(i % 2 == 0 and "r" or "q"), i // 8, "g" .. i % 3,
        i // 8 * DAY + i, "id" .. i, "m", VALUES[i % 5]))
    end
    for rule, n in pairs{ r = 4, z = 2 } do -- z has no events
      for i = 1, n do
        assert(db:exec("INSERT INTO fired VALUES(?, ?, ?, ?)", key_of(rule), "g\0 é" .. i, i .. ":-5", 100 - i))
      end
    end
    assert(db:exec("INSERT INTO setting VALUES('meta', 'sinks', 'jsonl:out')"))
    assert(db:exec("INSERT INTO seen VALUES(1, CAST(? AS BLOB))", ("k"):rep(16)))
    assert(db:commit())
  end)
  after_each(function() scratch.remove(dir) end)

  local function version()
    local db <close> = assert(core.store.open(path, { migrations = schema.MIGRATIONS }))
    return (db:row "PRAGMA user_version")
  end

  local function check()
    local s <close> = assert(store.open(path, { exclusive = true }))
    assert.equal("ok", (s.db:row "PRAGMA integrity_check"))
    local n = 0
    for l in s:dead_letters() do
      n = n + 1
      assert.same({ id = n, dataset = "d", input = "i", from = n, reason = "reason " .. n, where = n % 2 == 0 and "id" or nil, time_ms = n,
        retry = false, raw = ("raw %d "):format(n):rep(100) }, l)
    end
    assert.equal(40, n)
    assert.equal("jsonl:out", s:meta "sinks")
    assert.is_false(s:seen_new(1, ("k"):rep(16)))
    assert.same({}, s:deliveries())
    local events = {}
    for _, rule in ipairs{ "r", "q" } do
      for grp, found in s:each_group(rule, 0, 0, 9 * DAY) do
        for _, e in ipairs(found) do events[tonumber(e.id:sub(3))] = { rule, grp, e.time, e.value } end
      end
    end
    for i = 1, 20 do
      assert.same({ i % 2 == 0 and "r" or "q", "g" .. i % 3, i // 8 * DAY + i, VALUES[i % 5] }, events[i])
    end
    assert.equal("4:-5", s:fired("r", "g\0 é4"))
    assert.equal("2:-5", s:fired("z", "g\0 é2"))
    assert.is_nil(s:fired("z", "g\0 é3"))
    assert.is_nil(s:fired("q", "g\0 é1"))
    assert(s:set_fired("z", "g\0 é1", "new", 100))
    assert.equal("new", s:fired("z", "g\0 é1"))
    assert.equal(2, s:drop_fired("r", 98)) -- the oldest two
    assert.is_nil(s:fired("r", "g\0 é4"))
    assert.equal("1:-5", s:fired("r", "g\0 é1"))
    s:add_events({ "r", 3, "g", "later", "m", nil }, 6, {}, 0)
    assert(s:flush_events())
    assert.equal(21, s:count_events("r", 0, 9 * DAY) + s:count_events("q", 0, 9 * DAY))
  end

  -- name -> SQL of what a file holds.
  local function shape(file)
    local db <close> = assert(core.store.open(file, { migrations = schema.MIGRATIONS }))
    local out = {}
    for name, sql in db:rows "SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name" do out[name] = sql end
    return out
  end

  it("becomes what a new one is, and keeps what it holds", function()
    check()
    assert.equal(#schema.MIGRATIONS, version())
    assert(store.open(dir .. "/new.db")):close()
    assert.same(shape(dir .. "/new.db"), shape(path))
  end)

  it("is refused for reading only, with the remedy", function()
    local s, err = store.open(path, { readonly = true })
    assert.is_nil(s)
    assert.matches("older version %(schema 1, needed %d+%); run an ingest first", err.message)
  end)

  if not os.execute "command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null" or os.getenv("ASAN_OPTIONS") then
    pending("killed at every write needs strace, and stock Lua")
  else
    it("is of one version or the other after a kill at any write, and the next start ends the work", function()
      os.execute(("cp '%s' '%s/v1'"):format(path, dir))
      local versions, n = { [1] = 0, [2] = 0 }, 0
      while true do
        n = n + 1
        os.execute(("rm -f '%s'*; cp '%s/v1' '%s'"):format(path, dir, path))
        local _, code = scratch.lua(OPEN, ("strace -f -qq -o /dev/null "
          .. "-e inject=pwrite64,fdatasync,ftruncate,unlink:signal=KILL:when=%d"):format(n), path)
        if code == 0 then break end
        assert.equal(137, code)
        -- a program of version 1 refuses what is newer
        local db, err = core.store.open(path, { migrations = { schema.MIGRATIONS[1] } })
        local v = db and 1 or 2
        if db then db:close() else assert.matches("newer version", err.message) end
        versions[v] = versions[v] + 1
        check()
      end
      assert.is_true(n > 20, "only " .. n .. " writes")
      assert.is_true(versions[1] > 5 and versions[2] > 1, versions[1] .. " and " .. versions[2])
    end)
  end
end)

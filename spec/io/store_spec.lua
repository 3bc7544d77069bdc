-- store_spec.lua: how Lua reads and writes the state file.
local scratch = require "support.scratch"
local stored = require "support.stored"

local open, fill = stored.open, stored.fill

describe("store", function()
  local dir

  before_each(function() dir = stored.new() end)
  after_each(function() scratch.remove(dir) end)

  describe("values", function()
    it("come back as they went in", function()
      local s <close> = assert(open())
      local text = "nul \0 and é and \xff"
      local values = { math.maxinteger, math.mininteger, 0, 1.5, -0.25, 1e300, math.huge, "", text }
      for i, v in ipairs(values) do
        assert(s:exec("INSERT INTO t VALUES(?, ?)", i, v))
        local back = s:row("SELECT b FROM t WHERE a = ?", i)
        assert.equal(v, back)
        assert.equal(math.type(v), math.type(back))
      end
      assert.equal("text", (s:row("SELECT typeof(b) FROM t WHERE a = 9")))
      assert.equal("blob", (s:row("SELECT typeof(CAST(? AS BLOB))", text)))
      assert.equal(text, (s:row("SELECT CAST(? AS BLOB)", text)))
    end)

    it("store nil and null as NULL, booleans as 0 and 1", function()
      local s <close> = assert(open())
      local null = require("cjson").null
      local n = select("#", s:row("SELECT ?, ?, ?, ?", nil, null, true, false))
      assert.equal(4, n)
      assert.same({ [3] = 1, [4] = 0 }, { s:row("SELECT ?, ?, ?, ?", nil, null, true, false) })
    end)

    it("that cannot be kept exactly are refused", function()
      local s <close> = assert(open())
      assert.has_error(function() s:exec("INSERT INTO t VALUES(1, ?)", 0 / 0) end)
      assert.has_error(function() s:exec("INSERT INTO t VALUES(1, ?)", {}) end)
      assert.has_error(function() s:exec("INSERT INTO t VALUES(1, ?)") end, "the SQL has 1 parameters, 0 values given")
      assert.has_error(function() s:exec("INSERT INTO t VALUES(1, ?)", 1, 2) end)
      assert.equal(0, (s:row "SELECT count(*) FROM t"))
    end)
  end)

  describe("statements", function()
    it("tell how many rows changed and whether a row was new", function()
      local s <close> = assert(open())
      assert.equal(2, s:exec "INSERT INTO t VALUES(1, 1), (2, 2)")
      assert.equal(0, s:exec "DELETE FROM t WHERE a = 99")
      assert.equal(0, s:exec "CREATE TABLE other(x)")
      assert.is_false(s:insert_new("INSERT INTO t VALUES(?, 0) ON CONFLICT DO NOTHING", 2))
      assert.is_true(s:insert_new("INSERT INTO t VALUES(?, 0) ON CONFLICT DO NOTHING", 3))
      assert.equal(0, select("#", s:row "SELECT a FROM t WHERE a = 99"))
    end)

    it("runs for many rows at once and says which came in", function()
      local s <close> = assert(open())
      assert(s:exec "CREATE TABLE many(a INTEGER PRIMARY KEY, b)")
      local sql, news = "INSERT INTO many VALUES(?, ?) ON CONFLICT DO NOTHING", {}
      assert.equal(2, s:insert_all(sql, { 1, "x", 2, nil, 1, "y" }, 1, 6, news))
      assert.same({ true, true, false }, news)
      assert.equal(1, s:insert_all(sql, { 9, 9, 3, 0.5 }, 3, 4))
      assert.equal(0, s:insert_all(sql, {}, 1, 0))
      local rows = {}
      for a, b in s:rows "SELECT a, coalesce(b, 'null') FROM many ORDER BY a" do rows[#rows + 1] = a .. "=" .. b end
      assert.same({ "1=x", "2=null", "3=0.5" }, rows)
      assert.has_error(function() s:insert_all(sql, { 1, 2, 3 }, 1, 3) end)
      assert.has_error(function() s:insert_all(sql, { 7, {} }, 1, 2) end)
      assert.has_error(function() s:insert_all("SELECT 1", {}, 1, 0) end)
      local rows_in, err = s:insert_all("INSERT INTO many VALUES(?, ?)", { 8, 8, 1, 1 }, 1, 4)
      assert.is_nil(rows_in)
      assert.equal("store", err.kind)
    end)

    it("report bad SQL: writes as nil and an error, reads by raising it", function()
      local s <close> = assert(open())
      local n, err = s:exec "INSERT INTO nowhere VALUES(1)"
      assert.is_nil(n)
      assert.truthy(tostring(err):find "no such table: nowhere")
      for _, read in ipairs{ "row", "rows" } do
        local ok, e = pcall(s[read], s, "SELECT x FROM nowhere")
        assert.is_false(ok)
        assert.equal("store", e.kind)
      end
      for _, sql in ipairs{ "", "SELECT 1; SELECT 2", "SELECT 1\0" } do
        n, err = s:exec(sql)
        assert.is_nil(n)
        assert.truthy(err.message:find "not one SQL statement")
      end
    end)

    it("are reset when a loop is left early, by break or by an error", function()
      fill(100)
      local s <close> = assert(open())
      local other <close> = assert(open())
      local function walk(leave)
        for a in s:rows "SELECT a FROM t ORDER BY a" do
          if a == 3 then leave() end
          if a == 4 then break end
        end
      end
      walk(function() end)
      pcall(walk, function() error "left" end)
      -- an open read would keep the log from being emptied
      assert(other:exec "UPDATE t SET b = 0")
      assert.equal(0, (other:row "PRAGMA wal_checkpoint(TRUNCATE)"))
    end)

    it("can run again while a loop over the same SQL is going on", function()
      fill(4)
      local s <close> = assert(open())
      local sql, pairs_seen = "SELECT a FROM t WHERE a <= ? ORDER BY a", {}
      for a in s:rows(sql, 3) do
        for b in s:rows(sql, 2) do pairs_seen[#pairs_seen + 1] = a .. b end
        assert.equal(1, (s:row(sql, 4)))
      end
      assert.equal("11 12 21 22 31 32", table.concat(pairs_seen, " "))
    end)

    it("are compiled once and reused", function()
      local s <close> = assert(open())
      local sql = "SELECT ? + " .. ("0 + "):rep(300) .. "1"
      s:row(sql, 0)
      local clock = os.clock
      local t0 = clock()
      for i = 1, 2000 do s:row(sql, i) end
      local reused = clock() - t0
      t0 = clock()
      for i = 1, 2000 do s:row(sql .. " + " .. i, i) end
      assert.is_true(clock() - t0 > 2 * reused)
    end)

    it("of a loop end with an error, not with too few rows, when a first column is NULL", function()
      local s <close> = assert(open())
      assert.has_error(function() for _ in s:rows "SELECT NULL UNION ALL SELECT 1" do end end,
        "the first column of a loop over rows is NULL")
    end)

    it("of a loop cannot outlive the store", function()
      fill(3)
      local s = assert(open())
      local next_row, state = s:rows "SELECT a FROM t"
      assert.equal(1, next_row(state))
      s:close()
      assert.has_error(function() next_row(state) end, "the loop over these rows has ended")
      assert.has_error(function() s:exec "SELECT 1" end, "the store is closed")
    end)
  end)

  describe("a transaction", function()
    it("is seen by others as a whole or not at all", function()
      local s <close> = assert(open())
      local other <close> = assert(open())
      assert(s:begin())
      assert(s:exec "INSERT INTO t VALUES(1, 1)")
      assert.equal(0, (other:row "SELECT count(*) FROM t"))
      assert.is_true(s:commit())
      assert.equal(1, (other:row "SELECT count(*) FROM t"))
      assert(s:begin())
      assert(s:exec "INSERT INTO t VALUES(2, 2)")
      s:rollback()
      assert.equal(1, (other:row "SELECT count(*) FROM t"))
    end)

    it("cannot be committed after a failure in it, even one that nobody looked at", function()
      local s <close> = assert(open())
      assert(s:begin())
      assert(s:exec "INSERT INTO t VALUES(1, 1)")
      s:exec "INSERT INTO t VALUES('no integer', 1)"
      assert.is_nil((s:exec "INSERT INTO t VALUES(2, 1)"))
      local ok, err = s:commit()
      assert.is_nil(ok)
      assert.truthy(err.message:find "datatype mismatch")
      assert.equal(0, (s:row "SELECT count(*) FROM t"))
      assert(s:begin())
      assert(s:exec "INSERT INTO t VALUES(3, 1)")
      assert.is_true(s:commit())
    end)

    it("cannot be begun twice, nor committed when none is open", function()
      local s <close> = assert(open())
      assert.is_nil((s:commit()))
      assert(s:begin())
      assert.is_nil((s:begin()))
      assert.is_true(s:commit())
      s:rollback()
    end)

    it("waits for another writer's lock no longer than 5 s and says that it may be tried again", function()
      local s <close> = assert(open())
      local other <close> = assert(open())
      assert(s:begin())
      other:row "PRAGMA busy_timeout = 20"
      local ok, err = other:begin()
      assert.is_nil(ok)
      assert.is_true(err.retryable)
      assert.truthy(err.message:find "locked by another process")
    end)
  end)
end)

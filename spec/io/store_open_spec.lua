-- store_open_spec.lua: which state files are opened, by whom, and which are refused.
local scratch = require "support.scratch"
local stored = require "support.stored"
local core = require "defendis.core"

local V1, open, fill, refused = stored.V1, stored.open, stored.fill, stored.refused
local V2 = "CREATE TABLE u(x); INSERT INTO u SELECT a FROM t"

describe("opening a store", function()
  local dir, path

  before_each(function() dir, path = stored.new() end)
  after_each(function() scratch.remove(dir) end)

  describe("opening", function()
    it("creates a file for its owner only, also under a lax umask", function()
      local out, code = scratch.lua([[
        local s <close> = assert(require("defendis.core").store.open(..., { exclusive = true }))
        os.execute("stat -c %a " .. ... .. "*")
      ]], "umask 000;", path)
      assert.equal(0, code)
      assert.equal("600 600", (out:gsub("%s+", " "):gsub(" $", "")))
    end)

    it("keeps every commit through a power loss: write-ahead log, full sync, foreign keys, secure delete", function()
      local s <close> = assert(open())
      assert.equal("wal", (s:row "PRAGMA journal_mode"))
      assert.equal(2, (s:row "PRAGMA synchronous"))
      assert.equal(1, (s:row "PRAGMA foreign_keys"))
      assert.equal(1, (s:row "PRAGMA secure_delete"))
      assert.equal(5000, (s:row "PRAGMA busy_timeout"))
    end)

    it("refuses a file that others can read or write", function()
      fill(1)
      for _, mode in ipairs{ "604", "640", "602", "660" } do
        os.execute(("chmod %s '%s'"):format(mode, path))
        refused("others can read or write .* %(mode " .. mode .. "%); chmod 600 it")
      end
      os.execute(("chmod 600 '%s'"):format(path))
      assert(open()):close()
    end)

    it("refuses a symbolic link and a directory", function()
      fill(1)
      os.execute(("mv '%s' '%s.real' && ln -s '%s.real' '%s'"):format(path, path, path, path))
      refused "is a symbolic link"
      stored.path = dir
      refused "is not a regular file"
    end)

    it("refuses another program's database and leaves it as it is", function()
      fill(1)
      local f = assert(io.open(path, "r+b"))
      f:seek("set", 68) -- where SQLite keeps whose format it is
      f:write "HERS"
      f:close()
      local before = scratch.read(path)
      refused "is a database of another program"
      assert.equal(before, scratch.read(path))
    end)

    it("refuses a newer schema and leaves it as it is", function()
      assert(open{ migrations = { V1, V2 } }):close()
      local before = scratch.read(path)
      refused "written by a newer version %(schema 2, this one knows 1%); upgrade"
      assert.equal(before, scratch.read(path))
    end)

    it("makes in memory what the migrations make in a file, to compare with", function()
      local s <close> = assert(core.store.open(":memory:", { migrations = { V1, V2 } }))
      assert.equal("t u", (s:row "SELECT group_concat(name, ' ') FROM sqlite_schema"))
      assert.equal(2, (s:row "PRAGMA user_version"))
      assert.is_nil(core.store.open(":memory:", { readonly = true }))
    end)

    it("refuses what is no file name, and a directory that is not there", function()
      for _, name in ipairs{ "", ":memory:", ":other:" } do
        local s, err = core.store.open(name, { exclusive = true })
        assert.is_nil(s)
        assert.equal("config", err.kind)
      end
      stored.path = dir .. "/none/state.db"
      refused "No such file or directory"
    end)

    it("names an unknown option", function()
      assert.has_error(function() open{ exclusiv = true } end,
        "unknown option 'exclusiv' (known: application_id, exclusive, migrations, readonly)")
      assert.has_error(function() open{ exclusive = true, readonly = true } end)
      assert.has_error(function() open{ exclusive = 1 } end)
      assert.has_error(function() open{ migrations = { 1 } } end)
    end)

    it("reads without creating, migrating or writing when asked to", function()
      refused("no state file", { readonly = true })
      fill(3)
      refused("older version %(schema 1, needed 2%)", { readonly = true, migrations = { V1, V2 } })
      local s <close> = assert(open{ readonly = true })
      assert.equal(3, (s:row "SELECT count(*) FROM t"))
      local n, err = s:exec "DELETE FROM t"
      assert.is_nil(n)
      assert.equal("store", err.kind)
    end)

    it("leaves no descriptor open, however it ends", function()
      fill(1)
      collectgarbage()
      local before = scratch.descriptors()
      for _ = 1, 10 do
        assert(open{ exclusive = true }):close()
        local s = open()
        s:rows "SELECT a FROM t"
        s:close()
        s:close()
        open{ migrations = {} }
        open{ migrations = { V1, "nonsense" } }
      end
      assert.equal(before, scratch.descriptors())
    end)
  end)

  describe("the lock", function()
    local HOLD = [[
      local s = assert(require("defendis.core").store.open(..., { exclusive = true }))
      os.execute "kill -9 $PPID"
    ]]

    it("refuses a second holder at once, names the first, and leaves it undisturbed", function()
      local s <close> = assert(open{ exclusive = true })
      local begun = scratch.uptime()
      local out, code = scratch.lua([[
        local s, err = require("defendis.core").store.open(..., { exclusive = true })
        print(s == nil and err.retryable and err.message)
      ]], nil, path)
      assert.is_true(scratch.uptime() - begun < 1 * scratch.slowness)
      assert.equal(0, code)
      assert.truthy(out:find "is in use by another process %(%d+%); wait for it or stop it")
      refused("in use by another process", { exclusive = true })
      assert.equal(1, s:exec "INSERT INTO t VALUES(1, 1)")
    end)

    it("lets readers in", function()
      local s <close> = assert(open{ exclusive = true })
      local reader <close> = assert(open{ readonly = true })
      assert(s:exec "INSERT INTO t VALUES(1, 1)")
      assert.equal(1, (reader:row "SELECT count(*) FROM t"))
    end)

    it("is gone with a process that was killed", function()
      local _, code = scratch.lua(HOLD, nil, path)
      assert.equal(137, code)
      assert(open{ exclusive = true }):close()
    end)
  end)

  describe("migrations", function()
    it("run once each, in order", function()
      fill(3)
      local s <close> = assert(open{ migrations = { V1, V2 } })
      assert.equal(3, (s:row "SELECT count(*) FROM u"))
      assert.equal(2, (s:row "PRAGMA user_version"))
    end)

    it("leave the old version whole when one fails", function()
      fill(3)
      refused("no such table: nowhere", { migrations = { V1, V2 .. "; INSERT INTO nowhere VALUES(1)" } })
      local s <close> = assert(open())
      assert.equal(3, (s:row "SELECT count(*) FROM t"))
      assert.is_nil((s:row "SELECT name FROM sqlite_schema WHERE name = 'u'"))
    end)

    it("leave the old version or the new one when killed at any time", function()
      fill(50)
      local long = [[CREATE TABLE u(x); INSERT INTO u WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
        WHERE i < 30000) SELECT i || hex(randomblob(50)) FROM n]]
      local child = [[
        local path, v1, v2 = ...
        assert(require("defendis.core").store.open(path, { migrations = { v1, v2 } }))
      ]]
      local killed, done = 0, false
      for i = 1, 30 do
        local _, code = scratch.lua(child, ("timeout -s KILL %.3f"):format(0.008 + i * 0.004), path, V1, long)
        local s, err = open()
        if s then
          killed = killed + 1
          assert.equal(137, code)
          assert.equal(50, (s:row "SELECT count(*) FROM t"))
          s:close()
        else
          assert.truthy(err.message:find "schema 2, this one knows 1")
          done = true
          break
        end
      end
      assert.is_true(killed > 0)
      local s <close> = assert(open{ migrations = { V1, long } })
      assert.equal(30000, (s:row "SELECT count(*) FROM u"))
      assert.is_true(done or killed == 30)
    end)
  end)
end)

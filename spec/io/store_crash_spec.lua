-- store_crash_spec.lua: damage, full disks and kills.
local scratch = require "support.scratch"
local stored = require "support.stored"
local core = require "defendis.core"

local open, fill, refused = stored.open, stored.fill, stored.refused

describe("store under attack", function()
  local dir, path

  before_each(function() dir, path = stored.new() end)
  after_each(function() scratch.remove(dir) end)

  describe("a damaged state", function()
    it("is never taken for a new one when it is empty, missing beside its log, or random", function()
      fill(5)
      scratch.write(path, "")
      refused "state damaged: .* is empty; restore a backup or run `defendis state reset %-%-all`"
      os.remove(path)
      scratch.write(path .. "-wal", "frames")
      refused "state damaged: .* is missing but its %-wal file is there"
      os.remove(path .. "-wal")
      scratch.write(path, ("no database at all"):rep(500))
      refused "state damaged: .*file is not a database; restore a backup or run `defendis state reset %-%-all`"
    end)

    it("is refused whatever its length was cut to", function()
      fill(500)
      local whole = scratch.read(path)
      for cut = 0, #whole - 1, 997 do
        scratch.write(path, whole:sub(1, cut))
        refused "state damaged"
      end
    end)

    it("opens sound or is refused after any byte was flipped, and no row is gone unnoticed", function()
      fill(500)
      local whole = scratch.read(path)
      local opened, refusals = 0, 0
      for at = 1, #whole, 331 do
        os.execute(("rm -f '%s'*"):format(path))
        scratch.write(path, whole:sub(1, at - 1) .. string.char(whole:byte(at) ~ 0xff) .. whole:sub(at + 1))
        local s, err = open()
        if s then
          opened = opened + 1
          assert.equal(500, (s:row "SELECT count(*) FROM t"), "byte " .. at)
          s:close()
        else
          refusals = refusals + 1
          assert.equal("store", err.kind)
        end
      end
      assert.is_true(opened > 0 and refusals > 0)
    end)

    it("is put aside by discard, so that the next open starts anew", function()
      fill(5)
      scratch.write(path, "damaged")
      assert.is_true(core.store.discard(path))
      assert.equal("damaged", scratch.read(path .. ".old"))
      local s <close> = assert(open{ exclusive = true })
      assert.equal(0, (s:row "SELECT count(*) FROM t"))
      local ok, err = core.store.discard(path)
      assert.is_nil(ok)
      assert.truthy(err.message:find "in use by another process")
    end)

    it("keeps the log with the state that is put aside", function()
      local out, code = scratch.lua([[
        local s = assert(require("defendis.core").store.open(..., { migrations = { "CREATE TABLE t(a)" } }))
        assert(s:exec "INSERT INTO t VALUES(1)")
        os.execute "kill -9 $PPID"
      ]], nil, path)
      assert.equal(137, code, out)
      assert.is_true(core.store.discard(path))
      local s <close> = assert(core.store.open(path .. ".old", { migrations = { "" } }))
      assert.equal(1, (s:row "SELECT count(*) FROM t"))
    end)
  end)

  describe("a transaction", function()
    it("is undone when the store is closed or the process is killed in the middle", function()
      local s = assert(open())
      assert(s:begin())
      assert(s:exec "INSERT INTO t VALUES(1, 1)")
      s:close()
      local _, code = scratch.lua([[
        local s = assert(require("defendis.core").store.open(..., { migrations = { "" } }))
        assert(s:begin())
        for i = 1, 50000 do assert(s:exec("INSERT INTO t VALUES(?, hex(randomblob(200)))", i)) end
        os.execute "kill -9 $PPID"
      ]], nil, path)
      assert.equal(137, code)
      local again <close> = assert(open())
      assert.equal(0, (again:row "SELECT count(*) FROM t"))
    end)

    local FULL = [[
      local path, filler = ...
      local s = assert(require("defendis.core").store.open(path, { migrations = { "CREATE TABLE t(a, b)" } }))
      assert(s:begin())
      assert(s:exec("INSERT INTO t VALUES(1, 'kept')"))
      assert(s:commit())
      if filler then os.execute("head -c 10m /dev/zero >" .. filler .. " 2>/dev/null") end
      assert(s:begin())
      local err
      for i = 1, 20000 do
        local ok
        ok, err = s:exec("INSERT INTO t VALUES(?, hex(randomblob(500)))", i)
        if not ok then break end
      end
      local ok, commit_err = s:commit()
      assert(not ok and (not err or err.message == commit_err.message))
      print(commit_err)
      if filler then
        os.remove(filler)
        assert(s:begin())
        assert(s:exec("INSERT INTO t VALUES(2, 'after')"))
        assert(s:commit())
        assert(s:row("SELECT count(*) FROM t") == 2)
      end
    ]]

    it("that exceeds the file size limit says so and is undone; the next start goes on", function()
      local out, code = scratch.lua(FULL, "trap '' XFSZ; ulimit -f 4000;", path)
      assert.equal(0, code, out)
      assert.truthy(out:find "File too large; check the disk, quota and limits, then start again")
      local s <close> = assert(core.store.open(path, { migrations = { "" } }))
      assert.equal("kept", s:row "SELECT b FROM t")
      assert.equal(1, s:exec "INSERT INTO t VALUES(2, 2)")
    end)

    it("that fills the disk says so and is undone; the same handle goes on when there is space again", function()
      if not os.execute(("unshare -m mount -t tmpfs -o size=2m none '%s' 2>/dev/null"):format(dir)) then
        pending "mounting a file system is not permitted here"
        return
      end
      local out, code = scratch.lua(FULL, ("unshare -m sh -c 'mount -t tmpfs -o size=4m none \"%s\" && exec \"$@\"' sh")
        :format(dir), path, dir .. "/filler")
      assert.equal(0, code, out)
      assert.truthy(out:find "the disk is full; free some space, then start again", out)
    end)
  end)

  -- The promise of the page commit, in small: ids and the offset of the file in one transaction, the file synced first.
  local KILLS <const> = scratch.slowness == 1 and 100 or 20
  it("loses nothing and doubles nothing over " .. KILLS .. " kills at random moments", function()
    local out_path = dir .. "/out.jsonl"
    local child = [[
      local path, out_path = ...
      local core = require "defendis.core"
      local s = assert(core.store.open(path, { exclusive = true,
        migrations = { "CREATE TABLE seen(n INTEGER PRIMARY KEY); CREATE TABLE at(o); INSERT INTO at VALUES(0)" } }))
      local out = assert(core.stream.open(out_path, (s:row "SELECT o FROM at")))
      while true do
        local n = s:row "SELECT coalesce(max(n), 0) FROM seen"
        assert(s:begin())
        for i = n + 1, n + 20 do
          assert(s:insert_new("INSERT INTO seen VALUES(?) ON CONFLICT DO NOTHING", i))
          assert(out:write(i .. "\n"))
        end
        assert(out:sync())
        assert(s:exec("UPDATE at SET o = ?", out:offset()))
        assert(s:commit())
      end
    ]]
    math.randomseed(7)
    local began = core.sys.mono_ms()
    scratch.lua 'require "defendis.core"'
    local start = (core.sys.mono_ms() - began) / 1000
    for _ = 1, KILLS do
      local moment = start * (0.5 + math.random() * 4)
      local text, code = scratch.lua(child, ("timeout -s KILL %.4f"):format(moment), path, out_path)
      assert.equal(137, code, text)
    end
    local s <close> = assert(core.store.open(path, { migrations = { "" } }))
    local offset = s:row "SELECT o FROM at"
    core.stream.open(out_path, offset):close()
    local n = 0
    for line in io.lines(out_path) do
      n = n + 1
      assert.equal(tostring(n), line)
    end
    assert.equal(n, (s:row "SELECT count(*) FROM seen"))
    assert.equal(n, (s:row "SELECT max(n) FROM seen"))
    assert.is_true(n > 10 * KILLS)
  end)
end)

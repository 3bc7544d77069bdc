-- stream_spec.lua: append-only files with a committed offset, and folders.
local scratch = require "support.scratch"
local stream = require("defendis.core").stream

describe("stream", function()
  local dir, path

  before_each(function()
    dir = scratch.dir()
    path = dir .. "/out.jsonl"
  end)

  after_each(function() scratch.remove(dir) end)

  it("creates a file that only its owner can read, and appends", function()
    local s <close> = assert(stream.open(path, 0))
    assert.equal("600", scratch.mode(path))
    assert.is_true(s:write "one\n")
    assert.is_true(s:write "")
    assert.is_true(s:write "two\n")
    assert.is_true(s:sync())
    assert.equal(8, s:offset())
    assert.equal("one\ntwo\n", scratch.read(path))
  end)

  it("cuts off what a crash left behind the committed offset", function()
    scratch.write(path, "committed\nhalf a li")
    local s <close> = assert(stream.open(path, 10))
    assert.equal("committed\n", scratch.read(path))
    assert(s:write "next\n")
    assert.equal("committed\nnext\n", scratch.read(path))
  end)

  it("begins behind what is there when no offset was ever committed", function()
    scratch.write(path, "of an earlier life\n")
    local s <close> = assert(stream.open(path))
    assert.equal(19, s:offset())
    assert(s:write "new\n")
    assert.equal("of an earlier life\nnew\n", scratch.read(path))
  end)

  it("refuses a file shorter than what was committed and leaves it as it is", function()
    scratch.write(path, "short")
    local s, err = stream.open(path, 200)
    assert.is_nil(s)
    assert.equal("store", err.kind)
    assert.truthy(err.message:find(path, 1, true))
    assert.truthy(err.message:find "has 5 bytes, 200 were committed; put the file back, or run `defendis state reset %-%-all`")
    assert.equal("short", scratch.read(path))
  end)

  it("refuses a missing file of which something was committed, and does not create it", function()
    local s, err = stream.open(path, 7)
    assert.is_nil(s)
    assert.truthy(err.message:find "is missing, 7 bytes of it were committed")
    assert.is_nil(io.open(path))
  end)

  it("refuses a symbolic link, a directory and a pipe", function()
    os.execute(("cd '%s' && touch real && ln -s real link && mkfifo pipe"):format(dir))
    for _, name in ipairs{ "/link", "/pipe", "" } do
      local s, err = stream.open(dir .. name, 0)
      assert.is_nil(s)
      assert.equal("store", err.kind)
    end
  end)

  it("refuses a second writer and leaves the first undisturbed", function()
    local first <close> = assert(stream.open(path, 0))
    assert(first:write "kept\n")
    local second, err = stream.open(path, 0)
    assert.is_nil(second)
    assert.truthy(err.message:find "being written by another process")
    assert.is_true(first:sync())
    assert.equal("kept\n", scratch.read(path))
  end)

  it("notices at the sync that somebody truncated the file meanwhile, and stays failed", function()
    local s <close> = assert(stream.open(path, 0))
    assert(s:write "0123456789")
    os.execute((": > '%s'"):format(path))
    local ok, err = s:sync()
    assert.is_nil(ok)
    assert.truthy(err.message:find "was truncated or removed")
    assert.is_nil((s:sync()))
    assert.is_nil((s:write "more"))
  end)

  it("reports a full disk, keeps the offset, and writes the same bytes again later", function()
    local out, code = scratch.lua([[
      local stream = require("defendis.core").stream
      local s = assert(stream.open(..., 0))
      assert(s:write(("a"):rep(1000)))
      local ok, err = s:write(("b"):rep(100000))
      assert(not ok and err.kind == "store", "no error")
      assert(s:offset() == 1000)
      print(err)
    ]], "trap '' XFSZ; ulimit -f 20;", path)
    assert.equal(0, code)
    assert.truthy(out:find("cannot write " .. path, 1, true))
    local s <close> = assert(stream.open(path, 1000))
    assert(s:write(("b"):rep(100000)))
    assert.equal(("a"):rep(1000) .. ("b"):rep(100000), scratch.read(path))
  end)

  it("cannot be used after it was closed, and can be closed twice", function()
    local s = assert(stream.open(path, 0))
    s:close()
    s:close()
    assert.has_error(function() s:write "x" end, "the stream is closed")
    assert.has_error(function() stream.open(path, -1) end)
    assert.has_error(function() stream.open(path, 0):write {} end)
  end)

  it("leaves no descriptor open, also when an open fails", function()
    collectgarbage()
    local before = scratch.descriptors()
    for _ = 1, 20 do
      stream.open(path, 0):close()
      stream.open(path, 5)
      stream.open(dir, 0)
      stream.list(dir, ".lua")
      stream.mkdir(dir .. "/sub")
    end
    assert.equal(before, scratch.descriptors())
  end)

  it("lists the names that end with a suffix in byte order", function()
    for _, name in ipairs{ "b.lua", "a.lua", "B.lua", "c.txt", ".hidden.lua", "lua", "é.lua" } do
      scratch.write(dir .. "/" .. name, "")
    end
    assert.same({ "B.lua", "a.lua", "b.lua", "é.lua" }, stream.list(dir, ".lua"))
    assert.same({}, stream.list(dir, ".json"))
    assert.equal(6, #stream.list(dir))
  end)

  it("says which directory cannot be listed", function()
    local names, err = stream.list(dir .. "/none", ".lua")
    assert.is_nil(names)
    assert.equal("config", err.kind)
    assert.truthy(err.message:find(dir .. "/none", 1, true))
  end)

  it("creates a directory with its parents for the owner only, and is content when it is there", function()
    assert.is_true(stream.mkdir(dir .. "/a//b/c/"))
    assert.is_true(stream.mkdir(dir .. "/a/b/c"))
    assert.equal("700", scratch.mode(dir .. "/a/b"))
    scratch.write(dir .. "/file", "")
    local ok, err = stream.mkdir(dir .. "/file/sub")
    assert.is_nil(ok)
    assert.truthy(err.message:find "Not a directory")
  end)
end)

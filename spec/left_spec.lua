-- left_spec.lua: a test that leaves anything behind fails the suite, and is named.
local run = require "support.run"
local scratch = require "support.scratch"

local PLANTED = [[
local core, live = require "defendis.core", require("defendis_internals").live
kept = {}
local function keep(x) kept[#kept + 1] = assert(x) end
local function client() return assert(core.client.open{ base_url = "http://127.0.0.1:1" }) end

describe("planted", function()
  it("nothing", function() client():close() end)
  it("bytes", function() live.leak(1000) end)
  it("garbage", function() client() end)
  it("descriptor", function() keep(io.open "/dev/null") end)
  it("store", function() keep(core.store.open(%q, { migrations = { "CREATE TABLE t(a)" } })) end)
  it("client", function() keep(client()) end)
  it("call", function() assert(core.client.timer(60)) end)
  it("process", function() os.execute "sleep 600 >/dev/null 2>&1 & echo $! >%s" end)
end)
describe("planted in set-up", function()
  setup(function() keep(io.open "/dev/zero") end)
  it("nothing", function() assert(kept) end)
end)
]]

describe("the check of what a test leaves", function()
  after_each(run.clean)

  it("names the test and what it left: bytes, descriptors, processes, clients, calls", function()
    local folder = run.folder()
    local file = run.write(folder .. "/planted.lua", PLANTED:format(folder .. "/state.db", folder .. "/pid"))
    local pipe = io.popen("lua5.4 /usr/bin/busted -o spec/support/tally.lua --helper=spec/support/left.lua " .. file)
    local text = pipe:read "a"
    local ok = pipe:close()
    os.execute("kill " .. scratch.read(folder .. "/pid"))
    assert.is_nil(ok)

    local said = {}
    for name, what in text:gmatch "planted.lua:? ?([%l -]-):? leaves ([^\n]*)" do said[name] = what end
    assert.equal("+1000 bytes of the core", said["planted bytes"])
    assert.matches("^one more descriptor: %d+, /dev/null$", said["planted descriptor"])
    assert.matches("%+%d+ bytes of SQLite; %+%d+ bytes of the core; one more descriptor: %d+, " .. folder, said["planted store"])
    assert.matches("%+1 open clients", said["planted client"])
    assert.matches("%+1 calls under way", said["planted call"])
    assert.matches("^one more process: %d+, sleep 600 ?$", said["planted process"])
    assert.matches("one more descriptor: %d+, /dev/zero", said[""])
    for name in pairs(said) do assert.is_nil(name:find "nothing" or name:find "garbage", name) end
    assert.matches("\n9 passed, 7 failed\n$", text)
  end)
end)

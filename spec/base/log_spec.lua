local scratch = require "support.scratch"

-- Lines that a child logs on its stderr.
local function logged(source)
  local out, code = scratch.lua('local base = require("defendis_internals").base ' .. source)
  assert.are.equal(0, code, out)
  return out
end

describe("the log", function()
  it("writes a JSON object a line with the time, the event and the fields in order", function()
    local out = logged 'base.log_level(1) base.log(1, "request", { { "status", 200 }, { "url", "/x" }, { "least", math.mininteger } })'
    assert.matches('^{"time":"%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ",'
      .. '"event":"request","status":200,"url":"/x","least":%-9223372036854775808}\n?$', out)
  end)

  it("is quiet above its level", function()
    local out = logged [[
      assert(base.log_level() == 0)
      for level = 0, 2 do
        assert(base.log_level(level) == level)
        for l = 0, 3 do base.log(l, ("%d at %d"):format(l, level), {}) end
      end
    ]]
    local seen = {}
    for event in out:gmatch '"event":"([^"]*)"' do seen[#seen + 1] = event end
    assert.are.same({ "0 at 0", "0 at 1", "1 at 1", "0 at 2", "1 at 2", "2 at 2" }, seen)
  end)

  it("is printable ASCII whatever it is given, and valid JSON", function()
    local out = logged [[
      local all = {}
      for i = 1, 255 do all[i] = string.char(i) end
      base.log(0, table.concat(all), { { table.concat(all), table.concat(all) }, { "", "" } })
    ]]
    assert.is_nil(out:find "[^\32-\126\n]")
    local entry = require("cjson").decode(out)
    assert.are.equal("", entry[""])
    assert.is_truthy(entry.event:find('"#', 1, true))
  end)

  it("masks secrets before they are escaped", function()
    local out = logged [[
      local key = 'canary"\\/\xc3\xa9-key'
      local s = assert(base.secret(key))
      base.log(0, key, { { "a", "x" .. key .. "y" }, { key, key .. key } })
      s:free()
    ]]
    assert.is_nil(out:find("canary", 1, true))
    local entry = require("cjson").decode(out)
    assert.are.same({ "***", "x***y", "******" }, { entry.event, entry.a, entry["***"] })
  end)
end)

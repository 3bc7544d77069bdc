-- cache_spec.lua: pages kept up to a number of bytes.
local cache = require "defendis.simulator.cache"

describe("simulated page cache", function()
  it("keeps what is used and drops what is not, within its bytes", function()
    local c, page = cache.new(1000), ("x"):rep(100)
    c:put("hot", page)
    for i = 1, 50 do
      c:put("cold" .. i, page)
      assert.equal(page, c:get("hot"))
    end
    local kept = 0
    for i = 1, 50 do if c.young["cold" .. i] or c.old["cold" .. i] then kept = kept + 1 end end
    assert.is_true(kept > 0 and kept < 10)
    assert.is_nil(c:get("cold1"))
  end)

  it("does not keep a page that would push out everything else", function()
    local c = cache.new(100)
    c:put("big", ("x"):rep(60))
    assert.is_nil(c:get("big"))
  end)
end)

local base = require("defendis_internals").base

describe("a buffer", function()
  it("holds what was added, in any sizes, and is empty once freed", function()
    math.randomseed(3)
    for _ = 1, 50 do
      local parts = {}
      for i = 1, math.random(0, 40) do parts[i] = string.char(math.random(0, 255)):rep(math.random(0, 400)) end
      for _, how in ipairs{ "add", "str" } do
        local bytes, sound, empty = base.buffer(how, table.unpack(parts))
        assert.are.equal(table.concat(parts), bytes)
        assert.is_true(sound)
        assert.is_true(empty)
      end
    end
  end)

  it("takes C strings and formatted text of any length", function()
    assert.are.equal("abc", (base.buffer("puts", "a", "", "bc")))
    for _, n in ipairs{ 0, 1, 60, 61, 62, 63, 64, 65, 5000, 100000 } do
      local text = ("x"):rep(n)
      local bytes, sound = base.buffer("printf", text, text)
      assert.are.equal("<" .. text .. "><" .. text .. ">", bytes)
      assert.is_true(sound)
    end
  end)

  it("gives a NUL behind the bytes even when there are none", function()
    local bytes, sound = base.buffer "str"
    assert.are.equal("", bytes)
    assert.is_true(sound)
  end)

  it("refuses sizes that cannot be, and stays as it was", function()
    for _, extra in ipairs{ -1, -64, math.mininteger, math.maxinteger } do
      assert.are.same({ -1, true }, { base.reserve(5, extra) })
    end
    assert.are.equal(0, (base.reserve(5, 1000)))
    assert.are.same({ 0, true }, { base.reserve(5, 10) })
  end)
end)

local base = require("defendis_internals").base

describe("a date", function()
  it("is a number of days since 1970-01-01, as counted by hand", function()
    for text, days in pairs{ ["1970-01-01"] = 0, ["1969-12-31"] = -1, ["2000-02-29"] = 11016, ["2000-03-01"] = 11017,
      ["2026-01-01"] = 20454,
      ["0001-01-01"] = -719162, ["9999-12-31"] = 2932896, ["1900-03-01"] = -25508, ["2038-01-19"] = 24855 } do
      assert.are.equal(days, base.date_parse(text), text)
      assert.are.equal(text, base.date_format(days))
    end
  end)

  it("agrees with the C library on each day from 1900 to 2100, both ways", function()
    local day = base.days_from_civil(1900, 1, 1)
    for d = day, base.days_from_civil(2100, 12, 31) do
      local t = os.date("!*t", d * 86400)
      local y, m, dom = base.civil_from_days(d)
      if y ~= t.year or m ~= t.month or dom ~= t.day or base.days_from_civil(y, m, dom) ~= d then error("day " .. d) end
    end
    assert.are.equal(-25567, day)
  end)

  it("follows the days without a gap over 400 years and round the year 1", function()
    local py, pm, pd = base.civil_from_days(-719163)
    assert.are.same({ 0, 12, 31 }, { py, pm, pd })
    for d = -719162, -719162 + 146097 do
      local y, m, dom = base.civil_from_days(d)
      local next_day = y == py and m == pm and dom == pd + 1
      local next_month = dom == 1 and (y == py and m == pm + 1 or m == 1 and pm == 12 and y == py + 1)
      if not (next_day or next_month) then error(("%d-%d-%d after %d-%d-%d"):format(y, m, dom, py, pm, pd)) end
      py, pm, pd = y, m, dom
    end
  end)

  it("is refused when it is not a real one, or not written YYYY-MM-DD", function()
    for _, text in ipairs{ "", "2026-02-30", "2026-02-29", "1900-02-29", "2026-00-01", "2026-13-01", "2026-01-00", "2026-01-32",
      "2026-04-31", "0000-01-01",
      "2026-1-01", "20260101", "2026-01-01T", " 2026-01-01", "2026-01-01 ", "2026/01/01", "2026-01/01", "-026-01-01", "+026-01-01",
        "2026-0a-01",
      "2026--1-01", "2026-01--1", "99999-01-01", "2026-01-0\0", "\xd9\xa2\xd9\xa0-01-01" } do
      assert.is_nil(base.date_parse(text), text)
    end
    assert.is_not_nil(base.date_parse "2024-02-29")
  end)
end)

describe("the clocks", function()
  it("go forward, and the wall clock is the system's", function()
    local mono, wall = base.clocks()
    for _ = 1, 1000 do
      local m = base.clocks()
      assert.is_true(m >= mono)
      mono = m
    end
    assert.is_true(math.abs(wall - os.time() * 1000) < 3000)
  end)
end)

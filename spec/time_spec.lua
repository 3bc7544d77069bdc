local time = require "defendis.time"

describe("time", function()
  it("reads ISO 8601 as milliseconds since 1970", function()
    for text, ms in pairs{
      ["1970-01-01"] = 0,
      ["2026-01-31"] = 1769817600000,
      ["2026-01-31T12:00"] = 1769860800000,
      ["2026-01-31T12:00:00Z"] = 1769860800000,
      ["2026-01-31t12:00:00z"] = 1769860800000,
      ["2026-01-31 12:00:00"] = 1769860800000,
      ["2026-01-31T12:00:00.5Z"] = 1769860800500,
      ["2026-01-31T12:00:00.123999Z"] = 1769860800123,
      ["2026-01-31T12:00:00+02:00"] = 1769853600000,
      ["2026-01-31T12:00:00.001-0530"] = 1769880600001,
      ["2026-01-31T12:00:00+02"] = 1769853600000,
      ["2026-01-31T12:00+02:00"] = 1769853600000,
      ["2024-02-29"] = 1709164800000,
      ["2000-02-29"] = 951782400000,
      ["1969-12-31T23:59:59.999Z"] = -1,
      ["2016-12-31T23:59:60Z"] = 1483228800000,
    } do
      assert.equal(ms, time.parse(text), text)
      assert.equal("integer", math.type(time.parse(text)))
    end
  end)

  it("refuses what is no time", function()
    for _, text in ipairs{ "", "2026", "2026-1-01", "2026-13-01", "2026-00-10", "2026-02-29", "1900-02-29",
      "2026-04-31",
      "2026-01-00", "2026-01-01T", "2026-01-01T24:00:00Z", "2026-01-01T12:60:00Z", "2026-01-01T12:00:61Z",
      "2026-01-01T12:00:00+24:00", "2026-01-01T12:00:00Zx", "2026-01-01T12:00:00.Z", "2026-01-01T1a:00:00Z",
      "2026-01-01T12:00.5Z", "2026-01-01Z", "2026/01/01", "x026-01-01", "2026-01-01T12:00:0", "yesterday" } do
      local ms, message = time.parse(text)
      assert.is_nil(ms, text)
      assert.matches("^not an ISO 8601 time", message)
    end
    assert.is_nil(time.parse(nil))
    assert.is_nil(time.parse(12))
  end)

  it("writes back what it read, for every day of 420 years", function()
    for day = -36525, 116875 do
      local ms = day * 86400000
      assert(time.parse(time.date(ms)) == ms, time.date(ms))
    end
  end)

  it("writes milliseconds only when there are some", function()
    assert.equal("2026-01-31T12:00:00Z", time.format(1769860800000))
    assert.equal("2026-01-31T12:00:00.007Z", time.format(1769860800007))
    assert.equal("1969-12-31T23:59:59.999Z", time.format(-1))
    assert.equal("2026-01-31", time.date(1769860800000))
  end)

  it("takes a number as milliseconds", function()
    assert.equal(1769860800000, time.of(1769860800000))
    assert.equal(1769860800000, time.of(1769860800000.7))
    assert.equal(0, time.of("1970-01-01"))
    assert.is_nil(time.of(0 / 0))
    assert.is_nil(time.of(math.huge))
    assert.is_nil(time.of(true))
  end)

  it("reads spans", function()
    for text, ms in pairs{ ["50ms"] = 50, ["30s"] = 30000, ["90m"] = 5400000, ["24h"] = 86400000,
      ["7d"] = 604800000, ["2w"] = 1209600000, ["0s"] = 0 } do
      assert.equal(ms, time.span(text), text)
    end
    for _, text in ipairs{ "", "24", "h", "1h30", "-1h", "1.5h", "1 h", "9999999999d" } do
      assert.is_nil(time.span(text), text)
    end
    assert.is_nil(time.span(24))
    assert.equal('unknown unit "M" in the span "3M", units: ms, s, m, h, d, w', select(2, time.span("3M")))
  end)
end)

describe("the quick reader of times in C", function()
  local quick = require("defendis.core").api.time

  it("says what time.parse says, or nothing", function()
    local answered = 0
    for _, date in ipairs{ "2026-01-31", "2024-02-29", "2023-02-29", "1969-12-31", "9999-12-31", "0001-01-01", "2026-13-01",
      "2026-1-011" } do
      for _, clock in ipairs{ "T00:00:00", "T23:59:59", "T24:00:00", "T12:60:00", "T12:00:60", " 12:00:00", "T12:00",
        "T1a:00:00", "T-1:00:00" } do
        for _, tail in ipairs{ "Z", ".123Z", ".1Z", "", "+02:00", ".12aZ", "z", ",123Z" } do
          local text = date .. clock .. tail
          local ms = quick(text)
          if ms then
            answered = answered + 1
            assert.equal(time.parse(text), ms, text)
          end
        end
      end
    end
    assert.equal(5 * 2 * 2, answered)
    for _, other in ipairs{ 5, true, {}, "" } do assert.is_nil(quick(other)) end
    assert.is_nil(quick(nil))
  end)
end)

describe("time.floor and time.parts", function()
  it("floor gives the begin of an hour, a day, a week from Monday on, also before 1970", function()
    local at = time.parse "2026-02-01T13:45:10.5Z" -- a Sunday
    assert.equal("2026-02-01T13:00:00Z", time.format(time.floor(at, "1h")))
    assert.equal("2026-02-01T12:00:00Z", time.format(time.floor(at, "6h")))
    assert.equal("2026-02-01T00:00:00Z", time.format(time.floor(at, "1d")))
    assert.equal("2026-01-26T00:00:00Z", time.format(time.floor(at, "1w")))
    assert.equal("1969-12-31T00:00:00Z", time.format(time.floor(-1, "1d")))
    assert.same({ nil, "a span longer than 0 expected" }, { time.floor(at, "0s") })
    assert.matches("a span such as", select(2, time.floor(at, "day")))
  end)

  it("parts gives day, hour and weekday", function()
    assert.same({ year = 2026, month = 2, day = 1, hour = 13, minute = 45, second = 10, ms = 500, weekday = 7 },
      time.parts(time.parse "2026-02-01T13:45:10.5Z"))
    assert.same({ year = 1969, month = 12, day = 31, hour = 23, minute = 59, second = 59, ms = 999, weekday = 3 }, time.parts(-1))
  end)
end)

describe("what is read as a time or a span", function()
  local made = require "helpers.made"

  it("is nil with a short reason for anything", function()
    assert.same({}, made.survivors(time.parse))
    assert.same({}, made.survivors(time.span))
    assert.same({}, made.survivors(function(v) return time.floor(0, v) end))
    for _, v in ipairs(made.hostile()) do
      if type(v) ~= "number" then assert.is_nil((time.of(v))) end
    end
  end)
end)

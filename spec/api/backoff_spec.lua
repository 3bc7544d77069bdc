local api = require("defendis_internals").api
local core = require "defendis.core"

local WALL = 784111777000 -- Sun, 06 Nov 1994 08:49:37 GMT

describe("backoff", function()
  it("spreads the n-th delay evenly over 0 to the smaller of 60 s and 1 s * 2^n", function()
    for n, cap in pairs{ [0] = 1000, 2000, 4000, 8000, 16000, 32000, 60000, [40] = 60000 } do
      local sum, low, high = 0, math.huge, -1
      for _, ms in ipairs(api.delays(n + 7, n, 1000)) do
        sum, low, high = sum + ms, math.min(low, ms), math.max(high, ms)
      end
      assert.is_true(low >= 0 and high <= cap, ("n=%d: %d..%d"):format(n, low, high))
      assert.is_true(low < cap / 20 and high > cap * 0.95, ("n=%d: %d..%d"):format(n, low, high))
      assert.is_true(math.abs(sum / 1000 - cap / 2) < cap / 20, ("n=%d: mean %.0f"):format(n, sum / 1000))
    end
  end)

  it("gives two clients different delays and one seed the same ones", function()
    assert.are.same(api.delays(1, 5, 8), api.delays(1, 5, 8))
    local a, b = api.delays(1, 5, 100), api.delays(2, 5, 100)
    local equal = 0
    for i = 1, 100 do if a[i] == b[i] then equal = equal + 1 end end
    assert.is_true(equal <= 1)
  end)

  it("is the same from Lua, for any number of the attempt and any random integer", function()
    for n, cap in pairs{ [-5] = 1000, [0] = 1000, [1] = 2000, [5] = 32000, [6] = 60000, [math.maxinteger] = 60000 } do
      local high = 0
      for _ = 1, 300 do
        local ms = core.api.backoff(n, math.random(0))
        assert.is_true(ms >= 0 and ms <= cap, ("n=%d: %d"):format(n, ms))
        high = math.max(high, ms)
      end
      assert.is_true(high > cap * 0.9, ("n=%d: %d"):format(n, high))
    end
    assert.equal(core.api.backoff(3, 7), core.api.backoff(3, 7))
    assert.has_error(function() core.api.backoff(1) end)
  end)

  it("reads Retry-After as seconds", function()
    assert.are.equal(0, api.retry_after("0", WALL))
    assert.are.equal(2000, api.retry_after("2", WALL))
    assert.are.equal(2000, api.retry_after(" 002 ", WALL))
    assert.are.equal(3600000, api.retry_after("3600", WALL))
  end)

  it("takes no wait from a Retry-After that makes no sense", function()
    for _, text in ipairs{ "", " ", "-5", "+5", "1.5", "soon", "1e3", "0x10", "5 6", "5, 9", ("9"):rep(20),
      "2147483648",
      ("1"):rep(400), "Sun, 06 Nov 1994 08:49:36 GMT", "Mon, 07 Nov 1994", ("x"):rep(100) } do
      assert.are.equal(-1, api.retry_after(text, WALL), text)
    end
    assert.are.equal(-1, api.retry_after(nil, WALL))
  end)

  it("reads Retry-After as a date in all three forms", function()
    assert.are.equal(30000, api.retry_after("Sun, 06 Nov 1994 08:50:07 GMT", WALL))
    assert.are.equal(30000, api.retry_after("Sunday, 06-Nov-94 08:50:07 GMT", WALL))
    assert.are.equal(30000, api.retry_after("Sun Nov  6 08:50:07 1994", WALL))
    assert.are.equal(60000, api.retry_after("Thu, 01 Jan 2026 00:01:00 GMT", 1767225600000))
    assert.are.equal(0, api.retry_after("Sun, 06 Nov 1994 08:49:37 GMT", WALL))
  end)

  it("places a two-digit year within 50 years of now", function()
    local now = 1767225600000 -- 2026-01-01
    assert.are.equal(now, api.http_date("Thursday, 01-Jan-26 00:00:00 GMT", now))
    assert.are.equal(now + 86400000 * 365, api.http_date("Friday, 01-Jan-27 00:00:00 GMT", now))
    assert.are.equal(WALL, api.http_date("Sunday, 06-Nov-94 08:49:37 GMT", now))
    assert.is_true(api.http_date("Wednesday, 01-Jan-76 00:00:00 GMT", now) > now)
    assert.is_true(api.http_date("Saturday, 01-Jan-77 00:00:00 GMT", now) < now)
    assert.is_true(api.http_date("Tuesday, 01-Jan-05 00:00:00 GMT", 3786912000000) > 3786912000000) -- seen from 2090
  end)

  it("refuses dates that do not exist or are written in another way", function()
    for _, text in ipairs{ "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
      "Sun, 06 Nov 1994 08:60:37 GMT",
      "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 08:49:37 GMT+1",
      "Sun, 6 Nov 1994 08:49:37 GMT", "06 Nov 1994 08:49:37 GMT", "Xxx, 06 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nox 1994 08:49:37 GMT", "Sunday, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 0000 08:49:37 GMT",
      "Sun, 00 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z", "Sun Nov  6 08:49:37 94" } do
      assert.is_nil(api.http_date(text, WALL), text)
    end
    assert.are.equal(946684799000, api.http_date("Fri, 31 Dec 1999 23:59:59 GMT", WALL))
    assert.are.equal(951782400000, api.http_date("Tue, 29 Feb 2000 00:00:00 GMT", WALL))
    assert.are.equal(784111777000 + 6 * 86400000, api.http_date("Sat Nov 12 08:49:37 1994", WALL))
  end)
end)

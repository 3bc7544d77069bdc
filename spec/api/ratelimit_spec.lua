local api = require("defendis_internals").api

local WALL = 1767225600000

describe("ratelimit", function()
  it("never waits when the rate is unlimited", function()
    local r = api.ratelimit(0)
    for _ = 1, 1000 do assert.are.equal(0, r:next(5)) end
  end)

  it("lets the burst through at once and then one per interval", function()
    local r = api.ratelimit(4, 2)
    assert.are.equal(0, r:next(1000))
    assert.are.equal(0, r:next(1000))
    assert.are.equal(250, r:next(1000))
    assert.are.equal(1, r:next(1249))
    assert.are.equal(0, r:next(1250))
    assert.are.equal(250, r:next(1250))
  end)

  it("saves no more than the burst over a long pause", function()
    local r = api.ratelimit(10, 3)
    r:next(0)
    local sent = 0
    while r:next(1000000000) == 0 do sent = sent + 1 end
    assert.are.equal(3, sent)
  end)

  it("never exceeds rate * time + burst, whatever the calls' timing, and reaches it", function()
    for seed = 1, 20 do
      math.randomseed(seed)
      local per_second, burst = math.random(1, 50) / 2, math.random(1, 10)
      local r, now, sent = api.ratelimit(per_second, burst), math.random(0, 1000000), 0
      local start = now
      while now < start + 60000 do
        local wait = r:next(now)
        if wait == 0 then sent = sent + 1 else now = now + (math.random() < 0.5 and wait or math.random(1, wait)) end
      end
      local most = per_second * 60 + burst
      assert.is_true(sent <= most + 1 and sent >= most - 2, ("seed %d: %d of %.1f"):format(seed, sent, most))
    end
  end)

  it("a clock that goes back gives no tokens and does not stop the bucket", function()
    local r = api.ratelimit(1, 1)
    assert.are.equal(0, r:next(5000))
    assert.are.equal(1000, r:next(4000))
    assert.are.equal(0, r:next(6000))
  end)

  it("refuses rates that make no sense", function()
    for _, bad in ipairs{ { -1 }, { 0 / 0 }, { 1e9 }, { 1, -1 }, { 1, 0.5 }, { 0.0001 }, { math.huge } } do
      local r, err = api.ratelimit(bad[1], bad[2])
      assert.is_nil(r)
      assert.are.equal("config", err.kind)
    end
  end)

  it("holds until the reset when the server says that nothing remains", function()
    for _, reset in ipairs{ "30", "30.0", tostring(WALL // 1000 + 30), tostring(WALL + 30000),
      WALL // 1000 + 30 .. ".000" } do
      local r = api.ratelimit(0)
      r:headers(100, WALL, { remaining = "0", reset = reset })
      assert.are.equal(30000, r:next(100), reset)
      assert.are.equal(1, r:next(30099), reset)
      assert.are.equal(0, r:next(30100), reset)
    end
  end)

  it("reads both drafts of the combined RateLimit header", function()
    for header, wait in pairs{
      ["limit=100, remaining=0, reset=5"] = 5000,
      ['"default";r=0;t=7'] = 7000,
      ['"burst";r=0;t=1, "daily";r=0;t=90'] = 90000,
      ['"burst";r=50;t=10, "daily";r=0;t=90'] = 90000,
      ["burst;r=0;t=10, daily;t=90;r=50"] = 10000,
      ["R=0; T=3"] = 3000,
      ['"default";r=0'] = 0,
      ["limit=100, remaining=x, reset=5"] = 0,
      [";;,,=,=5"] = 0,
      [""] = 0,
    } do
      local r = api.ratelimit(0)
      r:headers(0, WALL, { combined = header })
      assert.are.equal(wait, r:next(0), header)
    end
  end)

  it("ignores figures that are no figures, a reset in the past, and remaining without reset", function()
    for _, h in ipairs{ { remaining = "0" }, { reset = "30" }, { remaining = "-1", reset = "30" },
      { remaining = "0", reset = "soon" },
      { remaining = "0", reset = "-3" }, { remaining = "0", reset = tostring(WALL // 1000 - 5) }, { remaining = "",
        reset = "" },
      { remaining = "0", reset = ("9"):rep(30) }, { remaining = "0x", reset = "3" } } do
      local r = api.ratelimit(0)
      r:headers(0, WALL, h)
      assert.are.equal(0, r:next(0))
    end
  end)

  it("sends what the server still grants and stops before the refusal", function()
    local r = api.ratelimit(0)
    r:headers(0, WALL, { remaining = "2", reset = "10" })
    assert.are.equal(0, r:next(1))
    assert.are.equal(0, r:next(2))
    assert.are.equal(9997, r:next(3))
    assert.are.equal(0, r:next(10000))
  end)

  it("does not believe an answer that was overtaken by a later one of the same period", function()
    local r = api.ratelimit(0)
    r:headers(0, WALL, { remaining = "0", reset = "10" })
    r:headers(5, WALL + 5, { remaining = "8", reset = "10" })
    assert.is_true(r:next(6) > 0)
    r:headers(20000, WALL + 20000, { remaining = "8", reset = "10" })
    assert.are.equal(0, r:next(20000))
  end)

  it("takes the grant of a new period while the old one has not run out", function()
    local r = api.ratelimit(0)
    r:headers(0, WALL, { remaining = "0", reset = "10" })
    r:headers(9000, WALL + 9000, { remaining = "8", reset = "10" })
    assert.are.equal(0, r:next(9000))
  end)

  it("is never stopped for more than an hour by one header", function()
    local r = api.ratelimit(0)
    r:headers(0, WALL, { remaining = "0", reset = "86400" })
    assert.are.equal(3600000, r:next(0))
    local s = api.ratelimit(0)
    s:hold(0, 1000000000)
    assert.are.equal(3600000, s:next(0))
    s:hold(0, 5)
    assert.are.equal(3600000, s:next(0))
  end)

  it("a wait for the server takes no token of our own", function()
    local r = api.ratelimit(1, 1)
    r:hold(0, 100)
    for now = 0, 99 do assert.are.equal(100 - now, r:next(now)) end
    assert.are.equal(0, r:next(100))
  end)

  it("pays for 20 retries, or 10 after timeouts, then refuses until successes pay back", function()
    local r, n = api.ratelimit(0), 0
    while r:retry(false) do n = n + 1 end
    assert.are.equal(20, n)
    for _ = 1, 4 do r:success() end
    assert.is_false(r:retry(false))
    r:success()
    assert.is_true(r:retry(false))
    local s = api.ratelimit(0)
    n = 0
    while s:retry(true) do n = n + 1 end
    assert.are.equal(10, n)
  end)

  it("saves no more than 100 retry tokens over many successes", function()
    local r, n = api.ratelimit(0), 0
    for _ = 1, 500 do r:success() end
    while r:retry(false) do n = n + 1 end
    assert.are.equal(20, n)
  end)
end)

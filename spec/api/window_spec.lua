local api = require("defendis_internals").api

local DAY = 86400000

local function all(w, wall)
  local list = {}
  for _ = 1, 10000 do
    local from, to = w:next(wall)
    if not from then return list end
    list[#list + 1] = { from, to }
  end
  error("endless")
end

describe("window", function()
  it("walks whole days up to the last one that has closed and settled", function()
    local w = api.windows{ since = 100, settle = 3600000 }
    assert.are.same({ { 100, 101 }, { 101, 102 } }, all(w, 102 * DAY + 3600000))
    assert.is_nil(w:next(103 * DAY + 3599999))
    assert.are.same({ { 102, 103 } }, all(w, 103 * DAY + 3600000))
    assert.is_false(w:finished())
  end)

  it("does not walk a window of several days before all of it has passed", function()
    local w = api.windows{ since = 100, step = 7 }
    assert.is_nil(w:next(107 * DAY - 1))
    assert.are.same({ { 100, 107 } }, all(w, 107 * DAY))
  end)

  it("has the same windows in each run, wherever a run starts", function()
    for start = 90, 130 do
      for _, window in ipairs(all(api.windows{ since = 100, step = 7, start = start }, 200 * DAY)) do
        assert.are.equal(0, (window[1] - 100) % 7)
        assert.are.equal(7, window[2] - window[1])
      end
    end
    assert.are.same({ 107, 114 }, { api.windows{ since = 100, step = 7, start = 113 }:next(200 * DAY) })
    assert.are.same({ 114, 121 }, { api.windows{ since = 100, step = 7, start = 114 }:next(200 * DAY) })
    assert.are.same({ 100, 107 }, { api.windows{ since = 100, step = 7, start = 0 }:next(200 * DAY) })
  end)

  it("puts each day into exactly one window, and ends with a short one only at `until`", function()
    for seed = 1, 50 do
      math.randomseed(seed)
      local since, step, days = math.random(-50, 50), math.random(1, 31), math.random(1, 100)
      local at, until_day = since, since + days
      if until_day == 0 then until_day = 1 end
      local w = api.windows{ since = since, until_day = until_day, step = step }
      for _, window in ipairs(all(w, 300 * DAY)) do
        assert.are.equal(at, window[1])
        assert.is_true(window[2] - at == step or window[2] == until_day)
        at = window[2]
      end
      assert.are.equal(until_day, at)
      assert.is_true(w:finished())
    end
  end)

  it("keeps a short last window back until it has closed too", function()
    local w = api.windows{ since = 100, until_day = 103, step = 7, settle = 1000 }
    assert.is_nil(w:next(103 * DAY + 999))
    assert.are.same({ { 100, 103 } }, all(w, 103 * DAY + 1000))
  end)

  it("counts days before 1970 downwards too", function()
    local w = api.windows{ since = -3, start = -3 }
    assert.are.same({ { -3, -2 } }, all(w, -1 * DAY - 1))
  end)

  it("names what is wrong with its figures", function()
    for text, opt in pairs{ ["^window: "] = { since = 0, step = -1 }, ["^until: "] = { since = 5, until_day = 5 },
      ["^settle: "] = { since = 0, settle = -1 }, ["^window: since"] = { since = math.maxinteger } } do
      local w, err = api.windows(opt)
      assert.is_nil(w)
      assert.are.equal("config", err.kind)
      assert.matches(text, err.message)
    end
  end)

  it("walks again those windows that were younger than the lateness at the checkpoint", function()
    assert.are.equal(110, api.first_to_rewalk(110, 0, 1, 100))
    assert.are.equal(108, api.first_to_rewalk(110, 2 * DAY, 1, 100))
    assert.are.equal(107, api.first_to_rewalk(110, 2 * DAY + 1, 1, 100))
    assert.are.equal(109, api.first_to_rewalk(110, 1, 1, 100))
    assert.are.equal(107, api.first_to_rewalk(121, 9 * DAY, 7, 100))
    assert.are.equal(114, api.first_to_rewalk(121, 7 * DAY, 7, 100))
    assert.are.equal(100, api.first_to_rewalk(101, 90 * DAY, 1, 100))
  end)

  it("sees every record that comes within the lateness, however runs and windows fall", function()
    for seed = 1, 200 do
      math.randomseed(seed)
      local step, lateness, settle = math.random(1, 4), math.random(0, 5 * DAY), math.random(0, DAY)
      local records, seen = {}, {}
      for i = 1, 40 do
        local day = 100 + math.random(0, 20)
        -- it belongs to `day` and shows up some time after, at most `lateness` behind its window's end
        local window_end = 100 + ((day - 100) // step + 1) * step
        records[i] = { day = day, visible = math.random(day * DAY, window_end * DAY + lateness) }
      end
      local wall, checkpoint = 100 * DAY, 100
      while wall < 140 * DAY do
        wall = wall + math.random(1, 3 * DAY)
        local w = api.windows{ since = 100, step = step, settle = settle,
          start = api.first_to_rewalk(checkpoint, lateness, step, 100) }
        for _, window in ipairs(all(w, wall)) do
          for i, r in ipairs(records) do
            if r.visible <= wall and r.day >= window[1] and r.day < window[2] then seen[i] = true end
          end
          checkpoint = math.max(checkpoint, window[2])
        end
        local final = api.final_day(checkpoint, lateness, wall)
        for i, r in ipairs(records) do
          local window_end = 100 + ((r.day - 100) // step + 1) * step
          if window_end <= final then assert.is_true(seen[i], ("seed %d: day %d"):format(seed, r.day)) end
        end
      end
      assert.are.equal(40, #seen)
    end
  end)

  it("expects late records until lateness has passed, and none before what was walked", function()
    assert.are.equal(108, api.final_day(110, 2 * DAY, 110 * DAY + 5))
    assert.are.equal(110, api.final_day(110, 2 * DAY, 200 * DAY))
    assert.are.equal(107, api.final_day(110, 2 * DAY, 110 * DAY - 1))
  end)

  it("reads spans", function()
    for text, ms in pairs{ ["500ms"] = 500, ["30s"] = 30000, ["15m"] = 900000, ["2h"] = 7200000, ["1d"] = DAY,
      ["1w"] = 7 * DAY,
      ["0s"] = 0, ["29s"] = 29000, ["36500d"] = 36500 * DAY } do
      assert.are.equal(ms, api.span(text), text)
    end
  end)

  it("refuses what is no span and says how one is written", function()
    for _, text in ipairs{ "", "5", "d", "1.5h", "-1d", "+1d", " 1d", "1d ", "1 d", "1D", "1day", "1h30m", "ms",
      "1d\0", "36501d",
      "99999999999999999999s", ("9"):rep(100) .. "d", "106751991168d" } do
      local ms, err = api.span(text)
      assert.is_nil(ms, text)
      assert.are.equal("config", err.kind)
      assert.matches('such as "15m"', err.message, 1, true)
    end
  end)
end)

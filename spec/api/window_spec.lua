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
end)

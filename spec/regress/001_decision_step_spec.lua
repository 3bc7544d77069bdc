-- How many days a correlation decides at once doubled with every quiet window, until the number overflowed to 0 and ingest never ended.
local commit = require "defendis.pipeline.commit"

describe("a correlation", function()
  it("is decided to the end however many quiet windows came before", function()
    local decided, day = {}, 86400000
    local store = setmetatable({
      each_group = function(_, _, _, from, to)
        decided[#decided + 1] = { from, to }
        return function() end
      end,
      count_events = function() return 0 end,
    }, { __index = function() return function() return true end end })
    local c = commit.new(store, {}, {}, 0)
    for window = 1, 200 do
      decided = {}
      assert.is_true(c:correlate({ key = "k", timespan_ms = day, back_ms = day, keep_ms = day, least = 1 }, window * day))
      assert.same({ { (window - 1) * day, window * day } }, decided)
    end
    decided = {}
    assert.is_true(c:correlate({ key = "k", timespan_ms = day, back_ms = day, keep_ms = day, least = 1 }, 1000 * day))
    local reached = 200 * day
    for _, d in ipairs(decided) do
      assert.equal(reached, d[1])
      assert.is_true(d[2] > d[1] and d[2] - d[1] <= 64 * day)
      reached = d[2]
    end
    assert.equal(1000 * day, reached)
  end)
end)

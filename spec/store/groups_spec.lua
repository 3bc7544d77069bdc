-- groups_spec.lua: more groups of a correlation than are wanted.
local scratch = require "support.scratch"
local store = require "defendis.store"

local DAY = 86400000

describe("events of a correlation", function()
  local dir, s
  before_each(function()
    dir = scratch.dir()
    s = assert(store.open(dir .. "/state.db", { exclusive = true }))
  end)
  after_each(function()
    s:close()
    scratch.remove(dir)
  end)

  local function add(rule, grp, time, id)
    assert.equal(0, s:add_events({ rule, time, grp, id, "", nil }, 6, {}, math.mininteger))
    assert(s:flush_events())
  end

  it("of more groups than are wanted are left out by the groups' names alone, and counted", function()
    local names, first, counted = {}, nil, nil
    for i = 1, 300 do names[i] = "g" .. i end
    for round = 1, 6 do
      for i = #names, 2, -1 do
        local k = math.random(i)
        names[i], names[k] = names[k], names[i]
      end
      local rule, times = "most" .. round, round % 2 == 0 and 2 or 1 -- with look-back or without
      for i, grp in ipairs(names) do
        for n = 1, times do add(rule, grp, n * DAY - 1, ("i%d-%d"):format(i, n)) end
      end
      local found, left = {}, nil
      local limits = { most = 40, evicted = function(n) left = n end }
      for grp, list in s:each_group(rule, (times - 1) * DAY, (times - 1) * DAY, times * DAY, 1, false, limits) do
        assert.equal(times, #list)
        found[#found + 1] = grp
      end
      first, counted = first or found, counted or left
      assert.same(first, found)
      assert.equal(counted, left)
    end
    assert.equal(40, #first)
    assert.equal(260, counted)
  end)
end)

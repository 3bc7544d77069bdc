-- Pages that came while a run waited for another one stayed in memory when that one ended the run: a service whose API fails now and
-- then grew by them.
local task = require "defendis.task"
local world = require "support.world"

describe("a run that ends while pages are under way", function()
  local w

  after_each(function()
    w:close()
    world.clean()
  end)

  it("forgets them", function()
    local forgotten, forget = 0, task.forget
    w = world.new({ page_size = 2, until_day = 20003, since = 20000 }, nil, function(request)
      -- of the days that follow page 1 comes while page 2 of the first one is waited for
      if request.query.page == 2 then return world.error "auth" end
      local records = {}
      for i = 1, 4 do records[i] = world.record(request.query.fromDate .. i, w.plan.since) end
      return world.page(request, records)
    end)
    task.forget = function(id)
      forgotten = forgotten + 1
      return forget(id)
    end
    local _, err = w:run{ { name = "sink", send = function() return true end } }
    task.forget = forget
    assert.equal("auth", err.kind)
    -- whether their bytes are gone is looked at behind every test
    assert.is_true(forgotten > 0)
  end)
end)

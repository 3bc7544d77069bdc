-- A window counted as final by when its last page came. A pass that was interrupted while records could still come late, and went on
-- when none could, hid for ever what had moved to the pages read before.
local cjson = require "cjson"
local world = require "support.world"

describe("a window whose walk was interrupted", function()
  local w

  after_each(function()
    w:close()
    world.clean()
  end)

  it("is final only when all of its pages were read behind lateness", function()
    local ids, away = { "r1", "r2", "r3", "r4" }, true
    w = world.new({ page_size = 2 }, nil, function(request)
      if away and request.query.page == 2 then return world.error "network" end
      local texts = {}
      for i, id in ipairs(ids) do texts[i] = world.record(id, w.plan.since) end
      return world.page(request, texts)
    end)
    assert.equal("network", select(2, w:run()).kind)
    -- r3 slides to the page that was read; the number of records stays
    ids, away = { "r2", "r3", "r4", "r5" }, false
    w.offset = w.offset + 10 * world.DAY
    for _ = 1, 2 do assert.same({}, w:run().problems) end
    local s <close> = w:open()
    local got = {}
    for i, line in ipairs(w:lines(s, world.DATASET)) do got[i] = cjson.decode(line).id end
    table.sort(got)
    assert.same({ "r1", "r2", "r3", "r4", "r5" }, got)
    local asked = #w.requests
    s:close()
    w:run()
    assert.equal(asked, #w.requests)
  end)
end)

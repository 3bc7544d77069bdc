-- hazards_lists_spec.lua: the ways in which live lists, numbered pages and dates have lost or doubled records, each as a test against
-- this program, in one process and without waiting.
local cjson = require "cjson"
local core = require "defendis.core"
local run = require "support.run"
local scripted = require "support.scripted"
local pipelined = require "support.pipelined"
local world = require "support.world"

local DAY <const> = core.api.days "2026-01-01"

local function numbered(n)
  local ids = {}
  for i = 1, n do ids[i] = ("r%02d"):format(i) end
  return ids
end

describe("hazard:", function()
  local w

  after_each(function()
    if w then w:close() end
    w = nil
    world.clean()
    run.clean()
  end)

  -- A list that work(request number, ids) may change, and bend(body, request) what is said of it.
  local function walk(ids, work, plan, bend)
    w = world.new(plan or {}, nil, function(request)
      if work then work(#w.requests, ids) end
      local texts = {}
      for i, id in ipairs(ids) do texts[i] = id:sub(1, 1) == "{" and id or world.record(id, core.api.days(request.query.fromDate)) end
      local body = world.page(request, texts)
      return bend and bend(body, request) or body
    end)
    return w:run()
  end

  local function got()
    local s <close> = w:open()
    local ids = {}
    for i, line in ipairs(w:lines(s, world.DATASET)) do ids[i] = cjson.decode(line).id end
    table.sort(ids)
    return ids, s:checkpoint(world.DATASET, "a", w.plan.since)
  end

  describe("paging by numbers over a live list:", function()
    it("a row inserted while it is walked, on whichever page, neither doubles nor hides one", function()
      for at = 1, 9 do
        for request = 2, 3 do
          local ids = numbered(9)
          assert.same({}, walk(ids, function(n) if n == request then table.insert(ids, at, "r00") end end).problems)
          table.sort(ids)
          assert.same(ids, (got()))
          w:close()
        end
      end
    end)

    it("a row deleted while it is walked, on whichever page, hides no other", function()
      for at = 1, 9 do
        local ids = numbered(9)
        assert.same({}, walk(ids, function(n) if n == 2 then table.remove(ids, at) end end).problems)
        local have = {}
        for _, id in ipairs(got()) do
          assert.is_nil(have[id])
          have[id] = true
        end
        for _, id in ipairs(ids) do assert.is_true(have[id], id) end
        w:close()
      end
    end)

    it("totals of the first page and the last that differ: the window is walked again", function()
      local ids = numbered(9)
      walk(ids, function(n) if n == 3 then ids[10] = "r10" end end)
      assert.is_true(#w.requests > 6)
      assert.same(numbered(10), (got()))
    end)

    it("a server that ends every list at a limit: the window stays open and the error says what helps", function()
      local summary = walk(numbered(12), nil, {}, function(body, request)
        if request.query.page > 2 then return nil end
        return (body:gsub('"totalPages":%d+', '"totalPages":2'):gsub('"hasMore":%w+,"nextPage":%w+', request.query.page == 2
          and '"hasMore":false,"nextPage":null' or '"hasMore":true,"nextPage":2'))
      end)
      assert.equal("use a smaller window", summary.problems[1].message:match "use a smaller window")
      assert.equal(DAY, select(2, got()))
    end)

    it("no total, or a total of 0 with records: neither is taken for an empty list", function()
      local summary = walk(numbered(4), nil, {}, function(body) return (body:gsub('"totalRecords":%d+', '"totalRecords":0')) end)
      assert.equal(1, #summary.problems)
      w:close()
      walk(numbered(4), nil, {}, function(body)
        return (body:gsub('"totalRecords":%d+', '"totalRecords":null'):gsub('"totalPages":%d+', '"totalPages":null'))
      end)
      assert.same(numbered(4), (got()))
    end)

    it("a page behind the end: none is asked for, and an empty one before the end closes nothing", function()
      walk(numbered(6))
      assert.equal(2, #w.requests)
      w:close()
      local summary = walk(numbered(6), nil, {}, function(body, request)
        return request.query.page == 2 and body:gsub('"data":%b[]', '"data":[]') or body
      end)
      assert.equal(1, #summary.problems)
      assert.equal(DAY, select(2, got()))
    end)

    it("one id twice on one page: it is one record, and the window closes", function()
      local ids = numbered(5)
      ids[3] = ids[2]
      assert.same({}, walk(ids).problems)
      assert.same({ "r01", "r02", "r04", "r05" }, (got()))
    end)

    it("a record without an id: it is kept as a dead letter, and the window closes", function()
      local summary = walk{ "r01", '{"leakedAt":"2026-01-01T12:00:00Z"}', "r02" }
      assert.same({ {}, 1 }, { summary.problems, summary.dead })
      assert.same({ "r01", "r02" }, (got()))
    end)

    it("dates in another time zone, also when its clocks change: windows are whole UTC days all the same", function()
      local api = scripted.start "return function(req) return list(req, {}) end"
      for _, zone in ipairs{ "America/New_York", "Pacific/Kiritimati", "UTC" } do
        local env = { TZ = zone }
        for k, v in pairs(api.env) do env[k] = v end
        -- summer time begins in New York on 8 March
        local p = pipelined.new({ env = env, base_url = api.base_url }, { since = '"2026-03-07"', ["until"] = '"2026-03-10"',
          concurrency = "1" })
        assert.equal(0, p:ingest().code)
      end
      local days = {}
      for i, line in ipairs(api.log()) do days[i] = line:match "fromDate=2026%-03%-(%d+)" .. "-" .. line:match "toDate=2026%-03%-(%d+)" end
      api.stop()
      assert.equal(("07-08 08-09 09-10 "):rep(3), table.concat(days, " ") .. " ")
    end)
  end)

  describe("a peer", function()
    it("compared its watermark as text: here days are numbers, and those before 1970 too", function()
      -- as text "9" is behind "10", and "-1" behind "-2"
      local since = core.api.days "1969-12-29"
      walk({ "x" }, nil, { since = since, until_day = core.api.days "1970-01-14", lateness_ms = 0 })
      assert.equal(core.api.days "1970-01-14", select(2, got()))
      assert.equal(16, #w.requests)
      w:run()
      assert.equal(16, #w.requests)
    end)

    it("dropped what it had fetched when it was told to stop: here a page that is not committed is fetched again", function()
      walk(numbered(9), function(n) if n == 2 then w:crash() end end)
      assert.is_true(#(got()) < 9)
      w:run()
      assert.same(numbered(9), (got()))
    end)
  end)

  describe("a thread about", function()
    it("late commits behind a cursor: a record that comes late is found until lateness is over", function()
      local ids = numbered(3)
      walk(ids)
      for day = 1, 3 do
        ids[#ids + 1] = ("r%02d"):format(#ids + 1)
        w.offset = DAY * world.DAY + (day + 1) * world.DAY - w.mono
        w:run()
        assert.equal(day < 3 and 3 + day or 5, #(got())) -- lateness is two days behind the window's end
      end
    end)
  end)
end)

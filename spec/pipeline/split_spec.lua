-- split_spec.lua: windows that cannot be read whole are walked in halves, down to the day that does not come to rest.
local cjson = require "cjson"
local core = require "defendis.core"
local ledger = require "defendis.ledger"
local pipelined = require "support.pipelined"
local run = require "support.run"
local scripted = require "support.scripted"
local world = require "support.world"

local DAY <const> = core.api.days "2026-01-01"

-- Four days of twelve records; each request that covers the third one finds a record more in front, until /rest is asked for.
local MOVING = [[
local days, moving, made = { {}, {}, {}, {} }, true, 0
for d = 1, 4 do
  for i = 1, 12 do days[d][i] = record(("d%dr%02d"):format(d, i), d, '"kind":"k"') end
end
return function(req)
  if req.path == "/rest" then
    moving = false
    return { status = 200, body = tostring(made) }
  end
  local first, last, records = tonumber(req.query.fromDate:sub(-2)), tonumber(req.query.toDate:sub(-2)), {}
  if moving and first <= 3 and last > 3 then
    made = made + 1
    table.insert(days[3], 1, record(("m%03d"):format(made), 3, '"kind":"k"'))
  end
  for d = first, last - 1 do table.move(days[d], 1, #days[d], #records + 1, records) end
  return list(req, records)
end]]

local RULES = [[return {
  rule{ id = "any", title = "Any", level = "low", dataset = "dataleaks.credentials", match = function() return true end,
    tests = { { name = "a", record = {}, match = true } } },
  correlation{ id = "twelve", title = "Twelve", type = "event_count", rules = { "any" }, group_by = { "kind" }, timespan = "1h",
    condition = { gte = 12 }, level = "high", tests = { { name = "a", events = {}, findings = 0 } } },
}]]

describe("a window of four days of which one does not come to rest", function()
  local api

  after_each(function()
    api.stop()
    run.clean()
  end)

  for what, words in pairs{ ["a live pipeline"] = "", ["a backfill"] = " --backfill old --from 2026-01-01 --to 2026-01-05" } do
    it("is split: the other days close, that one stays open and is named, and closes when it rests, in " .. what, function()
      api = scripted.start(MOVING)
      local p = pipelined.new(api, { ["until"] = '"2026-01-05"', window = '"4d"', page_size = "5", concurrency = "1" }, RULES)
      local folder, name = words == "" and "out" or "out/backfill-old", words:match " %-%-backfill old" or ""
      local function ingest() return run.defendis("ingest " .. p.path .. words, { env = p.env }) end
      local function rows()
        local out, unique = {}, 0
        for line in p:command("ledger show PIPELINE --json" .. name).out:gmatch "[^\n]+" do
          local row = cjson.decode(line)
          out[#out + 1], unique = row.from:sub(-2) .. row.to:sub(-2) .. row.state, unique + row.unique
        end
        return out, unique
      end
      local function correlated()
        local days = {}
        for i, line in ipairs(p:lines("findings", folder)) do days[i] = cjson.decode(line).time // world.DAY - DAY + 1 end
        return days
      end

      for _ = 1, 2 do
        local got = ingest()
        assert.same({ 6, 1 }, { got.code, select(2, got.err:gsub("\n", "")) })
        assert.matches("incomplete: dataleaks.credentials acme.example 2026%-01%-03%.%.2026%-01%-04: the list kept changing", got.err)
        assert.same({ "0103closed", "0304open", "0405closed" }, (rows()))
        assert.equal(6, p:command("ledger verify PIPELINE" .. name).code)
        assert.matches("acme.example +2026%-01%-01 +2026%-01%-03 +1 ", p:command("state show PIPELINE" .. name).out)
        assert.same({ 1, 2 }, correlated())
      end
      local whole = 0
      for _, line in ipairs(api.log()) do whole = whole + (line:find "fromDate=2026%-01%-01.*toDate=2026%-01%-05" and 1 or 0) end
      local before = #api.log()
      local made = tonumber(scripted.get(api.base_url, "/rest"))
      assert.equal(0, ingest().code)
      for i, line in ipairs(api.log()) do
        if i > before + 1 then assert.matches("fromDate=2026%-01%-03.*toDate=2026%-01%-04", line) end
        if line:find "fromDate=2026%-01%-01.*toDate=2026%-01%-05" then whole = whole - 1 end
      end
      assert.equal(0, whole) -- only the first run has walked the large one
      local verified = p:command("ledger verify PIPELINE" .. name)
      assert.equal(0, verified.code, verified.out)
      local ids, set = p:ids(nil, folder), {}
      for _, id in ipairs(ids) do set[id] = true end
      assert.equal(48 + made, #ids)
      for i = 1, made do assert.is_true(set[("m%03d"):format(i)]) end
      for d = 1, 4 do
        for i = 1, 12 do assert.is_true(set[("d%dr%02d"):format(d, i)]) end
      end
      assert.equal(#ids, select(2, rows()))
      assert.same({ 1, 2, 3, 4 }, correlated())
      local asked = #api.log()
      assert.equal(0, ingest().code)
      assert.equal(asked, #api.log())
    end)
  end
end)

describe("a split", function()
  local w, days, moving, made, hook

  after_each(function()
    w:close()
    world.clean()
  end)

  local function query_of(request) return core.api.days(request.query.fromDate) - DAY + 1, core.api.days(request.query.toDate) - DAY end

  -- Days 1 to 4 of seven records each. moving: the day that has a record more with each request, or nil.
  local function start(plan, text)
    days, made, moving, hook = { {}, {}, {}, {} }, 0, 3, nil
    text = text or function(id, d) return world.record(id, DAY + d - 1) end
    for d = 1, 4 do
      for i = 1, 7 do days[d][i] = text(("d%dr%d"):format(d, i), d) end
    end
    plan.until_day, plan.step, plan.lateness_ms = DAY + 4, plan.step or 4, plan.lateness_ms or 0
    w = world.new(plan, nil, function(request)
      local first, last = query_of(request)
      local texts, answer, err = {}, nil, nil
      if moving and first <= moving and last >= moving then
        made = made + 1
        table.insert(days[moving], 1, text("m" .. made, moving))
      end
      for d = first, last do table.move(days[d], 1, #days[d], #texts + 1, texts) end
      if hook then answer, err = hook(request, texts, first, last) end
      if answer or err then return answer, err end
      return world.page(request, texts)
    end)
  end

  local function rows()
    local s <close> = w:open()
    local out, sum = {}, ledger.verify(s, { from = DAY, to = DAY + 4 })
    for row in s:windows() do out[#out + 1] = ("%d-%d %s"):format(row.from - DAY + 1, row.to - DAY, row.state) end
    return out, sum
  end

  -- All is quiet: every record is in the file once and counted once, and the ledger adds up.
  local function whole(counted)
    local _, sum = rows()
    assert.same({}, sum.problems)
    local s <close> = w:open()
    local ids, n = {}, made + 28
    for _, line in ipairs(w:lines(s, world.DATASET)) do
      local id = cjson.decode(line).id
      assert.is_nil(ids[id], id .. " came twice")
      ids[id] = true
    end
    for i = 1, made do assert.is_true(ids["m" .. i]) end
    for d = 1, 4 do
      for i = 1, 7 do assert.is_true(ids[("d%dr%d"):format(d, i)]) end
    end
    if counted ~= false then assert.equal(n, sum.unique) end
  end

  it("loses and doubles nothing when the process ends at any moment before, within and after it", function()
    local crashes, last = 0, 0
    for at = 1, 1000 do
      start{}
      local run_one, n = 1, 0
      hook = function()
        n = n + 1
        if n == at then w:crash(at % 4) end
      end
      while w:run() == "crashed" do run_one = run_one + 1 end
      if n < at then break end
      crashes, last = crashes + run_one - 1, at
      moving = nil
      assert.same({}, w:run().problems)
      assert.same({ "1-2 closed", "3-3 closed", "4-4 closed" }, (rows()))
      whole()
      w:close()
    end
    assert.is_true(crashes > 30 and crashes >= last - 3, crashes .. " of " .. last)
  end)

  it("is gone on with where it was made, when the process ended before a half was walked", function()
    start{}
    hook = function(_, _, first, last)
      if last - first == 1 then w:crash() end
    end
    assert.equal("crashed", (w:run()))
    local had, sum = rows()
    assert.same({ "1-2 open", "3-4 open" }, had)
    assert.matches("^not complete: totals changed", sum.problems[1].message)
    local asked = #w.requests
    hook, moving = nil, nil
    assert.same({}, w:run().problems)
    for i = asked + 1, #w.requests do
      local first, last = query_of(w.requests[i])
      assert.is_true(last - first < 2)
    end
    assert.same({ "1-2 closed", "3-4 closed" }, (rows()))
    whole()
  end)

  it("passes on what sinks are owed for the window, also when they take it later", function()
    for _, down_in in ipairs{ 1, 2 } do
      start{}
      local down, took = down_in, {}
      local sink = { name = "got", batch = { documents = 3, bytes = 1 << 20 }, send = function(_, batch)
        if down > 0 then return world.error("network", { retryable = true }) end
        for _, d in ipairs(batch) do
          assert.is_nil(took[d.id])
          took[d.id] = true
        end
        return true
      end }
      for _ = 1, 2 do
        w:run{ sink }
        down = down - 1
      end
      moving = nil
      assert.same({}, w:run{ sink }.problems)
      whole()
      local s, proven = w:open(), 0
      for row in s:windows() do proven = proven + row.delivered.got.documents end
      s:close()
      assert.equal(made + 28, proven)
      w:close()
    end
  end)

  it("passes on what is on its way to a sink in that moment", function()
    start{}
    local n = 0
    local sink = { name = "got", batch = { documents = 3, bytes = 1 << 20 }, send = function(_, batch)
      n = n + #batch
      require("defendis.task").sleep(0.035)
      return true
    end }
    w:run{ sink }
    moving = nil
    assert.same({}, w:run{ sink }.problems)
    assert.equal(made + 28, n)
    whole()
  end)

  it("gives a record without a time once, and keeps one without an id once", function()
    start({}, function(id) return ('{"id":"%s"}'):format(id) end)
    table.insert(days[4], '{"nothing":4}')
    moving = nil
    hook = function(request, texts, first, last) -- all of the large window comes before it turns out to be unstable
      local body = world.page(request, texts)
      return last - first == 3 and request.query.page == 10 and body:gsub('"totalRecords":29', '"totalRecords":30') or body
    end
    assert.same({}, w:run().problems)
    assert.same({ "1-2 closed", "3-4 closed" }, (rows()))
    whole()
    local _, sum = rows()
    local s <close> = w:open()
    assert.same({ 1, 1 }, { s:dead_count(), sum.dead })
  end)

  it("is made at the first page when more pages are announced than can be followed", function()
    start{}
    moving = nil
    hook = function(request, texts, first, last)
      local body = world.page(request, texts)
      if last == first then return body end
      return (body:gsub('"totalRecords":%d+,"totalPages":%d+', '"totalRecords":6000000,"totalPages":2000000'))
    end
    assert.same({}, w:run().problems)
    local large = {}
    for _, request in ipairs(w.requests) do
      local first, last = query_of(request)
      if last > first then large[#large + 1] = first .. "-" .. last .. " " .. request.query.page end
    end
    for _, page in ipairs(large) do assert.matches(" [12]$", page) end -- the second was on its way already
    assert.same({ "1-1 closed", "2-2 closed", "3-3 closed", "4-4 closed" }, (rows()))
    whole()
  end)

  it("is made when the API goes no further than some pages into a list", function()
    for _, limit in ipairs{
      function(request) if request.query.page > 3 then return world.error("invalid", { status = 400 }) end end,
      function(request, texts)
        if #texts <= 9 then return nil end
        return (world.page(request, texts):gsub('"totalPages":%d+', '"totalPages":3'))
      end,
    } do
      start{}
      moving, hook = nil, limit
      assert.same({}, w:run().problems)
      assert.same({ "1-1 closed", "2-2 closed", "3-3 closed", "4-4 closed" }, (rows()))
      whole()
      w:close()
    end
  end)

  it("is not made where it cannot help: answers that contradict themselves leave one window open", function()
    start{}
    moving = nil
    hook = function(request, texts) return (world.page(request, texts):gsub('"nextPage":%d+', '"nextPage":null')) end
    assert.equal("incomplete", w:run().problems[1].kind)
    assert.same({ "1-4 open" }, (rows()))
    hook = nil
    assert.same({}, w:run().problems)
    whole()
  end)

  it("is walked again for late records in the windows that it made, and not in the large one", function()
    start{ lateness_ms = 30 * world.DAY }
    w:run()
    moving = nil
    w:run()
    local asked = #w.requests
    days[2][8] = world.record("m" .. made + 1, DAY + 1)
    made = made + 1
    assert.same({}, w:run().problems)
    for i = asked + 1, #w.requests do
      local first, last = query_of(w.requests[i])
      assert.is_true(last - first < 2)
    end
    whole()
  end)

  it("leaves windows of an earlier plan alone that are a half of it, and gives way to a later plan", function()
    start{ page_size = 3 }
    hook = function(request) if request.query.page == 2 then return world.error "network" end end
    w:run() -- leaves the large window open behind its first page
    hook, w.plan.step = function(_, _, first) if first == 3 then return world.error "network" end end, 2
    w:run() -- closes the first half
    assert.same({ "1-2 closed", "1-4 open", "3-4 open" }, (rows()))
    local function unique()
      local s <close> = w:open()
      return s:window(world.DATASET, "a", DAY, DAY + 2).unique
    end
    assert.equal(11, unique()) -- three were in the large one's first page
    hook, w.plan.step = nil, 4
    w:run()
    assert.same({ "1-2 closed", "3-3 open", "4-4 closed" }, (rows()))
    assert.equal(11, unique())
    moving, w.plan.step = nil, 1
    assert.same({}, w:run().problems)
    assert.same({ "1-1 closed", "1-2 closed", "2-2 closed", "3-3 closed", "4-4 closed" }, (rows()))
    whole(false)
  end)
end)

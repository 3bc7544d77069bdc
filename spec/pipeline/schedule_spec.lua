-- schedule_spec.lua: what the clock, the network and changes between two pages do to a walk, in this process and without waiting.
-- SEED=n repeats one random schedule.
local cjson = require "cjson"
local core = require "defendis.core"
local world = require "support.world"
local scratch = require "support.scratch"

local ONE = math.tointeger(tonumber(os.getenv "SEED"))
local SCHEDULES <const> = (os.getenv "ASAN_OPTIONS" or scratch.slowness > 1) and 100 or 1000
local DAY <const> = core.api.days "2026-01-01"

-- A sink that keeps what it took: ids of records by its own, how often each came, and the order.
local function keeper(name, send)
  local sink = { name = name, of = {}, came = {}, order = {}, batches = 0 }
  function sink.send(_, batch)
    sink.batches = sink.batches + 1
    local result, err = true, nil
    if send then result, err = send(batch) end
    for i, d in ipairs(result and batch or {}) do
      if result == true or result[i] == true then
        local id = cjson.decode(d.json).id
        assert((sink.of[id] or d.id) == d.id, "one record, two ids")
        sink.of[id], sink.came[id] = d.id, (sink.came[id] or 0) + 1
        sink.order[#sink.order + 1] = id
      end
    end
    return result, err
  end
  return sink
end

local function numbered(n, first)
  local ids = {}
  for i = 1, n do ids[i] = ("r%03d"):format((first or 1) + i - 1) end
  return ids
end

local function texts_of(ids, day)
  local texts = {}
  for i, id in ipairs(ids) do texts[i] = world.record(id, day or DAY) end
  return texts
end

describe("a walk", function()
  local w

  after_each(function()
    w:close()
    world.clean()
  end)

  local function file_ids()
    local s <close> = w:open()
    local ids = {}
    for i, line in ipairs(w:lines(s, world.DATASET)) do ids[i] = cjson.decode(line).id end
    return ids, s:checkpoint(world.DATASET, "a", DAY) > DAY
  end

  local function once(ids)
    local set = {}
    for _, id in ipairs(ids) do
      assert(not set[id], id .. " came twice")
      set[id] = true
    end
    return set
  end

  -- Changes to the list: each takes ids and a set of those that have been there all the time.
  local CHANGES = {
    insert = function(ids, _, made) table.insert(ids, math.random(#ids + 1), "new" .. made) end,
    delete = function(ids, always)
      if #ids > 0 then always[table.remove(ids, math.random(#ids))] = nil end
    end,
    move = function(ids) table.insert(ids, math.random(#ids), table.remove(ids, math.random(#ids))) end,
  }

  -- One schedule; raises what is wrong. Insertions alone, deletions alone and one move must lose nothing in the run that meets them; when
  -- changes keep the totals or take each other's place, the walk after them must find what they hid.
  local function schedule(seed)
    math.randomseed(seed)
    local kinds = ({ { "insert" }, { "delete" }, { "move" }, { "insert", "delete", "move" } })[seed % 4 + 1]
    local size, pages, rate, made = math.random(3), math.floor(50 ^ math.random()), math.random() ^ 2, 0
    local most = kinds[1] == "move" and 1 or math.maxinteger
    local ids = numbered(math.max(1, size * pages - math.random(0, size - 1)))
    local always, quiet = once(ids), false
    w = world.new({ page_size = size, concurrency = math.random(4) }, nil, function(request)
      if not quiet and #ids > 0 and made < most and math.random() < rate then
        made = made + 1
        CHANGES[kinds[math.random(#kinds)]](ids, always, made)
      end
      return world.page(request, texts_of(ids))
    end)
    w:run()
    local got, closed = file_ids()
    local set = once(got)
    for id in pairs(closed and #kinds == 1 and always or {}) do assert(set[id], id .. " was lost") end
    quiet = true
    w:run()
    got, closed = file_ids()
    set = once(got)
    assert(closed, "the window is open though the list is quiet")
    for _, id in ipairs(ids) do assert(set[id], id .. " was lost for good") end
    w:close()
  end

  it("loses nothing that was there all the time, in a thousand schedules of changes between 1 to 50 pages", function()
    for seed = ONE or 1, ONE or SCHEDULES do
      local ok, err = pcall(schedule, seed)
      if not ok then error(("%s; SEED=%d make test SPECS=spec/pipeline/schedule_spec.lua repeats it"):format(err, seed), 0) end
    end
  end)

  it("finds in its second pass the record that slid over the border when one before it was deleted", function()
    local ids = numbered(9)
    w = world.new({}, nil, function(request)
      if #w.requests == 2 then table.remove(ids, 1) end
      return world.page(request, texts_of(ids))
    end)
    assert.same({}, w:run().problems)
    local pages = {}
    for i, request in ipairs(w.requests) do pages[i] = request.query.page end
    assert.is_true(once(file_ids()).r004)
    assert.same({ 1, 1, 1 }, { pages[1], pages[#pages - 2], pages[#pages - 1] - 1 })
    assert.equal(9, #(file_ids()))
  end)

  it("of 500 pages goes on at the page where a rate limit ended the run, and gives no record twice or under another id", function()
    local ids, limited = numbered(1000), true
    w = world.new({ page_size = 2 }, nil, function(request)
      if request.query.page == 250 and limited then
        limited = false
        return world.error("rate_limit", { status = 429, retryable = true, retry_at = w:wall() + 3600000 })
      end
      return world.page(request, texts_of(ids))
    end)
    local sink = keeper "got"
    assert.equal("rate_limit", select(2, w:run{ sink }).kind)
    assert.equal(498, #sink.order)
    local asked = #w.requests
    assert.same({}, w:run{ sink }.problems)
    assert.equal(250, w.requests[asked + 1].query.page)
    assert.equal(251, #w.requests - asked)
    assert.same(ids, sink.order)
  end)

  -- Every answer for a page behind the first is bent; the list has `pages` pages.
  local LIES = {
    ["says for ever that more follow"] = function(body, n)
      return body:gsub('"hasMore":%w+,"nextPage":%w+', '"hasMore":true,"nextPage":' .. n + 1)
    end,
    ["names the page itself as the next"] = function(body, n) return body:gsub('"nextPage":%w+', '"nextPage":' .. n) end,
    ["goes back"] = function(body) return body:gsub('"nextPage":%w+', '"nextPage":1') end,
    ["counts more pages with each"] = function(body, n) return body:gsub('"totalPages":%d+', '"totalPages":' .. 20 + n) end,
    ["counts fewer pages with each"] = function(body, n) return body:gsub('"totalPages":%d+', '"totalPages":' .. 20 - n) end,
    ["is empty and has more"] = function(body) return body:gsub('"data":%b[]', '"data":[]') end,
  }
  for what, bend in pairs(LIES) do
    it("that " .. what .. " ends with an error of a kind, after a bounded number of requests", function()
      local pages = 20
      w = world.new({}, nil, function(request)
        local n = request.query.page
        if n > pages + 12 then return world.error("not_found", { status = 404 }) end
        local body = world.page(request, texts_of(numbered(3 * pages)))
        return n == 1 and body or (bend(body, n))
      end)
      local summary, err = w:run()
      assert.is_nil(err)
      assert.truthy(({ incomplete = true, decode = true })[summary.problems[1].kind])
      assert.is_true(#w.requests <= 3 * (1.2 * pages + 10), #w.requests)
      assert.is_false((select(2, file_ids())))
    end)
  end

  it("waits while a sink is down for a day, with an outbox that stays within its size, and drops nothing", function()
    local ids, cap, most, asked = numbered(600), 4096, 0, 0
    local up_ms
    w = world.new({ page_size = 10, outbox = cap, give_up_ms = 25 * 3600000 }, nil, function(request)
      if w.mono < up_ms then asked = asked + 1 end
      return world.page(request, texts_of(ids))
    end)
    up_ms = w.mono + world.DAY
    local memory
    local sink = keeper("got", function()
      if w.mono > up_ms then return true end
      memory = memory or collectgarbage "count"
      local s <close> = assert(require("defendis.store").open(w.folder .. "/state.db", { readonly = true }))
      most = math.max(most, s:outbox_bytes())
      return world.error("network", { retryable = true })
    end)
    sink.batch = { documents = 20, bytes = 1 << 20 }
    local summary, err = w:run{ sink }
    assert.is_nil(err)
    assert.same({ 1, {} }, { summary.done, summary.problems })
    assert.is_true(w.mono - up_ms < 120000 and sink.batches > 1000)
    assert.is_true(most > cap and most < cap + 1000, most)
    assert.is_true(asked < 20, asked)
    collectgarbage()
    assert.is_true(collectgarbage "count" - memory < 2048)
    assert.same(ids, sink.order)
  end)

  it("gives a record the same id in other page sizes, orders and batches, after a crash, and in later versions", function()
    local first
    for i, case in ipairs{ { 1 }, { 3 }, { 7, reversed = true }, { 3, crash = true }, { 50, documents = 1 } } do
      local ids = numbered(20)
      if case.reversed then table.sort(ids, function(a, b) return a > b end) end
      w = world.new({ page_size = case[1] }, nil, function(request) return world.page(request, texts_of(ids)) end)
      local sink = keeper("got", case.crash and function()
        if case.crash then w:crash() end
        case.crash = nil
        return true
      end)
      sink.batch = { documents = case.documents or 4, bytes = 1 << 20 }
      while w:run{ sink } == "crashed" do assert.is_true(#sink.order > 0) end
      first = first or sink.of
      assert.same(first, sink.of, "case " .. i)
      w:close()
    end
    -- written down: what deduplicates by these would take everything for new if they changed
    assert.equal("30b7c086e457f05ade4b81f64e624198", first.r001)
  end)

  it("gives a record whose time was moved to another day again, under its id, and no record that was changed otherwise", function()
    local texts = { world.record("same", DAY), world.record("moved", DAY) }
    w = world.new({}, nil, function(request) return world.page(request, texts) end)
    local sink = keeper "got"
    w:run{ sink }
    texts = { world.record("same", DAY, '"changed":true'), world.record("moved", DAY + 1) }
    w:run{ sink }
    assert.same({ "same", "moved", "moved" }, sink.order)
  end)

  it("delivers to two of three sinks while the third is down, and keeps what it owes the third", function()
    local ids = numbered(30)
    w = world.new({}, nil, function(request) return world.page(request, texts_of(ids)) end)
    local down = true
    local one, two = keeper "one", keeper "two"
    local three = keeper("three", function()
      if down then return world.error("network", { retryable = true }) end
      return true
    end)
    for _ = 1, 2 do
      local summary = w:run{ one, two, three }
      assert.same({ 0, 0, 30 }, { summary.sinks[1].behind, summary.sinks[2].behind, summary.sinks[3].behind })
      assert.same({ ids, ids, {} }, { one.order, two.order, three.order })
    end
    down = false
    w:run{ one, two, three }
    assert.same({ ids, ids, ids }, { one.order, two.order, three.order })
  end)

  it("begins a window anew when the page size was changed, and says so", function()
    local ids, limited = numbered(30), true
    w = world.new({}, nil, function(request)
      if request.query.page == 3 and limited then return world.error "network" end
      return world.page(request, texts_of(ids))
    end)
    w:run()
    local asked = #w.requests
    limited, w.plan.page_size = false, 7
    local summary = w:run()
    assert.same({ "dataleaks.credentials a 2026-01-01..2026-01-02: begun anew, because page_size was changed from 3 to 7" },
      summary.notices)
    assert.equal(1, w.requests[asked + 1].query.page)
    assert.same(ids, (file_ids()))
    assert.same({}, w:run().notices)
  end)
end)

-- drift_spec.lua: lists that change or lie while they are walked.
local pipelined = require "support.pipelined"
local run = require "support.run"
local scripted = require "support.scripted"

local CREDENTIALS = "/api/v1/dataleaks/credentials"

-- Thirty records of one day, ids r01 to r30.
local THIRTY = [[
local records = {}
for i = 1, 30 do records[i] = record(("r%02d"):format(i)) end
]]

local function ids(first, last)
  local out = {}
  for i = first, last do out[#out + 1] = ("r%02d"):format(i) end
  return out
end

describe("a list that moves while it is walked", function()
  local api

  after_each(function()
    api.stop()
    run.clean()
  end)

  local function pipeline(handler, options)
    api = scripted.start(THIRTY .. handler)
    return pipelined.new(api, options)
  end

  local function complete(p, wanted)
    local code, text = p:verify()
    assert.equal(0, code, text)
    assert.same(wanted, p:ids())
  end

  it("gives every record once when one is inserted before the cursor", function()
    local p = pipeline [[return function(req, n)
      if n == 3 then table.insert(records, 1, record("r00")) end
      return list(req, records)
    end]]
    assert.equal(0, p:ingest().code)
    complete(p, ids(0, 30))
    assert.equal(2, p:ledger()[1].pass)
  end)

  it("does not skip the record that slides over the border when one before it is deleted", function()
    local p = pipeline([[return function(req, n)
      if n == 2 then table.remove(records, 1) end
      return list(req, records)
    end]], { concurrency = "1" })
    assert.equal(0, p:ingest().code)
    complete(p, ids(1, 30))
  end)

  it("finds in the next walk what a deletion and an insertion hid that left all totals as they were", function()
    -- r11 slides to page 1 when r01 goes; r31 at the end keeps the count: nothing in any answer shows it
    local p = pipeline([[return function(req, n)
      if n == 2 then
        table.remove(records, 1)
        records[30] = record("r31")
      end
      return list(req, records)
    end]], { concurrency = "1", lateness = '"36500d"' })
    assert.equal(0, p:ingest().code)
    assert.equal(0, p:ingest().code)
    complete(p, ids(1, 31))
  end)

  it("walks on until a pass shows nothing new, even when two passes miss as many records", function()
    -- the first two passes lose two records each and repeat others; r20 is among them both times
    local p = pipeline([[return function(req, n)
      local gone = n <= 3 and { 10, 20 } or n <= 6 and { 5, 20 } or {}
      local shown = table.move(records, 1, 30, 1, {})
      for _, i in ipairs(gone) do shown[i] = records[1] end
      return list(req, shown)
    end]], { concurrency = "1" })
    assert.equal(0, p:ingest().code)
    complete(p, ids(1, 30))
  end)

  it("accepts a list that counts a record twice once a second pass shows the same", function()
    local p = pipeline [[records[30] = records[29] return function(req) return list(req, records) end]]
    assert.equal(0, p:ingest().code)
    complete(p, ids(1, 29))
    local row = p:ledger()[1]
    assert.same({ 30, 60, 29, 31 }, { row.announced, row.received, row.unique, row.duplicate })
  end)

  it("starts over when a page that was announced is gone", function()
    local p = pipeline([[return function(req, n)
      if n == 3 then return fail(404) end
      return list(req, records)
    end]], { concurrency = "1" })
    assert.equal(0, p:ingest().code)
    complete(p, ids(1, 30))
  end)

  it("resumes within a window whose pages are smaller than asked for", function()
    local p = pipeline([[return function(req, n)
      local cap = math.min(10, tonumber(req.query.pageSize))
      req.query.pageSize = tostring(cap)
      if n == 3 then return { status = 429, headers = { ["retry-after"] = "3600" }, body = "{}" } end
      return list(req, records)
    end]], { page_size = "50", concurrency = "1" })
    local got = p:ingest()
    assert.equal(4, got.code)
    assert.equal(6, (p:verify()))
    assert.equal(20, #p:lines())
    assert.equal(0, p:ingest().code)
    complete(p, ids(1, 30))
    assert.equal(4, #api.log())
    assert.equal(1, p:ledger()[1].pass)
  end)

  it("begins a window anew when the page size was changed in between", function()
    local p = pipeline([[return function(req, n)
      if n == 2 then return { status = 429, headers = { ["retry-after"] = "3600" }, body = "{}" } end
      return list(req, records)
    end]], { concurrency = "1" })
    assert.equal(4, p:ingest().code)
    p:edit{ page_size = "7" }
    assert.equal(0, p:ingest().code)
    complete(p, ids(1, 30))
  end)

  it("begins a window anew when totals changed between two runs", function()
    local p = pipeline([[return function(req, n)
      if n == 2 then
        table.insert(records, 1, record("r00"))
        return { status = 429, headers = { ["retry-after"] = "3600" }, body = "{}" }
      end
      return list(req, records)
    end]], { concurrency = "1" })
    assert.equal(4, p:ingest().code)
    assert.equal(0, p:ingest().code)
    complete(p, ids(0, 30))
  end)

  describe("for good", function()
    -- How the API behaves while it is broken, and the most requests that may be spent on that.
    local BROKEN = {
      { "has more for ever", "list(req, records, { hasMore = true })", 30 },
      { "sends the first page for ever", "list({ query = { page = 1, pageSize = 10 } }, records, { hasMore = true, nextPage = 2 })", 20 },
      { "has a next page that does not grow", "list(req, records, { nextPage = 1 })", 20 },
      { "leaves pages out", "list(req, records, { nextPage = 3 })", 20 },
      { "has no page behind the first", "req.query.page == '1' and list(req, records) or fail(404)", 20 },
      { "is empty behind the first page", "list(req, records, req.query.page ~= '1' and { data = {} } or nil)", 30 },
      { "counts anew with every page", "list(req, records, { totalRecords = 30 + n, totalPages = 4 })", 20 },
      { "has no paging", "{ status = 200, body = '{\"data\":[' .. records[1] .. ']}' }", 20 },
      { "has new records and no totals for ever", [[list(req, records, { totalRecords = 'null', totalPages = 'null', hasMore = true,
        nextPage = tonumber(req.query.page) + 1, data = { record('x' .. req.query.page) } })]], 80,
        [[if tonumber(req.query.page) > 20 then return list(req, {}, { hasMore = true, nextPage = tonumber(req.query.page) + 1 }) end]] },
    }
    local HANDLER = [[
local broken, n = true, 0
return function(req)
  n = n + 1
  if req.path == '/mend' then
    broken = false
    return fail(200)
  end
  if req.query.fromDate == '2026-01-01' and broken then
    %s
    return %s
  end
  return list(req, req.query.fromDate == '2026-01-01' and records or { record('later') })
end]]

    for _, case in ipairs(BROKEN) do
      it("is given up for this run when the API " .. case[1] .. ", and the next run goes on", function()
        local p = pipeline(HANDLER:format(case[4] or "", case[2]), { ["until"] = '"2026-01-03"', concurrency = "1" })
        local got = p:ingest()
        assert.equal(6, got.code, got.err)
        assert.truthy(got.err:find("incomplete: dataleaks.credentials acme.example 2026-01-01..2026-01-02", 1, true))
        local asked = #api.log()
        assert.is_true(asked <= case[3], asked .. " requests")
        assert.truthy(table.concat(p:ids(), " "):find("later")) -- other windows do not wait for this one
        assert.equal(6, (p:verify()))
        assert.truthy(p:command("state show PIPELINE").out:find("2026%-01%-01 +2026%-01%-01"))
        scripted.get(api.base_url, "/mend")
        assert.equal(0, p:ingest().code)
        assert.equal(0, (p:verify()))
        local have = {}
        for _, id in ipairs(p:ids()) do
          assert.is_nil(have[id])
          have[id] = true
        end
        for _, id in ipairs(ids(1, 30)) do assert.is_true(have[id]) end
      end)
    end
  end)

  it("gives nothing and loses nothing over an empty window", function()
    local p = pipeline [[return function(req) return list(req, {}) end]]
    assert.equal(0, p:ingest().code)
    complete(p, {})
    assert.equal(1, #api.log())
    assert.truthy(p:command("state show PIPELINE").out:find("2026-01-02", 1, true))
  end)

  it("asks " .. CREDENTIALS .. " only for windows that are over", function()
    local p = pipeline([[return function(req) return list(req, {}) end]], { ["until"] = '"2999-01-01"',
      since = os.date('!"%Y-%m-%d"', os.time() - 3 * 86400) })
    assert.equal(0, p:ingest().code)
    local today = os.date("!%Y-%m-%d", os.time() - 3600)
    for _, line in ipairs(api.log()) do assert.is_true(line:match("toDate=([%d-]+)") <= today) end
    assert.is_true(#api.log() <= 3 and #api.log() >= 2)
  end)
end)

-- hazards_spec.lua: the ways in which programs of this kind have lost or doubled data, each as a test against this one.
local core = require "defendis.core"
local pipelined = require "support.pipelined"
local run = require "support.run"
local scripted = require "support.scripted"
local sunk = require "support.sunk"

-- `records`: thirty of one day in time order, with the day's window in `day`; faults come once.
local PRELUDE = [[
local records, faulty = {}, true
for i = 1, 30 do records[i] = ('{"id":"r%02d","leakedAt":"2026-01-01T%02d:00:00Z","who":"eve","n":%d}'):format(i, i // 2, i) end
local function once()
  local was = faulty
  faulty = false
  return was
end
local away = { status = 429, headers = { ["retry-after"] = "3600" }, body = "{}" }
]]
local ALL = {}
for i = 1, 30 do ALL[i] = ("r%02d"):format(i) end

local RULES = [[return {
  rule{ id = "any", title = "Any", level = "low", dataset = "dataleaks.credentials", generate = true, match = function() return true end,
    tests = { { name = "a", record = {}, match = true } } },
  correlation{ id = "many", title = "Many", type = "event_count", rules = { "any" }, group_by = { "who" }, timespan = "2d",
    condition = { gte = 35 }, level = "high", tests = { { name = "a", events = {}, findings = 0 } } },
}]]

describe("hazard:", function()
  local api

  after_each(function()
    if api then api.stop() end
    api = nil
    run.clean()
  end)

  -- One page at a time, so that the order of requests is known.
  local function pipeline(handler, options, rules)
    api = scripted.start(PRELUDE .. "return function(req, n) " .. handler .. " end")
    options = options or {}
    options.concurrency = options.concurrency or "1"
    return pipelined.new(api, options, rules)
  end

  local function complete(p, wanted)
    local code, text = p:verify()
    assert.equal(0, code, text)
    assert.same(wanted or ALL, p:ids())
  end

  local function ingest(p)
    local got = p:ingest()
    assert.equal("", got.err)
    assert.equal(0, got.code)
  end

  local function checkpoint(p) return (p:command("state show PIPELINE").out:match("2026%-01%-%d+%s+(2026%-01%-%d+)")) end

  -- Runs it in this process, with the sinks and client options given.
  local function ingest_here(p, sinks, client)
    local key = run.write(p.folder .. "/key", p.env.DEFENDIS_API_KEY .. "\n")
    os.execute("chmod 600 " .. key)
    local plan = assert(require("defendis.pipeline.file").load(p.path))
    plan.sinks = sinks or plan.sinks
    client = client or {}
    client.base_url, client.api_key_file = api.base_url, key
    return require("defendis.pipeline").run(plan, { client = client })
  end

  -- A pipeline with two sinks that are served from the outbox, of which "got" is away.
  local function sending(options)
    options.sinks, options.give_up = ("{ %s, %s }"):format(sunk.entry "got", sunk.entry "other"), '"0s"'
    return sunk.down(sunk.write(pipeline("return list(req, records)", options)), "got", true)
  end

  local function comes_back(p)
    sunk.down(p, "got", false)
    ingest(p)
    assert.same({ 0, ALL, 0 }, { (p:verify()), sunk.records(p, "got") })
  end

  describe("a peer", function()
    it("filtered only page 1: here each request of a window carries all parameters", function()
      local p = pipeline "return list(req, records)"
      ingest(p)
      assert.equal(3, #api.log())
      for i, line in ipairs(api.log()) do
        assert.equal("/api/v1/dataleaks/credentials?domain=acme.example&fromDate=2026-01-01&page=" .. i
          .. "&pageSize=10&toDate=2026-01-02", line)
      end
    end)

    it("stopped at a page shorter than it asked for: here hasMore decides when the API caps the page size", function()
      local p = pipeline("req.query.pageSize = '7' return list(req, records)", { page_size = "100" })
      ingest(p)
      complete(p)
      assert.equal(5, #api.log())
    end)

    it("took a cap for the end: here a list that goes on behind its last page leaves the window incomplete", function()
      local p = pipeline "return list(req, records, { hasMore = true, nextPage = tonumber(req.query.page) + 1 })"
      assert.equal(6, p:ingest().code)
      assert.equal(6, (p:verify()))
      assert.equal("2026-01-01", checkpoint(p))
    end)

    it("skipped a page that it could not parse: here the window stays open and the page is asked for again", function()
      local p = pipeline [[if req.query.page == "2" and n < 8 then return { status = 200, body = '{"data":[{]}' } end
        return list(req, records)]]
      local summary, err = ingest_here(p, nil, { retry = { max_attempts = 1 } })
      assert.is_nil(err)
      assert.equal("decode", summary.problems[1].kind)
      assert.equal("2026-01-01", checkpoint(p))
      assert.equal(10, #p:ids())
      ingest(p)
      complete(p)
    end)

    -- A sink that fails or does not acknowledge.
    local function failing(method)
      return { name = "failing", open = function() return true end, close = function() end,
        write = function() if method == "write" then return nil, { kind = "store", message = "the sink is away" } end return true end,
        prepare = function(self)
          self.prepared = (self.prepared or 0) + 1
          if method == "prepare" and self.prepared > 2 then return nil, { kind = "store", message = "not acknowledged" } end
          return "{}"
        end }
    end

    it("kept the id of a record that it failed to emit: here the next run emits it", function()
      local p = pipeline "return list(req, records)"
      local _, err = ingest_here(p, { failing "write" })
      assert.equal("the sink is away", err.message)
      ingest(p)
      complete(p)
    end)

    it("moved its cursor before the sink acknowledged: here both are one transaction", function()
      local p = pipeline "return list(req, records)"
      local jsonl = require("defendis.sinks.jsonl").new({ path = "out" }, { folder = p.folder .. "/" })
      local _, err = ingest_here(p, { jsonl, failing "prepare" })
      assert.equal("not acknowledged", err.message)
      assert.equal("2026-01-01", checkpoint(p))
      ingest(p)
      complete(p)
    end)

    it("noted a record's id before a sink had it: here the sink gets it from the outbox, also when it is a duplicate by then", function()
      local p = sending({ lateness = '"36500d"' })
      assert.equal(6, p:ingest().code)
      comes_back(p)
    end)

    it("dropped the batch that a sink refused while its cursor moved: here the cursor waits for the acknowledgement", function()
      local p = sending{}
      for _ = 1, 2 do
        assert.truthy(p:ingest().err:find("sink test:got: 30 documents behind", 1, true))
        assert.same({ 0, 6, ALL }, { #sunk.took(p, "got"), (p:verify()), (sunk.records(p, "other")) })
      end
      comes_back(p)
    end)

    it("ignored that its watermark could not be stored: here the run ends with an error", function()
      local p = pipeline "return list(req, records)"
      local got = p:ingest{ prefix = [[sh -c 'ulimit -f 8; exec "$@"' sh]] }
      assert.equal(2, got.code)
      assert.truthy(got.err:find("state.db", 1, true))
      ingest(p)
      complete(p)
    end)

    it("gave scripts its environment, or logged its key: here neither shows it", function()
      local p = pipeline("return list(req, records)", nil, RULES:gsub("match = function%(%) return true end",
        "match = function() return not (pcall(function() return os end) or pcall(function() return io or require or debug end)) end"))
      local got = run.defendis("ingest -v -v " .. p.path, { env = p.env })
      assert.equal(0, got.code)
      assert.equal(30, #p:lines("findings"))
      assert.truthy(got.err:find("/api/v1/dataleaks/credentials", 1, true))
      local everything = io.popen(("find '%s' -type f -exec cat {} +"):format(p.folder)):read("a") .. got.out .. got.err
      assert.is_nil(everything:find(p.env.DEFENDIS_API_KEY, 1, true))
    end)
  end)

  describe("paging by numbers over a live list:", function()
    local page = "if req.query.page == '%s' and once() then return %s end return list(req, records)"
    for name, fault in pairs{
      ["a page that repeats the one before"] = { "3",
        "list({ query = { page = 2, pageSize = 10 } }, records, { currentPage = 3, hasMore = false, nextPage = 'null' })" },
      ["more to come behind an empty page"] = { "2", "list(req, records, { data = {} })" },
      ["a next page that is the same"] = { "2", "list(req, records, { nextPage = 2 })" },
      ["a next page that goes back"] = { "2", "list(req, records, { nextPage = 1 })" },
      ["hasMore and nextPage that disagree"] = { "2", "list(req, records, { nextPage = 'null' })" },
      ["totalPages and totalRecords that disagree"] = { "2", "list(req, records, { totalPages = 9 })" },
      ["an end before the total is reached"] = { "2", "list(req, records, { hasMore = false, nextPage = 'null' })" },
      ["totals that are not there"] = { "2", "list(req, records, { totalRecords = 'null', totalPages = 'null' })" },
      ["a page that is not there"] = { "3", "fail(404)" },
      ["another page than was asked for"] = { "2", "list({ query = { page = 1, pageSize = 10 } }, records)" },
      ["another page size"] = { "2", "list({ query = { page = 2, pageSize = 5 } }, records)" },
      ["429 in the middle"] = { "2", "fail(429)" },
      ["500 on the last page"] = { "3", "fail(500)" },
      ["JSON cut off"] = { "2", "{ status = 200, body = list(req, records).body:sub(1, 200) }" },
      ["a body that ends before its length"] = { "2", "{ status = 200, body = list(req, records).body, truncate = 200 }" },
      ["a byte order mark"] = { "2", "{ status = 200, body = '\\xEF\\xBB\\xBF' .. list(req, records).body }" },
      ["a page of HTML"] = { "2", "{ status = 200, body = '<html>', headers = { ['content-type'] = 'text/html' } }" },
    } do
      it(name .. " loses nothing", function()
        local p = pipeline(page:format(fault[1], fault[2]))
        ingest(p)
        complete(p)
      end)
    end

    it("a window that is empty at first and not when it is walked again loses nothing", function()
      local p = pipeline("if once() then return list(req, {}) end return list(req, records)", { lateness = '"36500d"' })
      ingest(p)
      ingest(p)
      complete(p)
    end)

    it("only windows of the past are walked, in whole UTC days", function()
      local p = pipeline("return list(req, {})", { since = os.date('!"%Y-%m-%d"', os.time() - 2 * 86400), ["until"] = '"2999-01-01"',
        settle = '"0s"' })
      ingest(p)
      local today = os.date("!%Y-%m-%d")
      for _, line in ipairs(api.log()) do
        local from, to = line:match("fromDate=([%d-]+).*toDate=([%d-]+)")
        assert.is_true(to <= today)
        assert.equal(core.api.days(from) + 1, core.api.days(to))
      end
    end)
  end)

  describe("a thread about", function()
    it("a failed page behind which the cursor had moved: whichever page fails, the window fails and ends in the next run", function()
      for n = 1, 3 do
        local p = pipeline(("if req.query.page == '%d' and once() then return away end return list(req, records)"):format(n))
        assert.equal(4, p:ingest().code)
        assert.equal("2026-01-01", checkpoint(p))
        ingest(p)
        complete(p)
        assert.equal("2026-01-02", checkpoint(p))
        api.stop()
      end
      api = nil
    end)

    it("a state that moves before the destination has acknowledged: a sink's answer that is no yes is none", function()
      local p = pipeline("return list(req, records)", { sinks = '{ sink "no.lua" {} }' })
      for _, answer in ipairs{ "nil", "false", "'ok'", "{}", "{ true }", "error 'away'" } do
        run.write(p.folder .. "/no.lua", "return { OPTIONS = {}, GUARANTEE = 'none', new = function() return { name = 'no', "
          .. "close = function() end, send = function() return " .. answer .. " end } end }")
        assert.same({ 6, "30" }, { p:ingest().code, p:command("ledger verify PIPELINE").out:match("sink no: (%d+) documents behind") })
      end
    end)

    it("newest-first lists: the time of a record is no checkpoint", function()
      local p = pipeline [[if req.query.page == "2" and once() then return away end
        local reversed = {}
        for i = 1, 30 do reversed[i] = records[31 - i] end
        return list(req, reversed)]]
      assert.equal(4, p:ingest().code)
      ingest(p)
      complete(p)
    end)

    it("records that share one time: none is lost between two pages or runs", function()
      local p = pipeline [[for i = 1, 30 do records[i] = record(("r%02d"):format(i)) end
        if req.query.page == "2" and once() then return away end
        return list(req, records)]]
      assert.equal(4, p:ingest().code)
      ingest(p)
      complete(p)
    end)

    it("a state that was stored although the stream had failed: a list that only ends is not whole", function()
      local p = pipeline "return list(req, table.move(records, 1, 20, 1, {}), { totalRecords = 30, totalPages = 3 })"
      assert.equal(6, p:ingest().code)
      assert.equal("2026-01-01", checkpoint(p))
    end)

    it("a sink that blocks and memory that grows: the outbox is bounded, nothing is fetched meanwhile, and nothing is lost", function()
      local p = sending{ outbox = '"1KiB"' }
      local got = p:ingest()
      assert.truthy(got.err:find("the outbox is full", 1, true))
      assert.same({ 6, "2026-01-01", true }, { got.code, checkpoint(p), #api.log() < 4 })
      comes_back(p)
    end)

    it("ids kept for dates without a time: walking again does not make the set grow", function()
      local p = pipeline([[for i = 1, 30 do records[i] = ('{"id":"r%02d","leakedAt":"2026-01-01"}'):format(i) end
        return list(req, records)]], { lateness = '"36500d"' })
      local function seen()
        local store <close> = assert(require("defendis.store").open(p.folder .. "/state.db", { readonly = true }))
        return store.db:row "SELECT (SELECT count(*) FROM seen) + (SELECT count(*) FROM pass)"
      end
      for _ = 1, 3 do
        ingest(p)
        assert.equal(30, seen())
      end
      complete(p)
    end)

    it("limits that are hit before they are seen: what the headers of good answers say is kept to", function()
      local p = pipeline [[
        local now = require("defendis.core").sys.mono_ms()
        if n == 2 and now - start < 950 then return fail(400) end
        start = now
        local answer = list(req, records)
        if n == 1 then answer.headers = { ["x-ratelimit-remaining"] = "0", ["x-ratelimit-reset"] = "1" } end
        return answer]]
      ingest(p)
      complete(p)
      assert.equal(3, #api.log())
    end)

    it("empty arrays, null and long integers that came out changed: they come out as they went in", function()
      local value = '{"a":[],"n":[1,null,"x"],"ms":1767225600123,"id":9007199254740993}'
      local p = pipeline(("return list(req, { '{\"id\":\"r01\",\"value\":%s}' })"):format(value))
      ingest(p)
      for _, part in ipairs{ '"a":[]', '"n":[1,null,"x"]', '"ms":1767225600123', '"id":9007199254740993' } do
        assert.truthy(p:lines()[1]:find(part, 1, true))
      end
    end)

    it("a script error that ended the process: the record goes on, and the line is named", function()
      local p = pipeline("return list(req, records)", nil, RULES:gsub("match = function%(%) return true end",
        "match = function(r) return r.n.x > 1 end"))
      local got = p:ingest()
      assert.equal(1, got.code)
      assert.truthy(got.err:find("rules.lua:2:", 1, true))
      complete(p)
    end)

    it("a longer look-back that doubled everything: more lateness gives only what is new", function()
      local p = pipeline "if not once() then records[31] = '{\"id\":\"r31\"}' end return list(req, records)"
      p:edit{ page_size = "50" }
      ingest(p)
      complete(p)
      p:edit{ lateness = '"36500d"' }
      ingest(p)
      complete(p, table.move({ "r31" }, 1, 1, 31, table.move(ALL, 1, 30, 1, {})))
    end)

    it("correlation tests that need a server: they run with none", function()
      local got = run.defendis("test examples/rules")
      assert.equal(0, got.code)
      assert.truthy(got.out:find("three services in a day", 1, true) or got.out:find("passed", 1, true))
    end)

    it("windows of a correlation that were half full at a restart: they fire as if there had been none, once", function()
      -- 30 records on day 1, 10 on day 2: 35 of them within two days, and a run that ends between
      local handler = [[
        local day = req.query.fromDate:sub(-2)
        if day == "02" then
          if req.query.page == "1" and once() then return away end
          local second = {}
          for i = 1, 10 do second[i] = ('{"id":"s%02d","leakedAt":"2026-01-02T%02d:00:00Z","who":"eve"}'):format(i, i) end
          return list(req, second)
        end
        return list(req, records)]]
      local options = { ["until"] = '"2026-01-03"' }
      local p = pipeline(handler, options, RULES)
      assert.equal(4, p:ingest().code)
      ingest(p)
      ingest(p)
      local function many()
        local found = {}
        for _, line in ipairs(p:lines("findings")) do if line:find('"id":"many"', 1, true) then found[#found + 1] = line end end
        return found
      end
      local interrupted = many()
      assert.equal(1, #interrupted)
      api.stop()
      p = pipeline(handler:gsub("once%(%)", "false"), options, RULES)
      ingest(p)
      assert.same(interrupted, many())
    end)

    it("output with other text in it: stdout holds one JSON document, whatever is said besides", function()
      local p = pipeline "if req.query.page == '2' and once() then return fail(500) end return list(req, records)"
      local got = run.defendis("ingest -v --json " .. p.path, { env = p.env })
      assert.equal(0, got.code)
      local summary = require("cjson").decode(got.out)
      assert.is_true(summary.complete)
      assert.equal(30, summary.records)
    end)

    it("an empty window that left the cursor behind: it moves", function()
      local p = pipeline("return list(req, {})", { ["until"] = '"2026-01-04"' })
      ingest(p)
      assert.equal("2026-01-04", checkpoint(p))
      complete(p, {})
      assert.equal(3, #api.log())
      ingest(p)
      assert.equal(3, #api.log())
    end)
  end)
end)

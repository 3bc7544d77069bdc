-- values_spec.lua: what becomes of single records: values, bad ones, ids, and rules that fail on them.
local cjson = require "cjson"
local pipelined = require "support.pipelined"
local run = require "support.run"
local scripted = require "support.scripted"

describe("a record on its way through a pipeline", function()
  local api

  after_each(function()
    api.stop()
    run.clean()
  end)

  -- records: array of JSON texts, all of one day.
  local function pipeline(records, rules, options)
    local quoted = {}
    for i, text in ipairs(records) do quoted[i] = ("%q"):format(text) end
    api = scripted.start(("local records = { %s }\nreturn function(req) return list(req, records) end"):format(table.concat(quoted, ",\n")))
    return pipelined.new(api, options, rules)
  end

  local function sums(p)
    local row = p:ledger()[1]
    assert.equal(row.received, row.unique + row.duplicate + row.dead)
    assert.equal(row.unique, row.normalized)
    for _, n in pairs(row.emitted) do assert.equal(row.unique, n) end
    return row
  end

  it("keeps long numbers, empty arrays and objects, null, and text of any script", function()
    local VALUES = { "4111111111111111", "9007199254740993", "9223372036854775807", "-9223372036854775808", "1234567890123456789",
      "18446744073709551616", "123456789012345678901234567890", "0", "0.1", "-1.5e-07", "1e400",
      "3.141592653589793238462643383279", "[]", "{}", "null", "true", '[[],{},null,[1,null,"x"]]', '{"a":{},"b":[],"c":null}',
      '""', '"\\u0000"',
      '"मल्लिका 龍 Ωμέγα пароль"', '"ⴰⵣⵓⵍ 🔑 ภาษาไทย"',
      '"עברית اللغة"', '"a\\"b\\\\c/d"' }
    local records, wanted = {}, {}
    for i, value in ipairs(VALUES) do
      records[i] = ('{"id":"v%02d","value":%s}'):format(i, value)
      wanted[("v%02d"):format(i)] = value
    end
    local p = pipeline(records)
    assert.equal(0, p:ingest().code)
    assert.equal(#VALUES, #p:lines())
    for _, line in ipairs(p:lines()) do
      local id = line:match('"id":"(v%d%d)"')
      local value = line:match('"value":(.*),"id":"v%d%d"}$') or line:match('"value":(.*)}$')
      if wanted[id]:find('{"a"', 1, true) then -- the order of keys is not promised
        assert.same(cjson.decode(wanted[id]).b, cjson.decode(value).b)
        for _, part in ipairs{ '"a":{}', '"b":[]', '"c":null' } do assert.truthy(value:find(part, 1, true)) end
      else
        assert.equal(wanted[id], value)
      end
    end
  end)

  it("is taken once when its id comes twice, on one page or on two", function()
    local records = {}
    for i = 1, 14 do records[i] = ('{"id":"r%d","n":%d}'):format(i, i) end
    records[3], records[14] = records[2], records[1]
    local p = pipeline(records)
    assert.equal(0, p:ingest().code)
    assert.equal(0, (p:verify()))
    assert.equal(12, #p:ids())
    assert.equal(12, sums(p).unique)
  end)

  it("becomes a dead letter when it has no usable id, and the others go on", function()
    local bad = { '{"n":1}', '{"id":null}', '{"id":""}', '{"id":{}}', '{"id":true}', '{"id":1.5}', '5', 'null', '"x"', '[]' }
    local records = table.move(bad, 1, #bad, 2, { '{"id":"good"}' })
    records[#records + 1] = '{"id":7}'
    records[#records + 1] = '{"id":12345678901234567890123}'
    local p = pipeline(records)
    local got = p:ingest()
    assert.equal(6, got.code)
    assert.truthy(got.err:find("10 records could not be used", 1, true))
    assert.equal(3, #p:lines())
    local row = sums(p)
    assert.same({ 13, 3, 10, "closed" }, { row.announced, row.unique, row.dead, row.state })
    assert.equal(0, (p:verify()))
  end)

  it("that cannot be parsed costs only itself", function()
    local p = pipeline{ '{"id":"a"}', '{"id":"b","x":01}', '{"id":"c","x":"' .. "\1" .. '"}', '{"id":"d"}' }
    assert.equal(6, p:ingest().code)
    assert.same({ "a", "d" }, p:ids())
    local row = sums(p)
    assert.same({ 2, 2 }, { row.unique, row.dead })
    local store <close> = assert(require("defendis.store").open(p.folder .. "/state.db", { readonly = true }))
    local raw = {}
    for letter in store:dead_letters() do raw[#raw + 1] = letter.raw end
    assert.same({ '{"id":"b","x":01}', '{"id":"c","x":"' .. "\1" .. '"}' }, raw)
  end)

  local RAISES = [[return {
    normalizer{ id = "n", dataset = "dataleaks.credentials", id_field = "id", time = "leakedAt",
      map = function(r)
        if r.kind == "raises" then error("cannot map") end
        if r.kind == "nothing" then return nil end
        if r.kind == "endless" then r.self = r end
        return r
      end,
      tests = { { name = "a", input = { id = "a" }, expect = { id = "a" } } } },
    rule{ id = "r", title = "r", level = "low", dataset = "dataleaks.credentials", match = function(r) return r.missing.field end,
      tests = { { name = "a", record = { missing = { field = 1 } }, match = true } } },
  }]]

  it("that its normalizer fails on is a dead letter, and the ledger adds up", function()
    local p = pipeline({ '{"id":"a","missing":{}}', '{"id":"b","kind":"raises","missing":{}}', '{"id":"c","kind":"nothing","missing":{}}',
      '{"id":"d","kind":"endless","missing":{}}', '{"id":"e","missing":{}}' }, RAISES)
    local got = p:ingest()
    assert.equal(6, got.code)
    assert.truthy(got.err:find("3 records could not be used", 1, true))
    assert.same({ "a", "e" }, p:ids())
    local row = sums(p)
    assert.same({ 5, 2, 3 }, { row.received, row.unique, row.dead })
    assert.equal(0, (p:verify()))
  end)

  it("goes on when a rule raises, and the run says which rule did and ends with 1", function()
    local p = pipeline({ '{"id":"a"}', '{"id":"b"}' }, RAISES)
    local got = p:ingest()
    assert.equal(1, got.code)
    assert.truthy(got.err:find("rule r failed on 2 records: ", 1, true))
    assert.truthy(got.err:find("rules.lua:%d+:"))
    assert.same({ "a", "b" }, p:ids())
    assert.equal(0, (p:verify()))
  end)

  it("is in one window only when it lies on the border between two", function()
    api = run.simulator("--records 3000") -- has a record at every midnight
    local p = pipelined.new(api, { ["until"] = '"2026-01-21"', page_size = "50" })
    assert.equal(0, p:ingest().code)
    assert.same(pipelined.announced(api, "dataleaks.credentials", "acme.example", nil, "2026-01-21"), p:ids())
    for _, row in ipairs(p:ledger()) do assert.equal(0, row.duplicate) end
  end)

  it("is not lost when the disk is full, wherever that shows: the run ends with 2, and the next one goes on", function()
    api = run.simulator("--records 2000")
    local p = pipelined.new(api, { ["until"] = '"2026-04-01"', window = '"10d"', page_size = "50" })
    local where = {}
    for blocks = 8, 1200, 80 do
      local got = p:ingest{ prefix = ([[sh -c 'ulimit -f %d; exec "$@"' sh]]):format(blocks) }
      assert.equal(2, got.code, got.err)
      local output = got.err:find("cannot write .*dataleaks%.credentials%.jsonl")
      where[output and "output" or got.err:find("state%.db") and "state" or got.err] = true
      assert.are_not.equal(0, (p:verify()))
    end
    assert.same({ output = true, state = true }, where)
    assert.equal(0, p:ingest().code)
    assert.equal(0, (p:verify()))
    assert.same(pipelined.announced(api, "dataleaks.credentials", "acme.example"), p:ids())
  end)

  describe("whose scope", function()
    local function watched(items, options)
      api = scripted.start(([[return function(req)
        if req.path == "/api/v1/watchlists/domain" then return list(req, { %s }) end
        return list(req, { record(req.query.domain) })
      end]]):format(items))
      options = options or {}
      options.scope = '"watchlists"'
      return pipelined.new(api, options)
    end

    it("is empty: the run says which watchlist needs items", function()
      local got = watched(""):ingest()
      assert.equal(2, got.code)
      assert.truthy(got.err:find('the watchlist "domain" is empty', 1, true))
    end)

    it("has an input twice: it is asked for once", function()
      local p = watched [['{"domain":"a.example"}', '{"domain":"b.example"}', '{"domain":"a.example","watchlistid":"2"}']]
      assert.equal(0, p:ingest().code)
      assert.same({ "a.example", "b.example" }, p:ids())
      assert.equal(3, #api.log())
    end)

    it("has an item that is not understood: the run stops instead of leaving it out", function()
      local got = watched([['{"domain":"a.example"}', '{"id":"7","host":"b.example"}']]):ingest()
      assert.equal(2, got.code)
      assert.truthy(got.err:find('without text in its field "domain" (it has: host, id)', 1, true))
    end)
  end)
end)

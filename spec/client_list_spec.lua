local hostile = require "support.hostile"
local run = require "support.run"
local defendis = require "defendis"
local raw = require("defendis_internals").raw

local answer, serve, connect, raised = hostile.answer, hostile.serve, hostile.client, hostile.raised

describe("lists", function()
  after_each(hostile.clean)

  local function page(n, of, records, more)
    more = more or {}
    local data = {}
    for i = 1, records do data[i] = ('{"id":"%d-%d"}'):format(n, i) end
    return answer(200, ('{"data":[%s],"paging":{"currentPage":%d,"pageSize":2,'
      .. '"totalRecords":%d,"totalPages":%d,"hasMore":%s,"nextPage":%s}}')
      :format(more.data or table.concat(data, ","), more.current or n, more.total or of * 2, of, tostring(more.has_more == nil
        and n < of or more.has_more == true),
        n < of and n + 1 or "null"))
  end

  local function ids(...)
    local server, out = serve(...), {}
    local ok, err = pcall(function()
      for record in connect(server):each("dataleaks.credentials", { domain = "acme.example",
        pageSize = 2 }) do out[#out + 1] = record.id end
    end)
    return table.concat(out, " "), not ok and err or nil, server
  end

  it("are walked page by page with the same parameters, and end whole", function()
    local all, err, server = ids(page(1, 3, 2), page(2, 3, 2), page(3, 3, 2))
    assert.is_nil(err)
    assert.are.equal("1-1 1-2 2-1 2-2 3-1 3-2", all)
    for i, request in ipairs(server:requests()) do
      assert.matches("^GET /api/v1/dataleaks/credentials%?domain=acme.example&page=" .. i .. "&pageSize=2 HTTP", request)
    end
    assert.are.equal(3, #server:requests())
  end)

  it("raise an error and never end silently short", function()
    local cases = {
      { "incomplete", page(1, 3, 2), page(2, 3, 0, { has_more = false }) },
      { "incomplete", page(1, 3, 2), page(2, 2, 2, { total = 4 }) },
      { "decode", page(1, 3, 2), page(2, 3, 2, { current = 1 }) },
      { "decode", page(1, 3, 2), answer(200, '{"data":[{"id":1}]') },
      { "decode", page(1, 3, 2), answer(200, '{"records":[]}') },
      { "decode", page(1, 3, 2), answer(200, "<html>", { "Content-Type: text/html" }) },
      { "network", page(1, 3, 2), answer(200, '{"data":[', nil, { length = 500, close = true }) },
      { "auth", page(1, 3, 2), answer(401, '{"error":"Invalid or revoked API key"}') },
      { "unavailable", page(1, 3, 2), answer(503, "") },
      { "rate_limit", page(1, 3, 2), answer(429, "{}") },
      { "decode", page(1, 3, 2), page(2, 3, 2, { data = '{"id":"2-1"},{"id":"2-2' }) },
    }
    for i, case in ipairs(cases) do
      local all, err = ids(table.unpack(case, 2))
      assert.is_truthy(err, i)
      assert.is_true(case[1] == err.kind or case[1] == "incomplete" and err.kind == "decode", ("%d: %s %s"):format(i, err.kind,
        err.message))
      assert.is_truthy(all:find("^1%-1 1%-2"), i)
      assert.is_nil(all:find "3%-", i)
    end
  end)

  it("raise for one record that is broken, after those before it", function()
    local all, err = ids(page(1, 1, 2, { data = '{"id":"ok"},{"id":01}' }))
    assert.are.equal("ok", all)
    assert.are.equal("decode", err.kind)
  end)

  it("raise for a dataset, input or date that is wrong, before anything is sent", function()
    local server = serve(answer(200, "{}"))
    local client = connect(server)
    for expected, given in pairs{
      ['unknown dataset "dataleaks.credentails", nearest dataset "dataleaks.credentials"'] = { "dataleaks.credentails" },
      ['dataleaks.credentials needs the input "domain"; give domain=...'] = { "dataleaks.credentials" },
      ['from = "2026-02-30" is not a date; write YYYY-MM-DD'] = { "dataleaks.credentials", { domain = "a", from = "2026-02-30" } },
      ['to = "tomorrow" is not a date; write YYYY-MM-DD'] = { "dataleaks.credentials", { domain = "a", to = "tomorrow" } },
      ['to = "20260101" is not a date; write YYYY-MM-DD'] = { "dataleaks.credentials", { domain = "a", to = 20260101 } },
      ['dataleaks.stats is not a list of records; request it with GET /api/v1/dataleaks/stats'] = { "dataleaks.stats", { domain = "a" } },
    } do
      local err = raised(client.each, client, table.unpack(given))
      assert.are.equal("config", err.kind)
      assert.are.equal(expected, err.message)
    end
    assert.are.equal(0, (server:count()))
  end)
end)

describe("a client of the simulator", function()
  local sim, client

  setup(function() sim = run.simulator "--records 400" end)

  before_each(function()
    client = defendis.client{ base_url = sim.base_url, api_key_file = hostile.file("key", sim.api_key) }
    assert(client:health())
  end)

  after_each(function()
    client:close()
    hostile.clean()
  end)

  teardown(function()
    sim.stop()
    run.clean()
  end)

  -- ids that the simulation says exist, one a line
  local function announced(dataset, input, query)
    local path = ("/simulator/ids?dataset=%s&input=%s%s"):format(dataset, input, query or "")
    local text = raw.exchange(math.tointeger(sim.base_url:match "%d+$"), "GET " .. path .. " HTTP/1.0\r\n\r\n")
    local out = {}
    for id in text:match("\r\n\r\n(.*)"):gmatch "[^\n]+" do out[#out + 1] = id end
    return out
  end

  local function walk(dataset, parameters)
    local out = {}
    for record in client:each(dataset, parameters) do out[#out + 1] = record.id end
    return out
  end

  it("says that it is there without a key", function()
    local status, meta = client:health()
    assert.are.same({ "ok", 200, 1 }, { status.status, meta.status, meta.attempts })
    assert.matches("^sim%-", meta.request_id)
  end)

  it("gets exactly the records that exist, in their order, whatever the page size", function()
    local expected = announced("dataleaks.credentials", "acme.example")
    assert.is_true(#expected > 100)
    for _, size in ipairs{ 7, 100, 1000 } do
      assert.are.same(expected, walk("dataleaks.credentials", { domain = "acme.example", pageSize = size }))
    end
    assert.are.same(announced("exposure", "acme.example"), walk("exposure", { domain = "acme.example" }))
  end)

  it("gets a window's records: from included, to excluded", function()
    local all = {}
    for _, w in ipairs{ { "2026-01-01", "2026-01-15" }, { "2026-01-15", "2026-02-01" }, { "2026-02-01", "2027-01-01" } } do
      local ids = walk("dataleaks.credentials", { domain = "acme.example", from = w[1], to = w[2] })
      assert.are.same(announced("dataleaks.credentials", "acme.example", ("&from=%s&to=%s"):format(w[1], w[2])), ids)
      table.move(ids, 1, #ids, #all + 1, all)
    end
    assert.are.same(announced("dataleaks.credentials", "acme.example"), all)
  end)

  it("hands out pages with their figures", function()
    local seen, n = 0, 0
    for page, meta in client:pages("/api/v1/dataleaks/credentials", { domain = "acme.example", pageSize = 50 }) do
      n, seen = n + 1, seen + page:len()
      assert.are.equal(200, meta.status)
    end
    assert.are.equal(#announced("dataleaks.credentials", "acme.example"), seen)
    assert.are.equal((seen + 49) // 50, n)
  end)

  it("can stop in the middle of a list and use the client for more", function()
    local n = 0
    for _ in client:each("dataleaks.credentials", { domain = "acme.example", pageSize = 5 }) do
      n = n + 1
      if n == 7 then break end
    end
    assert.are.equal(7, n)
    assert.are.equal("ok", client:health().status)
  end)

  it("walks several lists at once without mixing them", function()
    local datasets = { { "dataleaks.credentials", "acme.example", "domain" }, { "dataleaks.documents", "acme.example", "domain" },
      { "dataleaks.credentials", "globex.example", "domain" }, { "dataleaks.paymentcards", "411111", "bin" } }
    local functions = {}
    for i, d in ipairs(datasets) do functions[i] = function() return walk(d[1], { [d[3]] = d[2], pageSize = 9 }) end end
    for i, r in ipairs(defendis.parallel(functions)) do
      assert.is_true(r.ok, tostring(r[1]))
      assert.are.same(announced(datasets[i][1], datasets[i][2]), r[1])
    end
  end)

  it("says what is out of scope, unknown or missing", function()
    local function fails(kind, status, path, query)
      local value, err = client:get(path, query)
      assert.is_nil(value)
      assert.are.same({ kind, status }, { err.kind, err.status })
      assert.matches("^sim%-", err.request_id)
    end
    fails("scope", 403, "/api/v1/dataleaks/credentials", { domain = "other.example" })
    fails("invalid", 400, "/api/v1/dataleaks/credentials")
    fails("not_found", 404, "/api/v1/nothing")
    assert.are.equal("scope", raised(walk, "dataleaks.credentials", { domain = "other.example" }).kind)
  end)

  it("refuses a wrong key with what to do about it", function()
    local other <close> = defendis.client{ base_url = sim.base_url, api_key_file = hostile.file("wrong", "not-the-key") }
    local value, err = other:get "/api/v1/watchlists"
    hostile.clean()
    assert.is_nil(value)
    assert.are.same({ "auth", 401 }, { err.kind, err.status })
    assert.matches("Invalid or revoked API key; make a new key", err.message)
  end)

  it("lists, adds, updates and deletes watchlist items", function()
    local domains = client.watchlists.domain
    local before = assert(domains:list{ pageSize = 100 })
    local item = assert(domains:add{ domain = "new.example" })
    assert.are.equal("new.example", item.domain)
    local changed = assert(domains:update(item.id, { domain = "newer.example" }))
    assert.are.same({ item.id, "newer.example" }, { changed.id, changed.domain })
    local found = {}
    for each in domains:each{ pageSize = 2 } do found[each.domain] = each.id end
    assert.are.equal(item.id, found["newer.example"])
    assert.are.equal(1, assert(domains:delete{ item.id }).count)
    assert.are.same(before, domains:list{ pageSize = 100 })
    local gone, err = domains:update(item.id, { domain = "x.example" })
    assert.is_nil(gone)
    assert.are.equal("not_found", err.kind)
    for _, kind in ipairs{ "assets", "bin", "executive", "keyword", "ransom" } do
      assert.is_true(#assert(client.watchlists[kind]:list()) > 0, kind)
    end
  end)

  it("reports the quota that an item too many meets", function()
    local added = {}
    local item, err
    repeat
      item, err = client.watchlists.domain:add{ domain = ("q%d.example"):format(#added) }
      if item then added[#added + 1] = item.id end
    until not item or #added > 20
    assert.are.same({ "quota", "domains", 10, 10, 1 }, { err.kind, err.metric, err.used, err.limit, err.requestedIncrement })
    assert.are.equal(#added, client.watchlists.domain:delete(added).count)
  end)

  it("keeps an id that looks like a path one segment", function()
    local _, err = client.watchlists.domain:update("a.b_c~d e", { domain = "x.example" })
    assert.are.equal("not_found", err.kind)
    _, err = client.watchlists.domain:update("../../watchlists/create", { name = "x" })
    assert.are.equal("invalid", err.kind)
    assert.is_nil(err.status)
  end)
end)

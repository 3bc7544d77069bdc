local hostile = require "support.hostile"
local run = require "support.run"
local scratch = require "support.scratch"
local core = require "defendis.core"
local defendis = require "defendis"

local answer, serve, connect = hostile.answer, hostile.serve, hostile.client

local function refused(given)
  local value, err = connect(serve(given)):get "/api/v1/x"
  assert.is_nil(value)
  assert.are.equal(err.message, tostring(err))
  assert.is_nil(err.body)
  return err
end

local function raised(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  return err
end

describe("the error of a refusal", function()
  after_each(hostile.clean)

  -- H7
  it("has a kind, the API's words, the status, the request id and what to do; it is asked for once", function()
    for status, case in pairs{
      [400] = { "invalid", '{"error":"Missing required parameter: domain"}', "Missing required parameter: domain" },
      [401] = { "auth", '{"error":"Invalid or revoked API key"}', "Invalid or revoked API key; make a new key" },
      [403] = { "scope", '{"error":"You don\'t have permission to view this"}', "permission to view this; add the domain, e%-mail or bin to a watchlist" },
      [404] = { "not_found", '{"error":"Not found","message":"no such item"}', "Not found: no such item" },
      [409] = { "invalid", '{"error":"Conflict"}', "Conflict" },
      [422] = { "invalid", '{"error":"Unprocessable"}', "Unprocessable" },
      [418] = { "invalid", '{"error":"teapot"}', "teapot" },
    } do
      local server = serve(answer(status, case[2], { "x-request-id: req-" .. status }))
      local value, err = connect(server, { retry = { max_attempts = 5 } }):get "/api/v1/x"
      assert.is_nil(value)
      assert.are.equal(case[1], err.kind)
      assert.are.equal(status, err.status)
      assert.are.equal("req-" .. status, err.request_id)
      assert.are.equal(1, err.attempts)
      assert.is_false(err.retryable)
      assert.matches("^GET /api/v1/x: .*" .. case[3], err.message)
      assert.are.equal(1, (server:count()))
    end
  end)

  it("tells billing from scope, with the reason", function()
    local err = refused(answer(403, '{"error":"Enterprise billing access denied","reason":"payment_unpaid","status":"unpaid"}'))
    assert.are.same({ "billing", "payment_unpaid", 403 }, { err.kind, err.reason, err.status })
    assert.matches("blocked by billing %(403%): .*payment_unpaid; have the workspace's owner", err.message)
  end)

  it("tells a quota from another conflict, with its figures exact", function()
    local err = refused(answer(409, '{"error":"quota_domains_reached","metric":"domains","used":10,"limit":10,"requestedIncrement":1}'))
    assert.are.same({ "quota", "domains", 10, 10, 1 }, { err.kind, err.metric, err.used, err.limit, err.requestedIncrement })
    assert.are.equal("integer", math.type(err.used))
    assert.matches("quota of domains reached, 10 of 10 used %(409%): quota_domains_reached; remove items", err.message)
    err = refused(answer(409, '{"error":"quota_bins_reached","metric":"bins","used":9007199254740993,"limit":9007199254740993}'))
    assert.are.equal(9007199254740993, err.used)
  end)

  it("takes no field of another type from the body, and none that it has itself", function()
    local err = refused(answer(409, '{"error":"x","metric":["a"],"used":1.5,"limit":null,"reason":{},"kind":"evil","message":"words",'
      .. '"retryable":true,"status":"s","attempts":9}'))
    assert.are.same({ nil, nil, nil, nil }, { err.metric, err.used, err.limit, err.reason })
    assert.are.same({ "invalid", false, 1, 409 }, { err.kind, err.retryable, err.attempts, err.status })
  end)

  it("says how long a rate limit lasts", function()
    local err = refused(answer(429, '{"error":"Rate limit exceeded"}', { "Retry-After: 30" }))
    assert.are.equal("rate_limit", err.kind)
    assert.is_true(err.retryable)
    assert.is_true(math.abs(err.retry_at - core.sys.wall_ms() - 30000) < 3000)
  end)
end)

describe("the API key", function()
  local KEY = 'canary"\\/+%=0123456789abcdefghijklmnopqrstuvwxyz'
  after_each(hostile.clean)

  -- wherever a server can echo it: headers, error bodies in any encoding, cut anywhere
  local function echoes()
    local escaped = KEY:gsub('["\\]', "\\%0")
    local slashed = escaped:gsub("/", "\\/")
    local unicode = KEY:gsub("%W", function(c) return ("\\u%04x"):format(c:byte()) end)
    local percent = KEY:gsub("%W", function(c) return ("%%%02x"):format(c:byte()) end)
    local function base64(text) return (hostile.output(("printf %%s '%s' | base64 -w0"):format(text))) end
    local out = {}
    for _, form in ipairs{ escaped, slashed, unicode, percent, base64(KEY), base64("x" .. KEY), base64("xx" .. KEY .. "y"),
      ("f"):rep(80) .. escaped, ("f"):rep(490) .. escaped, escaped .. escaped, "\\n" .. slashed .. "\\u0000" } do
      for _, status in ipairs{ 400, 403, 409, 500 } do
        out[#out + 1] = answer(status, ('{"error":"%s","message":"%s","reason":"billing %s","metric":"%s","used":"%s","limit":1}'):format(
          form, form, form, form, form))
      end
    end
    for fill = 0, 150, 10 do
      local text = ("f"):rep(fill) .. KEY
      out[#out + 1] = answer(302, "{}", { "Location: https://" .. text .. "/" .. text, "x-request-id: " .. text })
      out[#out + 1] = answer(200, "", { "Content-Type: " .. text, "x-request-id: " .. text, "Retry-After: " .. text })
    end
    out[#out + 1] = answer(400, "no JSON " .. KEY)
    return out
  end

  it("is in no error, whatever the server echoes", function()
    local file = hostile.file("key", KEY)
    local all = echoes()
    for from = 1, #all, 60 do
      local answers = table.move(all, from, math.min(from + 59, #all), 1, {})
      local server = serve(table.unpack(answers))
      local client = connect(server, { api_key_file = file })
      for i = 1, #answers do
        local value, err = client:get "/api/v1/x"
        assert.is_nil(value)
        for k, v in pairs(err) do
          -- the first letters are enough of a leak; base64 in any of its three phases has one of these
          for _, part in ipairs{ "canary", "abcdef", "Y2FuYXJ5", "NhbmFye", "jYW5hcn", "ghijkl" } do
            assert.is_nil(tostring(v):find(part, 1, true), ("answer %d, %s = %s"):format(from + i - 1, k, tostring(v)))
          end
        end
      end
      assert.is_truthy(server:requests()[1]:find("Bearer " .. KEY, 1, true))
    end
  end)

  it("is in no line of the log, at any level, and each line is JSON", function()
    local script = [[
      local core = require "defendis.core"
      local defendis = require "defendis"
      core.sys.log_level(9)
      local client <close> = defendis.client{ base_url = arg[1], api_key_file = arg[2], retry = { max_attempts = 1 } }
      for i = 1, tonumber(arg[3]) do client:get("/api/v1/x", { q = arg[4], i = i }) end
      print(client, client.handle, getmetatable(client))
    ]]
    local all = echoes()
    local answers = table.move(all, #all - 39, #all, 1, {})
    local server = serve(table.unpack(answers))
    local out, code = scratch.lua(script, nil, "http://127.0.0.1:" .. server:port(), hostile.file("key", KEY), #answers, KEY)
    assert.are.equal(0, code, out)
    assert.is_nil(out:find("canary", 1, true))
    local n = 0
    for line in out:gmatch "[^\n]+" do
      if line:find "^{" then
        local entry = assert(require("cjson").decode(line))
        assert.are.equal("request", entry.event)
        assert.are.equal("GET", entry.method)
        assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", entry.time)
        assert.matches("^/api/v1/x%?i=%d+&q=%*%*%*$", entry.url)
        n = n + 1
      end
    end
    assert.are.equal(#answers, n)
    assert.is_truthy(server:requests()[1]:find("Bearer " .. KEY, 1, true))
  end)

  it("cannot be reached from the client", function()
    local client = connect(serve(answer(200, "{}")))
    local seen = {}
    local function crawl(v)
      if type(v) == "string" then assert.is_nil(v:find("canary", 1, true)) end
      if seen[v] then return end
      if type(v) == "table" or type(v) == "userdata" then
        seen[v] = true
        crawl(tostring(v))
        local mt = debug.getmetatable(v)
        if mt then crawl(mt) end
      end
      if type(v) == "table" then
        for k, x in next, v do crawl(k) crawl(x) end
      elseif type(v) == "function" then
        seen[v] = true
        for i = 1, 255 do
          local name, x = debug.getupvalue(v, i)
          if not name then break end
          if x ~= _G and x ~= package.loaded then crawl(x) end
        end
      end
    end
    client:get "/api/v1/x"
    crawl(client)
    assert.is_true(next(seen) ~= nil)
  end)
end)

describe("a client's options", function()
  after_each(hostile.clean)

  it("are checked by name and value, with the nearest name, in the caller's line", function()
    for expected, options in pairs{
      ['unknown key "base_ulr", nearest key "base_url"'] = { base_ulr = "x" },
      ['"timeout": a number from 0.001 to 86400 expected, got 0'] = { timeout = 0 },
      ['"timeout": a number from 0.001 to 86400 expected, got nan'] = { timeout = tonumber("nan") or 0 / 0 * -1 },
      ['"timeout": a number from 0.001 to 86400 expected, got 10s'] = { timeout = "10s" },
      ['"retry.max_attempts": a whole number from 1 to 100 expected, got 0'] = { retry = { max_attempts = 0 } },
      ['field "retry": unknown key "attempts"'] = { retry = { attempts = 2 } },
      ['"rate.per_second": a number from 0.001 to 1000000.0 expected, got -1'] = { rate = { per_second = -1 } },
      ['"in_flight": a whole number from 1 to 64 expected, got 65'] = { in_flight = 65 },
      ['"base_url": a text that is not empty expected'] = { base_url = "" },
      ['"api_key_file": a string expected, got a table'] = { api_key_file = {} },
    } do
      local message = raised(defendis.client, options)
      assert.is_truthy(message:find(expected:gsub(" got nan", ""), 1, true), message)
      assert.matches("defendis.client: ", message)
    end
    assert.matches("^spec/client_spec.lua:%d+: defendis.client: ", raised(function() return (defendis.client{ x = 1 }) end))
    assert.matches("a table expected, got a string", raised(defendis.client, "https://x"))
    assert.matches("base_url must not have a NUL byte", raised(defendis.client, { base_url = "http://127.0.0.1\0.evil.example" }))
    assert.matches("api_key_file must not have a NUL byte", raised(defendis.client, { api_key_file = "/dev/null\0x" }))
  end)

  it("name in the error the base URL's fault and the remedy", function()
    for url, expected in pairs{ ["http://api.example"] = 'unencrypted to "api.example"; use https', ["api.example"] = "must start with https://",
      ["https://u:hunter2@api.example"] = "user name", ["https://a?b"] = "query" } do
      local err = raised(defendis.client, { base_url = url })
      assert.are.equal("config", err.kind)
      assert.matches("^base URL: .*" .. expected, err.message)
      assert.is_nil(err.message:find "hunter2")
    end
  end)

  it("of a request are checked too", function()
    local client = connect(serve(answer(200, "{}")))
    assert.matches('request: unknown key "qeury", nearest key "query"', raised(client.request, client, "GET", "/x", { qeury = {} }))
    assert.matches('field "query": a table expected, got a string', raised(client.get, client, "/x", "a=b"))
    assert.matches('field "timeout": a number from', raised(client.request, client, "GET", "/x", { timeout = -1 }))
    assert.matches("'q' must be a string, an integer or a boolean, not a table", raised(client.get, client, "/x", { q = {} }))
    assert.matches("'q' must be a string, an integer or a boolean, not a number", raised(client.get, client, "/x", { q = 1.5 }))
    assert.matches("a parameter's name must be a string", raised(client.get, client, "/x", { "a" }))
    assert.matches("path must be a string, not a table", raised(client.get, client, {}))
    assert.matches("needs a method and a path", raised(client.get, client))
    local many = {}
    for i = 1, 65 do many["p" .. i] = i end
    assert.matches("more than 64 parameters", raised(client.get, client, "/x", many))
    local value, err = client:request("POST", "/x", { body = { f = print } })
    assert.is_nil(value)
    assert.is_truthy(err.message)
  end)

  it("limit the requests on the wire, and those that are started in a second", function()
    local server = serve{ echo = true, delay_ms = 15 }
    local client = connect(server, { in_flight = 2 })
    local functions = {}
    for i = 1, 8 do functions[i] = function() return client:get("/" .. i).target end end
    for i, r in ipairs(defendis.parallel(functions)) do assert.are.equal("/" .. i, r[1]) end
    assert.are.equal(2, (select(3, server:count())))
    server = serve{ echo = true }
    client = connect(server, { rate = { per_second = 20 } })
    local from = core.sys.mono_ms()
    for i = 1, 26 do assert(client:get("/" .. i)) end -- 20 at once, then one each 50 ms
    local took = core.sys.mono_ms() - from
    assert.is_true(took >= 280 and took < 1000, took)
  end)
end)

describe("lists", function()
  after_each(hostile.clean)

  local function page(n, of, records, more)
    more = more or {}
    local data = {}
    for i = 1, records do data[i] = ('{"id":"%d-%d"}'):format(n, i) end
    return answer(200, ('{"data":[%s],"paging":{"currentPage":%d,"pageSize":2,"totalRecords":%d,"totalPages":%d,"hasMore":%s,"nextPage":%s}}')
      :format(more.data or table.concat(data, ","), more.current or n, more.total or of * 2, of, tostring(more.has_more == nil and n < of or more.has_more == true),
        n < of and n + 1 or "null"))
  end

  local function ids(...)
    local server, out = serve(...), {}
    local ok, err = pcall(function()
      for record in connect(server):each("dataleaks.credentials", { domain = "acme.example", pageSize = 2 }) do out[#out + 1] = record.id end
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
      assert.is_true(case[1] == err.kind or case[1] == "incomplete" and err.kind == "decode", ("%d: %s %s"):format(i, err.kind, err.message))
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
      ['unknown endpoint "dataleaks.credentails", nearest endpoint "dataleaks.credentials"'] = { "dataleaks.credentails" },
      ['dataleaks.credentials needs the input "domain"; give domain=...'] = { "dataleaks.credentials" },
      ['from = "2026-02-30" is not a date; write YYYY-MM-DD'] = { "dataleaks.credentials", { domain = "a", from = "2026-02-30" } },
      ['to = "tomorrow" is not a date; write YYYY-MM-DD'] = { "dataleaks.credentials", { domain = "a", to = "tomorrow" } },
      ['to = "20260101" is not a date; write YYYY-MM-DD'] = { "dataleaks.credentials", { domain = "a", to = 20260101 } },
      ['dataleaks.stats is not a list; use get("/api/v1/dataleaks/stats", ...)'] = { "dataleaks.stats", { domain = "a" } },
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

  setup(function()
    sim = run.simulator "--records 400"
    client = defendis.client{ base_url = sim.base_url, api_key_file = hostile.file("key", sim.api_key) }
    assert(client:health()) -- the key's file is read when the client is made
    hostile.clean()
  end)

  teardown(function()
    client:close()
    sim.stop()
    run.clean()
  end)

  local function announced(dataset, input, query)
    local pipe <close> = assert(io.popen(("LD_PRELOAD= curl -s '%s/simulator/ids?dataset=%s&input=%s%s'"):format(sim.base_url, dataset, input, query or "")))
    local out = {}
    for id in pipe:lines() do out[#out + 1] = id end
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

describe("a client's end", function()
  after_each(hostile.clean)

  local function closed(client)
    local ok, message = pcall(client.get, client, "/x")
    return not ok and message:find("the client is closed", 1, true) ~= nil
  end

  it("comes with close, with <close>, and only once", function()
    local server = serve{ echo = true }
    local client = connect(server)
    assert(client:get "/x")
    client:close()
    client:close()
    assert.is_true(closed(client))
    local kept
    do
      local scoped <close> = connect(server)
      assert(scoped:get "/x")
      kept = scoped
    end
    assert.is_true(closed(kept))
    pcall(function()
      local scoped <close> = connect(server)
      kept = scoped
      error "out"
    end)
    assert.is_true(closed(kept))
  end)

  it("comes in the middle of a list: what was handed out stays, the rest is an error", function()
    local server = serve(answer(200, '{"data":[{"id":1},{"id":2}],"paging":{"currentPage":1,"pageSize":2,"totalRecords":4,"totalPages":2,'
      .. '"hasMore":true,"nextPage":2}}'))
    local client, got = connect(server), {}
    local ok, message = pcall(function()
      for record in client:each("dataleaks.credentials", { domain = "a", pageSize = 2 }) do
        got[#got + 1] = record.id
        client:close()
      end
    end)
    assert.is_false(ok)
    assert.is_truthy(message:find("the client is closed", 1, true))
    assert.are.same({ 1, 2 }, got)
  end)

  it("closes its connections, also without a word when it is collected", function()
    local server = serve({ echo = true }, { echo = true }, { echo = true }, { echo = true }, { bytes = "" })
    assert(connect(server):get "/x")
    hostile.file("key", hostile.KEY)
    local options = { base_url = "http://127.0.0.1:" .. server:port(), api_key_file = hostile.file("key", hostile.KEY) }
    collectgarbage()
    collectgarbage()
    local before = scratch.descriptors()
    do
      local client = defendis.client(options)
      assert(client:get "/x")
      assert.is_true(scratch.descriptors() > before)
      client:close()
    end
    assert.are.equal(before, scratch.descriptors())
    for _ = 1, 2 do assert(defendis.client(options):get "/x") end
    local abandoned = defendis.client(options)
    assert(abandoned:submit{ method = "GET", path = "/never" })
    core.client.poll()
    abandoned = nil
    collectgarbage()
    collectgarbage()
    assert.are.equal(before, scratch.descriptors(), tostring(abandoned))
  end)

  it("may be the end of the whole state, with requests under way and pages in hand", function()
    local server = serve({ echo = true }, answer(200, '{"data":[{"id":1}],"paging":{"currentPage":1,"pageSize":1,'
      .. '"totalRecords":2,"totalPages":2,"hasMore":true,"nextPage":2}}'), { bytes = "" })
    local out, code = scratch.lua([[
      local defendis = require "defendis"
      client = defendis.client{ base_url = arg[1], api_key_file = arg[2] }
      client:get "/x"
      page = client:pages("/y", { pageSize = 1 })()
      client:submit{ method = "GET", path = "/never" }
      require("defendis.core").client.poll()
      timer = require("defendis.core").client.timer(1000)
      io.write "end"
    ]], nil, "http://127.0.0.1:" .. server:port(), hostile.file("key", hostile.KEY))
    assert.are.same({ "end", 0 }, { out, code })
  end)
end)

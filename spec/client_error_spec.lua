local hostile = require "support.hostile"
local scratch = require "support.scratch"
local core = require "defendis.core"

local answer, serve, connect = hostile.answer, hostile.serve, hostile.client

local function refused(given)
  local value, err = connect(serve(given)):get "/api/v1/x"
  assert.is_nil(value)
  assert.are.equal(err.message, tostring(err))
  assert.is_nil(err.body)
  return err
end

describe("the error of a refusal", function()
  after_each(hostile.clean)

  -- H7
  it("has a kind, the API's words, the status, the request id and what to do; it is asked for once", function()
    for status, case in pairs{
      [400] = { "invalid", '{"error":"Missing required parameter: domain"}', "Missing required parameter: domain" },
      [401] = { "auth", '{"error":"Invalid or revoked API key"}', "Invalid or revoked API key; make a new key" },
      [403] = { "scope", '{"error":"You don\'t have permission to view this"}',
        "permission to view this; add the domain, e%-mail or bin to a watchlist" },
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
    assert.matches("quota of domains reached, 10 of 10 used, 1 more asked for %(409%): quota_domains_reached; remove items", err.message)
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

local hostile = require "support.hostile"
local scratch = require "support.scratch"
local core = require "defendis.core"

local answer, serve, connect = hostile.answer, hostile.serve, hostile.client
local get, refused = hostile.get, hostile.refused

local function seconds(f)
  local from = core.sys.mono_ms()
  f()
  return (core.sys.mono_ms() - from) / 1000
end

describe("an HTTP transfer", function()
  after_each(hostile.clean)

  it("carries the key, asks for JSON, and names the program", function()
    local value, meta, server = get(answer(200, '{"a":1}', { "x-request-id: r-1" }))
    assert.are.same({ a = 1 }, value)
    assert.are.same({ status = 200, attempts = 1, request_id = "r-1" },
      { status = meta.status, attempts = meta.attempts, request_id = meta.request_id })
    local request = server:requests()[1]
    assert.matches("^GET /api/v1/x HTTP/1.1\r\n", request)
    assert.matches("\r\nAuthorization: Bearer " .. hostile.KEY:gsub("%p", "%%%0") .. "\r\n", request)
    assert.matches("\r\nAccept: application/json\r\n", request)
    assert.matches("\r\nUser%-Agent: defendis/%d", request)
    assert.is_nil(request:find "[Cc]ookie")
  end)

  it("sends a JSON body as it is, with its type and length, and waits for no 100 Continue", function()
    local server = serve(answer(200, "{}"))
    assert(connect(server):request("POST", "/api/v1/x", { body = { text = ("x"):rep(1500000) } }))
    local request = server:requests()[1]
    assert.matches("\r\nContent%-Type: application/json\r\n", request)
    assert.matches("\r\nContent%-Length: 1500011\r\n", request)
    assert.is_nil(request:find "Expect")
    assert.matches('\r\n\r\n{"text":"x+"}$', request)
  end)

  it("sends no key where none is wanted", function()
    local server = serve(answer(200, '{"status":"ok"}'))
    assert.are.equal("ok", connect(server):health().status)
    assert.is_nil(server:requests()[1]:find "Authorization")
  end)

  -- H1
  it("is repeated after 500 on GET until it succeeds", function()
    local server = serve(answer(500, ""), answer(500, ""), answer(200, "{}"))
    local took = seconds(function()
      local _, meta = connect(server, { retry = { max_attempts = 3 }, timeout = 10 }):get "/api/v1/x"
      assert.are.equal(3, meta.attempts)
    end)
    assert.are.equal(3, (server:count()))
    local at, slack = server:arrivals(), 100 * scratch.slowness
    assert.is_true(at[2].ms - at[1].ms <= 1000 + slack and at[3].ms - at[2].ms <= 2000 + slack and took < 3.5 * scratch.slowness)
  end)

  -- H2
  it("is never repeated after 500 when it may have written", function()
    for _, method in ipairs{ "POST", "PUT", "DELETE", "PATCH" } do
      local server = serve(answer(500, '{"error":"boom"}'), answer(200, "{}"))
      local value, err = connect(server, { retry = { max_attempts = 5 } }):request(method, "/api/v1/x", { body = {} })
      assert.is_nil(value)
      assert.are.equal("unavailable", err.kind)
      assert.are.equal(1, (server:count()), method)
    end
  end)

  -- H3
  it("waits after 429 at least as long as Retry-After says, writes too", function()
    local function check(method, header, least, most)
      return function()
        local server = serve(answer(429, "{}", { "Retry-After: " .. header }), answer(200, "{}"))
        assert(connect(server, { retry = { max_attempts = 2 } }):request(method, "/api/v1/x"))
        local at = server:arrivals()
        local waited = at[2].ms - at[1].ms
        assert.is_true(waited >= least and waited <= most, ("%s %s: %d ms"):format(method, header, waited))
      end
    end
    hostile.together{ check("GET", "1", 1000, 2400), check("POST", "1", 1000, 2400), check("GET", "0", 0, 1400) }
  end)

  -- H5
  it("uses its own delay when Retry-After says nothing usable", function()
    local cases = {}
    for i, lines in ipairs{ { "Retry-After: Mon, 01 Jan 2001 00:00:00 GMT" }, { "Retry-After: -5" }, { "Retry-After: 1.5" },
      { "Retry-After: soon" }, { "Retry-After:" }, { "Retry-After: 100000000000000000000" }, { "Retry-After: 7200", "Retry-After: 0" } } do
      cases[i] = function()
        local server = serve(answer(429, "{}", lines), answer(200, "{}"))
        local _, meta = assert(connect(server, { retry = { max_attempts = 2 } }):get "/api/v1/x")
        assert.are.equal(2, meta.attempts)
        assert.is_true(meta.elapsed_ms < 1500 * scratch.slowness, lines[1] .. " took " .. meta.elapsed_ms)
      end
    end
    hostile.together(cases)
  end)

  it("does not sleep when Retry-After is longer than the call may last, and says when to come back", function()
    local err, server = refused("rate_limit", answer(429, "{}", { "Retry-After: 3600" }), { retry = { max_attempts = 5 } })
    assert.are.equal(1, (server:count()))
    assert.is_true(err.retryable)
    assert.is_true(math.abs(err.retry_at - core.sys.wall_ms() - 3600000) < 5000)
  end)

  -- H9
  it("never lasts longer than its deadline, however often it fails", function()
    local server = serve(answer(500, "", nil, { delay_ms = 60 }))
    local took = seconds(function()
      local value, err = connect(server, { timeout = 0.4, retry = { max_attempts = 100 } }):get "/api/v1/x"
      assert.is_nil(value)
      assert.is_true(err.kind == "unavailable" or err.kind == "timeout")
    end)
    assert.is_true(took < 0.9 * scratch.slowness, took)
  end)

  it("ends at its deadline when the server is silent, slow, or dies in the handshake", function()
    local function check(given, scheme)
      return function()
        local server = serve(given)
        local client = connect(server, { timeout = 0.3, base_url = scheme and scheme .. "://127.0.0.1:" .. server:port() })
        local value, err
        local took = seconds(function() value, err = client:get "/api/v1/x" end)
        assert.is_nil(value)
        assert.are.equal("timeout", err.kind, err.message)
        assert.matches("^GET /api/v1/x: no answer within the time limit", err.message)
        assert.is_true(took < 1.5 * scratch.slowness, took)
        assert.is_nil(table.concat(server:requests()):find(scheme == "https" and "canary" or "\0", 1, true))
      end
    end
    local text = '{"a":"' .. ("x"):rep(2000) .. '"}'
    hostile.together{
      check{ bytes = "" },
      check(answer(200, text, nil, { drip = { bytes = 1, ms = 5 } })),
      check{ bytes = "HTTP/1.1 200 OK\r\nX-Slow: " .. ("x"):rep(2000), drip = { bytes = 1, ms = 5 } },
      check(answer(200, "{}", nil, { delay_ms = 3000 })),
      check({ bytes = "" }, "https"),
    }
  end)

  it("names the address that could not be reached, and what to do", function()
    local server = serve(answer(200, "{}"))
    server:close()
    local value, err = connect(server):get "/api/v1/x"
    assert.is_nil(value)
    assert.are.equal("network", err.kind)
    assert.is_true(err.retryable)
    assert.matches("could not be reached: .*127%.0%.0%.1.*" .. server:port() .. ".*; check the URL", err.message)
  end)

  -- H22
  it("survives a server that ends idle connections unannounced, and sees each GET once", function()
    local server = serve(answer(200, "{}", nil, { close = true }))
    local client = connect(server)
    for _ = 1, 60 do
      local _, meta = assert(client:get "/api/v1/x")
      assert.are.equal(1, meta.attempts)
    end
    assert.are.equal(60, (server:count()))
  end)

  it("reuses its connection for one GET after another", function()
    local server = serve(answer(200, "{}"))
    local client = connect(server)
    for _ = 1, 10 do assert(client:get "/api/v1/x") end
    local requests, connections = server:count()
    assert.are.same({ 10, 1 }, { requests, connections })
  end)

  it("does not write twice when the server reads the request and hangs up", function()
    local server = serve(answer(200, "{}"), { bytes = "", close = true }, answer(200, "{}"))
    local client = connect(server, { retry = { max_attempts = 5 } })
    assert(client:get "/api/v1/x")
    local value, err = client:request("POST", "/api/v1/x", { body = {} })
    assert.is_nil(value)
    assert.are.equal("network", err.kind)
    assert.are.equal(2, (server:count()))
  end)

  -- H23
  it("never goes out on a connection that was opened with another key", function()
    local server = serve(answer(200, "{}"))
    local clients = {}
    for i = 1, 3 do clients[i] = connect(server, { api_key_file = hostile.file("key" .. i, "key-number-" .. i) }) end
    for _ = 1, 5 do
      for _, client in ipairs(clients) do assert(client:get "/api/v1/x") end
    end
    local requests, arrivals, keys = server:requests(), server:arrivals(), {}
    for i, request in ipairs(requests) do
      local c, key = arrivals[i].connection, request:match "Bearer (%S+)"
      assert.are.equal(keys[c] or key, key)
      keys[c] = key
    end
    assert.are.equal(15, #requests)
    assert.are.equal(3, #keys)
  end)

  it("does not mix up answers after a refusal, a broken answer, or a cancelled request on the same client", function()
    local server = serve(answer(401, "{}"), answer(200, '{"half":', nil, { length = 100, close = true }), answer(200, '{"late":1}',
      nil, { delay_ms = 200 }),
      { echo = true })
    local client = connect(server)
    assert.is_nil((client:get "/api/v1/a"))
    assert.is_nil((client:get "/api/v1/b"))
    assert.is_nil((client:request("GET", "/api/v1/c", { timeout = 0.05 })))
    assert.are.equal("/api/v1/d", client:get("/api/v1/d").target)
  end)

  -- H31
  it("keeps of a request id what can be printed, 128 characters at most", function()
    for header, kept in pairs{ ["x-request-id: a\tb\1c\127\xc3\xa9d"] = "abcd", ["X-REQUEST-ID:   spaced   "] = "spaced",
      ["x-request-id: one\r\nx-request-id: two"] = "two", ["x-other: 1"] = "", ["x-request-id:"] = "",
      ["x-request-id: " .. ("r"):rep(10000)] = ("r"):rep(128) } do
      local _, meta = get(answer(200, "{}", { header }))
      assert.are.equal(kept, meta.request_id)
      local err = refused("not_found", answer(404, "{}", { header }))
      assert.are.equal(kept ~= "" and kept or nil, err.request_id)
    end
  end)
end)

local hostile = require "support.hostile"
local core = require "defendis.core"

local answer, serve, connect = hostile.answer, hostile.serve, hostile.client

-- One GET of an answer. Returns what the client said and the server.
local function get(given, options)
  local server = serve(given)
  local value, err = connect(server, options):get "/api/v1/x"
  return value, err, server
end

local function refused(kind, given, options)
  local value, err, server = get(given, options)
  assert.is_nil(value)
  assert.are.equal(kind, err.kind, err.message)
  assert.is_true(#err.message < 512)
  assert.is_nil(err.message:find "%c")
  assert.is_nil(err.message:find("canary", 1, true))
  return err, server
end

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
    assert(connect(server):request("POST", "/api/v1/x", { body = { text = ("x"):rep(5000) } }))
    local request = server:requests()[1]
    assert.matches("\r\nContent%-Type: application/json\r\n", request)
    assert.matches("\r\nContent%-Length: 5011\r\n", request)
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
    local at = server:arrivals()
    assert.is_true(at[2].ms - at[1].ms <= 1100 and at[3].ms - at[2].ms <= 2100 and took < 3.5)
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
        assert.is_true(meta.elapsed_ms < 1500, lines[1] .. " took " .. meta.elapsed_ms)
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
    assert.is_true(took < 0.9, took)
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
        assert.is_true(took < 1.5, took)
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
    assert.matches("could not be reached: .*127%.0%.0%.1.*" .. server:port() .. ".*; check the base URL", err.message)
  end)

  it("is an error when the answer is not HTTP", function()
    for _, bytes in ipairs{ '{"a":1}', "HTTP/0.9 200 OK\r\n\r\n{}", "\0\1\2\3", "HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
      "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n" } do
      local err = refused("network", { bytes = bytes, close = true })
      assert.matches("no whole answer came", err.message)
    end
    refused("network", { bytes = "", close = true })
    refused("network", { bytes = "", close = "rst" })
  end)

  -- H13
  describe("whose answer is cut off", function()
    local BODY = '{"data":[{"id":1,"name":"caf\xc3\xa9"},{"id":2}],"paging":{"currentPage":1,"pageSize":2,"totalRecords":2,'
      .. '"totalPages":1,"hasMore":false,"nextPage":null}}'

    local function cuts()
      local packed = hostile.output("printf '%s' '" .. BODY .. "' | gzip -c")
      local inside = BODY:find "\xa9"
      return {
        chunked = answer(200, hostile.chunked(BODY), { "Transfer-Encoding: chunked" }, { length = false, close = true }),
        ["chunked, inside a chunk"] = answer(200, "ff\r\n" .. BODY, { "Transfer-Encoding: chunked" }, { length = false, close = true }),
        length = answer(200, BODY, nil, { length = #BODY + 5, close = true }),
        gzip = answer(200, packed:sub(1, #packed - 20), { "Content-Encoding: gzip" }),
        ["until the connection closes"] = answer(200, BODY:sub(1, -3), nil, { length = false, close = true }),
        ["inside a character"] = answer(200, BODY:sub(1, inside - 1), nil, { length = false, close = true }),
        ["inside a character, with its length"] = answer(200, BODY:sub(1, inside - 1)),
        reset = answer(200, BODY:sub(1, 40), nil, { length = #BODY, close = "rst" }),
        ["in the headers"] = { bytes = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Le", close = true },
      }
    end

    it("gives an error and never a short value or page", function()
      for name, given in pairs(cuts()) do
        local value, err, server = get(given)
        assert.is_nil(value, name)
        assert.is_true(err.kind == "network" or err.kind == "decode", name .. ": " .. err.kind)
        assert.is_true(err.retryable)
        local client = connect(server)
        local ok, raised = pcall(function()
          for _ in client:pages "/api/v1/x" do error "a page" end
        end)
        assert.is_false(ok)
        assert.are.equal(err.kind, raised.kind, name)
      end
    end)

    it("is fetched again when it was a GET", function()
      local runs = {}
      for name, given in pairs(cuts()) do
        runs[#runs + 1] = function()
          local server = serve(given, answer(200, BODY, nil, { close = true }))
          local value, meta = connect(server, { retry = { max_attempts = 2 } }):get "/api/v1/x"
          assert.are.equal(2, value and #value.data, name)
          assert.are.equal(2, meta.attempts)
          assert.are.equal(2, (server:count()))
        end
      end
      hostile.together(runs)
    end)

    it("is not sent again when it was a write", function()
      for name, given in pairs(cuts()) do
        local server = serve(given)
        assert.is_nil((connect(server, { retry = { max_attempts = 5 } }):request("POST", "/api/v1/x", { body = {} })), name)
        assert.are.equal(1, (server:count()), name)
      end
    end)
  end)

  it("reads gzip, chunks, and a body that ends with the connection", function()
    local packed = hostile.output "printf '{\"a\":[1,2]}' | gzip -c"
    for _, given in ipairs{ answer(200, packed, { "Content-Encoding: gzip" }),
      answer(200, hostile.chunked('{"a":[1,2]}', true), { "Transfer-Encoding: chunked" }, { length = false }),
      answer(200, '{"a":[1,2]}', nil, { length = false, close = true }),
      answer(200, '{"a":[1,2]}', nil, { drip = { bytes = 7, ms = 1 } }),
      { bytes = ("HTTP/1.1 103 Early Hints\r\nX-Request-Id: early\r\n\r\n"):rep(5) .. answer(200, '{"a":[1,2]}').bytes } } do
      local value, meta = get(given)
      assert.are.equal(2, value and #value.a, tostring(meta))
      assert.are.equal("", meta.request_id)
    end
  end)

  -- H14
  it("refuses a body that unpacks to more than the cap, and does not ask for it again", function()
    local bomb = hostile.output "head -c 73400320 /dev/zero | gzip -c"
    assert.is_true(#bomb < 100000)
    local err, server = refused("limit", answer(200, bomb, { "Content-Encoding: gzip" }), { retry = { max_attempts = 5 }, timeout = 60 })
    assert.matches("larger than allowed.*; ask for smaller pages", err.message)
    assert.are.equal(1, (server:count()))
  end)

  it("refuses gzip within gzip within gzip", function()
    local text = hostile.file("nested", '{"a":1}')
    local packed = hostile.output("gzip -c '" .. text .. "'" .. (" | gzip -c"):rep(5))
    refused("network", answer(200, packed, { "Content-Encoding: gzip, gzip, gzip, gzip, gzip, gzip" }))
  end)

  -- H15
  it("refuses headers without end", function()
    for _, headers in ipairs{ ("X-Fill: " .. ("x"):rep(8000) .. "\r\n"):rep(2500), "X-Fill: " .. ("x"):rep(2 << 20) .. "\r\n",
      ("a: b\r\n"):rep(100000) } do
      local _, server = refused("limit", { bytes = "HTTP/1.1 200 OK\r\n" .. headers .. "Content-Length: 2\r\n\r\n{}" },
        { retry = { max_attempts = 5 } })
      assert.are.equal(1, (server:count()))
    end
    refused("limit", { bytes = ("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"):rep(10000) .. "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" })
  end)

  -- H16
  it("follows no redirect: nothing reaches the second server, and the error names it without what it may carry", function()
    local other = serve(answer(200, "{}"))
    local port = other:port()
    local function check(location, named, status, method)
      local server = serve(answer(status or 302, "{}", { "Location: " .. location }))
      local value, err = connect(server, { retry = { max_attempts = 3 } }):request(method or "GET", "/api/v1/x")
      assert.is_nil(value)
      assert.are.equal("invalid", err.kind, err.message)
      assert.are.equal(status or 302, err.status)
      assert.is_true(err.message:find("redirected (" .. (status or 302) .. ") to " .. named .. "; redirects are not followed", 1, true) ~= nil,
        err.message)
      assert.matches("set the base URL", err.message)
      assert.is_nil(err.message:find "hunter2")
      assert.are.equal(1, (server:count()))
    end
    local host = "127.0.0.1:" .. port
    for _, status in ipairs{ 301, 302, 303, 307, 308 } do check("http://" .. host .. "/x?t=hunter2", host, status) end
    for _, method in ipairs{ "POST", "PUT", "DELETE", "PATCH" } do check("http://" .. host .. "/", host, 307, method) end
    check("http://user:hunter2@" .. host .. "/", host)
    check("//" .. host .. "/x", host)
    check("https://api.evil.example/x", "api.evil.example")
    check("ftp://" .. host .. "/x", host)
    check("file:///etc/passwd", "another address")
    check("/elsewhere?hunter2", "another address")
    check("http://" .. hostile.KEY:gsub("/", "%%2F") .. ".evil.example/", "***.evil.example")
    assert.are.equal(0, (select(2, other:count())), "the second server was reached")
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
    local server = serve(answer(401, "{}"), answer(200, '{"half":', nil, { length = 100, close = true }), answer(200, '{"late":1}', nil, { delay_ms = 200 }),
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

  -- H35
  it("is an error when something else answers in the API's place", function()
    for expected, given in pairs{
      ["the answer %(200, text/html%) is not JSON; .*a proxy or login page"] = answer(200, "<html>log in</html>", { "Content-Type: text/html" }),
      ["the answer %(200, application/json%) is empty"] = answer(200, ""),
      ["the answer %(204, application/json%) is empty"] = { bytes = "HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\n\r\n" },
      ["the answer %(206, application/json%) is only a part"] = answer(206, "{}"),
    } do
      local err, server = refused("decode", given)
      assert.matches(expected, err.message)
      local client = connect(server)
      assert.is_false((pcall(function() for _ in client:pages "/api/v1/x" do error "a page" end end)))
    end
  end)

  -- H8
  it("gives a typed error whatever the body of a refusal holds", function()
    for i, body in ipairs{ "", "<html><h1>Bad</h1></html>", ('{"error":"%s"}'):format(("x"):rep(5 << 20)), "{", '{"error":5}', '{"error":null}',
      '{"error":{"a":[1]}}', "[]", "null", '"text"', '{"error":"\\u0000\\u001b[31m\\ud800"}', '{"error":"' .. ("\xc3\xa9"):rep(300) .. '"}',
      "\xff\xfe{", ("["):rep(5000) } do
      local err = refused("invalid", answer(400, body))
      assert.are.equal(400, err.status, i)
      assert.is_truthy(utf8.len(err.message), i)
      assert.is_nil(err.body)
    end
  end)

  it("keeps the refusal when its body is cut off or too large", function()
    local err = refused("auth", answer(401, '{"error":"no', nil, { length = 1000, close = true }))
    assert.are.equal(401, err.status)
  end)
end)

-- H17, H18
describe("a request from a script", function()
  after_each(hostile.clean)

  it("goes to the base URL's host whatever its path is, or nowhere", function()
    local server = serve{ echo = true }
    local client = connect(server)
    for _, path in ipairs{ "//evil.example/x", "@evil.example/x", "/../admin", "/a/./b", "http://evil.example/", "https:evil.example", "\\\\evil.example",
      "/\\evil.example", "/a%2fb", "/%2e%2e/x", "/a%252e", "/a%5cb", "", "x", "/a b", "/a?b=1", "/a#b", "/a\r\nX-Injected: 1", "/a\nX-Injected: 1",
      "/a%0d%0aX-Injected: 1", "/a\t", "/a;b", "/\xc3\xa9", "/" .. ("x"):rep(9000) } do
      local value, err = client:get(path)
      assert.is_nil(value, path)
      assert.are.equal("invalid", err.kind, err.message)
    end
    assert.has_error(function() client:get "/a\0/b" end, "path must not have a NUL byte")
    assert.are.equal(0, (server:count()))
    assert.are.equal("/api/v1/evil.example:80/%40", client:get("/api/v1/evil.example:80/%40").target)
  end)

  it("cannot put header lines into the request by a parameter", function()
    local server = serve{ echo = true }
    local client = connect(server)
    for _, value in ipairs{ "a\r\nX-Injected: 1", "a\nX-Injected: 1", "a\0b", "a b&c=d#e%41", "\xff", "\xc3\xa9" } do
      for _, query in ipairs{ { q = value }, { [value] = "q" } } do
        local answered = client:get("/api/v1/x", query)
        if answered then assert.is_nil(answered.target:find "[%c%s#]") end
      end
    end
    for _, request in ipairs(server:requests()) do
      assert.is_nil(request:find "X%-Injected: 1")
      assert.matches("^GET /api/v1/x%?[%w%%=.~_-]+ HTTP/1.1\r\n", request)
    end
    assert.is_true(#server:requests() > 0)
  end)

  it("refuses methods that HTTP or the API do not have", function()
    local server = serve(answer(200, "{}"))
    local client = connect(server)
    for _, method in ipairs{ "get", "TRACE", "CONNECT", "HEAD", "", "GET\r\nX: y", "GET /x HTTP/1.1" } do
      local value, err = client:request(method, "/api/v1/x")
      assert.is_nil(value)
      assert.are.equal("invalid", err.kind)
    end
    assert.are.equal(0, (server:count()))
  end)
end)

describe("a proxy from the environment", function()
  local NAMES = { "http_proxy", "all_proxy", "ALL_PROXY" }
  after_each(function()
    for _, name in ipairs(NAMES) do core.sys.setenv(name, "") end
    hostile.clean()
  end)

  it("never sees a request to loopback in clear text", function()
    local proxy, server = serve(answer(200, '{"from":"proxy"}')), serve(answer(200, '{"from":"server"}'))
    for _, name in ipairs(NAMES) do core.sys.setenv(name, "http://127.0.0.1:" .. proxy:port()) end
    assert.are.equal("server", connect(server):get("/api/v1/x").from)
    assert.are.equal(0, (select(2, proxy:count())))
  end)

  it("is asked for a tunnel and sees no key of a request that is encrypted", function()
    local proxy = serve(answer(407, "denied"))
    core.sys.setenv("ALL_PROXY", "http://me:hunter2@127.0.0.1:" .. proxy:port())
    local value, err = connect(proxy, { base_url = "https://api.example" }):get "/api/v1/x"
    assert.is_nil(value)
    assert.are.equal("network", err.kind)
    assert.is_nil(err.message:find "hunter2")
    assert.matches("407", err.message)
    assert.matches("^CONNECT api.example:443 HTTP/1.1\r\n", proxy:requests()[1])
    assert.is_nil(proxy:requests()[1]:find("canary", 1, true))
  end)
end)

describe("a server over TLS", function()
  after_each(hostile.clean)

  it("is refused with a certificate of its own making, before the key is sent", function()
    local pem = hostile.file("pem", "")
    if not os.execute(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost "
      .. "-addext subjectAltName=IP:127.0.0.1 -keyout '%s' -out '%s.crt' 2>/dev/null"):format(pem, pem)) then
      return pending "no openssl here"
    end
    local p = assert(io.popen(("exec openssl s_server -www -accept 127.0.0.1:0 -key '%s' -cert '%s.crt' 2>&1 & echo $!; wait"):format(pem, pem)))
    local pid, port = p:read "l", nil
    for line in p:lines() do
      port = line:match "^ACCEPT.-:(%d+)$"
      if port then break end
    end
    finally(function()
      os.execute("kill " .. pid .. " 2>/dev/null")
      p:close()
    end)
    local value, err = connect({ port = function() return port end }, { base_url = "https://127.0.0.1:" .. port, retry = { max_attempts = 3 } }):get "/x"
    assert.is_nil(value)
    assert.are.equal("network", err.kind)
    assert.are.equal(1, err.attempts, err.message)
    assert.is_false(err.retryable)
    assert.matches("identity could not be verified, so nothing was sent: .*self.signed.*; check the base URL's host name", err.message)
  end)
end)

local hostile = require "support.hostile"
local core = require "defendis.core"

local answer, serve, connect = hostile.answer, hostile.serve, hostile.client

-- H17, H18
describe("a request from a script", function()
  after_each(hostile.clean)

  it("goes to the base URL's host whatever its path is, or nowhere", function()
    local server = serve{ echo = true }
    local client = connect(server)
    for _, path in ipairs{ "//evil.example/x", "@evil.example/x", "/../admin", "/a/./b", "http://evil.example/",
      "https:evil.example", "\\\\evil.example",
      "/\\evil.example", "/a%2fb", "/%2e%2e/x", "/a%252e", "/a%5cb", "", "x", "/a b", "/a?b=1", "/a#b", "/a\r\nX-Injected: 1",
        "/a\nX-Injected: 1",
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
    local p = assert(io.popen(("echo $$; exec openssl s_server "
      .. "-www -accept 127.0.0.1:0 -key '%s' -cert '%s.crt' 2>&1 </dev/null"):format(pem, pem)))
    local pid, port = p:read "l", nil
    for line in p:lines() do
      port = line:match "^ACCEPT.-:(%d+)$"
      if port then break end
    end
    finally(function()
      os.execute("kill " .. pid .. " 2>/dev/null")
      p:close()
    end)
    local value, err = connect({ port = function() return port end }, { base_url = "https://127.0.0.1:" .. port,
      retry = { max_attempts = 3 } }):get "/x"
    assert.is_nil(value)
    assert.are.equal("config", err.kind)
    assert.are.equal(1, err.attempts, err.message)
    assert.is_false(err.retryable)
    assert.matches("identity could not be verified, so nothing was sent: .*self.signed.*; check the URL's host name", err.message)
  end)
end)

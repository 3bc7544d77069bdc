-- endpoint_spec.lua: requests to where sinks send.
local core = require "defendis.core"
local endpoint = require "defendis.endpoint"
local hostile = require "support.hostile"
local scratch = require "support.scratch"
local secret = require "defendis.secret"
local tls = require "support.tls"

local answer, serve = hostile.answer, hostile.serve

local function token(text) return assert(secret.file(hostile.file("token", text or hostile.KEY))) end

local function open(server, options)
  local o = { url = "http://127.0.0.1:" .. server:port() .. "/in/box", timeout = 20, max_attempts = 1 }
  for k, v in pairs(options or {}) do o[k] = v end
  return assert(endpoint.open(o))
end

local function refused(pattern, value, err)
  assert.is_nil(value)
  assert.matches(pattern, err.message)
  assert.is_nil(err.message:find("canary", 1, true))
  return err
end

describe("an endpoint", function()
  after_each(hostile.clean)

  it("sends the body as it is, with its type, its headers and the secret behind the scheme", function()
    local server = serve(answer(200, "fine", { "x-request-id: r-9" }))
    local e <close> = open(server, { secret = token(), scheme = "Splunk", headers = { ["X-Tenant"] = "acme" } })
    local got = assert(e:send{ path = "/event", query = { index = "a b" }, body = "{}\n{}\n", content_type = "application/x-ndjson",
      headers = { ["webhook-id"] = "m-1" } })
    assert.same({ status = 200, body = "fine", attempts = 1, request_id = "r-9" },
      { status = got.status, body = got.body, attempts = got.attempts, request_id = got.request_id })
    local request = server:requests()[1]
    assert.matches("^POST /in/box/event%?index=a%%20b HTTP/1.1\r\n", request)
    for _, line in ipairs{ "Authorization: Splunk " .. hostile.KEY, "Content-Type: application/x-ndjson", "X-Tenant: acme",
      "webhook-id: m-1" } do
      assert.is_truthy(request:find("\r\n" .. line .. "\r\n", 1, true), line)
    end
    assert.matches("\r\n\r\n{}\n{}\n$", request)
  end)

  it("takes a core.json buffer, and an empty path leaves the url as it is", function()
    local server = serve(answer(204, ""))
    local e <close> = open(server, { url = ("http://127.0.0.1:%d/hook/"):format(server:port()) })
    local buffer = core.json.buffer()
    buffer:add "[1]"
    assert.equal(204, e:send{ body = buffer }.status)
    assert.matches("^POST /hook/ HTTP/1.1\r\n.*\r\n\r\n%[1%]$", server:requests()[1])
    assert.is_nil(server:requests()[1]:find "Authorization")
  end)

  it("sends a Basic secret encoded, and neither form of it is ever printed", function()
    local basic = "bWU6Y2FuYXJ5LXBhc3N3b3Jk"
    local server = serve(answer(403, ("no %s or me:canary-password"):format(basic)))
    local e <close> = open(server, { secret = token "me:canary-password", scheme = "Basic" })
    assert.equal("no *** or ***", e:send{ body = "x" }.body)
    assert.is_truthy(server:requests()[1]:find("\r\nAuthorization: Basic " .. basic .. "\r\n", 1, true))
    refused('scheme "Basic": the secret must be user:password', endpoint.open{ url = "https://x.example", secret = token "canary",
      scheme = "Basic" })
  end)

  it("hands out the answer of any final status, its text included, after one request", function()
    for _, status in ipairs{ 200, 201, 206, 301, 400, 401, 403, 404, 409, 410, 413, 422, 501, 507 } do
      local server = serve(answer(status, "<html>" .. status, { "Location: http://127.0.0.1:1/", "Content-Type: text/html" }))
      local e <close> = open(server, { max_attempts = 3 })
      local got = assert(e:send{ body = "x" })
      assert.same({ status, "<html>" .. status, 1 }, { got.status, got.body, got.attempts })
      assert.equal(1, (server:count()))
    end
  end)

  it("repeats 429, 500, 502, 503, 504 and broken answers, and never when the request says it must not", function()
    local tests = {}
    local cut = answer(200, '{"x":1}', nil, { length = 100, close = true })
    for _, first in ipairs{ answer(429, ""), answer(500, ""), answer(502, ""), answer(503, ""), answer(504, ""), cut,
      { bytes = "", close = true }, { bytes = "", close = "rst" } } do
      tests[#tests + 1] = function()
        local server = serve(first, answer(200, "ok"))
        local e <close> = open(server, { max_attempts = 2, secret = token() })
        local got = assert(e:send{ body = "same" })
        assert.same({ 200, "ok", 2 }, { got.status, got.body, got.attempts })
        local requests = server:requests()
        assert.equal(2, #requests)
        assert.equal(requests[1], requests[2])
      end
    end
    for _, status in ipairs{ 500, 502, 503, 504 } do
      tests[#tests + 1] = function()
        local server = serve(answer(status, "no"), answer(200, "ok"))
        local e <close> = open(server, { max_attempts = 2 })
        assert.equal(status, e:send{ body = "x", repeatable = false }.status)
        assert.equal(1, (server:count()))
      end
    end
    tests[#tests + 1] = function()
      local server = serve({ bytes = "", close = true }, answer(200, "ok"))
      local e <close> = open(server, { max_attempts = 2 })
      local err = refused("^POST 127.0.0.1:%d+/x: no whole answer came", e:send{ path = "/x", body = "", repeatable = false })
      assert.equal("network", err.kind)
      assert.equal(1, (server:count()))
    end
    hostile.together(tests)
  end)

  it("gives up after its attempts with the last answer, and says how long that one asked to wait", function()
    local server = serve(answer(503, "first"), answer(503, "busy", { "Retry-After: 7200" }))
    local e <close> = open(server, { max_attempts = 3, timeout = 10 })
    local got = assert(e:send{ body = "x" })
    assert.same({ 503, "busy", 2, 7200 }, { got.status, got.body, got.attempts, got.retry_after })
  end)

  it("waits as long as Retry-After says before it repeats", function()
    local server = serve(answer(429, "", { "Retry-After: 1" }), answer(200, "ok"))
    local e <close> = open(server, { max_attempts = 2 })
    assert.is_nil(assert(e:send{ body = "x" }).retry_after)
    local at = server:arrivals()
    assert.is_true(at[2].ms - at[1].ms >= 1000)
  end)

  it("returns an error when no answer came", function()
    local server = serve(answer(200, ""))
    local port = server:port()
    server:close()
    local e <close> = open({ port = function() return port end }, { max_attempts = 1 })
    local err = refused("^POST 127.0.0.1:" .. port .. "/x: the server could not be reached", e:send{ path = "/x", body = "x" })
    assert.same({ "network", true }, { err.kind, err.retryable })
  end)

  it("keeps its connection for the next repeatable request", function()
    local server = serve(answer(200, ""))
    local e <close> = open(server)
    for _ = 1, 3 do assert(e:send{ body = "x" }) end
    assert.same({ 3, 1 }, { (server:count()), (select(2, server:count())) })
    assert(e:send{ body = "x", repeatable = false })
    assert.equal(2, (select(2, server:count())))
  end)

  it("speaks http to loopback only, unless its options say so", function()
    refused('^url: http would send the key unencrypted to "hec.example"; .*or set insecure_http = true',
      endpoint.open{ url = "http://hec.example:8088" })
    assert(endpoint.open{ url = "http://hec.example:8088", insecure_http = true }):close()
    for url, pattern in pairs{ ["ftp://x"] = "must start with https://", ["https://u:p@x"] = "must not have a user name",
      ["https://x/?a"] = "query", ["https://x/../y"] = "'%.'" } do
      for _, insecure in ipairs{ true, false } do
        refused("^url: .*" .. pattern, endpoint.open{ url = url, insecure_http = insecure })
      end
    end
  end)

  it("sends nothing to a link-local or metadata address, however it is written, unless its options say so", function()
    for url, address in pairs{ ["https://169.254.169.254/latest"] = "169.254.169.254", ["https://2852039166"] = "169.254.169.254",
      ["https://0xa9fe0001"] = "169.254.0.1", ["https://[::ffff:169.254.1.1]"] = "::ffff:169.254.1.1", ["https://[fe80::1]"] = "fe80::1",
      ["https://[febf::1]:8088"] = "febf::1", ["https://[fd00:ec2::254]"] = "fd00:ec2::254" } do
      local e <close> = assert(endpoint.open{ url = url, secret = token() })
      local err = refused("^POST .*: the host is at a link%-local address, .* so nothing was sent: " .. address:gsub("%p", "%%%0")
        .. "; .*link_local = true", e:send{ body = "x" })
      assert.same({ "config", false, 1 }, { err.kind, err.retryable, err.attempts })
    end
    -- the system refuses such an address without a network to go to
    local e <close> = assert(endpoint.open{ url = "https://[fe80::1]", link_local = true, max_attempts = 1 })
    refused("^POST .*: the server could not be reached", e:send{ body = "x" })
  end)

  it("refuses headers that would break the lines, carry credentials or belong to the transfer", function()
    local server = serve(answer(200, ""))
    local e <close> = open(server)
    for name, value in pairs{ ["X-A"] = "b\r\nX-Injected: 1", ["X-B\r\nX-Injected"] = "1", ["X C"] = "1", ["X-D"] = "", ["X-E"] = "a\nb",
      Authorization = "Bearer x", authorization = "x", ["Content-Length"] = "3", ["Transfer-Encoding"] = "chunked",
      HOST = "evil.example", Cookie = "a", ["Content-Type"] = "text/plain",
      [""] = "x", ["X-F"] = " x" } do
      assert.equal("config", refused("^header ", e:send{ body = "x", headers = { [name] = value } }).kind)
      refused("^header ", endpoint.open{ url = "https://x.example", headers = { [name] = value } })
    end
    assert.has_error(function() e:send{ body = "x", headers = { ["X-A"] = "a\0b" } } end, "a header must not have a NUL byte")
    refused("^content_type: ", e:send{ body = "x", content_type = "a\r\nX-Injected: 1" })
    refused("must start with '/'", e:send{ body = "x", path = "@evil.example/" })
    assert.equal(0, (server:count()))
  end)

  it("checks its options and names the nearest one", function()
    for expected, options in pairs{
      ['unknown key "urll", nearest key "url"'] = { urll = "x" },
      ['missing required field "url"'] = {},
      ['"secret": a secret expected: secret.env "NAME" or secret.file "path", never the text itself'] = { url = "https://x.example",
        secret = "canary" },
      ['"scheme": one word'] = { url = "https://x.example", scheme = "a\r\nb" },
      ['"timeout": a number from'] = { url = "https://x.example", timeout = 0 },
    } do
      local ok, message = pcall(endpoint.open, options)
      assert.is_false(ok)
      assert.is_truthy(message:find(expected, 1, true), message)
      assert.is_nil(message:find "canary")
    end
    refused("^ca_file: cannot read /nowhere/ca.pem: No such file", endpoint.open{ url = "https://x.example", ca_file = "/nowhere/ca.pem" })
    refused("^key_file: needs cert_file", endpoint.open{ url = "https://x.example", key_file = "/dev/null" })
  end)

  it("leaves no descriptor when it is closed, and a closed one refuses to send", function()
    local server = serve(answer(200, ""))
    assert(open(server):send{ body = "x" }) -- what libcurl keeps for the process
    local before = scratch.descriptors()
    local e = open(server)
    assert(e:send{ body = "x" })
    e:close()
    e:close()
    assert.equal(before, scratch.descriptors())
    assert.is_false(pcall(e.send, e, { body = "x" }))
  end)
end)

describe("an endpoint over TLS", function()
  after_each(function()
    tls.clean()
    hostile.clean()
  end)

  it("trusts the authority it was given and no other, and shows its own certificate", function()
    local ca = tls.authority()
    if not ca then return pending "no openssl here" end
    local cert, key = tls.certificate(ca, "server", "127.0.0.1")
    local mine, mine_key = tls.certificate(ca, "sink", "127.0.0.2")
    local port = tls.serve(cert, key, "-www -Verify 1 -verify_return_error -CAfile " .. ca)
    local function get(options)
      options.url, options.timeout, options.max_attempts = "https://127.0.0.1:" .. port .. "/", 5, 1
      options.secret = token()
      local e <close> = assert(endpoint.open(options))
      return e:send{ method = "GET" }
    end
    local got = assert(get{ ca_file = ca, cert_file = mine, key_file = mine_key })
    assert.equal(200, got.status)
    assert.matches("Client certificate.*CN ?= ?sink", got.body)
    refused("identity could not be verified, so nothing was sent", get{ cert_file = mine, key_file = mine_key })
    refused("", get{ ca_file = ca })
  end)

  it("refuses a certificate of another name", function()
    local ca = tls.authority()
    if not ca then return pending "no openssl here" end
    local port = tls.serve(tls.certificate(ca, "other", "127.0.0.9"))
    local e <close> = assert(endpoint.open{ url = "https://127.0.0.1:" .. port, ca_file = ca, max_attempts = 1, timeout = 5 })
    local err = refused("identity could not be verified", e:send{ body = "x" })
    assert.is_false(err.retryable)
  end)
end)

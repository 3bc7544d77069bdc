local hostile = require "support.hostile"

local answer, serve, connect = hostile.answer, hostile.serve, hostile.client
local get, refused = hostile.get, hostile.refused

describe("an answer", function()
  after_each(hostile.clean)

  it("is an error when the answer is not HTTP", function()
    for _, bytes in ipairs{ '{"a":1}', "HTTP/0.9 200 OK\r\n\r\n{}", "\0\1\2\3", "HTTP/1.1\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
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
    refused("limit", { bytes = ("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"):rep(10000)
      .. "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" })
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
      assert.is_true(err.message:find("redirected (" .. (status or 302) .. ") to " .. named .. "; redirects are not followed", 1,
        true) ~= nil,
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

  -- H35
  it("is an error when something else answers in the API's place", function()
    for expected, given in pairs{
      ["the answer %(200, text/html%) is not JSON: .*a proxy or login page"] = answer(200, "<html>log in</html>",
        { "Content-Type: text/html" }),
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
    for i, body in ipairs{ "", "<html><h1>Bad</h1></html>", ('{"error":"%s"}'):format(("x"):rep(5 << 20)), "{", '{"error":5}',
      '{"error":null}',
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

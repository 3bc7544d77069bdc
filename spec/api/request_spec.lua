local api = require("defendis_internals").api

local BASE = "https://api.defendis.ai"

local function refused(kind, pattern, value, err)
  assert.is_nil(value)
  assert.are.equal(kind, err.kind)
  assert.matches(pattern, err.message)
  assert.is_nil(err.message:find("[%c]"))
end

describe("base URL", function()
  it("may be https with a host, a port and a prefix, or http to loopback", function()
    for _, url in ipairs{ BASE, BASE .. "/", "HTTPS://API.example:8443/v2/api", "https://[2001:db8::1]:443",
      "https://a_b.c-d",
      "https://[0000:0000:0000:0000:0000:ffff:255.255.255.255]", "http://localhost", "http://LOCALHOST:1/x",
        "http://127.0.0.1:8080", "http://127.255.3.4/",
        "http://[::1]:65535" } do
      assert.is_true(api.base_url_check(url), url)
    end
  end)

  it("is refused in clear text to any other host, and the host is named", function()
    for _, host in ipairs{ "api.defendis.ai", "127.0.0.1.evil.example", "localhost.evil.example", "127.1",
      "0127.0.0.1", "127.0.0.01",
      "127.0.0.256", "127.0.0.0.1", "127.0..1", "128.0.0.1", "[::2]", "[::ffff:127.0.0.1]", "0x7f.0.0.1",
        "127.0.0.1e" } do
      local ok, err = api.base_url_check("http://" .. host .. ":80/x")
      assert.is_nil(ok, host)
      assert.are.equal("config", err.kind)
    end
    refused("config", 'unencrypted to "evil.example"; use https', api.base_url_check("http://evil.example/"))
  end)

  it("is refused with a message that names the fault", function()
    for url, pattern in pairs{
      [""] = "is empty", ["api.defendis.ai"] = "must start with https://", ["ftp://x"] = "must start with https://",
      ["https:/x"] = "must start with https://", ["https://"] = "no valid host", ["https:///x"] = "no valid host",
      ["https://:80"] = "no valid host", ["https://a..b"] = "no valid host", ["https://.a"] = "no valid host",
      ["https://a."] = "no valid host", ["https://%61"] = "no valid host", ["https://[::1"] = "no valid host",
      ["https://[]"] = "no valid host", ["https://[::1]x"] = "no valid host", ["https://[12]"] = "no valid host",
      ["https://[::g]"] = "no valid host", ["https://[.:2]"] = "no valid host",
      ["https://" .. ("a"):rep(254)] = "no valid host",
      ["https://a:"] = "port", ["https://a:0"] = "port", ["https://a:65536"] = "port", ["https://a:8x"] = "port",
      ["https://a:1:2"] = "port", ["https://a:999999"] = "port",
      ["https://u:p@a"] = "user name", ["https://a/@b"] = "user name", ["https://a?x=1"] = "query",
        ["https://a/#x"] = "fragment",
      ["https://a b"] = "byte 10", ["https://a\tb"] = "byte 10", ["https://a\r\nX: y"] = "byte 10",
        ["https://a\\b"] = "byte 10",
      ["https://\195\164"] = "byte 9", [" https://a"] = "byte 1;", ["https://a/x\127"] = "byte 12",
      ["https://a/../b"] = "segments", ["https://a//b"] = "'//'", ["https://a/%2e%2e/"] = "segments",
      ["https://a/" .. ("x"):rep(3000)] = "longer",
    } do
      refused("config", "^base URL: .*" .. pattern, api.base_url_check(url))
    end
  end)

  it("never shows what stands where a password or a token stands", function()
    for _, url in ipairs{ "https://user:hunter2@a", "https://a?token=hunter2", "https://a#hunter2",
      "https://a/ hunter2",
      "http://hunter2@a" } do
      local _, err = api.base_url_check(url)
      assert.is_nil(err.message:find("hunter2"))
    end
  end)
end)

describe("request URL", function()
  it("is base, prefix, path and parameters sorted by name", function()
    assert.are.equal(BASE .. "/api/v1/x", api.request_url(BASE, "/api/v1/x", {}))
    assert.are.equal(BASE .. "/p/health", api.request_url(BASE .. "/p/", "/health", {}))
    assert.are.equal(BASE .. "/x?a=3&ab=4&b=1&b=0", api.request_url(BASE, "/x", { { "b", "1" }, { "ab", "4" },
      { "b", "0" }, { "a", "3" } }))
    assert.are.equal(BASE .. "/watchlists/", api.request_url(BASE, "/watchlists/", {}))
  end)

  it("is the same for the same parameters in any order", function()
    local names, want = {}
    for i = 1, 20 do names[i] = { ("p%d"):format(i * 7 % 20), tostring(i) } end
    for seed = 1, 50 do
      math.randomseed(seed)
      for i = #names, 2, -1 do
        local j = math.random(i)
        names[i], names[j] = names[j], names[i]
      end
      local url = api.request_url(BASE, "/x", names)
      want = want or url
      assert.are.equal(want, url)
    end
  end)

  it("keeps unreserved characters of parameters and encodes every other byte", function()
    local all = {}
    for c = 1, 255 do if c ~= 10 and c ~= 13 then all[#all + 1] = string.char(c) end end
    local value = table.concat(all)
    local url = api.request_url(BASE, "/x", { { "q", value }, { "ä b", "" } })
    local query = url:match("%?q=(.-)&%%C3%%A4%%20b=$")
    assert.is_nil(query:find("[^%w%-%._~%%]"))
    assert.are.equal(value, (query:gsub("%%(%x%x)", function(x) return string.char(tonumber(x, 16)) end)))
  end)

  it("cannot be led to another host or out of its path", function()
    for path, pattern in pairs{
      [""] = "start with", ["evil"] = "start with", ["@evil/x"] = "start with", [".evil/x"] = "start with",
        [":80/x"] = "start with",
      ["https://evil/x"] = "start with", ["\\\\evil"] = "start with", ["//evil/x"] = "'//'", ["/a//b"] = "'//'",
      ["/\\evil"] = "percent%-encoded", ["/a\\..\\b"] = "percent%-encoded", ["/@evil"] = "percent%-encoded",
        ["/x?y=1"] = "percent%-encoded",
      ["/x#y"] = "percent%-encoded", ["/a b"] = "percent%-encoded", ["/..;/x"] = "percent%-encoded",
        ["/\195\164"] = "percent%-encoded",
      ["/../admin"] = "segments", ["/a/.."] = "segments", ["/./x"] = "segments", ["/a/%2e%2E/b"] = "segments",
        ["/a/.%2e"] = "segments",
      ["/%2e"] = "segments", ["/%2f%2fevil"] = "encoded slash", ["/a%5Cb"] = "encoded slash",
        ["/..%3b/x"] = "encoded slash",
      ["/%252e%252e/x"] = "twice", ["/%2500"] = "twice", ["/%"] = "hexadecimal", ["/%4"] = "hexadecimal",
        ["/%4g"] = "hexadecimal",
      ["/x\r\nHost: evil"] = "control", ["/x\0y"] = "control", ["/x%00"] = "control", ["/x%0d%0a"] = "control",
        ["/\127"] = "control",
      ["/x%7f"] = "control", ["/" .. ("x"):rep(8192)] = "longer",
    } do
      refused("invalid", "^path.*" .. pattern, api.request_url(BASE, path, {}))
    end
  end)

  it("lets harmless paths through unchanged", function()
    for _, path in ipairs{ "/", "/...", "/a.b/..c/d..", "/a:b,c=d", "/%20x%c3%a4", "/100%25", "/100%25x", "/a%2Eb",
      "/%AF%fa",
      "/(x)!$&'*+" } do
      assert.are.equal(BASE .. path, api.request_url(BASE, path, {}))
    end
  end)

  it("refuses line breaks and NUL bytes in parameters", function()
    for _, bad in ipairs{ "\r", "\n", "\0", "a\r\nX-Evil: 1", "ok\0" } do
      refused("invalid", "^query:.*line break or NUL", api.request_url(BASE, "/x", { { "q", bad } }))
      refused("invalid", "^query:.*line break or NUL", api.request_url(BASE, "/x", { { bad, "v" } }))
    end
    refused("invalid", "no name", api.request_url(BASE, "/x", { { "", "v" } }))
  end)

  it("stays within its limits of length and number", function()
    local many = {}
    for i = 1, 64 do many[i] = { "p" .. i, "v" } end
    assert.is_string(api.request_url(BASE, "/x", many))
    many[65] = { "p65", "v" }
    refused("invalid", "more than 64", api.request_url(BASE, "/x", many))
    refused("invalid", "longer than 8192", api.request_url(BASE, "/x", { { "q", ("ä"):rep(2000) } }))
    refused("invalid", "longer than 8192", api.request_url(BASE, "/x", { { "q", ("x"):rep(100000) } }))
    local url = api.request_url(BASE, "/x", { { "q", ("x"):rep(8192 - #BASE - 5) } })
    assert.are.equal(8192, #url)
  end)

  it("is not made from a base URL that would not pass", function()
    refused("config", "base URL", api.request_url("http://evil.example", "/x", {}))
  end)

  it("goes out with one of five methods", function()
    for _, m in ipairs{ "GET", "POST", "PUT", "DELETE", "PATCH" } do assert.is_true(api.method_check(m)) end
    for _, m in ipairs{ "", "get", "HEAD", "CONNECT", "GET ", "GET\r\nX: y", "GETX" } do
      refused("invalid", "capitals", api.method_check(m))
    end
  end)
end)

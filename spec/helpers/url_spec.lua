local made = require "helpers.made"
local h = made.all()

-- text -> scheme, user, host, port, path, query
local CASES = {
  ["https://www.acme.example/login"] = { "https", nil, "www.acme.example", nil, "/login", nil },
  ["HTTPS://WWW.Acme.Example:8443/Login?a=B#frag"] = { "https", nil, "www.acme.example", 8443, "/Login", "a=B" },
  ["acme.example"] = { nil, nil, "acme.example", nil, nil, nil },
  ["acme.example:8443/x"] = { nil, nil, "acme.example", 8443, "/x", nil },
  ["//acme.example/x"] = { nil, nil, "acme.example", nil, "/x", nil },
  ["  https://acme.example/a b/ "] = { "https", nil, "acme.example", nil, "/a b/", nil },
  ["https://acme.example :443/x"] = { "https", nil, "acme.example", 443, "/x", nil },
  ["https:\\\\acme.example\\x"] = { "https", nil, "acme.example", nil, "\\x", nil },
  ["http:/acme.example/x"] = { "http", nil, "acme.example", nil, "/x", nil },
  ["https//acme.example/x"] = { "https", nil, "acme.example", nil, "/x", nil },
  ["https://acme.example?q=1"] = { "https", nil, "acme.example", nil, nil, "q=1" },
  ["https://acme.example#top"] = { "https", nil, "acme.example", nil, nil, nil },
  ["https://acme.example:/x"] = { "https", nil, "acme.example", nil, "/x", nil },
  ["https://ana:secret@acme.example/"] = { "https", "ana", "acme.example", nil, "/", nil },
  ["https://a@b:c@acme.example/"] = { "https", "a@b", "acme.example", nil, "/", nil },
  ["ana@acme.example"] = { nil, "ana", "acme.example", nil, nil, nil },
  ["android://aG/Fz-_aA==@com.Acme.app/"] = { "android", "aG/Fz-_aA==", "com.Acme.app", nil, "/", nil },
  ["https:///acme.example"] = { "https", nil, "acme.example", nil, nil, nil },
  ["android://com.acme.app"] = { "android", nil, "com.acme.app", nil, nil, nil },
  ["http://[2001:DB8::1]:8080/x"] = { "http", nil, "2001:db8::1", 8080, "/x", nil },
  ["http://[::1]"] = { "http", nil, "::1", nil, nil, nil },
  ["fe80::1"] = { nil, nil, "fe80::1", nil, nil, nil },
  ["ftp://10.1.2.3:21"] = { "ftp", nil, "10.1.2.3", 21, nil, nil },
  ["https://bücher.example/ü"] = { "https", nil, "xn--bcher-kva.example", nil, "/ü", nil },
  ["chrome-extension://abcdef/popup.html"] = { "chrome-extension", nil, "abcdef", nil, "/popup.html", nil },
  ["localhost:3000"] = { nil, nil, "localhost", 3000, nil, nil },
  ["mailto:ana@acme.example?subject=x"] = { "mailto", nil, nil, nil, "ana@acme.example", "subject=x" },
  ["file:///C:/x.txt"] = { "file", nil, nil, nil, "C:/x.txt", nil },
  ["about:blank"] = { "about", nil, nil, nil, "blank", nil },
}

describe("url.parse", function()
  it("takes apart what stealer logs hold", function()
    for text, e in pairs(CASES) do
      local got, why = h.url.parse(text)
      assert(got, text .. ": " .. tostring(why))
      assert.same({ scheme = e[1], user = e[2], host = e[3], port = e[4], path = e[5], query = e[6] }, got, text)
      assert.equal(e[3], (h.url.host(text)), text)
    end
  end)

  it("never hands a password on", function()
    local got = h.url.parse("https://ana:secret@acme.example/")
    for _, v in pairs(got) do assert.is_nil(tostring(v):find("secret", 1, true)) end
  end)

  it("says why a text is no URL", function()
    local function refused(what, text)
      local value, why = h.url.parse(text)
      assert.is_nil(value, text)
      assert.matches(what, why)
    end
    refused("port", "https://acme.example:99999/")
    refused("port", "https://acme.example:80a/")
    refused("port", "https://acme.example:-1/")
    refused("no host", "https://")
    refused("no host", "?q=1")
    refused("no IPv6", "http://[::g]/")
    refused("a character", "http://ac me.example/")
    refused("a character", "http://a%20b/")
    refused("an empty label", "http://acme..example/")
    refused("a control character", "http://acme.example/\r\nx")
    refused("no name of an app", "android://hash@/")
    refused("too long", "http://acme.example/" .. ("a"):rep(65536))
    refused("empty", "  ")
  end)

  it("gives nil and a short reason for anything", function()
    -- bytes that are no UTF-8 may stand before the @ and in paths
    assert.same({ [7] = "acme.example" }, made.survivors(h.url.host))
    assert.same({ [7] = { host = "acme.example", user = "\xed\xa0\x80" } }, made.survivors(h.url.parse))
    assert.same({ nil, "a URL without a host" }, { h.url.host("about:blank") })
  end)

  it("gives a host that is a host for 5,000 texts made of pieces, or a reason", function()
    local pieces = { "http", "s", ":", "/", "//", "\\", "@", "[", "]", "::1", "acme", ".", "example", "?", "#", " ", "80", "%", "ü", "\xff",
      "android://", "-" }
    local seed, good = 11, 0
    for _ = 1, 5000 do
      local text = ""
      for _ = 1, 8 do
        seed = (seed * 1103515245 + 12345) & 0x7fffffff
        text = text .. pieces[(seed >> 8) % #pieces + 1]
      end
      local parts, why = h.url.parse(text)
      if parts and parts.host then
        good = good + 1
        if parts.scheme ~= "android" then assert.equal(parts.host, (h.domain.ascii(parts.host)), text) end
        assert(parts.port == nil or parts.port >= 0 and parts.port <= 65535)
      elseif not parts then
        assert.is_string(why)
      end
    end
    assert.is_true(good > 100, good)
  end)
end)

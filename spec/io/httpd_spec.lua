-- httpd_spec.lua: the loopback server, seen as bytes on a socket. One thread plays both sides.
local httpd = require("defendis.core").httpd
local raw = require("defendis_internals").raw

-- Sockets, pollers and event counters that this process holds.
local function open_files()
  collectgarbage()
  collectgarbage() -- what other specs left behind may need two rounds
  local stat <close> = assert(io.open("/proc/self/stat"))
  local list <close> = assert(io.popen("ls -l /proc/" .. stat:read("n") .. "/fd"))
  local text = list:read("a")
  return select(2, text:gsub("socket:", "")) + select(2, text:gsub("anon_inode:", ""))
end

describe("httpd", function()
  local server

  before_each(function() server = assert(httpd.listen{ port = 0 }) end)
  after_each(function() server:close() end)

  -- Sends bytes, answers each request that comes of it with what `reply` returns, and reads until `done` matches.
  local function talk(connection, bytes, reply, done)
    connection:send(bytes)
    local text, why = "", "timeout"
    for _ = 1, 2000 do
      local req = server:next(5)
      if req then assert(req:answer(reply(req))) end
      local more
      more, why = connection:receive(0)
      text = text .. more
      if why == "closed" or (done and text:find(done)) then break end
    end
    return text, why
  end

  -- What the connection receives until it matches, while the server moves on.
  local function until_match(connection, pattern)
    local text = ""
    for _ = 1, 2000 do
      server:next(1)
      text = text .. connection:receive(0)
      if text:find(pattern) then break end
    end
    return text
  end

  local function get(path, more) return "GET " .. path .. " HTTP/1.1\r\nHost: x\r\n" .. (more or "") .. "\r\n" end

  it("hands out method, decoded path and query, lower-case headers and the body", function()
    local c <close> = raw.connect(server:port())
    local seen
    talk(c, "POST /a%20b?q=x%26y&empty=&flag&q2=%C3%A9 HTTP/1.1\r\nHost: x\r\nX-Custom: Value\r\n" ..
      "Content-Length: 5\r\n\r\nhello", function(req) seen = req return { body = "ok" } end, "ok$")
    assert.equal("POST", seen.method)
    assert.equal("/a b", seen.path)
    assert.same({ q = "x&y", empty = "", flag = "", q2 = "é" }, seen.query)
    assert.equal("Value", seen.headers["x-custom"])
    assert.equal("hello", seen.body)
  end)

  it("sends status, headers and body, and keeps the connection for the next request", function()
    local c <close> = raw.connect(server:port())
    for i = 1, 3 do
      local text, why = talk(c, get("/" .. i), function(req)
        return { status = 404, headers = { ["x-path"] = req.path }, body = "no " .. req.path }
      end, "no /%d$")
      assert.matches("^HTTP/1.1 404 ", text)
      assert.matches("x%-path: /" .. i .. "\r\n", text)
      assert.matches("Content%-Length: 5\r\n", text)
      assert.equal("timeout", why)
    end
  end)

  it("answers two requests that came in one packet, in order", function()
    local c <close> = raw.connect(server:port())
    local text = talk(c, get("/one") .. get("/two"), function(req)
      return { body = "<" .. req.path .. ">" }
    end, "</two>")
    assert.matches("</one>.*</two>", text)
  end)

  it("has several requests in flight and answers them in any order", function()
    local a <close> = raw.connect(server:port())
    local b <close> = raw.connect(server:port())
    a:send(get("/a"))
    local first = assert(server:next(2000))
    b:send(get("/b"))
    local second = assert(server:next(2000))
    assert.equal("/a", first.path)
    assert(second:answer{ body = "from b" })
    server:next(20)
    assert.matches("from b$", (b:receive(0)))
    assert.equal("", (a:receive(0)))
    assert(first:answer{ body = "from a" })
    server:next(20)
    assert.matches("from a$", (a:receive(0)))
  end)

  it("holds an answer back for delay_ms without holding up others", function()
    local a <close> = raw.connect(server:port())
    local b <close> = raw.connect(server:port())
    a:send(get("/late"))
    assert(server:next(2000)):answer{ body = "late", delay_ms = 150 }
    local text = talk(b, get("/soon"), function() return { body = "soon" } end, "soon$")
    assert.matches("soon$", text)
    assert.equal("", (a:receive(0)))
    assert.matches("late$", until_match(a, "late$"))
  end)

  it("announces the whole body, sends a part and closes when told to truncate", function()
    for _, cut in ipairs{ 0, 1, 70000 } do
      local c <close> = raw.connect(server:port())
      local text, why = talk(c, get("/"), function() return { body = ("x"):rep(100000), truncate = cut } end)
      assert.equal("closed", why)
      assert.matches("Content%-Length: 100000\r\n", text)
      assert.equal(cut, #text:match("\r\n\r\n(.*)$"))
    end
  end)

  it("sends a slow body in pieces and whole in the end", function()
    local c <close> = raw.connect(server:port())
    c:send(get("/"))
    assert(server:next(2000)):answer{ body = "01234567890123456789", slow = { bytes = 10, ms = 150 } }
    assert.matches("\r\n\r\n0123456789$", until_match(c, "9$"))
    assert.equal("0123456789", until_match(c, "9$"))
  end)

  it("refuses a body over one mebibyte with 413 and does not hand it out", function()
    local c <close> = raw.connect(server:port())
    local body, asked = ("x"):rep(64 * 1024), 0
    c:send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " .. 1024 * 1024 + 1 .. "\r\n\r\n")
    for _ = 1, 16 do
      c:send(body)
      assert.is_nil(server:next(5))
    end
    local text = talk(c, "x", function() asked = asked + 1 return { body = "?" } end, "too large")
    assert.matches("^HTTP/1.1 413 ", text)
    assert.equal(0, asked)
  end)

  it("takes a body of exactly one mebibyte", function()
    local c <close> = raw.connect(server:port())
    c:send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " .. 1024 * 1024 .. "\r\n\r\n")
    local piece, req = ("x"):rep(64 * 1024), nil
    for _ = 1, 16 do
      c:send(piece)
      req = server:next(5) or req
    end
    req = req or server:next(2000)
    assert.equal(1024 * 1024, #req.body)
  end)

  it("answers broken requests itself and goes on", function()
    local c <close> = raw.connect(server:port())
    local text = talk(c, "NONSENSE\r\n\r\n", function() return { body = "?" } end)
    assert.is_not.matches("200", text)
    local d <close> = raw.connect(server:port())
    assert.matches("fine$", (talk(d, get("/"), function() return { body = "fine" } end, "fine$")))
  end)

  it("survives clients that go away at any point, and gives every descriptor back", function()
    local before = open_files()
    for round = 1, 30 do
      local c = raw.connect(server:port())
      c:send(round % 3 == 0 and "GET / HT" or get("/"))
      local req = server:next(round % 3 == 0 and 5 or 2000)
      if round % 2 == 0 then c:close() end
      if req then
        assert(req:answer{ body = ("x"):rep(300000), delay_ms = round % 4, truncate = round % 5 == 0 and 10 or nil,
          slow = round % 7 == 0 and { bytes = 1000, ms = 1 } or nil })
      end
      server:next(10)
      c:close()
    end
    for _ = 1, 100 do
      server:next(5)
      if open_files() == before then break end
    end
    assert.equal(before, open_files())
  end)

  it("gives every descriptor back when it is closed with requests open", function()
    server:close()
    local before = open_files()
    local other = assert(httpd.listen())
    local a, b, c = raw.connect(other:port()), raw.connect(other:port()), raw.connect(other:port())
    a:send(get("/unanswered"))
    assert.is_table(other:next(2000))
    b:send(get("/delayed"))
    assert(other:next(2000)):answer{ body = "x", delay_ms = 100000 }
    c:send(get("/never read"))
    other:next(5)
    other:close()
    other:close()
    a:close() b:close() c:close()
    assert.equal(before, open_files())
  end)

  it("answers a request once", function()
    local c <close> = raw.connect(server:port())
    c:send(get("/"))
    local req = assert(server:next(2000))
    assert.is_true(req:answer{})
    local ok, err = req:answer{}
    assert.is_nil(ok)
    assert.equal("config", err.kind)
    assert.matches("answered already", tostring(err))
  end)

  it("refuses headers and statuses that would break the answer, and still lets the request be answered", function()
    local c <close> = raw.connect(server:port())
    c:send(get("/"))
    local req = assert(server:next(2000))
    assert.is_nil((req:answer{ headers = { ["x-a"] = "b\r\nx-evil: 1" } }))
    assert.is_nil((req:answer{ status = 99 }))
    assert.has_error(function() req:answer{ delay_ms = -1 } end)
    assert.is_true(req:answer{ body = "fine" })
  end)

  it("listens on the loopback address only", function()
    local hex = (":%04X"):format(server:port())
    local found
    for line in io.lines("/proc/net/tcp") do
      local address = line:match("^%s*%d+: (%x+)" .. hex .. " 00000000:0000 0A")
      if address then found = address end
    end
    assert.equal("0100007F", found)
  end)

  it("names the port when it is taken, and raises on unknown options and closed servers", function()
    local ok, err = httpd.listen{ port = server:port() }
    assert.is_nil(ok)
    assert.equal("config", err.kind)
    assert.matches("127.0.0.1:" .. server:port(), err.message, 1, true)
    assert.has_error(function() httpd.listen{ prot = 1 } end, "unknown option 'prot' (did you mean 'port'?)")
    assert.is_nil((httpd.listen{ port = 70000 }))
    server:close()
    assert.has_error(function() server:next(0) end, "the server is closed")
  end)
end)

-- webhook_spec.lua: the sink of signed webhooks.
local core = require "defendis.core"
local hostile = require "support.hostile"
local secret = require "defendis.secret"
local sinks = require "support.sinks"
local webhook = require "defendis.sinks.webhook"

local answer, serve = hostile.answer, hostile.serve

-- The bytes behind KEY are 24 times 0x0b.
local KEY = "whsec_CwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsL"
local OTHER = "another-secret-of-plain-text"

local function key(name, text) return assert(secret.file(hostile.file(name, text))) end

local function open(server, options)
  local o = { secrets = { key("a", KEY) }, token = false }
  for k, v in pairs(options or {}) do o[k] = v end
  return assert(sinks.open(webhook, server, o))
end

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

-- As a receiver would check it, from the raw bytes and with nothing of the sink's: base64 of HMAC-SHA-256 by another way.
local function expected(bytes, id, timestamp, body)
  local bits = core.hash.hmac_sha256(bytes, id .. "." .. timestamp .. "." .. body):gsub("%x", function(h)
    local n, out = tonumber(h, 16), ""
    for b = 3, 0, -1 do out = out .. (n >> b & 1) end
    return out
  end)
  bits = bits .. ("0"):rep((6 - #bits % 6) % 6)
  return bits:gsub("%d%d%d%d%d%d", function(six)
    local n = tonumber(six, 2) + 1
    return DIGITS:sub(n, n)
  end) .. "="
end

local function parts(request)
  return { id = sinks.header(request, "webhook-id"), timestamp = sinks.header(request, "webhook-timestamp"),
    signature = sinks.header(request, "webhook-signature"), body = request:match "\r\n\r\n(.*)$" }
end

describe("the webhook sink", function()
  after_each(sinks.clean)

  -- K17, and the body is what was signed, byte for byte
  it("posts each document as it is, signed over id, time and body so that a receiver agrees", function()
    local server = serve(answer(200, ""), answer(204, ""), answer(202, "ok"))
    local texts = { '{"a":"\xe2\x82\xac\\n"}', '{ "b" : null }\n', "{}" }
    local sink = open(server)
    assert.equal("webhook:127.0.0.1:" .. server:port(), sink.name)
    assert.is_true(sink:send(sinks.batch(3, function(i, doc) doc.json = texts[i] end)))
    for i, request in ipairs(server:requests()) do
      local p = parts(request)
      assert.same({ "id-" .. i, texts[i] }, { p.id, p.body })
      assert.is_true(math.abs(tonumber(p.timestamp) - os.time()) <= 5)
      assert.equal("v1," .. expected(("\x0b"):rep(24), p.id, p.timestamp, p.body), p.signature)
      assert.not_equal("v1," .. expected(("\x0c"):rep(24), p.id, p.timestamp, p.body), p.signature)
      assert.is_nil(sinks.header(request, "authorization"))
    end
  end)

  -- K21
  it("signs with every secret while one replaces another, and refuses one that is none", function()
    local server = serve(answer(200, ""))
    assert.is_true(open(server, { secrets = { key("a", KEY), key("b", OTHER) }, token = sinks.secret() }):send(sinks.batch(1)))
    local request = server:requests()[1]
    local p = parts(request)
    assert.equal(("v1,%s v1,%s"):format(expected(("\x0b"):rep(24), p.id, p.timestamp, p.body), expected(OTHER, p.id, p.timestamp, p.body)),
      p.signature)
    assert.equal("Bearer " .. hostile.KEY, sinks.header(request, "authorization"))
    local sink, err = sinks.open(webhook, server, { secrets = { key("a", KEY), key("c", "whsec_!!") } })
    assert.is_nil(sink)
    assert.matches("^webhook: secrets%[2%]: .*base64", err.message)
    assert.is_string(require("defendis.check").options({ url = "https://x.example", secrets = {} }, webhook.OPTIONS))
  end)

  it("signs with the old secrets until their day has begun in UTC, and then with the first one only", function()
    local server = serve(answer(200, ""), answer(200, ""), answer(200, ""))
    local sink = open(server, { secrets = { key("b", OTHER), key("a", KEY) }, old_until = "2026-12-01" })
    local wall = core.sys.wall_ms
    finally(function() core.sys.wall_ms = wall end)
    for i, case in ipairs{ { 1796083199999, true }, { 1796083200000, false }, { 1800000000000, false } } do -- the second is that midnight
      core.sys.wall_ms = function() return case[1] end
      assert.is_true(sink:send(sinks.batch(1)))
      local p = parts(server:requests()[i])
      local new, old = expected(OTHER, p.id, p.timestamp, p.body), expected(("\x0b"):rep(24), p.id, p.timestamp, p.body)
      assert.equal(case[2] and ("v1,%s v1,%s"):format(new, old) or "v1," .. new, p.signature)
    end
    for _, wrong in ipairs{ "soon", "2026-13-01", 7 } do assert.is_string(webhook.OPTIONS.old_until.validate(wrong)) end
  end)

  -- K18; wall_ms is what the sink reads its time from
  it("sends the same id with a new time and a new signature in the next attempt, once for each send", function()
    local server = serve(answer(500, ""), answer(200, ""))
    local sink, wall = open(server), core.sys.wall_ms
    finally(function() core.sys.wall_ms = wall end)
    core.sys.wall_ms = function() return 1767225600999 end
    local ok, err = sink:send(sinks.batch(1))
    assert.is_nil(ok)
    assert.same({ "unavailable", true }, { err.kind, err.retryable })
    assert.equal(1, (server:count()))
    core.sys.wall_ms = function() return 1767225601000 end
    assert.is_true(sink:send(sinks.batch(1)))
    local first, second = parts(server:requests()[1]), parts(server:requests()[2])
    assert.same({ "id-1", "id-1" }, { first.id, second.id })
    assert.same({ "1767225600", "1767225601" }, { first.timestamp, second.timestamp })
    assert.not_equal(first.signature, second.signature)
  end)

  -- K19
  it("follows no redirect, waits as it is told, and comes back after a broken answer", function()
    for _, case in ipairs{ { 301, "config", false }, { 302, "config", false }, { 307, "config", false }, { 401, "auth", false },
      { 404, "not_found", false }, { 429, "rate_limit", true }, { 503, "unavailable", true } } do
      local target = serve(answer(200, ""))
      local server = serve(answer(case[1], "", { "Retry-After: 600", "Location: http://127.0.0.1:" .. target:port() .. "/" }))
      local ok, err = open(server):send(sinks.batch(2))
      assert.is_nil(ok)
      assert.same({ case[2], case[3] }, { err.kind, err.retryable }, err.message)
      if case[3] then assert.is_true(math.abs(err.retry_at - core.sys.wall_ms() - 600000) < 5000) end
      assert.same({ 1, 0 }, { (server:count()), (target:count()) })
    end
    for _, given in ipairs{ { bytes = "", close = "rst" }, { bytes = "" },
      { bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", close = true } } do
      local server = serve(given)
      local ok, err = open(server, { timeout = 0.2 }):send(sinks.batch(1))
      assert.is_nil(ok)
      assert.is_true(err.retryable)
      assert.equal(1, (server:count()))
    end
  end)

  it("stops for good after 410, and sends nothing more", function()
    local server = serve(answer(410, ""))
    local sink = open(server)
    for _ = 1, 2 do
      local ok, err = sink:send(sinks.batch(2))
      assert.is_nil(ok)
      assert.same({ "config", false, 410 }, { err.kind, err.retryable, err.status })
      assert.matches("wants no more; remove this sink", err.message)
    end
    assert.equal(1, (server:count()))
  end)

  it("judges each document by itself, and has the rest sent again when the receiver fails in between", function()
    local results = assert(open(serve(answer(200, ""), answer(422, "bad\nfield"), answer(200, ""), answer(500, ""), answer(200, "")))
      :send(sinks.batch(5)))
    assert.same({ true, { dead = "422: bad field" }, true }, { results[1], results[2], results[3] })
    assert.is_string(results[4].again)
    assert.is_string(results[5].again)
  end)

  it("is named without its path, which may be a secret, and still apart from another on the same host", function()
    local server = serve(answer(200, ""))
    local base = "http://127.0.0.1:" .. server:port()
    local a = open(server, { url = base .. "/services/T0/canary" })
    local b = open(server, { url = base .. "/services/T0/other", query = { sig = "a b" } })
    assert.matches("^webhook:127.0.0.1:%d+#%x%x%x%x%x%x%x%x$", a.name)
    assert.not_equal(a.name, b.name)
    assert.is_true(b:send(sinks.batch(1)))
    assert.matches("^POST /services/T0/other%?sig=a%%20b HTTP", server:requests()[1])
    server:close()
    local ok, err = a:send(sinks.batch(1))
    assert.is_nil(ok)
    assert.is_nil(err.message:find "canary")
  end)

  it("makes an id that a header may hold, always the same", function()
    local server = serve(answer(200, ""))
    local batch = sinks.batch(2, function(_, doc) doc.id = "a.b\r\nX-Injected: 1" end)
    assert.is_true(open(server):send(batch))
    for _, request in ipairs(server:requests()) do
      assert.equal(core.hash.sha256(batch[1].id), sinks.header(request, "webhook-id"))
      assert.is_nil(sinks.header(request, "x-injected"))
    end
  end)
end)

local api = require("defendis_internals").api

local WALL = 1767225600000

-- Runs a call on a virtual clock: answers(n, now) is the n-th answer. Returns step, error, times of the requests, now.
local function run(opt, answers, limiter)
  local now, sent = opt.start or 0, {}
  local f = api.fetch(limiter or api.ratelimit(0), opt)
  while true do
    local step, what = f:next(now, WALL + now)
    if step == "send" then
      sent[#sent + 1] = now
      assert.is_true(#sent <= 50)
      now = math.min(now + (opt.takes or 0), opt.deadline or math.huge) -- the transport is given the deadline too
      f:answer(now, WALL + now, answers(#sent, now))
    elseif step == "wait" then
      assert.is_true(what > now)
      now = what
    else
      return step, what, sent, now
    end
  end
end

local function always(answer) return function() return answer end end

local function once(answer, opt)
  local step, err, sent = run(opt or {}, always(answer))
  assert.are.equal("failed", step)
  assert.are.equal(1, #sent)
  assert.are.equal(1, err.attempts)
  assert.are.equal(answer.status ~= 0 and answer.status or nil, err.status)
  assert.is_true(#err.message < 512)
  assert.is_nil(err.message:find("%c"))
  return err
end

describe("fetch", function()
  it("sends one request and is done when the answer is good", function()
    local step, _, sent, now = run({}, always{ status = 200 })
    assert.are.equal("done", step)
    assert.are.same({ 0 }, sent)
    assert.are.equal(0, now)
  end)

  it("waits for the deadline while a request is out", function()
    local f = api.fetch(api.ratelimit(0), { deadline = 5000 })
    assert.are.equal("send", (f:next(0, WALL)))
    assert.are.same({ "wait", 5000 }, { f:next(1, WALL) })
  end)

  it("repeats a GET after 5xx, and waits within the jitter's bounds before each repetition", function()
    local longest = { 0, 0, 0, 0 }
    for seed = 1, 200 do
      local step, _, sent = run({ seed = seed }, function(n) return { status = n < 5 and 500 or 200 } end)
      assert.are.equal("done", step)
      assert.are.equal(5, #sent)
      for n = 1, 4 do
        local wait = sent[n + 1] - sent[n]
        assert.is_true(wait <= 1000 * 2 ^ (n - 1), "seed " .. seed)
        longest[n] = math.max(longest[n], wait)
      end
    end
    for n = 1, 4 do assert.is_true(longest[n] > 900 * 2 ^ (n - 1)) end
  end)

  it("gives up after five attempts and says so", function()
    for _, status in ipairs{ 500, 502, 503, 504, 429 } do
      local step, err, sent = run({}, always{ status = status })
      assert.are.equal("failed", step)
      assert.are.equal(5, #sent)
      assert.are.equal(5, err.attempts)
      assert.are.equal(status, err.status)
      assert.are.equal(status == 429 and "rate_limit" or "unavailable", err.kind)
      assert.is_true(err.retryable)
      assert.is_true(err.retry_at >= WALL)
      assert.matches("gave up after 5 attempts", err.message)
    end
    local _, err, sent = run({ max_attempts = 1 }, always{ status = 500 })
    assert.are.equal(1, #sent)
    assert.matches("after 1 attempt$", err.message)
  end)

  it("never repeats a write after 5xx or after a broken exchange", function()
    for _, answer in ipairs{ { status = 500 }, { status = 503 }, { status = 0, transport = "timeout" },
      { status = 0, transport = "broken" },
      { status = 200, body = "bad" } } do
      local err = once(answer, { idempotent = false })
      assert.is_false(err.retryable)
    end
  end)

  it("repeats a write after 429, and when the server never saw it", function()
    for _, answer in ipairs{ { status = 429 }, { status = 0, transport = "unsent" } } do
      local step, _, sent = run({ idempotent = false }, function(n) return n < 3 and answer or { status = 200 } end)
      assert.are.equal("done", step)
      assert.are.equal(3, #sent)
    end
  end)

  it("never repeats what the API refused, and names each refusal by its kind", function()
    for status, kind in pairs{ [400] = "invalid", [401] = "auth", [403] = "scope", [404] = "not_found",
      [405] = "invalid", [409] = "invalid",
      [410] = "invalid", [418] = "invalid", [422] = "invalid", [451] = "invalid", [501] = "unavailable",
        [505] = "unavailable",
      [599] = "unavailable", [300] = "invalid", [301] = "invalid", [302] = "invalid", [304] = "invalid",
        [100] = "decode",
        [600] = "decode", [999] = "decode" } do
      local err = once{ status = status, request_id = "req-1" }
      assert.are.equal(kind, err.kind, status)
      assert.is_false(err.retryable)
      assert.are.equal("req-1", err.request_id)
    end
  end)

  it("keeps what the API says and adds the remedy for 401, 403 and 429", function()
    local err = once({ status = 401, error = "Invalid or revoked API key" }, { what = "GET /api/v1/x" })
    assert.matches("^GET /api/v1/x: the API refused the key %(401%): Invalid or revoked API key; make a new key",
      err.message)
    err = once{ status = 403, error = "You don't have permission to view this" }
    assert.matches("You don't have permission to view this; add the domain, e%-mail or bin to a watchlist", err.message)
    err = once{ status = 400, error = "Invalid input", message = "domain is required" }
    assert.matches("%(400%): Invalid input: domain is required$", err.message)
    local _, limited = run({ max_attempts = 1 }, always{ status = 429, error = "Too many" })
    assert.matches("lower rate.per_second", limited.message)
  end)

  it("tells billing from scope", function()
    assert.are.equal("billing", once{ status = 403, error = "Enterprise billing access denied",
      reason = "payment_unpaid", state = "unpaid" }.kind)
    assert.are.equal("billing", once{ status = 403, error = "no", state = "unpaid" }.kind)
    assert.are.equal("billing", once{ status = 403, reason = "payment_unpaid" }.kind)
    assert.are.equal("billing", once{ status = 403, error = "BILLING problem" }.kind)
    assert.are.equal("scope", once{ status = 403, error = "You may not see this payment card",
      reason = "paymentcard_out_of_scope" }.kind)
    assert.are.equal("scope", once{ status = 403 }.kind)
    assert.matches("settle the plan", once{ status = 403, state = "unpaid" }.message)
  end)

  it("tells a quota from another conflict and gives its figures", function()
    local err = once{ status = 409, error = "quota_domains_reached", metric = "domains", used = "10", limit = "10" }
    assert.are.equal("quota", err.kind)
    assert.matches("quota of domains reached, 10 of 10 used %(409%)", err.message)
    assert.are.equal("quota", once{ status = 409, used = "10", limit = "10" }.kind)
    assert.are.equal("invalid", once{ status = 409, error = "already exists" }.kind)
  end)

  it("does not take a page that is not JSON for an answer", function()
    local step, err, sent, _ = run({}, always{ status = 200, body = "bad", content_type = "text/html" })
    assert.are.equal("failed", step)
    assert.are.equal(5, #sent)
    assert.are.equal("decode", err.kind)
    assert.matches("%(200, text/html%) is not JSON", err.message)
    assert.matches("login page", err.message)
    _, err = run({}, always{ status = 200, body = "empty" })
    assert.are.equal("decode", err.kind)
    assert.matches("no content type%) is empty", err.message)
    step = run({}, function(n) return { status = 200, body = n == 1 and "bad" or nil } end)
    assert.are.equal("done", step)
  end)

  it("takes 204 only where an empty answer is expected, and 206 never", function()
    assert.are.equal("decode", once{ status = 204, body = "empty" }.kind)
    assert.are.equal("decode", once({ status = 200, body = "empty" }, { allow_empty = true, idempotent = false }).kind)
    assert.matches("only a part", once({ status = 206 }, { allow_empty = true }).message)
    assert.are.equal("done", (run({ allow_empty = true }, always{ status = 204, body = "empty" })))
    assert.are.equal("done", (run({}, always{ status = 201 })))
  end)

  it("follows no redirect and names only the host it leads to", function()
    for location, host in pairs{ ["https://evil.example/x?key=s3cret"] = "evil%.example",
      ["//evil.example/x"] = "evil%.example",
      ["http://user:s3cret@evil.example:81#s3cret"] = "evil%.example:81", ["/login?next=//s3cret"] = "another address",
      ["https://\27[31mevil"] = "%[31mevil", [""] = "another address" } do
      local err = once{ status = 302, location = location }
      assert.matches("redirected %(302%) to .*" .. host, err.message)
      assert.is_nil(err.message:find("s3cret"))
    end
    assert.matches("another address", once{ status = 307 }.message)
  end)

  it("names what happened on the way, and repeats what may pass", function()
    for transport, want in pairs{ unsent = { 5, "network", "check the URL" }, timeout = { 5, "timeout",
      "no answer within" },
      broken = { 5, "network", "no whole answer" }, too_large = { 1, "limit", "smaller pages" },
      tls = { 1, "network", "clock and CA certificates" }, forbidden = { 1, "config", "link_local = true" } } do
      local step, err, sent = run({}, always{ transport = transport, detail = "curl's own words" })
      assert.are.equal("failed", step)
      assert.are.equal(want[1], #sent)
      assert.are.equal(want[2], err.kind)
      assert.matches(want[3], err.message)
      assert.matches("curl's own words", err.message)
      assert.is_nil(err.status)
      assert.are.equal(want[1] > 1, err.retryable)
    end
  end)

  it("keeps a refusal a refusal when its body is cut off or too large", function()
    for _, transport in ipairs{ "broken", "too_large", "timeout" } do
      assert.are.equal("auth", once{ status = 401, transport = transport, body = "bad" }.kind)
    end
    local _, err, sent = run({}, always{ status = 200, transport = "broken" })
    assert.are.equal("network", err.kind)
    assert.are.equal(5, #sent)
  end)

  it("waits as long as Retry-After asks, and not more than a second longer", function()
    for seed = 1, 100 do
      local _, _, sent = run({ seed = seed }, function(n) return n < 3 and { status = 429,
        retry_after = "2" } or { status = 200 } end)
      for n = 1, 2 do
        local wait = sent[n + 1] - sent[n]
        assert.is_true(wait >= 2000 and wait <= 3000, wait)
      end
    end
    local _, _, sent = run({}, function(n) return n < 2 and { status = 503,
      retry_after = "Thu, 01 Jan 2026 00:00:30 GMT" } or { status = 200 } end)
    assert.is_true(sent[2] >= 30000 and sent[2] <= 31000)
  end)

  it("uses its own backoff when Retry-After makes no sense", function()
    for _, text in ipairs{ "", "-5", "1.5", "soon", "0", ("9"):rep(20), "Thu, 01 Jan 2015 00:00:30 GMT" } do
      local step, _, sent = run({}, function(n) return n < 3 and { status = 429,
        retry_after = text } or { status = 200 } end)
      assert.are.equal("done", step)
      assert.is_true(sent[3] <= 3000)
    end
  end)

  it("does not sleep longer than allowed but says when to come back", function()
    for _, text in ipairs{ "301", "Thu, 01 Jan 2026 00:05:01 GMT" } do
      local step, err, sent, now = run({}, always{ status = 429, retry_after = text })
      assert.are.equal("failed", step)
      assert.are.equal("rate_limit", err.kind)
      assert.are.equal(1, #sent)
      assert.are.equal(0, now)
      assert.are.equal(WALL + 301000, err.retry_at)
    end
    local _, _, sent = run({ max_attempts = 2 }, always{ status = 429, retry_after = "300" })
    assert.are.equal(300000, sent[2])
    assert.are.equal("unavailable", select(2, run({}, always{ status = 503, retry_after = "3600" })).kind)
  end)

  it("never waits past the deadline", function()
    for seed = 1, 300 do
      for _, answer in ipairs{ { status = 503 }, { status = 429 }, { transport = "timeout" }, { status = 429,
        retry_after = "4" } } do
        local step, err, sent, now = run({ deadline = 10000, takes = 700, seed = seed }, always(answer))
        assert.are.equal("failed", step)
        assert.is_true(now <= 10000 and #sent <= 5)
        assert.is_true(err.kind == "unavailable" or err.kind == "rate_limit" or err.kind == "timeout")
        assert.is_true(err.retry_at >= WALL + now)
        assert.is_true(err.retryable)
      end
    end
  end)

  it("fails at once when the wait would pass the deadline", function()
    local step, err, sent, now = run({ deadline = 3000 }, always{ status = 429, retry_after = "10" })
    assert.are.equal("failed", step)
    assert.are.equal(1, #sent)
    assert.are.equal(0, now)
    assert.are.equal(WALL + 10000, err.retry_at)
    assert.matches("too late", err.message)
    local _, late, _, ended = run({ deadline = 10000 }, always{ status = 429, retry_after = "10" })
    assert.are.equal(0, ended)
    assert.are.equal("rate_limit", late.kind)
  end)

  it("does not send after the deadline", function()
    local step, err, sent = run({ deadline = 5, start = 5 }, always{ status = 200 })
    assert.are.equal("failed", step)
    assert.are.equal("timeout", err.kind)
    assert.are.same({}, sent)
  end)

  it("waits for the client's rate, and fails when that would take too long", function()
    local limiter = api.ratelimit(1, 1)
    local _, _, sent = run({}, always{ status = 200 }, limiter)
    assert.are.same({ 0 }, sent)
    _, _, sent = run({}, always{ status = 200 }, limiter)
    assert.are.same({ 1000 }, sent)
    local step, err = run({ start = 1001, deadline = 1500 }, always{ status = 200 }, limiter)
    assert.are.equal("failed", step)
    assert.are.equal("rate_limit", err.kind)
    assert.are.equal(WALL + 2000, err.retry_at)
    assert.are.equal(0, err.attempts)
  end)

  it("teaches the limiter from the headers of good answers and bad ones", function()
    for _, answer in ipairs{ { status = 200 }, { status = 404 }, { status = 200, body = "bad" } } do
      answer.remaining, answer.reset = "0", "60"
      local limiter = api.ratelimit(0)
      run({ max_attempts = 1 }, always(answer), limiter)
      assert.are.equal(60000, limiter:next(0))
    end
  end)

  it("a 429's Retry-After holds the other calls of the client too", function()
    local limiter = api.ratelimit(0)
    run({ max_attempts = 1 }, always{ status = 429, retry_after = "7" }, limiter)
    local _, _, sent = run({}, always{ status = 200 }, limiter)
    assert.are.same({ 7000 }, sent)
  end)

  it("200 calls against a dead server send no more than 220 requests", function()
    local limiter, total = api.ratelimit(0), 0
    for i = 1, 200 do
      local _, err, sent = run({ seed = i }, always{ status = 503 }, limiter)
      total = total + #sent
      if i == 200 then
        assert.are.equal(1, #sent)
        assert.matches("budget for retries is used up", err.message)
      end
    end
    assert.are.equal(220, total)
    assert.are.equal("done", (run({}, always{ status = 200 }, limiter)))
  end)

  it("pays double for retries after timeouts, and gets one token back per success", function()
    local limiter, total = api.ratelimit(0), 0
    for i = 1, 50 do total = total + #select(3, run({ seed = i }, always{ transport = "timeout" }, limiter)) end
    assert.are.equal(60, total)
    for _ = 1, 10 do run({}, always{ status = 200 }, limiter) end
    assert.are.equal(2, #select(3, run({}, always{ transport = "timeout" }, limiter)))
  end)

  it("never uses the budget up with retries that succeed in the end", function()
    local limiter = api.ratelimit(0)
    for i = 1, 100 do
      local step, _, sent = run({ seed = i }, function(n) return { status = n < 3 and 503 or 200 } end, limiter)
      assert.are.equal("done", step)
      assert.are.equal(3, #sent)
    end
  end)

  it("keeps 128 printable characters of the request id of the last answer", function()
    local err = once{ status = 404, request_id = "a\r\nb\0c\27[0m\195\164 " .. ("x"):rep(10000) }
    assert.are.equal("ab", err.request_id:sub(1, 2))
    err = once{ status = 404, request_id = "a\r\nb\27[0m\127\195\164 " .. ("x"):rep(10000) }
    assert.are.equal("ab[0m" .. ("x"):rep(123), err.request_id)
    local _, last = run({ max_attempts = 2 }, function(n) return { status = 503, request_id = "id" .. n } end)
    assert.are.equal("id2", last.request_id)
    _, last = run({ max_attempts = 2 }, function(n) return n == 1 and { status = 503,
      request_id = "id1" } or { transport = "broken" } end)
    assert.is_nil(last.request_id)
  end)

  it("makes one clean line of whatever the server writes", function()
    for _, text in ipairs{ ("x"):rep(5000000), ("ä"):rep(1000), ("€"):rep(1000), ("😀"):rep(1000),
      "a\r\nb\27[31m\127", "\194\155x",
      "\255\254\192\128", "\237\160\128", "\240\128\128\128", "\244\144\128\128", "\224\128\128", "cut \226\130",
        "" } do
      local err = once({ status = 422, error = text, message = text, request_id = text },
        { what = "GET /" .. ("y"):rep(500) })
      assert.is_true(#err.message < 512)
      assert.is_truthy(utf8.len(err.message))
      assert.is_nil(err.message:find("%c"))
      assert.is_nil(err.message:find("\194[\128-\159]"))
    end
    assert.matches("ä € 😀 ก ÿ", once{ status = 422, error = "ä € 😀 ก ÿ" }.message, 1, true)
    assert.matches(": a  b %[31m $", once{ status = 422, error = "a\r\nb\27[31m\127" }.message)
  end)

  it("with any_status is done after any answer it does not repeat, and fails only without one", function()
    for status, attempts in pairs{ [200] = 1, [206] = 1, [302] = 1, [404] = 1, [413] = 1, [503] = 5 } do
      local step, _, sent = run({ any_status = true, idempotent = true }, always{ status = status, body = "bad" })
      assert.are.same({ "done", attempts }, { step, #sent })
    end
    assert.are.equal("failed", (run({ any_status = true }, always{ status = 404, transport = "broken" })))
  end)

  it("ends every call, whatever mixture of answers comes", function()
    local statuses = { 0, 100, 200, 204, 206, 302, 400, 401, 403, 404, 409, 422, 429, 500, 501, 502, 503, 504, 999 }
    local transports = { "ok", "unsent", "timeout", "broken", "too_large", "tls", "forbidden" }
    for seed = 1, 3000 do
      math.randomseed(seed)
      local limiter = api.ratelimit(math.random(0, 3), 0)
      local opt = { seed = seed, deadline = math.random() < 0.5 and math.random(1, 100000) or nil,
        takes = math.random(0, 3000),
        idempotent = math.random() < 0.5, max_attempts = math.random(1, 6) }
      local step, err, sent = run(opt, function()
        return { status = statuses[math.random(#statuses)],
          transport = math.random() < 0.3 and transports[math.random(#transports)] or nil,
          body = math.random() < 0.2 and "bad" or nil,
            retry_after = math.random() < 0.3 and tostring(math.random(-1, 400)) or nil,
          remaining = math.random() < 0.3 and tostring(math.random(0, 2)) or nil, reset = tostring(math.random(0,
            400)) }
      end, limiter)
      assert.is_true(#sent <= opt.max_attempts)
      if step == "failed" then
        assert.are_not.equal("none", err.kind)
        assert.are.equal(#sent, err.attempts)
      end
    end
  end)
end)

-- syslog_spec.lua: the sink that sends RFC 5424 messages.
local cjson = require "cjson"
local hostile = require "support.hostile"
local pipelined = require "support.pipelined"
local raw = require("defendis_internals").raw
local rsyslog = require "support.rsyslog"
local run = require "support.run"
local syslog = require "defendis.sinks.syslog"
local task = require "defendis.task"
local tls = require "support.tls"

local opened = {}

local function open(port, options)
  local o = { host = "127.0.0.1", port = port, confirm = 0, hostname = "fw.example" }
  for k, v in pairs(options or {}) do o[k] = v end
  assert.is_nil(require("defendis.check").options(o, syslog.OPTIONS))
  opened[#opened + 1] = assert(syslog.new(o, { folder = "/nowhere/" }))
  return opened[#opened]
end

local function document(id, fields, more)
  local d = { id = id, kind = "findings", time = 1767225600001, json = type(fields) == "string" and fields or cjson.encode(fields or {}) }
  for k, v in pairs(more or {}) do d[k] = v end
  return d
end

-- The whole messages at the begin of a text, by their number of bytes.
local function unframe(text)
  local out, at = {}, 1
  while true do
    local n, start = text:match("^(%d+) ()", at)
    if not n or start + n - 1 > #text then return out, text:sub(at) end
    out[#out + 1], at = text:sub(start, start + n - 1), start + n
  end
end

describe("the syslog sink", function()
  local listener
  before_each(function() listener, opened = raw.listen(), {} end)
  after_each(function()
    for _, sink in ipairs(opened) do sink:close() end
    listener:close()
    tls.clean()
    run.clean()
  end)

  -- What one batch is on the wire.
  local function sent(batch, options)
    local sink = open(listener:port(), options)
    local result, err = sink:send(batch)
    assert(result, err)
    sink:close()
    local peer = listener:accept()
    local text = peer:receive()
    peer:close()
    local messages, rest = unframe(text)
    assert.equal("", rest)
    return messages, result
  end

  it("writes facility, severity, time, names and the id as RFC 5424 wants them", function()
    local messages = sent({ document("a-1", { level = "critical" }),
      document("b", { severity = "Low" }, { kind = "dataleaks.credentials" }) })
    assert.equal('<130>1 2026-01-01T00:00:00.001Z fw.example defendis - findings [defendis@32473 id="a-1" kind="findings"] '
      .. '{"level":"critical"}', messages[1])
    assert.matches("^<133>1 %S+ fw.example defendis %- dataleaks.credentials %[", messages[2])
    local message = sent({ document("a", {}, { time = false, kind = ("k "):rep(30) }) },
      { facility = "authpriv", app_name = ("n"):rep(60) })[1]
    assert.equal("<86>1 - fw.example " .. ("n"):rep(48) .. " - " .. ("k?"):rep(16), message:match "^(.-) %[")
    for level, severity in pairs{ critical = 2, high = 3, medium = 4, low = 5, informational = 6, unheard = 6 } do
      assert.matches(("^<%d>1 "):format(severity), sent({ document("a", { level = level }) }, { facility = "kern" })[1])
    end
  end)

  it("takes this machine's name when none is given", function()
    local name = io.open("/proc/sys/kernel/hostname"):read "l"
    local sink = syslog.new({ host = "127.0.0.1" }, { folder = "" })
    assert.same({ name, 514, "syslog:127.0.0.1:514" }, { sink.o.hostname, sink.to.port, sink.name })
    assert.equal(6514, syslog.new({ host = "x", tls = true }, { folder = "" }).to.port)
  end)

  -- K9, K12
  it("counts bytes, whatever is in a message, and escapes what ends a value of its structured data", function()
    local payloads = { '"a\nb\r\nc"', '"' .. ("\xe2\x82\xac"):rep(1000) .. '"', '"\0"', '"' .. ("x"):rep(65536) .. '"', "", "7 <13>1 - x" }
    local batch = {}
    for i, text in ipairs(payloads) do batch[i] = document('"]\\' .. i, text) end
    local messages = sent(batch)
    assert.equal(#payloads, #messages)
    for i, text in ipairs(payloads) do
      local id, payload = messages[i]:match '%[defendis@32473 id="(.-)" kind="findings"%] (.*)$'
      assert.same({ '\\"\\]\\\\' .. i, text }, { id, payload })
    end
  end)

  it("sends CEF and LEEF when it is told to", function()
    local batch = { document("f", { level = "high", title = "a|b" }) }
    local version = require("defendis.core").version
    assert.matches("%] CEF:0|Defendis|defendis|" .. version .. "|findings|a\\|b|8|cat=findings externalId=f rt=1767225600001 msg=a|b$",
      sent(batch, { format = "cef" })[1])
    assert.matches("%] LEEF:2.0|Defendis|defendis|" .. version .. "|findings|x09|cat=findings\texternalId=f\t",
      sent(batch, { format = "leef" })[1])
  end)

  it("gives up messages that are longer than what the receiver takes, and sends the others", function()
    local messages, results = sent({ document("a"), document("b", ("x"):rep(500)), document("c") }, { max_bytes = 200 })
    assert.equal(2, #messages)
    assert.same({ true, true }, { results[1], results[3] })
    assert.matches("^the message has 6%d%d bytes, over max_bytes = 200$", results[2].dead)
    assert.is_string(open(1, { max_bytes = 20 }):send{ document("a") }[1].dead)
  end)

  it("comes back later when nobody listens", function()
    local port = listener:port()
    listener:close()
    local ok, err = open(port):send{ document("a") }
    assert.is_nil(ok)
    assert.is_true(err.retryable)
  end)

  it("counts nothing while the receiver has closed, and sends again what it may not have read", function()
    local sink = open(listener:port())
    assert(sink:send{ document("a") })
    local peer = listener:accept()
    assert(sink:send{ document("b") })
    peer:close "rst" -- with both unread
    assert(sink:send{ document("c") })
    peer = listener:accept()
    assert(sink:send{ document("d") })
    sink:close()
    local ids = {}
    for i, m in ipairs((unframe(peer:receive()))) do ids[i] = m:match 'id="(%w+)"' end
    assert.same({ "a", "b", "c", "d" }, ids)
    peer:close()
  end)

  it("keeps no more than a MiB to send again, and at least a batch", function()
    local sink, mib = open(listener:port()), 1 << 20
    sink:keep(("a"):rep(mib // 2))
    sink:keep(("b"):rep(mib // 2))
    sink:keep "c"
    assert.same({ 3, mib + 1 }, { #sink.recent, sink.recent_bytes })
    sink:keep(("d"):rep(mib // 2))
    assert.same({ 3, mib + 1 }, { #sink.recent, sink.recent_bytes })
    sink:keep(("e"):rep(2 * mib))
    assert.same({ 1, 2 * mib }, { #sink.recent, sink.recent_bytes })
  end)

  it("does not count a batch whose receiver closes within the time to confirm", function()
    local sink = open(listener:port(), { confirm = 60 })
    local ok, err
    hostile.together{
      function() ok, err = sink:send{ document("a") } end,
      function()
        while not sink.conn do task.sleep(0.001) end
        local peer = listener:accept()
        while peer:receive(0) == "" do task.sleep(0.001) end
        peer:close()
      end,
    }
    assert.is_nil(ok)
    assert.is_true(err.retryable)
    assert.matches("the receiver closed the connection; what it may not have read is sent again", err.message)
    assert.is_nil(sink.conn)
  end)

  -- K10
  it("loses none of 10000 messages to a receiver that closes at random points", function()
    local seed = os.time()
    math.randomseed(seed)
    local sink, seen, closed, done = open(listener:port(), { confirm = 0.001 }), {}, 0, false
    local calm = false -- a receiver that closes later than the last batch's `confirm` is not noticed any more
    local function receive()
      local conn, peer, text
      local function take()
        text = text .. peer:receive(0)
        local messages, rest = unframe(text)
        text = rest
        for _, m in ipairs(messages) do seen[m:match 'id="(%d+)"'] = true end
      end
      while not done do
        if sink.conn and sink.conn ~= conn then
          conn, peer, text = sink.conn, listener:accept(), ""
        elseif peer then
          local what = math.random(8)
          if what > 3 or calm then
            take()
          else
            if what == 3 then take() end
            peer:close(what == 1 and "rst" or nil)
            peer, closed = nil, closed + 1
          end
        end
        task.sleep(0.001)
      end
      if peer then
        take()
        peer:close()
      end
    end
    hostile.together{ receive, function()
      for first = 1, 10000, 100 do
        local batch = {}
        for i = 1, 100 do batch[i] = document(tostring(first + i - 1), '{"text":"' .. ("\xc3\xa9"):rep(i) .. '"}') end
        calm = first > 9900
        while true do
          local ok, err = sink:send(batch)
          if ok then break end
          assert(err.retryable, err.message)
        end
      end
      done = true
    end }
    local n = 0
    for _ in pairs(seen) do n = n + 1 end
    assert.equal(10000, n, "seed " .. seed)
    assert.is_true(closed > 3)
  end)

  -- K11
  it("speaks TLS with a certificate of its own, and sends nothing to a receiver that nobody vouches for", function()
    local ca = tls.authority()
    if not ca then return pending "there is no openssl" end
    local cert, key = tls.certificate(ca, "server", "127.0.0.1")
    local mine, my_key = tls.certificate(ca, "client", "127.0.0.2")
    local port, out = tls.serve(cert, key, ("-naccept 1 -Verify 1 -verify_return_error -CAfile '%s'"):format(ca))
    local sink = open(port, { tls = true, ca_file = ca, cert_file = mine, key_file = my_key })
    assert(sink:send{ document("a", '"\xc3\xa9"'), document("b") })
    sink:close()
    local messages = unframe((out:read("a"):match "%d+ <.*"))
    assert.same({ "a", "b" }, { messages[1]:match 'id="(%w)"', messages[2]:match 'id="(%w)"' })
    port = tls.serve(cert, key)
    for _, options in ipairs{ { tls = true }, { tls = true, ca_file = ca, host = "localhost" } } do
      local ok, err = open(port, options):send{ document("a") }
      assert.is_nil(ok)
      assert.same({ "network", false }, { err.kind, err.retryable }, err.message)
    end
  end)

  it("counts nothing for a receiver that wants another certificate than it gets, in TLS 1.2 and 1.3", function()
    local ca, stranger = tls.authority(), tls.authority "stranger"
    if not ca then return pending "there is no openssl" end
    local cert, key = tls.certificate(ca, "server", "127.0.0.1")
    local theirs, their_key = tls.certificate(stranger, "client", "127.0.0.2")
    for _, version in ipairs{ "-tls1_2", "-tls1_3" } do
      local port, out, pid = tls.serve(cert, key, ("%s -Verify 1 -verify_return_error -CAfile '%s'"):format(version, ca))
      for _, own in ipairs{ {}, { cert_file = theirs, key_file = their_key } } do
        local ok, err = open(port, { tls = true, ca_file = ca, confirm = 60, cert_file = own.cert_file, key_file = own.key_file })
          :send{ document("a") }
        assert.is_nil(ok)
        assert.same({ "network", true }, { err.kind, err.retryable }, err.message)
      end
      os.execute("kill " .. pid)
      assert.is_nil(out:read("a"):find('id="a"', 1, true))
    end
  end)

  it("speaks no TLS that is older than 1.2", function()
    local ca = tls.authority()
    if not ca then return pending "there is no openssl" end
    local cert, key = tls.certificate(ca, "server", "127.0.0.1")
    local OLD <const> = "-tls1_1 -cipher DEFAULT@SECLEVEL=0"
    local port = tls.serve(cert, key, OLD)
    local client = "openssl s_client -connect 127.0.0.1:%d %s -CAfile '%s' -verify_return_error </dev/null >/dev/null 2>&1"
    if not os.execute(client:format(port, OLD, ca)) then return pending "this openssl has no TLS 1.1" end
    local ok, err = open(port, { tls = true, ca_file = ca }):send{ document("a") }
    assert.is_nil(ok)
    assert.equal("network", err.kind)
    assert.matches("could not be verified, so nothing was sent: .*protocol version", err.message)
  end)

  it("starts no second handshake on a connection, whatever the peer asks for", function()
    local ca = tls.authority()
    if not ca then return pending "there is no openssl" end
    local cert, key = tls.certificate(ca, "server", "127.0.0.1")
    local port, said = tls.serve(cert, key, "-tls1_2 -msg")
    local sink = open(port, { tls = true, ca_file = ca, confirm = 0.05 })
    assert(sink:send{ document("first") })
    tls.tell "r\n" -- s_server's way to ask for one
    sink:send{ document("second") }
    local begun, refused = 0, false
    for line in said:lines() do
      if line:find("ClientHello", 1, true) then begun = begun + 1 end
      refused = line:find("no_renegotiation", 1, true) ~= nil
      if refused or begun > 1 then break end
    end
    assert.same({ 1, true }, { begun, refused })
  end)

  it("is understood by rsyslog", function()
    if not rsyslog.there() then return pending "rsyslogd is not installed (package rsyslog)" end
    local server = rsyslog.start()
    finally(server.stop)
    local big = '{"x":"' .. ("\xe2\x82\xac"):rep(21800) .. '"}'
    local ids = { "plain", 'quote"', "bracket]", "back\\slash", "\xe2\x82\xac" }
    local batch = {}
    for i, id in ipairs(ids) do batch[i] = document(id, i == 5 and big or { level = "high", n = i }) end
    local sink = open(server.port)
    assert(sink:send(batch))
    sink:close()
    for i, m in ipairs(server.messages(#ids)) do
      assert.same({ i == 5 and "134" or "131", "2026-01-01T00:00:00.001Z", "fw.example", "defendis", "findings" },
        { m.pri, m.time, m.host, m.app, m.msgid })
      assert.same({ id = ids[i], kind = "findings" }, m.data)
      assert.is_true(m.msg == batch[i].json)
    end
  end)

  it("brings every record of a pipeline to rsyslog", function()
    if not rsyslog.there() then return pending "rsyslogd is not installed (package rsyslog)" end
    local server, sim = rsyslog.start(), run.simulator "--records 1500"
    finally(function()
      server.stop()
      sim.stop()
    end)
    local p = pipelined.new(sim, { ["until"] = '"2026-04-01"', window = '"10d"', page_size = "100",
      sinks = ('{ syslog{ host = "127.0.0.1", port = %d, confirm = 0.01 } }'):format(server.port) })
    local got = p:ingest()
    assert.equal(0, got.code, got.err)
    assert.equal(0, (p:verify()))
    local announced, ids, seen = pipelined.announced(sim, "dataleaks.credentials", "acme.example"), {}, {}
    for _, m in ipairs(server.messages(#announced)) do
      local id = cjson.decode(m.msg).id
      if not seen[id] then ids[#ids + 1] = id end
      seen[id] = true
    end
    table.sort(ids)
    assert.same(announced, ids)
  end)
end)

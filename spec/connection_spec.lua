-- connection_spec.lua: byte streams to where sinks send.
local connection = require "defendis.connection"
local hostile = require "support.hostile"
local playbook = require "support.playbook"
local raw = require("defendis_internals").raw
local run = require "support.run"
local scratch = require "support.scratch"
local task = require "defendis.task"
local tls = require "support.tls"

local function refused(kind, pattern, ok, err)
  assert.is_nil(ok)
  assert.equal(kind, err.kind, err.message)
  assert.matches(pattern, err.message)
  return err
end

describe("a connection over TCP", function()
  local listener, opened
  before_each(function() listener, opened = raw.listen(), {} end)
  after_each(function()
    for _, c in ipairs(opened) do c:close() end
    listener:close()
    run.clean()
  end)

  local function pair(options)
    local o = { host = "127.0.0.1", port = listener:port(), timeout = 5 }
    for k, v in pairs(options or {}) do o[k] = v end
    local conn = assert(connection.open(o))
    local peer = listener:accept()
    table.move({ conn, peer }, 1, 2, #opened + 1, opened)
    return conn, peer
  end

  it("carries bytes as they are, and nothing else", function()
    local conn, peer = pair()
    local bytes = "5 a\0b\r\n" .. ("\xe2\x82\xac"):rep(10000) .. "\xff"
    assert.is_true(conn:send "")
    assert.is_true(conn:send(bytes))
    assert.is_true(conn:send "end")
    conn:close()
    assert.same({ bytes .. "end", "closed" }, { peer:receive() })
  end)

  it("sees that the peer has closed or reset it, and that it has not, whatever it sent", function()
    for _, how in ipairs{ "fin", "rst" } do
      local conn, peer = pair()
      assert.is_true(conn:alive())
      peer:send(("x"):rep(10000))
      assert.is_true(conn:alive())
      peer:close(how == "rst" and "rst" or nil)
      assert.is_false(conn:alive())
      assert.is_false(conn:alive())
      refused("network", "^connect 127.0.0.1:%d+: the connection is closed", conn:send "x")
    end
  end)

  it("says so when the peer breaks it while something is sent, and stays closed", function()
    local conn, peer = pair()
    peer:close "rst"
    local err = refused("network", "^connect 127.0.0.1:%d+: the connection broke while sending", conn:send "x")
    assert.is_true(err.retryable)
    refused("network", "the connection is closed", conn:send "x")
    assert.is_false(conn:alive())
  end)

  it("waits while the peer takes nothing and lets others go on", function()
    local conn, peer = pair()
    local text, got = ("0123456789abcdef"):rep(1 << 19), {}
    hostile.together{
      function() assert.is_true(conn:send(text)) end,
      function() assert.is_true(conn:send "behind it") end,
      function()
        local size = 0
        while size < #text + 9 do
          got[#got + 1] = peer:receive(0)
          size = size + #got[#got]
          task.sleep(0)
        end
      end,
    }
    assert.is_true(table.concat(got) == text .. "behind it")
  end)

  it("gives up when the peer takes nothing within the time limit, and closes what is half sent", function()
    local conn, peer = pair{ timeout = 0.05 }
    local err = refused("timeout", "did not take all within the time limit", conn:send(("x"):rep(1 << 24)))
    assert.is_true(err.retryable)
    assert.is_false(conn:alive())
    assert.equal("closed", select(2, peer:receive()))
  end)

  it("is refused where nobody listens and where the name is none", function()
    local port = listener:port()
    listener:close()
    local err = refused("network", "^connect 127.0.0.1:" .. port .. ": the server could not be reached",
      connection.open{ host = "127.0.0.1", port = port })
    assert.is_true(err.retryable)
    for _, host in ipairs{ "a b", "x/y", "u@x", "x\r\ny", "" } do
      assert.is_false(pcall(connection.open, { host = host, port = 1 }))
    end
    refused("config", "^url: has no valid host", connection.open{ host = "[::1", port = 1 })
    assert.has_error(function() connection.open{ host = "x", port = 0 } end)
  end)

  it("outlives other connections and requests, and leaves no descriptor", function()
    local conn, its_peer = pair() -- what libcurl keeps for the process
    conn:close()
    its_peer:close()
    local before = scratch.descriptors()
    local first, peer = pair()
    for _ = 1, 20 do
      conn, its_peer = pair()
      assert.is_true(conn:send "x")
      conn:close()
      its_peer:close()
    end
    assert.is_true(first:send "still here")
    first:close()
    first:close()
    assert.equal("still here", (peer:receive()))
    assert.is_false(pcall(first.send, first, "x"))
    peer:close()
    assert.equal(before, scratch.descriptors())
  end)

  it("cannot be opened by a script in the sandbox", function()
    assert.is_false(playbook.value(([[
      return (pcall(function() return require("defendis.connection").open{ host = "127.0.0.1", port = %d } end))]])
      :format(listener:port())))
  end)
end)

describe("a connection over TLS", function()
  after_each(tls.clean)

  it("checks who the peer is and carries bytes to it", function()
    local ca = tls.authority()
    if not ca then return pending "no openssl here" end
    local cert, key = tls.certificate(ca, "server", "127.0.0.1")
    local port, printed, pid = tls.serve(cert, key)
    local function open(options)
      options.host, options.port, options.tls, options.timeout = "127.0.0.1", port, true, 5
      return connection.open(options)
    end
    local err = refused("network", "identity could not be verified", open{})
    assert.is_false(err.retryable)
    local conn <close> = assert(open{ ca_file = ca })
    assert.is_true(conn:send "first line\n")
    for line in printed:lines() do
      if line == "first line" then break end
    end
    assert.is_true(conn:alive())
    -- a peer that is gone is an error, and no signal
    os.execute("kill -9 " .. pid)
    repeat until not conn:alive()
    refused("network", "the connection is closed", conn:send "x")
  end)

  it("does not raise a signal when it sends to a peer that is gone", function()
    local ca = tls.authority()
    if not ca then return pending "no openssl here" end
    local port, _, pid = tls.serve(tls.certificate(ca, "server", "127.0.0.1"))
    local conn <close> = assert(connection.open{ host = "127.0.0.1", port = port, tls = true, ca_file = ca, timeout = 5 })
    os.execute("kill -9 " .. pid)
    local ok, err
    repeat ok, err = conn:send(("x"):rep(10000)) until not ok
    assert.equal("network", err.kind)
  end)

  it("is refused by a peer whose certificate is another's, or that speaks no TLS", function()
    local ca = tls.authority()
    if not ca then return pending "no openssl here" end
    local port = tls.serve(tls.certificate(ca, "other", "127.0.0.9"))
    local o = { host = "127.0.0.1", port = port, tls = true, ca_file = ca, timeout = 5 }
    refused("network", "identity could not be verified", connection.open(o))
    local listener <close> = raw.listen()
    o.port, o.timeout = listener:port(), 0.1 -- it accepts and says nothing
    refused("timeout", "no answer within the time limit", connection.open(o))
  end)
end)

-- http_fault_spec.lua: servers that stall, reset and die, names that lead nowhere, clocks that jump, and a signal in the middle.
-- RESET_STEP: resets are tried at every so manieth byte (97; make soak: 1).
local disk = require "support.disk"
local hostile = require "support.hostile"
local process = require "support.process"
local run = require "support.run"
local scratch = require "support.scratch"
local task = require "defendis.task"
local tls = require "support.tls"

local answer, serve, connect = hostile.answer, hostile.serve, hostile.client
local RESET_STEP <const> = math.tointeger(tonumber(os.getenv "RESET_STEP" or "97"))

-- What a program finds around it, see spec/disk/around.c.
local function around(env)
  env.LD_PRELOAD = ((os.getenv "LD_PRELOAD" or "") .. " " .. disk.LIBRARY):gsub("^ ", "")
  return env
end

local function words(env)
  local out = { "env" }
  for k, v in pairs(env) do out[#out + 1] = k .. "=" .. run.quote(v) end
  return table.concat(out, " ")
end

describe("a client whose server fails", function()
  after_each(function()
    hostile.clean()
    run.clean()
    tls.clean()
  end)

  it("H10, H11: sends no more than 20 retries for 200 calls at once, and succeeds with the first request when it is back", function()
    local script = {}
    for i = 1, 220 do script[i] = answer(503, "{}") end
    script[221] = { echo = true }
    local server = serve(table.unpack(script))
    local client, functions = connect(server, { retry = { max_attempts = 5 }, in_flight = 64, timeout = 60 }), {}
    for i = 1, 200 do
      functions[i] = function()
        local value, err = client:get "/api/v1/x"
        assert(value == nil and err.kind == "unavailable", "it succeeded")
      end
    end
    for _, r in ipairs(task.parallel(functions, { concurrency = 200 })) do assert.is_true(r.ok, tostring(r[1])) end
    assert.equal(220, (server:count()))
    assert.equal(1, (select(2, assert(client:get "/back"))).attempts)
  end)

  it("H12: gives up on slow bodies, slow headers, silence, and silence in the handshake, each at its limit", function()
    local text = '{"a":"' .. ("x"):rep(2000) .. '"}'
    local servers = { serve(answer(200, text, nil, { drip = { bytes = 1, ms = 100 } })),
      serve{ bytes = "HTTP/1.1 200 OK\r\nX-Slow: " .. ("x"):rep(2000), drip = { bytes = 1, ms = 100 } },
      serve{ bytes = "" }, serve{ bytes = "" } }
    local out, code = scratch.lua([[
      local defendis = require "defendis"
      local calls = {}
      for i = 1, 4 do
        calls[i] = function()
          local client <close> = defendis.client{ base_url = (i == 4 and "https" or "http") .. "://127.0.0.1:" .. arg[i + 1],
            api_key_file = arg[1], retry = { max_attempts = 1 }, timeout = 3600 }
          local from = require("defendis.core").sys.mono_ms()
          local _, err = client:get "/x"
          return err.kind, math.floor((require("defendis.core").sys.mono_ms() - from) / 1000), err.message
        end
      end
      for _, r in ipairs(defendis.parallel(calls)) do print(table.unpack(r)) end
    ]], words(around{ CLOCK_RATE = "20" }), hostile.file("key", hostile.KEY), servers[1]:port(), servers[2]:port(), servers[3]:port(),
      servers[4]:port())
    assert.equal(0, code, out)
    local n = 0
    for kind, seconds, message in (out .. "\n"):gmatch "(%S+)\t(%d+)\t([^\n]*)\n" do
      n = n + 1
      assert.equal("timeout", kind)
      -- a second of ours is a 20th of one of the program's, so that a poll of it may end late
      local limit = n == 4 and 10 or 30
      assert.is_true(tonumber(seconds) >= limit - 1 and tonumber(seconds) <= limit + 60 * scratch.slowness, seconds .. " " .. message)
      assert.matches(n == 4 and "onnection timeout" or "too slow", message)
    end
    assert.equal(4, n, out)
  end)

  it("H21: says so when its name is not known, and goes on where one of many addresses answers, or a new one does", function()
    local ca = tls.authority()
    if not ca then return pending "no openssl here" end
    local cert, key = tls.certificate(ca, "named", nil, { names = "DNS:api.test" })
    local port = tls.serve(cert, key, "-www")
    local names, jump = hostile.file("names", ""), hostile.file("jump", string.pack("j", 0))
    local env = around{ NAMES_FILE = names, CLOCK_JUMP = jump, DEFENDIS_API_KEY = hostile.KEY, DEFENDIS_CA_FILE = ca,
      DEFENDIS_BASE_URL = "https://api.test:" .. port }
    local dead = {}
    for i = 2, 20 do dead[#dead + 1] = "127.0.0." .. i end
    local function ask(addresses, rate)
      hostile.file("names", "api.test " .. addresses .. "\n")
      env.CLOCK_RATE = rate
      return run.defendis("health", { env = env })
    end
    for _, addresses in ipairs{ "!none", "!again", "127.0.0.9" } do
      local r = ask(addresses)
      assert.equal(4, r.code)
      assert.matches("^defendis: GET /health: the server could not be reached: .*api.test.*; check the URL", r.err)
    end
    local r = ask("!wait", "20")
    assert.equal(4, r.code)
    assert.is_truthy(r.err:find "^defendis: GET /health: no answer within" or r.err:find "health: the deadline passed", r.err)
    for _, addresses in ipairs{ table.concat(dead, " ") .. " 127.0.0.1", "::1 127.0.0.1" } do
      assert.matches("%(200, text/html%) is not JSON", ask(addresses).err, addresses)
    end
    -- the address changes: the old one is forgotten when it is a minute old
    local script = run.write(run.folder() .. "/s.lua", [[
      local client = require("defendis").client{ retry = { max_attempts = 1 } }
      for i = 1, 500 do
        local _, err = client:get "/x"
        if err.status == 200 then return i > 1 end
        if i == 1 then print "first" end
        require("defendis").sleep(0.02)
      end]])
    hostile.file("names", "api.test 127.0.0.9\n")
    env.CLOCK_RATE = nil
    local p = process.start("run " .. script, env)
    finally(function() p:clean() end)
    p:says "first"
    hostile.file("names", "api.test 127.0.0.1\n")
    local file <close> = io.open(jump, "r+b")
    file:write(string.pack("j", 70000))
    file:flush()
    assert.equal(0, p:wait(), p:err())
    assert.equal("true\n", p:out())
  end)

  it("H26: ends in an error or a whole answer when the connection is reset at any byte, and the next call is good", function()
    local good = answer(200, '{"data":"' .. ("x"):rep(1800) .. '"}')
    local from = 0
    while from <= #good.bytes do
      local script, n = {}, 0
      while n < 500 and from <= #good.bytes do
        script[n + 1], script[n + 2] = { bytes = good.bytes:sub(1, from), close = "rst" }, good
        from, n = from + RESET_STEP, n + 2
      end
      local client = connect(serve(table.unpack(script)))
      for _ = 1, n // 2 do
        local value, err = client:get "/cut"
        assert(value and #value.data == 1800 or err.kind == "network" and err.retryable, tostring(err))
        assert.equal(1800, #assert(client:get "/good").data)
      end
      client:close()
    end
  end)

  it("H32: waits as Retry-After says when the wall clock jumps an hour either way meanwhile", function()
    local runs = {}
    for i, ms in ipairs{ 3600000, -3600000 } do
      local server = serve(answer(503, "{}", { "Retry-After: 1" }), { echo = true })
      local jump = hostile.file("jump" .. i, string.pack("j", 0))
      local p = process.start("call GET /x --base-url http://127.0.0.1:" .. server:port(), around{ CLOCK_JUMP = jump,
        DEFENDIS_API_KEY = hostile.KEY })
      finally(function() p:clean() end)
      process.eventually("a request", function() return server:count() == 1 end)
      local file <close> = io.open(jump, "r+b")
      file:write(string.pack("j", ms))
      runs[i] = { p, server }
    end
    for _, r in ipairs(runs) do
      assert.equal(0, r[1]:wait(), r[1]:err())
      local at = r[2]:arrivals()
      local waited = at[2].ms - at[1].ms
      assert.is_true(waited >= 990 and waited <= 3000 * scratch.slowness, waited)
    end
  end)

  it("H33: ends on SIGTERM while it sleeps, connects or reads, and its state is whole", function()
    local page = answer(200, '{"data":[],"paging":{"currentPage":1,"pageSize":100,"totalRecords":0,"totalPages":0,"hasMore":false,'
      .. '"nextPage":null}}')
    local cases = { sleeps = { answer(429, "{}", { "Retry-After: 100" }) }, connects = { { bytes = "" }, "https" },
      reads = { answer(200, '{"data":[', nil, { length = 1000 }) } }
    for name, case in pairs(cases) do
      local server, folder = serve(page, case[1]), run.folder()
      local pipeline = run.write(folder .. "/pipeline.lua", ([[return pipeline{ scope = { domain = { "acme.example" } },
        datasets = { "dataleaks.credentials" }, since = "2026-01-01", ["until"] = "2026-01-04", window = "1d", rules = {},
        sinks = { jsonl{ path = "%s/out/" } }, store = "%s/state.db" }]]):format(folder, folder))
      local p = process.start("ingest " .. pipeline, { DEFENDIS_API_KEY = hostile.KEY,
        DEFENDIS_BASE_URL = (case[2] or "http") .. "://127.0.0.1:" .. server:port() })
      finally(function() p:clean() end)
      process.eventually("a request of " .. name, function()
        local requests, connections = server:count()
        return case[2] and connections > 0 or requests > 1
      end)
      local code = p:stop "TERM"
      assert.is_true(code == 6, name .. " " .. code .. " " .. p:err())
      assert.equal(0, run.defendis("state show " .. pipeline).code)
    end
  end)
end)

local hostile = require "support.hostile"
local scratch = require "support.scratch"
local core = require "defendis.core"
local defendis = require "defendis"

local answer, serve, connect, raised = hostile.answer, hostile.serve, hostile.client, hostile.raised

describe("a client's options", function()
  after_each(hostile.clean)

  it("are checked by name and value, with the nearest name, in the caller's line", function()
    for expected, options in pairs{
      ['unknown key "base_ulr", nearest key "base_url"'] = { base_ulr = "x" },
      ['"timeout": a number from 0.001 to 86400 expected, got 0'] = { timeout = 0 },
      ['"timeout": a number from 0.001 to 86400 expected, got nan'] = { timeout = tonumber("nan") or 0 / 0 * -1 },
      ['"timeout": a number from 0.001 to 86400 expected, got 10s'] = { timeout = "10s" },
      ['"retry.max_attempts": a whole number from 1 to 100 expected, got 0'] = { retry = { max_attempts = 0 } },
      ['field "retry": unknown key "attempts"'] = { retry = { attempts = 2 } },
      ['"rate.per_second": a number from 0.001 to 1000000.0 expected, got -1'] = { rate = { per_second = -1 } },
      ['"in_flight": a whole number from 1 to 64 expected, got 65'] = { in_flight = 65 },
      ['"base_url": a text that is not empty expected'] = { base_url = "" },
      ['"api_key_file": a string expected, got a table'] = { api_key_file = {} },
    } do
      local message = raised(defendis.client, options)
      assert.is_truthy(message:find(expected:gsub(" got nan", ""), 1, true), message)
      assert.matches("defendis.client: ", message)
    end
    assert.matches("^spec/client_spec.lua:%d+: defendis.client: ", raised(function() return (defendis.client{ x = 1 }) end))
    assert.matches("a table expected, got a string", raised(defendis.client, "https://x"))
    assert.matches("base_url must not have a NUL byte", raised(defendis.client, { base_url = "http://127.0.0.1\0.evil.example" }))
    assert.matches("api_key_file must not have a NUL byte", raised(defendis.client, { api_key_file = "/dev/null\0x" }))
  end)

  it("name in the error the base URL's fault and the remedy", function()
    for url, expected in pairs{ ["http://api.example"] = 'unencrypted to "api.example"; use https',
      ["api.example"] = "must start with https://",
      ["https://u:hunter2@api.example"] = "user name", ["https://a?b"] = "query" } do
      local err = raised(defendis.client, { base_url = url })
      assert.are.equal("config", err.kind)
      assert.matches("^base URL: .*" .. expected, err.message)
      assert.is_nil(err.message:find "hunter2")
    end
  end)

  it("of a request are checked too", function()
    local client = connect(serve(answer(200, "{}")))
    assert.matches('request: unknown key "qeury", nearest key "query"', raised(client.request, client, "GET", "/x", { qeury = {} }))
    assert.matches('field "query": a table expected, got a string', raised(client.get, client, "/x", "a=b"))
    assert.matches('field "timeout": a number from', raised(client.request, client, "GET", "/x", { timeout = -1 }))
    assert.matches("'q' must be a string, an integer or a boolean, not a table", raised(client.get, client, "/x", { q = {} }))
    assert.matches("'q' must be a string, an integer or a boolean, not a number", raised(client.get, client, "/x", { q = 1.5 }))
    assert.matches("a parameter's name must be a string", raised(client.get, client, "/x", { "a" }))
    assert.matches("path must be a string, not a table", raised(client.get, client, {}))
    assert.matches("needs a method and a path", raised(client.get, client))
    local many = {}
    for i = 1, 65 do many["p" .. i] = i end
    assert.matches("more than 64 parameters", raised(client.get, client, "/x", many))
    local value, err = client:request("POST", "/x", { body = { f = print } })
    assert.is_nil(value)
    assert.is_truthy(err.message)
  end)

  it("limit the requests on the wire, and those that are started in a second", function()
    local server = serve{ echo = true, delay_ms = 15 }
    local client = connect(server, { in_flight = 2 })
    local functions = {}
    for i = 1, 8 do functions[i] = function() return client:get("/" .. i).target end end
    for i, r in ipairs(defendis.parallel(functions)) do assert.are.equal("/" .. i, r[1]) end
    assert.are.equal(2, (select(3, server:count())))
    server = serve{ echo = true }
    client = connect(server, { rate = { per_second = 20 } })
    local from = core.sys.mono_ms()
    for i = 1, 26 do assert(client:get("/" .. i)) end -- 20 at once, then one each 50 ms
    local took = core.sys.mono_ms() - from
    assert.is_true(took >= 280 and took < 1000 * scratch.slowness, took)
  end)
end)

describe("a client's end", function()
  after_each(hostile.clean)

  local function closed(client)
    local ok, message = pcall(client.get, client, "/x")
    return not ok and message:find("the client is closed", 1, true) ~= nil
  end

  it("comes with close, with <close>, and only once", function()
    local server = serve{ echo = true }
    local client = connect(server)
    assert(client:get "/x")
    client:close()
    client:close()
    assert.is_true(closed(client))
    local kept
    do
      local scoped <close> = connect(server)
      assert(scoped:get "/x")
      kept = scoped
    end
    assert.is_true(closed(kept))
    pcall(function()
      local scoped <close> = connect(server)
      kept = scoped
      error "out"
    end)
    assert.is_true(closed(kept))
  end)

  it("comes in the middle of a list: what was handed out stays, the rest is an error", function()
    local server = serve(answer(200, '{"data":[{"id":1},{"id":2}],"paging":{"currentPage":1,"pageSize":2,"totalRecords":4,"totalPages":2,'
      .. '"hasMore":true,"nextPage":2}}'))
    local client, got = connect(server), {}
    local ok, message = pcall(function()
      for record in client:each("dataleaks.credentials", { domain = "a", pageSize = 2 }) do
        got[#got + 1] = record.id
        client:close()
      end
    end)
    assert.is_false(ok)
    assert.is_truthy(message:find("the client is closed", 1, true))
    assert.are.same({ 1, 2 }, got)
  end)

  it("closes its connections, also without a word when it is collected", function()
    local server = serve({ echo = true }, { echo = true }, { echo = true }, { echo = true }, { bytes = "" })
    assert(connect(server):get "/x")
    hostile.file("key", hostile.KEY)
    local options = { base_url = "http://127.0.0.1:" .. server:port(), api_key_file = hostile.file("key", hostile.KEY) }
    collectgarbage()
    collectgarbage()
    local before = scratch.descriptors()
    do
      local client = defendis.client(options)
      assert(client:get "/x")
      assert.is_true(scratch.descriptors() > before)
      client:close()
    end
    assert.are.equal(before, scratch.descriptors())
    for _ = 1, 2 do assert(defendis.client(options):get "/x") end
    local abandoned = defendis.client(options)
    local id = assert(abandoned:submit{ method = "GET", path = "/never" })
    core.client.poll()
    abandoned = nil
    collectgarbage()
    collectgarbage()
    assert.are.equal(before, scratch.descriptors(), tostring(abandoned))
    core.client.cancel(id)
  end)

  it("may be the end of the whole state, with requests under way and pages in hand", function()
    local server = serve({ echo = true }, answer(200, '{"data":[{"id":1}],"paging":{"currentPage":1,"pageSize":1,'
      .. '"totalRecords":2,"totalPages":2,"hasMore":true,"nextPage":2}}'), { bytes = "" })
    local out, code = scratch.lua([[
      local defendis = require "defendis"
      client = defendis.client{ base_url = arg[1], api_key_file = arg[2] }
      client:get "/x"
      page = client:pages("/y", { pageSize = 1 })()
      client:submit{ method = "GET", path = "/never" }
      require("defendis.core").client.poll()
      timer = require("defendis.core").client.timer(1000)
      io.write "end"
    ]], nil, "http://127.0.0.1:" .. server:port(), hostile.file("key", hostile.KEY))
    assert.are.same({ "end", 0 }, { out, code })
  end)
end)

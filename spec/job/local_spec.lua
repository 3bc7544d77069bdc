local hostile = require "support.hostile"
local run = require "support.run"
local scratch = require "support.scratch"
local core = require "defendis.core"
local defendis = require "defendis"

local answer, serve, connect = hostile.answer, hostile.serve, hostile.client

-- What a call says that needs a key, with nothing but these settings. `before`: shell words in front of the program.
local function key_error(environment, options, before)
  local words = { "env -u DEFENDIS_API_KEY -u DEFENDIS_API_KEY_FILE -u CREDENTIALS_DIRECTORY", before or "" }
  for k, v in pairs(environment) do words[#words + 1] = ("%s='%s'"):format(k, v) end
  local out, code = scratch.lua([[
    local defendis = require "defendis"
    local client <close> = defendis.client{ base_url = arg[1], api_key_file = arg[2] ~= "" and arg[2] or nil, retry = { max_attempts = 1 } }
    local health = client:health()
    local value, err = client:get "/x"
    io.write(health and "alive " or "dead ", value and "ok" or err.kind .. " " .. err.message)
  ]], table.concat(words, " "), options.server and "http://127.0.0.1:" .. options.server:port() or "https://api.example",
    options.file or "")
  assert.are.equal(0, code, out)
  return out
end

describe("the local port", function()
  after_each(hostile.clean)

  it("ends a call at its deadline also while others hold all of the client's places on the wire", function()
    local server = serve{ bytes = "" }
    local client = connect(server, { in_flight = 1, timeout = 2 })
    local first = client:submit{ method = "GET", path = "/1" }
    repeat core.client.poll() until server:count() == 1
    local from = core.sys.mono_ms()
    local value, err = client:request("GET", "/2", { timeout = 0.1 })
    local took = core.sys.mono_ms() - from
    assert.is_nil(value)
    assert.are.equal("timeout", err.kind)
    assert.are.equal(0, err.attempts)
    assert.is_true(took >= 100 and took < 700 * scratch.slowness, took)
    assert.are.equal(1, (server:count()))
    core.client.cancel(first)
  end)

  it("gives a place on the wire back when its request is cancelled, fails, or is refused", function()
    local server = serve({ bytes = "" }, { bytes = "", close = "rst" }, answer(401, "{}"), { echo = true })
    local client = connect(server, { in_flight = 1 })
    local id = client:submit{ method = "GET", path = "/1" }
    local given = client:submit{ method = "GET", path = "/2" }
    core.client.poll()
    core.client.cancel(id)
    assert.are.equal("/x", (function()
      require("defendis.task").await(given)
      client:get "/3"
      client:get "/4"
      return client:get "/x".target
    end)())
  end)

  it("sends what somebody waits for before the rest of bulk work, on the wire and within a rate", function()
    for _, options in ipairs{ { in_flight = 1 }, { rate = { per_second = 2 } } } do
      local server = serve{ echo = true, delay_ms = 20 }
      local client, ids = connect(server, options), {}
      for i = 1, 2 do assert(client:get("/used/" .. i)) end -- what the rate lets go at once
      for i = 1, 5 do ids[i] = assert(client:submit{ method = "GET", path = "/bulk/" .. i, bulk = true }) end
      core.client.poll()
      assert(client:get "/first")
      local targets = {}
      for i, request in ipairs(server:requests()) do targets[i] = request:match "^GET (%S+)" end
      assert.is_true(targets[3] == "/first" or targets[4] == "/first", table.concat(targets, " "))
      for _, id in ipairs(ids) do core.client.cancel(id) end
    end
  end)

  it("keeps the requests of one client from delaying those of another", function()
    local silent, quick = serve{ bytes = "" }, serve{ echo = true }
    local slow = connect(silent, { in_flight = 1 })
    local ids = {}
    for i = 1, 3 do ids[i] = slow:submit{ method = "GET", path = "/" .. i } end
    assert.are.equal("/x", connect(quick):get("/x").target)
    for _, id in ipairs(ids) do core.client.cancel(id) end
  end)

  it("completes what is under way when the client is closed, and closes its connections at once", function()
    local server = serve{ bytes = "" }
    connect(serve{ echo = true }):get "/x" -- libcurl keeps some descriptors of its own
    hostile.clean()
    local before = scratch.descriptors()
    local client = defendis.client{ base_url = "http://127.0.0.1:" .. server:port(), api_key_file = hostile.file("key",
      hostile.KEY), in_flight = 2 }
    local ids = {}
    for i = 1, 4 do ids[i] = client:submit{ method = "GET", path = "/" .. i } end
    core.client.poll()
    client:close()
    for i = 1, 4 do
      assert.is_true(core.client.ready(ids[i]))
      local _, value, err = core.client.wait(ids[i])
      assert.is_nil(value)
      assert.are.equal("config", err.kind)
      assert.is_false(err.retryable)
      assert.is_false(core.client.ready(ids[i]))
    end
    assert.are.equal(before, scratch.descriptors())
  end)

  it("lets a client that was refused in the middle of a wait for its retry be closed", function()
    local server = serve(answer(429, "{}", { "Retry-After: 2" }))
    local client = connect(server, { retry = { max_attempts = 5 } })
    local id = client:submit{ method = "GET", path = "/x" }
    repeat core.client.poll() until server:count() == 1
    client:close()
    local _, value, err = core.client.wait(id)
    assert.is_nil(value)
    assert.matches("the client was closed", err.message)
  end)

  it("holds every call of a client back after a 429, and no other client", function()
    local server = serve(answer(429, "{}", { "Retry-After: 1" }), { echo = true })
    local client, other = connect(server), connect(server)
    assert.is_nil((client:get "/1"))
    assert.are.equal("/2", other:get("/2").target)
    local from = core.sys.mono_ms()
    assert.are.equal("/3", client:get("/3").target)
    local waited = core.sys.mono_ms() - from
    assert.is_true(waited > 800 and waited < 1300, waited)
  end)

  it("tells of each request in the log what was asked, what came, and how long it took", function()
    local server = serve(answer(200, "{}", { "x-request-id: r-1" }), answer(404, "{}"), { bytes = "", close = true })
    local out = scratch.lua([[
      local core = require "defendis.core"
      core.sys.log_level(tonumber(arg[3]))
      local client <close> = require("defendis").client{ base_url = arg[1], api_key_file = arg[2], retry = { max_attempts = 1 } }
      client:get("/a", { page = 1 }) client:request("POST", "/b", { body = {} }) client:get "/c"
    ]], nil, "http://127.0.0.1:" .. server:port(), hostile.file("key", hostile.KEY), 1)
    local lines = {}
    for line in out:gmatch "[^\n]+" do lines[#lines + 1] = require("cjson").decode(line) end
    assert.are.equal(3, #lines)
    assert.are.same({ "GET", "/a?page=1", 200, "answered", "r-1", 1 },
      { lines[1].method, lines[1].url, lines[1].status, lines[1].outcome, lines[1].request_id, lines[1].attempt })
    assert.are.same({ "POST", "/b", 404 }, { lines[2].method, lines[2].url, lines[2].status })
    assert.are.equal(0, lines[3].status)
    assert.matches("Empty reply", lines[3].outcome)
    for _, line in ipairs(lines) do assert.is_true(line.ms >= 0 and line.ms < 3000) end
    assert.is_nil(out:find("canary", 1, true))
  end)
end)

describe("the API key that a client reads", function()
  local server
  before_each(function() server = serve(answer(200, '{"status":"ok"}')) end)
  after_each(function()
    hostile.clean()
    server = nil -- with the memory of what it saw
    run.clean()
  end)

  local function sent() return (server:requests()[#server:requests()]:match "Authorization: Bearer ([^\r]*)") end

  it("comes from the option, else the environment's file, the service manager's folder, the environment", function()
    local folder = run.folder()
    scratch.write(folder .. "/defendis-api-key", "from-folder\n")
    local option, file = hostile.file("a", "from-option"), hostile.file("b", "from-file")
    local environment = { DEFENDIS_API_KEY_FILE = file, CREDENTIALS_DIRECTORY = folder, DEFENDIS_API_KEY = "from-environment" }
    assert.are.equal("alive ok", key_error(environment, { server = server, file = option }))
    assert.are.equal("from-option", sent())
    for _, case in ipairs{ { "from-file", "DEFENDIS_API_KEY_FILE" }, { "from-folder", "CREDENTIALS_DIRECTORY" },
      { "from-environment", "DEFENDIS_API_KEY" } } do
      assert.are.equal("alive ok", key_error(environment, { server = server }))
      assert.are.equal(case[1], sent())
      environment[case[2]] = nil
    end
  end)

  it("is asked for in one line that names the ways to give it, and health works without one", function()
    assert.are.equal("alive config no API key; set DEFENDIS_API_KEY_FILE to a file of mode 0600 that holds it (or DEFENDIS_API_KEY)",
      key_error({}, { server = server }))
    assert.is_nil(sent())
  end)

  it("is not looked for elsewhere when the place that was named is wrong", function()
    local environment = { DEFENDIS_API_KEY = "from-environment" }
    assert.matches("^alive config cannot read the API key file /nowhere/key: No such file", key_error(environment,
      { server = server, file = "/nowhere/key" }))
    environment.DEFENDIS_API_KEY_FILE = "/nowhere/key"
    assert.matches("^alive config cannot read the API key file /nowhere/key", key_error(environment, { server = server }))
    assert.is_nil(sent())
  end)

  it("may end with any white space, and be a symbolic link to a file that is private", function()
    for i, bytes in ipairs{ "plain-key", "plain-key\n", "plain-key\r\n", "plain-key \t\n\n" } do
      assert.are.equal("alive ok", key_error({}, { server = server, file = hostile.file("k" .. i, bytes, i % 2 == 0 and "400" or "600") }))
      assert.are.equal("plain-key", sent())
    end
    local link = hostile.file("x", "") .. "-link"
    os.execute(("ln -s '%s' '%s'"):format(hostile.file("k1", "plain-key"), link))
    assert.are.equal("alive ok", key_error({}, { server = server, file = link }))
  end)
end)

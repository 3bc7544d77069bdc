-- client_key_spec.lua: where the API key comes from, and when it is read again.
local hostile = require "support.hostile"
local process = require "support.process"
local run = require "support.run"
local scratch = require "support.scratch"

local answer, serve, connect = hostile.answer, hostile.serve, hostile.client

local function keys(server)
  local out = {}
  for i, request in ipairs(server:requests()) do out[i] = request:match "Bearer (%S+)" or "none" end
  return out
end

describe("a client's key", function()
  after_each(function()
    hostile.clean()
    run.clean()
  end)

  it("is read again when its file changes, and the former one stays masked and in use while the new one is none", function()
    local server = serve{ echo = true }
    local file = hostile.file("key", "key-number-1\n")
    local client = connect(server, { api_key_file = file })
    assert(client:get "/1")
    hostile.file("key", "key-number-2")
    assert(client:get "/2")
    hostile.file("key.new", "key-number-3")
    assert(os.rename(file .. ".new", file))
    assert(client:get "/3")
    assert.same({ "key-number-1", "key-number-2", "key-number-3" }, keys(server))
  end)

  it("stays when its file cannot be used any more, which is logged once", function()
    local server = serve{ echo = true }
    local file = hostile.file("key", "key-number-1")
    local out = scratch.lua([[
      local client <close> = require("defendis").client{ base_url = arg[1], api_key_file = arg[2] }
      assert(client:get "/1")
      os.execute("chmod 644 " .. arg[2])
      for i = 2, 3 do assert(client:get("/" .. i)) end
    ]], nil, "http://127.0.0.1:" .. server:port(), file)
    assert.same({ "key-number-1", "key-number-1", "key-number-1" }, keys(server))
    assert.matches("^[^\n]*the former one stays[^\n]*can be read by others[^\n]*\n?$", out)
    assert.is_nil(out:find("key-number", 1, true))
  end)

  it("that appears later is found by a client that had none", function()
    local server = serve{ echo = true }
    local file = hostile.file("x", "") .. "-key"
    local client = connect(server, { api_key_file = file })
    local _, err = client:get "/1"
    assert.equal("config", err.kind)
    scratch.write(file, "key-number-1")
    assert(client:get "/2")
    assert.same({ "key-number-1" }, keys(server))
  end)

  it("is read again after a 401, once, also for a write; the same key is not sent twice", function()
    local server = serve(answer(401, "{}"), { echo = true }, answer(401, "{}"))
    local file = hostile.file("key", "key-number-1")
    local client = connect(server, { api_key_file = file })
    -- the file changes while the request is out: what is sent first is the old one
    local id = client:submit{ method = "POST", path = "/1", body = "{}" }
    require("defendis.core").client.poll()
    hostile.file("key", "key-number-2")
    local value, meta = require("defendis.task").await(id)
    assert.equal(2, value and value.attempts, tostring(meta))
    local _, err = client:get "/2"
    assert.same({ "auth", 1 }, { err.kind, err.attempts })
    assert.same({ "key-number-1", "key-number-2", "key-number-2" }, keys(server))
  end)

  it("is asked for again after a 401 when it comes from a program, and not for each refusal", function()
    local count = hostile.file("count", "")
    local program = hostile.file("program", ("#!/bin/sh\necho x >> '%s'\necho key-number-$(wc -l < '%s')\n"):format(count, count), "700")
    local server = serve(answer(401, "{}"), { echo = true }, answer(401, "{}"))
    local client <close> = require("defendis").client{ base_url = "http://127.0.0.1:" .. server:port(), api_key_command = program }
    assert.equal(2, (select(2, client:get "/1")).attempts)
    for _ = 1, 3 do assert.equal("auth", (select(2, client:get "/2")).kind) end
    assert.same({ "key-number-1", "key-number-2", "key-number-2", "key-number-2", "key-number-2" }, keys(server))
  end)

  it("comes from a program that is run without a shell, and its faults are named", function()
    local server = serve{ echo = true }
    local defendis = require "defendis"
    local function ask(command)
      local client <close> = defendis.client{ base_url = "http://127.0.0.1:" .. server:port(), api_key_command = command }
      return client:get "/x"
    end
    assert(ask "printf  %s-%s key;number $(id)")
    assert.same({ "key;number-$(id)" }, keys(server))
    for command, words in pairs{ ["/nowhere/key"] = "the key command /nowhere/key cannot be run", ["false"] = "failed with exit code 1",
      ["true"] = "what the key command printed is empty", ["head -c 9000 /dev/zero"] = "is longer than 4096",
      [" "] = "the key command is empty", ["cat"] = "is empty", ["printf a\\nb"] = "control character" } do
      local _, err = ask(command)
      assert.equal("config", err.kind)
      assert.matches(words, err.message)
    end
    assert.is_false((pcall(defendis.client, { api_key_command = "x", api_key_file = "y" })))
  end)

  local function call(server, words, options)
    return run.defendis(("call GET /x --base-url http://127.0.0.1:%d %s"):format(server:port(), words or ""), options)
  end

  it("comes from the command line's program or from stdin's first line, and the rest of stdin is the script's", function()
    local server = serve{ echo = true }
    local base = "--base-url http://127.0.0.1:" .. server:port()
    assert.equal(0, call(server, "--api-key-command 'echo key-number-1'", { env = { DEFENDIS_API_KEY_FILE = "/nowhere" } }).code)
    assert.equal(0, call(server, "", { env = { DEFENDIS_API_KEY_COMMAND = "echo key-number-2" } }).code)
    assert.equal(0, call(server, "--api-key-file -", { input = "key-number-3" }).code)
    local script = run.write(run.folder() .. "/s.lua", 'return assert(require("defendis").client{}:get "/x").target .. input.n')
    local r = run.defendis("run " .. script .. " --api-key-file - " .. base, { input = 'key-number-4\n{"n": 7}' })
    assert.same({ 0, '"/x7"\n' }, { r.code, r.out }, r.err)
    assert.same({ "key-number-1", "key-number-2", "key-number-3", "key-number-4" }, keys(server))
    r = call(server, "--api-key-file - --api-key-command x", { input = "k" })
    assert.equal(2, r.code)
    r = call(server, "--api-key-file -", { input = "" })
    assert.same({ 2, "defendis: stdin's first line is empty; write the key into it\n" }, { r.code, r.err })
  end)

  it("leaves the program's environment, and other processes of the user cannot look into it", function()
    if run.under ~= "" then return pending "what it runs under has it too" end
    local server = serve{ bytes = "" }
    local p = process.start("call GET /x --base-url http://127.0.0.1:" .. server:port(), { DEFENDIS_API_KEY = hostile.KEY })
    finally(function() p:clean() end)
    process.eventually("a request", function() return server:count() == 1 end)
    assert.same({ hostile.KEY }, keys(server))
    assert.is_nil(scratch.read("/proc/" .. p.pid .. "/environ"):find(hostile.KEY, 1, true))
    assert.is_nil(scratch.read("/proc/" .. p.pid .. "/cmdline"):find(hostile.KEY, 1, true))
    -- a process that may be dumped has its files in /proc owned by the user; ours are root's, with no dump
    assert.equal("0", (hostile.output(("setpriv --reuid 65534 cat /proc/%s/mem 2>&1 | grep -c anary"):format(p.pid)):match "%d+"))
    local flags = 0
    for line in scratch.read("/proc/" .. p.pid .. "/smaps"):gmatch "VmFlags:([^\n]*)" do if line:find " dd" then flags = flags + 1 end end
    assert.is_true(flags >= 1)
    p:stop "KILL"
  end)

  it("is in no core file, because there is none", function()
    if run.under ~= "" then return pending "what it runs under leaves one" end
    local server = serve{ bytes = "" }
    local folder = run.folder()
    local bin = hostile.output("realpath " .. run.bin):gsub("\n", "")
    os.execute(("(cd %s && ulimit -c unlimited && DEFENDIS_API_KEY=%s timeout -s ABRT 1 %s call GET /x --base-url http://127.0.0.1:%d) "
      .. "2>/dev/null"):format(folder, hostile.KEY, bin, server:port()))
    assert.same({ hostile.KEY }, keys(server))
    assert.equal("", hostile.output("ls " .. folder))
  end)
end)

describe("a proxy's password", function()
  after_each(function()
    hostile.clean()
    run.clean()
  end)

  it("is in no line, at the highest verbosity, whether the proxy refuses, breaks off or is not there", function()
    local refusing, broken, gone = serve(answer(407, "{}")), serve{ bytes = "", close = true }, serve{ bytes = "" }
    local port = gone:port()
    gone:close()
    for _, p in ipairs{ refusing:port(), broken:port(), port } do
      local r = run.defendis("health -vv --base-url https://api.example", { env = { DEFENDIS_API_KEY = hostile.KEY,
        https_proxy = "http://me:hunter2@127.0.0.1:" .. p } })
      assert.equal(4, r.code)
      assert.is_nil((r.out .. r.err):find "hunter2")
      assert.is_nil((r.out .. r.err):find("bWU6aHVudGVyMg", 1, true))
    end
    assert.matches("\r\nProxy%-Authorization: Basic ", refusing:requests()[1])
  end)
end)

-- hazards_scripts_spec.lua: the ways in which scripts, recordings and hostile answers have harmed programs of this kind, each as a test
-- against this one.
local cjson = require "cjson"
local core = require "defendis.core"
local hostile = require "support.hostile"
local pipelined = require "support.pipelined"
local playbook = require "support.playbook"
local run = require "support.run"
local scripted = require "support.scripted"
local simulated = require "support.simulated"

local PATH <const> = "/api/v1/dataleaks/credentials"

local function ended_by(budget, text, flags)
  local code, err = playbook.failure(text, { flags = flags, prefix = "timeout 60" })
  assert.same({ 5, "limit" }, { code, err.kind })
  assert.truthy(err.message:find("budget of " .. budget, 1, true), err.message)
  return err.message
end

describe("hazard:", function()
  after_each(function()
    hostile.clean()
    run.clean()
  end)

  describe("a peer", function()
    it("had a time limit that a looping script outlived, and a memory limit that nobody read: here both end it", function()
      ended_by("time", "while true do end", "--timeout 200ms")
      ended_by("time", "while true do pcall(function() while true do end end) end", "--timeout 200ms")
      ended_by("memory", "local t = {} for i = 1, 1e9 do t[i] = {} end", "--memory 4M")
      ended_by("memory", "return ('x'):rep(1 << 30)", "--memory 4M")
    end)

    it("handed its whole environment to scripts and let them call any host: here they see neither, nor the key", function()
      local seen = playbook.value([[
        local defendis, seen = require "defendis", {}
        local function walk(name, value, depth)
          if type(value) ~= "table" or depth > 4 then seen[#seen + 1] = name .. "=" .. tostring(value) return end
          for k, v in pairs(value) do if v ~= value then walk(name .. "." .. tostring(k), v, depth + 1) end end
        end
        walk("_G", _G, 1)
        walk("defendis", defendis, 1)
        for _, o in ipairs{ { base_url = "http://127.0.0.1:1" }, { api_key_file = "/etc/hostname" } } do
          local ok, err = pcall(defendis.client, o)
          seen[#seen + 1] = ok and "a host of its own" or tostring(err)
        end
        seen[#seen + 1] = tostring(os.getenv) .. tostring(io) .. tostring(package)
        return table.concat(seen, "\n")]], { env = { DEFENDIS_API_KEY = hostile.KEY, CANARY = "canary-in-the-environment" } })
      assert.is_nil(seen:find(hostile.KEY, 1, true))
      assert.is_nil(seen:find("canary", 1, true))
      assert.is_nil(seen:find("a host of its own", 1, true))
      assert.equal(2, select(2, seen:gsub("a script cannot choose base_url, key or certificates", "")))
      assert.equal("nilnilnil", seen:match "[^\n]*$")
    end)

    it("replayed recordings whatever was asked: the simulator answers what was asked, and refuses the rest", function()
      local ask = simulated.new{ records = 200 }
      local function ids(page, size)
        local out = {}
        for i, r in ipairs(ask("GET", PATH, { domain = "acme.example", page = page, pageSize = size }).data) do out[i] = r.id end
        return out
      end
      local first, second, all = ids("1", "5"), ids("2", "5"), ids("1", "10")
      assert.same({ 5, 5, 10 }, { #first, #second, #all })
      assert.same(all, table.move(second, 1, 5, 6, first))
      for _, wrong in ipairs{ { PATH, { domain = "acme.example", page = "0" }, 400 }, { PATH, {}, 400 },
        { PATH, { domain = "other.example" }, 403 }, { "/api/v1/nothing", {}, 404 } } do
        assert.equal(wrong[3], select(2, ask("GET", wrong[1], wrong[2])).status)
      end
      local log = ask("GET", "/simulator/log", {}, nil, {})
      assert.is_nil(tostring(type(log) == "string" and log or require("cjson").encode(log)):find("simulator-key", 1, true))
    end)
  end)

  describe("a thread about", function()
    it("a body without a limit: what unpacks to more than the cap is refused, and is not asked for again", function()
      local bomb = hostile.output "head -c 73400320 /dev/zero | gzip -c"
      local server = hostile.serve(hostile.answer(200, bomb, { "Content-Encoding: gzip" }))
      local value, err = hostile.client(server, { retry = { max_attempts = 5 }, timeout = 60 }):get "/"
      assert.is_nil(value)
      assert.equal("limit", err.kind)
      assert.equal(1, (server:count()))
    end)

    it("packed bodies that are cut: a page is whole or an error", function()
      local packed = hostile.output "printf '{\"data\":[1,2,3]}' | gzip -c"
      local server = hostile.serve(hostile.answer(200, packed:sub(1, -12), { "Content-Encoding: gzip" }),
        hostile.answer(200, packed, { "Content-Encoding: gzip" }))
      local value = hostile.client(server, { retry = { max_attempts = 2 } }):get "/"
      assert.equal(3, #value.data)
      assert.equal(2, (server:count()))
    end)

    it("keys in logs and errors: neither the header nor the key's value is in any output", function()
      local server = hostile.serve(hostile.answer(401, ('{"error":"no such key: %s"}'):format(hostile.KEY)))
      local key = hostile.file("key", hostile.KEY)
      local got = run.defendis("call GET /api/v1/x -v -v --api-key-file " .. key,
        { env = { DEFENDIS_BASE_URL = "http://127.0.0.1:" .. server:port() } })
      assert.not_equal(0, got.code)
      assert.truthy(got.err:find("/api/v1/x", 1, true))
      assert.is_nil((got.out .. got.err):find(hostile.KEY, 1, true))
      assert.is_nil((got.out .. got.err):lower():find("bearer", 1, true))
    end)

    it("a hook that counts instructions and sees none in one long call: such a call ends too", function()
      ended_by("time", "return (('a'):rep(300)):find('.-.-.-.-.-.-b$')", "--timeout 200ms")
      ended_by("memory", "return ('x'):rep(1 << 30):rep(2)", "--memory 8M")
    end)

    it("a script of which nobody could tell where it hangs: the error names file and line", function()
      local message = ended_by("time", "local n = 0\nlocal function spin()\n  while true do n = n + 1 end\nend\nspin()", "--timeout 200ms")
      assert.truthy(message:find("script.lua:3", 1, true), message)
    end)

    it("a script's error that showed no place: its message has file and line, and the program lives", function()
      local code, err = playbook.failure "local r = {}\nreturn r.a.b"
      assert.equal(1, code)
      assert.truthy(err.message:find("script.lua:2:", 1, true), err.message)
    end)

    it("yields across a C call: calls to the API work in callbacks, sorts, iterators and metamethods", function()
      local server = hostile.serve(hostile.answer(200, '{"n":1}'))
      local client = hostile.client(server)
      local function n() return math.tointeger(client:get("/").n) end
      hostile.together{
        function() assert.equal("11", (("ab"):gsub(".", function() return n() end))) end,
        function()
          local list = { 3, 1, 2 }
          table.sort(list, function(a, b) return n() == 1 and a < b end)
          assert.same({ 1, 2, 3 }, list)
        end,
        function() assert.equal("1", ("%s"):format(setmetatable({}, { __tostring = function() return tostring(n()) end }))) end,
        function()
          local sum = 0
          for v in coroutine.wrap(function() coroutine.yield(n()) coroutine.yield(n()) end) do sum = sum + v end
          assert.equal(2, sum)
        end,
        function() assert.equal(2, setmetatable({}, { __index = function() return n() + 1 end }).x) end,
      }
    end)

    it("thresholds over several rules: k of n rules fire a correlation, and fewer do not", function()
      local path = run.write(run.folder() .. "/rules.lua", [[
        local list = { normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt", map = function(r) return r end,
          tests = { { name = "same", input = { id = "1" }, expect = { id = "1" } } } } }
        for _, kind in ipairs{ "a", "b", "c" } do
          list[#list + 1] = rule{ id = kind, title = kind, level = "low", dataset = "dataleaks.credentials",
            match = function(r) return r.kind == kind end,
            tests = { { name = "it", record = { kind = kind }, match = true }, { name = "no", record = { kind = "x" }, match = false } } }
        end
        local function seen(kind) return { kind = kind, who = "eve", leakedAt = "2026-01-01T00:00:00Z", id = kind } end
        list[#list + 1] = correlation{ id = "two", title = "Two", type = "temporal", rules = { "a", "b", "c" }, group_by = { "who" },
          timespan = "1d", level = "high", condition = { gte = 2 }, tests = {
            { name = "two", events = { seen "a", seen "c" }, findings = 1 },
            { name = "one", events = { seen "a", seen "a" }, findings = 0 } } }
        return list]])
      local got = run.defendis("test " .. path)
      assert.same({ 0, "9 passed, 0 failed" }, { got.code, got.out:match "(%d+ passed, %d+ failed)" }, got.out .. got.err)
    end)

    it("leaked passwords in clear text behind the edge: a document tells by an HMAC that two are the same, and not what", function()
      local page = core.json.page [[{"data":[{"id":1,"password":"canary-1"},{"id":2,"password":"canary-1"},{"id":3,"password":"other"}]}]]
      local list, hmacs = assert(core.sensitive.fields{ names = { "password" } }), {}
      for i = 1, 3 do
        local text = core.json.encode(page:read(i, core.json.reader(list)))
        assert.is_nil(text:find("canary", 1, true))
        hmacs[i] = text:match '"hmac":"(%x+)"'
      end
      assert.equal(64, #hmacs[1])
      assert.equal(hmacs[1], hmacs[2])
      assert.not_equal(hmacs[1], hmacs[3])
    end)

    it("output that a caller could not read for the text in it: stdout is one JSON document, whatever a script prints or raises", function()
      for text, code in pairs{ ["print 'noise' return { a = 1 }"] = 0, ["print 'noise' error 'no'"] = 1, ["print 'noise' return nil"] = 0,
        ["not Lua"] = 1 } do
        local got = run.defendis("run " .. run.write(run.folder() .. "/script.lua", text))
        assert.equal(code, got.code, got.err)
        local value = cjson.decode(got.out)
        assert.equal(code == 1, type(value) == "table" and type(value.error) == "table")
      end
    end)

    it("records of one time that came twice, for the caller kept the ids: the state keeps them, and nobody else has to", function()
      local api = scripted.start [[
        local all = {}
        for i = 1, 40 do all[i] = ('{"id":"%d","leakedAt":"2026-01-01T10:00:00Z"}'):format(i % 25) end
        return function(req) return list(req, all) end]]
      finally(api.stop)
      local p = pipelined.new(api, { lateness = '"3650d"' }) -- each run walks the day again
      for _ = 1, 3 do assert.equal(0, p:ingest().code) end
      assert.equal(25, #p:ids())
    end)
  end)
end)

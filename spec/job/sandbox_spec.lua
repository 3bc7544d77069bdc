local playbook = require "support.playbook"
local run = require "support.run"

describe("a script in the sandbox", function()
  after_each(run.clean)

  -- Whoever adds a name here says in src/job/sandbox.c why a script may have it.
  local NAMES = {
    _G = "_G _VERSION args assert coroutine error getmetatable input ipairs math next os pairs pcall print rawequal rawget "
      .. "rawlen rawset require select setmetatable string table tonumber tostring type utf8",
    coroutine = "create isyieldable resume running status wrap yield",
    math = "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi rad random "
      .. "randomseed sin sqrt tan tointeger type ult",
    os = "clock date difftime time",
    string = "byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper",
    table = "concat insert move pack remove sort unpack",
    utf8 = "char charpattern codepoint codes len offset",
    defendis = "client json parallel sleep time version",
    core = "api client hash json load_text names regex version",
  }

  it("reaches exactly the names of the allow-list", function()
    local found = playbook.value[[
      local function names(t)
        local out = {}
        for k in next, t do out[#out + 1] = tostring(k) end
        table.sort(out)
        return table.concat(out, " ")
      end
      local found = { _G = names(_G), defendis = names(require "defendis"), core = names(require "defendis.core") }
      for name, value in next, _G do
        if type(value) == "table" and value ~= _G and name ~= "args" then found[name] = names(value) end
      end
      return found]]
    assert.same(NAMES, found)
  end)

  it("finds nothing else by way of a string, a metatable, a coroutine or require", function()
    local found = playbook.value[[
      local out = { string_mt = tostring(getmetatable("")), dump = tostring(("").dump), method = ("x"):rep(3) }
      local d = require "defendis"
      local client = d.client{ retry = { max_attempts = 1 } }
      out.client_mt = tostring(getmetatable(client))
      out.array_mt = type(getmetatable(d.json.array{}))
      out.buffer_mt = type(getmetatable(d.json.buffer()))
      out.handle_mt = type(getmetatable(client.handle))
      out.close = tostring(coroutine.close)
      out.required = {}
      for _, name in ipairs{ "io", "debug", "package", "ffi", "cjson", "lfs", "socket", "/etc/passwd", "../x", "" } do
        out.required[name] = (pcall(require, name))
      end
      out.reopened = { tostring(require("os").execute), tostring(require("string").dump) }
      return out]]
    assert.same({ string_mt = "false", dump = "nil", method = "xxx", client_mt = "false", array_mt = "boolean", buffer_mt = "boolean",
      handle_mt = "boolean", close = "nil", reopened = { "nil", "nil" }, required = { io = false, debug = false, package = false,
        ffi = false, cjson = false, lfs = false, socket = false, ["/etc/passwd"] = false, ["../x"] = false, [""] = false } }, found)
  end)

  it("may not have finalizers or weak tables, and cannot change a protected metatable", function()
    local found = playbook.value[[
      local out = {}
      for i, mt in ipairs{ { __gc = print }, { __gc = true }, { __mode = "k" }, { __index = {} } } do
        local ok, message = pcall(setmetatable, {}, mt)
        out[i] = ok or message
      end
      out[5] = select(2, pcall(setmetatable, require("defendis").client{}, {}))
      out[6] = pcall(setmetatable, "", {})
      return out]]
    assert.same({ "a script may not set __gc", "a script may not set __gc", "a script may not set __mode", true,
      "cannot change a protected metatable", false }, found)
  end)

  it("cannot load bytecode", function()
    local found = playbook.value[[
      local load_text = require("defendis.core").load_text
      return { type(load_text("return 1", "x")), select(2, load_text("\27Lua\84\0\25\147", "x")) }]]
    assert.equal("function", found[1])
    assert.matches("attempt to load a binary chunk", found[2])
    local code, err = playbook.failure("\27Lua\84\0\25\147")
    assert.same({ 1, "script" }, { code, err.kind })
  end)

  it("cannot choose where requests go or which key they carry, and sees neither key nor environment", function()
    local key = "canary-9f8e7d6c5b4a"
    local r = playbook.run([[
      local d, out = require "defendis", {}
      for _, options in ipairs{ { base_url = "https://evil.example" }, { api_key_file = "/etc/passwd" } } do
        local ok, err = pcall(d.client, options)
        out[#out + 1] = { ok, err.kind }
      end
      local seen, texts = {}, {}
      local function walk(v)
        if type(v) == "string" then texts[#texts + 1] = v end
        if type(v) ~= "table" or seen[v] then return end
        seen[v] = true
        for k, x in next, v do walk(k) walk(x) end
      end
      local client = d.client{ retry = { max_attempts = 1 } }
      local _, err = client:get("/api/v1/watchlists")
      walk(_G) walk(d) walk(client) walk(err)
      local all = table.concat(texts, "\n")
      out[3] = all:find("canary", 1, true) or "no key"
      out[4] = err.kind
      return out]], { flags = "-v -v", env = { DEFENDIS_API_KEY = key, DEFENDIS_BASE_URL = "http://127.0.0.1:9" } })
    assert.same({ { false, "config" }, { false, "config" }, "no key", "network" }, r.doc)
    assert.is_nil(r.err:find("canary", 1, true))
  end)

  it("prints to stderr, so that stdout holds the result alone", function()
    local r = playbook.run([[print("one", 2, nil, {} ~= nil) print() return "result"]])
    assert.same({ "result", "one\t2\tnil\ttrue\n\n", 0 }, { r.doc, r.err, r.code })
  end)
end)

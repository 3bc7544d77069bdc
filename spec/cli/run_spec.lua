local cjson = require "cjson"
local playbook = require "support.playbook"
local run = require "support.run"

local function fails(text, options)
  local code, err = playbook.failure(text, options)
  return code, err.kind, (err.message:gsub("/[^ :]*/", ""))
end

describe("defendis run", function()
  after_each(run.clean)

  it("gives the script its input and named arguments, as globals, as ... and as the arguments of the function it returns", function()
    local script = [[
      local first, second = ...
      return function(a, b) return { input.n, args.who, first.n, second.who, a.n, b.who, input.list, input.none } end]]
    local expected = { 7, "a=b", 7, "a=b", 7, "a=b", {}, cjson.null }
    local input = '{"n": 7, "list": [], "none": null}'
    local r = playbook.run(script, { flags = "--arg who=a=b", input = input })
    assert.same({ 0, expected }, { r.code, r.doc })
    assert.matches("%[%],null%]\n$", r.out)
    local path = run.write(run.folder() .. "/input.json", input)
    assert.same(expected, playbook.value(script, { flags = "--arg who=a=b --input " .. path }))
    assert.same(expected, playbook.value(script, { flags = "--arg who=a=b --input -", input = input }))
  end)

  it("gives null where there is no input", function()
    assert.is_true(playbook.value("return input == require('defendis').json.null and next(args) == nil"))
    assert.is_true(playbook.value("return input == require('defendis').json.null", { input = " \n" }))
  end)

  it("prints one document for every result that JSON has a form for", function()
    local cases = { { "", "null" }, { "return nil", "null" }, { "return false", "false" },
      { "return 4111111111111111", "4111111111111111" },
      { "return 0.1", "0.1" }, { [[return "a\nb\0\255"]], [["a\nb\u0000]] .. "\u{FFFD}" .. '"' }, { "return {}", "{}" },
      { "return require('defendis').json.array{}", "[]" }, { "return { b = 1, a = { 1, 2 } }", '{"a":[1,2],"b":1}' },
      { "return 1, 2", "1" }, { "return function() return 'called' end", '"called"' } }
    for _, case in ipairs(cases) do
      local r = playbook.run(case[1])
      assert.same({ 0, case[2] .. "\n", "" }, { r.code, r.out, r.err })
    end
  end)

  it("refuses a result without a JSON form, and says where in it", function()
    local function reason(text)
      local code, kind, message = fails(text)
      assert.same({ 1, "script" }, { code, kind })
      return (message:gsub("^script.lua: the result cannot be written as JSON: ", ""))
    end
    assert.equal("cannot encode $: JSON has no NaN and no infinity", reason "return 0/0")
    assert.equal("cannot encode $.a[2]: JSON has no NaN and no infinity", reason "return { a = { 1, 1/0 } }")
    assert.equal("cannot encode $.f: a function has no JSON form", reason "return { f = print }")
    assert.equal("cannot encode $: a function has no JSON form", reason "return function() return print end")
    assert.matches("nested deeper than 128", reason "local t = {} t.t = t return t")
  end)

  it("says what an error object holds, whatever it is, with file and line where Lua knows them", function()
    local cases = {
      { "error('boom')", 1, "script", "script.lua:1: boom" },
      { "error('boom', 0)", 1, "script", "boom" },
      { "\nlocal x\nx.y = 1", 1, "script", "script.lua:3: attempt to index a nil value (local 'x')" },
      { "return function() error('late') end", 1, "script", "script.lua:1: late" },
      { "error()", 1, "script", "the script raised a nil value" },
      { "error(42)", 1, "script", "42" },
      { "error(true)", 1, "script", "the script raised a boolean value" },
      { "error(print)", 1, "script", "the script raised a function value" },
      { "error{ 1, 2 }", 1, "script", "the script raised a table without a message" },
      { "error(setmetatable({}, { __tostring = function() while true do end end, __index = error }))", 1, "script",
        "the script raised a table without a message" },
      { "error{ kind = 'config', message = 'no domain' }", 2, "config", "no domain" },
      { "error{ kind = 'quota', message = 'full', status = 409 }", 3, "quota", "full" },
      { "error{ kind = 'timeout', message = 'slow' }", 4, "timeout", "slow" },
      { "error{ kind = 'nonsense', message = 'odd' }", 1, "script", "odd" },
      { "error{ kind = 'none', message = 'not a success' }", 1, "script", "not a success" },
      { "error{ kind = 7, message = {} }", 1, "script", "the script raised a table without a message" },
      { "error('a\\nb\\27[31m', 0)", 1, "script", "a b [31m" },
      { "local ok, err = require('defendis').client{}:get('nope') error(err)", 2, "invalid", nil },
    }
    for _, case in ipairs(cases) do
      local r = playbook.run(case[1], { env = { DEFENDIS_API_KEY = "key-1234567890" } })
      local message = r.doc.error.message:gsub("/[^ :]*/", "")
      assert.same({ case[2], case[3] }, { r.code, r.doc.error.kind }, case[1])
      if case[4] then assert.equal("defendis: " .. case[4] .. "\n", (r.err:gsub("/[^ :]*/", ""))) end
      assert.is_nil(message:find("traceback"))
    end
  end)

  it("names file and line of a syntax error", function()
    assert.same({ 1, "script", "script.lua:2: unexpected symbol near '='" }, { fails("local x\nx = = 1") })
  end)

  it("exits with 2 and a document when it is called wrongly", function()
    local function usage(line, options)
      local r = run.defendis("run " .. line, options)
      local err = cjson.decode(r.out).error
      assert.same({ 2, "config", "defendis: " .. err.message .. "\n" }, { r.code, err.kind, r.err })
      return (err.message:gsub("/[^ :]*/", ""))
    end
    local path = run.write(run.folder() .. "/ok.lua", "return 1")
    assert.equal("cannot read nowhere.lua: No such file or directory", usage "nowhere.lua")
    assert.equal("cannot read nowhere.json: No such file or directory", usage(path .. " --input nowhere.json"))
    assert.equal("the input is not JSON: JSON, byte 2: a key in double quotes was expected", usage(path, { input = "{nope}" }))
    assert.equal('"lonely" is not of the form name=value', usage(path .. " --arg lonely"))
    assert.equal('--timeout "soon" is not a time such as 30s', usage(path .. " --timeout soon"))
    assert.equal('--memory "big" is not a size such as 64M', usage(path .. " --memory big"))
    assert.equal('--instructions "0" is not a whole number of at least 1; see defendis run --help', usage(path .. " --instructions 0"))
    assert.equal("missing argument 'script'; see defendis run --help", usage "")
    assert.equal("unknown option '--timeut'; Did you mean '--timeout'?; see defendis run --help", usage(path .. " --timeut 1s"))
    assert.matches("http would send the key unencrypted", usage(run.write(run.folder() .. "/c.lua",
      "require('defendis').client{}") .. " --base-url http://api.example"))
  end)

  it("carries what the API said into the document: kind, status, request id, exit code", function()
    local sim = run.simulator("--records 100")
    finally(sim.stop)
    local code, err = playbook.failure([[
      local client <close> = require("defendis").client{}
      local body, err = client:get("/api/v1/dataleaks/credentials", { domain = "elsewhere.example" })
      error(err)]], { env = sim.env })
    assert.same({ 3, "scope", 403 }, { code, err.kind, err.status })
    assert.matches("^sim%-", err.request_id)
  end)
end)

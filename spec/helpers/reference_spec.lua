local cjson = require "cjson"
local core = require "defendis.core"
local file = require "defendis.pipeline.file"
local expressions = require "defendis.normalize.expressions"
local reference = require "defendis.helpers.reference"
local run = require "support.run"
local sandbox = require "defendis.rules.sandbox"

local FILES = { ["lists/vip.csv"] = "email,team\nana@acme.example,finance\nben@acme.example,sales\n",
  ["lists/teams.json"] = '{"finance": {"lead": "ana"}}', ["lists/levels.lua"] = 'return { finance = "high" }' }

local function environment()
  local host = file.host()
  host.read = function(path) return FILES[path] end
  return sandbox.new({}, host, "rule.lua")
end

-- Names that are Lua's own, and those of declarative maps, which the reference lists on their own.
local LUA = { string = true, table = true, math = true, utf8 = true, sensitive = true } -- the last: see "Sensitive fields" there
local MAP = {}
expressions.add(MAP)

describe("the reference of helpers", function()
  it("has an entry for each name that a rule file sees beside Lua's own, and no other", function()
    local entries, seen = {}, {}
    for _, e in ipairs(reference.list()) do
      assert.is_nil(entries[e.name], e.name)
      entries[e.name] = true
    end
    for name, value in pairs(environment()) do
      if type(value) == "table" and value ~= core.json.null and not LUA[name] then
        for key in pairs(value) do seen[name .. "." .. key] = true end
      elseif _G[name] ~= value and name ~= "next" and not LUA[name] and not MAP[name] then
        seen[name] = true
      end
    end
    for name in pairs(seen) do assert(entries[name], name .. " is not in lua/defendis/helpers/reference.lua") end
    for name in pairs(entries) do assert(seen[name], name .. " is not there") end
  end)

  it("gives with each example what it says", function()
    for _, e in ipairs(reference.list()) do
      local env = environment()
      local got = assert(load("return " .. e.example, "=" .. e.name, "t", env))()
      local expected = assert(load("return " .. e.gives, "=" .. e.name, "t", env))()
      assert.same(expected, got, e.name)
      assert.is_truthy(e.example:find((e.name:gsub("%.%l+$", "")), 1, true))
    end
  end)

  it("is printed by defendis catalog --helpers", function()
    local list = cjson.decode(run.defendis("catalog --helpers --json").out)
    assert.equal(#reference.list(), #list)
    assert.same({ name = "email.domain", arguments = "text", result = "the domain of an address",
      example = 'email.domain("ana@ACME.example")',
      gives = '"acme.example"' }, list[2])
    assert.matches("\nre.new +pattern", run.defendis("catalog --helpers").out)
  end)

  it("holds for scripts too", function()
    local doc = require("support.playbook").value([[local d = require "defendis"
      return { d.email.domain("x@ACME.example"), d.hash.kind(("a1"):rep(20)), d.card.check(4111111111111111).last4,
        d.cidr.match("10.1.2.3", "10.0.0.0/8"),
        d.url.host("acme.example/x"), d.domain.is_under("a.b", "b"), d.time.date(0), d.lookup == nil, d.nothing == nil }]])
    assert.same({ "acme.example", "sha1", "1111", true, "acme.example", true, "1970-01-01", true, true }, doc)
    run.clean()
  end)
end)

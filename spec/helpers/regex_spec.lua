local core = require "defendis.core"
local made = require "helpers.made"
local playbook = require "support.playbook"
local run = require "support.run"
local h = made.all()

local function raised(f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and type(err) == "table", tostring(err))
  return err
end

describe("re", function()
  after_each(run.clean)

  it("matches with captures by number and by name", function()
    local m = h.re.new([[(?<user>[\w.]+)@(?<host>acme|globex)(\.example)?]]):match("to ana.b@acme, ben@globex.example")
    assert.same({ [0] = "ana.b@acme", "ana.b", "acme", user = "ana.b", host = "acme" }, m)
    m = h.re.new("(a)|(?<b>b)"):match("b")
    assert.same({ [0] = "b", [2] = "b", b = "b" }, m)
    assert.is_nil((h.re.new("x"):match("abc")))
    assert.same({ [0] = "" }, h.re.new(""):match(""))
  end)

  it("tests and finds, from a position on", function()
    local p = h.re.new("b+")
    assert.is_true(p:test("abba"))
    assert.is_false(p:test("aaa"))
    assert.same({ 2, 3 }, { p:find("abba") })
    assert.same({ 3, 3 }, { p:find("abba", 3) })
    assert.same({}, { p:find("abba", 4) })
    assert.is_false(p:test("abba", 99))
    assert.has_error(function() p:test("abba", 0) end)
  end)

  it("has the flags i m s x u", function()
    assert.is_true(h.re.new("ACME", "i"):test("acme"))
    assert.is_false(h.re.new("ACME"):test("acme"))
    assert.is_true(h.re.new("^b", "m"):test("a\nb"))
    assert.is_false(h.re.new("^b"):test("a\nb"))
    assert.is_true(h.re.new("a.b", "s"):test("a\nb"))
    assert.is_true(h.re.new("a b # c", "x"):test("ab"))
    assert.is_true(h.re.new("^.$", "u"):test("ü"))
    assert.is_false(h.re.new("^.$"):test("ü"))
    assert.is_true(h.re.new("ÜBER", "iu"):test("über"))
  end)

  it("refuses a wrong pattern or flag as configuration, with place and offset", function()
    local err = raised(function() h.re.new("ab(c") end)
    assert.equal("config", err.kind)
    assert.matches('^spec/helpers/regex_spec.lua:%d+: the pattern "ab%(c" is wrong at offset 4: missing closing parenthesis$', err.message)
    assert.matches('unknown flag "g" of a pattern, flags: i m s u x', raised(h.re.new, "a", "ig").message)
    for _, pattern in ipairs{ "[", "a**+", "(?<n>", "\\", "(?<=a+)b", "(*UTF)ü", "\\C", "(?1)", "a{5,2}",
      ("a"):rep(16385), ("("):rep(300) .. (")"):rep(300),
      "(?:(?:a{500}){500}){500}" } do
      assert.equal("config", raised(h.re.new, pattern).kind, pattern:sub(1, 20))
    end
    assert.has_error(function() h.re.new(nil) end)
    assert.has_error(function() h.re.new({}) end)
  end)

  it("ends what would run for ever with an error that names the pattern", function()
    for _, pattern in ipairs{ "(a+)+$", "(a|aa)+$", "(?:a+)*[bc]" } do
      local err = raised(function() return h.re.new(pattern):test(("a"):rep(5000) .. "!") end)
      assert.equal("limit", err.kind)
      assert.is_truthy(err.message:find('the pattern "' .. pattern .. '" is over its limit of 5000000 steps', 1, true), err.message)
    end
  end)

  it("ends deep recursion with an error, or a match, and works on", function()
    local p = h.re.new("^(a(?1)?b)$")
    local ok, err = pcall(p.test, p, ("a"):rep(200000) .. ("b"):rep(200000))
    assert(ok or err.kind == "limit", tostring(err))
    assert.is_true(p:test("aabb"))
  end)

  it("takes any bytes as text: a megabyte, NUL, no UTF-8", function()
    local patterns = { h.re.new("(?<x>\\x00)|b$"), h.re.new("(?<x>.)$", "u"), h.re.new("^\\s*$"), h.re.new("@") }
    for _, text in ipairs(made.hostile()) do
      for _, p in ipairs(patterns) do
        if type(text) == "string" then
          p:test(text)
          p:match(text)
        end
      end
    end
    assert.equal("\0", patterns[1]:match("a\0").x)
    for _, v in ipairs{ true, {}, print } do assert.has_error(function() patterns[1]:test(v) end) end
    assert.has_error(function() patterns[1]:test(nil) end)
  end)

  it("says the same with machine code and without", function()
    local doc = playbook.value([[local re = require("defendis").re
      local out = {}
      for i, p in ipairs{ "a+b", "(?<x>\\d+)-(\\d+)", "^z", "(?i)ACME", "(a)(b)?" } do
        local m = re.new(p):match("acme 12-34 aab")
        out[i] = m and { m[0], m[1] or "", m[2] or "" } or {}
      end
      return out]])
    for i, pattern in ipairs{ "a+b", "(?<x>\\d+)-(\\d+)", "^z", "(?i)ACME", "(a)(b)?" } do
      local m = core.regex.new(pattern):match("acme 12-34 aab")
      assert.same(m and { m[0], m[1] or "", m[2] or "" } or {}, doc[i])
    end
  end)

  it("counts against the memory of a script, and is collected", function()
    local code, err = playbook.failure([[local re, kept = require("defendis").re, {}
      for i = 1, 1e6 do kept[i] = re.new(("(?:abc|def)"):rep(200) .. i) end]], { flags = "--memory 8M" })
    assert.equal(5, code)
    assert.matches("out of memory for a pattern", err.message)
    assert.equal(3000, playbook.value([[local re, n = require("defendis").re, 0
      for i = 1, 3000 do if re.new(("(?:abc|def)"):rep(200) .. i):test("x") == false then n = n + 1 end end
      return n]], { flags = "--memory 8M" }))
  end)

  it("in a rule is a fault with file and line, at load and over its limit", function()
    local rules, host = require "defendis.rules", require("defendis.pipeline.file").host()
    local function load_text(text) return rules.load({ { name = "a.lua", text = text } }, host) end
    local _, err = load_text("local x\nlocal p = re.new('(')")
    assert.equal('a.lua:2: the pattern "(" is wrong at offset 1: missing closing parenthesis', err.message)
    local set = assert(load_text([[local p = re.new("(a+)+$")
      return rule{ id = "r", title = "t", level = "low", dataset = "d",
        match = function(r)
          return p:test(r.x) and true end }]]))
    local result = set:apply("d", { x = ("a"):rep(50) .. "b" }, { id = "1", time = 0 })
    assert.equal('a.lua:4: the pattern "(a+)+$" is over its limit of 5000000 steps; make it simpler', result.faults[1].message)
    assert.same({}, set:apply("d", { x = "aaa" }, { id = "1", time = 0 }).faults)
  end)

  it("of a script over the limit ends it with exit code 5", function()
    local code, err = playbook.failure([[return require("defendis").re.new("(a+)+$"):test(("a"):rep(50) .. "b")]])
    assert.equal(5, code)
    assert.matches('^script.lua:1: the pattern "%(a%+%)%+%$" is over its limit', (err.message:gsub("^.*/", "")))
  end)
end)

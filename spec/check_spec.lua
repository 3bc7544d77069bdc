local check = require "defendis.check"

local SPEC = {
  id = check.required(check.text), level = check.one_of{ "low", "medium", "high" }, size = check.count,
  tags = check.list(check.text), nested = check.shape{ name = check.required(check.string), depth = check.number },
}

local function fault(options)
  local message, path = check.options(options, SPEC)
  return message and check.describe(message, path)
end

describe("check", function()
  it("has nothing to say about options that are fine", function()
    assert.is_nil(fault{ id = "x", level = "low", size = 2.0, tags = {}, nested = { name = "" } })
  end)

  it("names an unknown key and the nearest known one", function()
    assert.equal('unknown key "levle", nearest key "level"', fault{ id = "x", levle = "low" })
    assert.equal('unknown key "TAGS", nearest key "tags"', fault{ id = "x", TAGS = {} })
  end)

  it("lists the known keys when none is near", function()
    assert.equal('unknown key "zzzzzzzz", known: id, level, nested, size, tags', fault{ id = "x", zzzzzzzz = 1 })
  end)

  it("names a required field that is missing, after unknown keys and before wrong values", function()
    assert.equal('missing required field "id"', fault{ level = "nope" })
    assert.equal('unknown key "idd", nearest key "id"', fault{ idd = 1 })
  end)

  it("names the field of a wrong value, down into lists and nested tables", function()
    assert.equal('field "id": a string expected, got a number', fault{ id = 5 })
    assert.equal('field "id": a text that is not empty expected', fault{ id = "" })
    assert.equal('field "tags[2]": a string expected, got a boolean', fault{ id = "x", tags = { "a", true } })
    assert.equal('field "nested.depth": a number expected, got a string',
      fault{ id = "x", nested = { name = "", depth = "1" } })
    assert.equal('field "nested": unknown key "nmae", nearest key "name"', fault{ id = "x", nested = { nmae = "" } })
  end)

  it("names the nearest allowed text", function()
    assert.equal('field "level": one of low, medium, high expected, got "hihg", nearest "high"',
      fault{ id = "x", level = "hihg" })
  end)

  it("tells a list from a table with keys", function()
    assert.equal('field "tags": a list expected, got a table with the key a', fault{ id = "x", tags = { a = 1 } })
    assert.equal("a list of at least 1 expected, got 0", (check.list(check.any, 1){}))
  end)

  it("takes whole numbers only for a count", function()
    for _, wrong in ipairs{ -1, 1.5, 0 / 0, math.huge, "3" } do
      assert.truthy(check.count(wrong), tostring(wrong))
    end
    assert.is_nil(check.count(0))
  end)

  it("finds swapped and missing letters near, and gives ties to the first name", function()
    assert.equal("timespan", check.nearest("tiemspan", { "timespan", "title" }))
    assert.equal("ab", check.nearest("aa", { "ac", "ab" }))
    assert.is_nil(check.nearest("password", { "id", "level" }))
  end)

  it("puts the keys of any table in one order: numbers first, as numbers", function()
    assert.same({ 2, 10, "10", "1a", "b", true }, check.sorted_keys{ b = 1, [10] = 1, [2] = 1, ["1a"] = 1, ["10"] = 1, [true] = 1 })
  end)

  it("makes errors that print as their message", function()
    local err = check.error("config", "wrong", { line = 3 })
    assert.equal("wrong", tostring(err))
    assert.equal("config", err.kind)
    assert.equal(3, err.line)
    assert.is_false(err.retryable)
  end)

  it("raises for arguments in the name of the caller", function()
    local function public(options)
      check.argument(options, SPEC, "defendis.thing")
      return options
    end
    local ok, message = pcall(function()
      public{ levl = 1 }
      return 1
    end)
    assert.is_false(ok)
    assert.matches('^spec/check_spec.lua:%d+: defendis.thing: unknown key "levl", nearest key "level"$', message)
  end)
end)

-- Rules whose match is a table of fields.
local h = require "rules.helper"

local function rule(id, match, rest)
  return ('rule{ id = "%s", title = "T", level = "low", dataset = "d", match = %s%s }'):format(id, match, rest or "")
end

local function matches(set, record)
  local out = {}
  for i, f in ipairs(set:apply("d", record, { id = "1" }).findings) do out[i] = f.rule.id end
  return table.concat(out, " ")
end

describe("a declared match", function()
  it("holds when all its fields do, and finds nothing in values of another type", function()
    local set = h.must("return { " .. table.concat({
      rule("one", '{ a = "x" }'), rule("any", '{ a = { "x", "y", 3 } }'), rule("both", '{ a = "x", ["b.c"] = true }'),
      rule("start", '{ a = { prefix = "x" } }'), rule("range", "{ n = { gt = 1, lte = 3 } }"), rule("far", "{ n = { gte = 3, lt = 4 } }"),
    }, ", ") .. " }")
    assert.equal("one any start", matches(set, { a = "x" }))
    assert.equal("any", matches(set, { a = "y" }))
    assert.equal("any", matches(set, { a = 3.0 }))
    assert.equal("one any both start", matches(set, { a = "x", b = { c = true } }))
    assert.equal("one any start", matches(set, { a = "x", b = "c" }))
    assert.equal("start range", matches(set, { a = "xyz", n = 2 }))
    assert.equal("range far", matches(set, { n = 3 }))
    assert.equal("far", matches(set, { n = 3.5 }))
    assert.equal("", matches(set, { n = 1, a = "X" }))
    assert.equal("", matches(set, { n = "2", a = { "x" } }))
    assert.equal("", matches(set, { n = h.null, a = h.null }))
    assert.equal("", matches(set, {}))
  end)

  it("is as a function that compares the same, whatever the rules beside it", function()
    local seed = 7
    local function random(n)
      seed = (seed * 1103515245 + 12345) % 2147483648
      return seed // 65536 % n + 1
    end
    local shapes, functions = {}, {}
    for i = 1, 60 do
      local shape, text = {}, {}
      for _, field in ipairs{ "a", "b", "c" } do
        local v, w, kind = random(6), random(6), random(5)
        if kind == 1 then
          shape[#shape + 1], text[#text + 1] = ("%s = %d"):format(field, v), ("r.%s == %d"):format(field, v)
        elseif kind == 2 then
          shape[#shape + 1] = ("%s = { %d, %d, %d }"):format(field, v, w, v)
          text[#text + 1] = ("(r.%s == %d or r.%s == %d)"):format(field, v, field, w)
        elseif kind == 3 then
          shape[#shape + 1] = ("%s = { gte = %d }"):format(field, v)
          text[#text + 1] = ("(r.%s and r.%s >= %d)"):format(field, field, v)
        end
      end
      if shape[1] then
        shapes[#shapes + 1] = rule("r" .. i, "{ " .. table.concat(shape, ", ") .. " }")
        functions[#functions + 1] = rule("r" .. i, ("function(r) return %s end"):format(table.concat(text, " and ")))
      end
    end
    local declared = h.must("return { " .. table.concat(shapes, ",\n") .. " }")
    local called, found = h.must("return { " .. table.concat(functions, ",\n") .. " }"), 0
    for _ = 1, 500 do
      local record = { a = random(7), b = random(7), c = random(7) }
      record[({ "a", "b", "c", "d" })[random(4)]] = nil
      local expected = matches(called, record)
      found = found + #expected
      assert.equal(expected, matches(declared, record))
    end
    assert.is_true(found > 1000)
  end)

  it("goes along with functions, those first, and with what a rule can say besides", function()
    local set = h.must("return { " .. rule("d", '{ a = "x" }', ', level_for = function(r) return r.level end') .. ", "
      .. rule("broken", "function(r) return r.b.c end") .. ", " .. rule("f", "function(r) return r.a end") .. " }")
    local result = set:apply("d", { a = "x", level = "high" }, { id = "1" })
    assert.equal("f", result.findings[1].rule.id)
    assert.equal("d", result.findings[2].rule.id)
    assert.equal("high", result.findings[2].level)
    assert.equal("broken", result.faults[1].rule)
    assert.equal(1, #result.faults)
  end)

  it("is refused when it says nothing, or what is no condition, at its line", function()
    local function refused(match) return h.refused("return " .. rule("r", match)) end
    assert.matches("^rules/1.lua:1: field \"match\": a function, or a table with a field at least", refused "{}")
    assert.matches("names of fields expected as keys", refused '{ "x" }', 1, true)
    assert.matches('field "match.a": unknown key "prefx"', refused '{ a = { prefx = "x" } }', 1, true)
    assert.matches("a list of texts, numbers and booleans expected", refused '{ a = { "x", {} } }', 1, true)
    assert.matches('a value, a list of values or a table such as', refused "{ a = {} }", 1, true)
    assert.matches("field \"match\"", refused '"x"', 1, true)
  end)
end)

describe("functions that match", function()
  it("are each called once for a record, before and behind one that raises", function()
    local texts = {}
    for i = 1, 9 do
      local body = i % 4 == 2 and 'error "no"' or "return " .. tostring(i % 3 == 0)
      texts[i] = rule("r" .. i, ("function(r) r.n = r.n + 1 %s end"):format(body))
    end
    local set, record = h.must("return { " .. table.concat(texts, ", ") .. " }"), { n = 0 }
    assert.equal("r3 r9", matches(set, record))
    assert.equal(9, record.n)
    local faults = set:apply("d", { n = 0 }, { id = "2" }).faults
    assert.equal("r2 r6", faults[1].rule .. " " .. faults[2].rule)
  end)
end)

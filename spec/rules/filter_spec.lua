-- Filters in rule files: they take records away from rules that stand elsewhere.
local file = require "defendis.pipeline.file"
local lintfields = require "defendis.lintfields"
local lintrules = require "defendis.lintrules"
local rules = require "defendis.rules"
local ruletest = require "defendis.ruletest"

local RULES = [[return {
  rule{ id = "f", name = "plain", title = "F", level = "low", dataset = "d", match = function(r) return r.hit end },
  rule{ id = "t", title = "T", level = "low", dataset = "d", match = { hit = true } },
  rule{ id = "o", title = "O", level = "low", dataset = "d", match = { hit = true } },
}]]
local SIGMA = [[
title: S
id: s
logsource: {product: defendis, service: d}
detection: {s: {hit: true}, condition: s}
]]
local SIGMA_FILTER = [[
title: SF
logsource: {product: defendis, service: d}
filter:
  rules: [f, t, s]
  own: {user: admin}
  condition: not own
]]

local function load(...)
  local sources = {}
  for i, text in ipairs{ ... } do
    sources[i] = { name = string.char(96 + i) .. (text:find "^return" and ".lua" or ".yml"), text = text }
  end
  return rules.load(sources, file.host())
end

local function filter(names, match, more)
  return ('return filter{ id = "x", title = "X", rules = { %s }, match = %s%s }'):format(names, match, more or "")
end

-- Ids of the rules that have a finding, and the faults.
local function hits(set, record)
  local out, result = {}, set:apply("d", record, { id = "1" })
  for i, f in ipairs(result.findings) do out[i] = f.rule.id end
  return table.concat(out, " "), result.faults
end

describe("a filter", function()
  it("takes records away from rules with a function, with a table and of Sigma files, by id or name, and from no others", function()
    for _, match in ipairs{ 'function(r) return r.user == "admin" end', '{ user = "admin" }' } do
      local set = assert(load(RULES, SIGMA, filter('"plain", "t", "s"', match)))
      assert.equal("f s t o", (hits(set, { hit = true, user = "eve" })))
      assert.equal("o", (hits(set, { hit = true, user = "admin" })))
    end
  end)

  it("of a Sigma file does so too, also where the match is a table", function()
    local set = assert(load(RULES, SIGMA, SIGMA_FILTER))
    assert.equal("f s t o", (hits(set, { hit = true, user = "eve" })))
    assert.equal("o", (hits(set, { hit = true, user = "admin" })))
  end)

  it("for any is in front of all rules of its dataset", function()
    local set = assert(load(RULES, SIGMA, filter('"any"', "{ user = 'admin' }", ', dataset = "d"')))
    assert.equal("", (hits(set, { hit = true, user = "admin" })))
  end)

  it("keeps what it takes away from correlations too", function()
    local set = assert(load(RULES, filter('"t"', "{ user = 'admin' }"), [[return correlation{ id = "c", title = "C", level = "low",
      type = "event_count", rules = { "t" }, group_by = {}, timespan = "1h", condition = { gte = 1 } }]]))
    set:apply("d", { hit = true, user = "admin" }, { id = "1", time = 1 })
    assert.same({}, set:events())
    set:apply("d", { hit = true }, { id = "1", time = 1 })
    assert.equal(1, #set:events())
  end)

  it("that raises is a fault of its own, and takes nothing away", function()
    local set = assert(load(RULES, filter('"f", "t"', "function(r) return r.user.name end")))
    local found, faults = hits(set, { hit = true })
    assert.equal("f t o", found)
    local fault = { rule = "x", message = [[b.lua:1: attempt to index a nil value (field 'user'): "user" is missing or null; ]]
      .. [[get(record, "path") gives nil then]] }
    assert.same({ fault, fault }, faults)
  end)

  it("that runs over its budget takes nothing away", function()
    local found, faults = hits(assert(load(RULES, filter('"t"', "function() while true do end end"))), { hit = true })
    assert.same({ "f t o", "b.lua:1: over its budget of 10000000 instructions" }, { found, faults[1].message })
  end)

  it("is refused with file and line when it names no rule, another dataset, a correlation or an id that is taken", function()
    local cases = {
      [filter('"plian"', "{ a = 1 }")] = 'b.lua:1: field "rules[1]": unknown rule "plian", nearest rule "plain"',
      [filter('"any"', "{ a = 1 }")] = 'b.lua:1: missing required field "dataset", of all of whose rules "any" stands for',
      [filter('"f"', "{ a = 1 }", ',\ndataset = "e"')] =
        'b.lua:1: field "rules[1]": the dataset of the filter is e, of "f" it is d',
      [filter('"f"', "{}")] = 'b.lua:1: field "match": a function, or a table with a field at least',
      [filter('"f"', "{ a = 1 }"):gsub('"x"', '"t"')] = 'b.lua:1: field "id": "t" is already used at a.lua:3',
      ["return { " .. filter('"f"', "{ a = 1 }"):sub(8) .. ",\n" .. filter('"f"', "{ a = 1 }"):sub(8) .. " }"] =
        'b.lua:2: field "id": "x" is already used at b.lua:1',
    }
    for text, message in pairs(cases) do
      local set, err = load(RULES, text)
      assert.same({ nil, message }, { set, err and err.message })
    end
  end)

  it("has tests, a positive and a negative one, which defendis test runs", function()
    local function outcomes(tests)
      local out = {}
      local set = assert(load(RULES, filter('"f"', "function(r) return r.user.name end", ", tests = { " .. tests .. " }")))
      for _, t in ipairs(ruletest.run(set, { filter = "b.lua" }).tests) do out[t.name] = t.ok or t.message end
      return out
    end
    assert.same({ a = true, b = true }, outcomes('{ name = "a", match = true, record = { user = { name = 1 } } }, '
      .. '{ name = "b", match = false, record = { user = {} } }'))
    local got = outcomes '{ name = "a", match = true, record = { user = {} } }, { name = "b", match = true, record = {} }'
    assert.equal("match: expected true, got false", got.a)
    assert.matches("^b.lua:1: attempt to index a nil value", got.b)
    assert.equal("b.lua:1: the filter has no negative test", got["has tests"])
  end)

  it("is in front of a rule in the rule's own tests", function()
    local set = assert(load('return rule{ id = "f", title = "F", level = "low", dataset = "d", match = { hit = true }, tests = { '
      .. '{ name = "a", match = false, record = { hit = true, user = "admin" } } } }', filter('"f"', "{ user = 'admin' }")))
    assert.is_true(ruletest.run(set, { filter = "a.lua" }).tests[1].ok)
  end)

  it("is told by lint when it is in front of nothing, has no tests or reads a field that no record has", function()
    local text = filter('"any"', "function(r) return r.emial end", ', dataset = "dataleaks.credentials"')
    local set, names = assert(load(text)), {}
    for _, f in ipairs(lintrules.run({ { name = "a.lua", text = text } }, set, assert(lintfields.known{}))) do names[f.name] = f.message end
    assert.equal("X is in front of no rule", names["unused-filter"])
    assert.equal("the filter has no positive and no negative test", names["missing-test"])
    assert.equal("X has no author", names["missing-author"])
    local rule = 'return rule{ id = "r", title = "R", level = "low", dataset = "dataleaks.credentials", match = { email = "x" } }'
    set, names = assert(load(text, rule)), {}
    for _, f in ipairs(lintrules.run({ { name = "a.lua", text = text } }, set, assert(lintfields.known{}))) do names[f.name] = f.message end
    assert.matches('has "emial", nearest "email"', names["unknown-field"])
    assert.is_nil(names["unused-filter"])
  end)
end)

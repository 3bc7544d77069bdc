local h = require "rules.helper"
local rules = require "defendis.rules"

local RULE = [[return rule{ id = "r1", name = "first", title = "t", level = "low", dataset = "d",
  match = function(r) return r.hit end }]]

local function correlation(fields)
  local defaults = { id = '"c1"', title = '"c"', type = '"event_count"', rules = '{ "r1" }', group_by = '{ "who" }',
    timespan = '"1h"', condition = "{ gte = 2 }", level = '"high"' }
  for k, v in pairs(fields or {}) do defaults[k] = v end
  local parts = {}
  for k, v in pairs(defaults) do
    if v ~= "" then parts[#parts + 1] = ("%s = %s"):format(k, v) end
  end
  return "return correlation{" .. table.concat(parts, ", ") .. "}"
end

describe("rules.load", function()
  it("takes files that return one definition or a list of them", function()
    local set = h.must(RULE, [[return {
      correlation{ id = "c", title = "c", type = "event_count", rules = { "r1" }, group_by = {}, timespan = "1h",
        condition = { gte = 2 }, level = "high" },
      normalizer{ id = "n", dataset = "d", map = function(r) return r end } }]])
    assert.same({ "d" }, set:datasets())
    assert.equal("n", set:normalizer("d").id)
    assert.equal("default", set:normalizer("other").id)
  end)

  it("names file and line of a syntax error", function()
    assert.matches("^rules/1.lua:2: ", h.refused("\nreturn rule{ id = }"))
  end)

  it("names file and line of an error while the file runs", function()
    assert.equal("rules/1.lua:2: unknown name \"os\": neither local nor one of what rule files see", h.refused("\nlocal now = os.time()"))
    assert.matches("^rules/1.lua:1: error object", h.refused("error{}"))
    assert.matches("^rules/1.lua:1: plain$", h.refused("error('plain', 0)"))
  end)

  it("refuses bytecode", function()
    local code = string.dump(function() return 1 end)
    assert.matches("binary chunk", h.refused(code))
  end)

  it("refuses a file that returns something else, or nothing", function()
    assert.matches("^rules/1.lua:1: a rule file returns .* got nil", h.refused("local x = 1"))
    assert.matches("got number", h.refused("rule{} return 1"))
    assert.matches("holds string at 1", h.refused("return { 'x' }"))
  end)

  it("refuses a definition that is made but not returned", function()
    assert.equal("rules/1.lua:2: this rule is made but not returned", h.refused("\nrule{ id = 'x' } return {}"))
  end)

  it("names the line of a misspelt key, past comments, strings, functions and nested tables", function()
    assert.equal('rules/1.lua:9: unknown key "supress", nearest key "suppress"', h.refused([==[
local x = { supress = 1 }
return rule{ id = "r", -- supress = 1
  --[[ supress = 2
  ]] title = "supress = 3 }", level = 'low',
  description = [[
supress = 4 ]],
  match = function(r) local supress; if r then supress = { supress = 5 } end for i = 1, 2 do supress = i end end,
  tests = { { name = "supress", record = { supress = 6 }, match = true } },
  supress = "24h", dataset = "d" }]==]))
  end)

  it("names the line of a key written in brackets, and the second definition of a line's file", function()
    assert.equal('rules/1.lua:3: unknown key "levle", nearest key "level"', h.refused([[
return { rule{ id = "a", title = "t", level = "low", dataset = "d", match = function() end },
  rule{ id = "b", title = "t",
    ["levle"] = "low" } }]]))
  end)

  it("names the line and path of a fault inside a test", function()
    assert.equal('rules/1.lua:4: field "tests[2]": unknown key "recrod", nearest key "record"', h.refused([[
return rule{ id = "r", title = "t", level = "low", dataset = "d", match = function() end,
  tests = {
    { name = "one", record = {}, match = true },
    { name = "two", recrod = {}, match = true } } }]]))
  end)

  it("names the line of the call when a field is missing", function()
    assert.equal('rules/1.lua:2: missing required field "level"',
      h.refused("\nreturn rule{ id = 'r', title = 't', dataset = 'd', match = function() end }"))
  end)

  it("names the line of the call when its table is made elsewhere", function()
    assert.equal('rules/1.lua:3: unknown key "levle", nearest key "level"',
      h.refused("local t = {\nlevle = 1 }\nreturn rule(t), { levle = 1 }"))
  end)

  it("names what is wrong with a value", function()
    local function with(field) return ("return rule{ id = 'r', title = 't', dataset = 'd', %s }"):format(field) end
    assert.equal('rules/1.lua:1: field "level": one of informational, low, medium, high, critical expected, '
      .. 'got "hihg", nearest "high"', h.refused(with "match = function() end, level = 'hihg'"))
    assert.equal('rules/1.lua:1: field "match": a function expected, got a string',
      h.refused(with "level='low', match = 'x'"))
    assert.matches('unknown unit "y" in the span "1y"',
      h.refused(with "level = 'low', match = function() end, suppress = '1y'"))
    assert.matches("longer than zero", h.refused(with "level = 'low', match = function() end, suppress = '0s'"))
    assert.matches("a table expected, got nil", h.refused("return rule()"))
  end)

  it("says that declarative maps run in the program only", function()
    assert.equal('rules/1.lua:1: field "map": declarative maps run in the program only: use defendis test',
      h.refused("return normalizer{ id = 'n', dataset = 'd', map = { a = 1 } }"))
  end)

  it("refuses an id or name that is used twice, naming the other place", function()
    assert.equal('rules/2.lua:1: field "id": "r1" is already used at rules/1.lua:1', h.refused(RULE, RULE))
    assert.matches('field "name": "r1" is already used',
      h.refused(RULE, (RULE:gsub('"r1"', '"r2"'):gsub('"first"', '"r1"'))))
  end)

  it("refuses two normalizers of one dataset", function()
    local text = "return normalizer{ id = 'n%d', dataset = 'd', map = function(r) return r end }"
    assert.matches('field "dataset": "d" is already used at rules/1.lua:1', h.refused(text:format(1), text:format(2)))
  end)

  it("resolves a rule by id or by name, in any order of files", function()
    for _, name in ipairs{ "r1", "first" } do
      local set = h.must(correlation{ rules = ('{ "%s" }'):format(name) }, RULE)
      set:apply("d", { hit = true, who = "x" }, { id = "1", time = 5 })
      assert.equal("r1", set:events()[1].member)
    end
  end)

  it("refuses an unknown rule, naming the nearest and the line", function()
    assert.equal('rules/2.lua:3: field "rules[2]": unknown rule "frist", nearest rule "first"', h.refused(RULE, [[
return correlation{ id = "c", title = "c", type = "temporal",
  rules = { "r1",
    "frist" }, group_by = {}, timespan = "1h", level = "low" }]]))
  end)

  it("refuses a rule that is listed twice, also once by id and once by name", function()
    assert.matches('"r1" is listed twice', h.refused(RULE, correlation{ rules = '{ "r1", "r1" }' }))
    assert.matches('"first" is listed twice', h.refused(RULE, correlation{ rules = '{ "r1", "first" }' }))
  end)

  it("refuses what it cannot evaluate faithfully", function()
    for expected, fields in pairs{
      ["one field expected, numbers have no tuples"] = { type = '"value_sum"', condition = "{ field = { 'x', 'y' }, gt = 1 }" },
      ['"percentile" is not for type value_sum'] = { type = '"value_sum"', condition = "{ field = 'x', gt = 1, percentile = 9 }" },
      ["no number can make this true"] = { type = '"value_avg"', condition = "{ field = 'x', gt = 1, lt = 1 }" },
      ['nearest "event_count"'] = { type = '"event_cuont"' },
      ['"other" is not among its rules'] = { aliases = "{ a = { other = 'x' } }" },
      ['field "aliases.a": it names no field of "r1"'] = { aliases = "{ a = {} }" },
      ["a condition as text is for temporal"] = { condition = '"r1"' },
      ['"frist" is not among its rules'] = { type = '"temporal"', condition = '"r1 and frist"' },
      ["something must stand in it without not"] = { type = '"temporal"', condition = '"not r1"' },
      ["a ) is missing"] = { type = '"temporal"', condition = '"(r1"' },
      ['"&" is none of'] = { type = '"temporal"', condition = '"r1 & r1"' },
      ["window holds max_events at most"] = { max_events = "5", condition = "{ gte = 6 }" },
      ["it has 1 rules"] = { type = '"temporal"', condition = "{ gte = 2 }" },
      ['"gap" is for type session only'] = { gap = '"1h"' },
      ['missing required field "gap"'] = { type = '"session"' },
      ["a ratio is of two rules"] = { type = '"ratio"' },
      ["compares nothing"] = { type = '"absence"', condition = "{ gte = 1 }" },
      ['"suppress" is not for type absence'] = { type = '"absence"', condition = "", suppress = '"2h"' },
      ["one value for each of the 1 fields"] = { type = '"absence"', condition = "", entities = "{ { 'a', 'b' } }" },
      ["no record can make this true"] = { condition = "{ eq = 0 }" },
      ["can make this true, counts"] = { condition = "{ gt = 5, lte = 5 }" },
      ["one of gt, gte, lt, lte, eq, neq is needed"] = { condition = "{}" },
      ['unknown key "gle", nearest key "gte"'] = { condition = "{ gle = 1 }" },
      ['missing required field "condition"'] = { condition = "" },
      ['missing required field "field"'] = { type = '"value_count"' },
      ["is not for type event_count"] = { condition = '{ field = "x", gte = 1 }' },
      ["is not for type temporal"] = { type = '"temporal"', condition = '{ field = "x", gte = 1 }' },
      ["temporal_ordered is about all its rules"] = { type = '"temporal_ordered"', condition = "{ gte = 2 }" },
      ["shorter than timespan"] = { suppress = '"30m"' },
      ['missing required field "group_by"'] = { group_by = "" },
      ["a finite number expected"] = { condition = "{ gte = 1/0 }" },
    } do
      assert.matches(expected, h.refused(RULE, correlation(fields)), 1, true)
    end
  end)

  it("takes ranges", function()
    assert.truthy(h.must(RULE, correlation{ condition = "{ gt = 100, lte = 200 }" }))
    assert.truthy(h.must(RULE, correlation{ condition = "{ gte = 3, neq = 3 }" }))
  end)

  it("lists correlations and the rules that suppress", function()
    local set = h.must(RULE, correlation{ suppress = '"2h"' }, [[return rule{ id = "s", title = "t", level = "low",
      dataset = "e", match = function() return true end, dedup = function(r) return r.x end }]])
    assert.same({
      { key = "s", timespan_ms = 86400000, suppress_ms = 86400000, back_ms = 86400000, keep_ms = 86400000, least = 1, silent = false,
        alerts = true, datasets = { "e" } },
      { key = "c1", timespan_ms = 3600000, suppress_ms = 7200000, back_ms = 3600000, keep_ms = 7200000, least = 2, silent = false,
        max_groups = 1000000, alerts = true,
        datasets = { "d" }, skim = { mode = "back", span = 3600000, gap = 0, least = 2, members = {}, types = "" } },
    }, set:correlations())
  end)
end)

describe("the sandbox of a rule file", function()
  local function value_of(expression)
    local set = h.must(([[local seen = %s
      return rule{ id = "r", title = "t", level = "low", dataset = "d", match = function(r) r.seen = seen end }]])
      :format(expression))
    local record = {}
    set:apply("d", record, { id = "1" })
    return record.seen
  end

  it("has no way out", function()
    for _, name in ipairs{ "io", "os", "require", "load", "loadstring", "loadfile", "dofile", "debug", "package", "_G",
      "getmetatable", "setmetatable", "rawget", "rawset", "rawequal", "rawlen", "collectgarbage", "coroutine", "print",
      "_ENV.io" } do
      assert.matches("^rules/1.lua:1: unknown name ", h.refused("local seen = " .. name))
    end
    for _, name in ipairs{ "string.dump", "math.random", "math.randomseed" } do assert.is_nil(value_of(name), name) end
  end)

  it("has what a rule needs", function()
    assert.equal(1769817600000, value_of 'time.parse("2026-01-31")')
    assert.equal("A", value_of '("a"):upper()')
    assert.equal(4, value_of 'ocsf.severity_id("high")')
    assert.equal("x", value_of 'get({ a = { b = "x" } }, "a.b")')
    assert.is_nil(value_of 'get({ a = null }, "a.b")')
    assert.equal(h.null, value_of "null")
    assert.equal(h.array_mt, getmetatable(value_of "array{}"))
  end)

  it("is the file's own: a change of a library or a global reaches no other file and not us", function()
    h.must([[string.upper = nil; ocsf.severity_id = nil; shared = 1; type = nil
      return rule{ id = "a", title = "t", level = "low", dataset = "d", match = function() end }]],
      [[assert(string.upper and ocsf.severity_id and type and not pcall(function() return shared end))
      return rule{ id = "b", title = "t", level = "low", dataset = "d", match = function() end }]])
    assert.truthy(string.upper)
  end)

  it("gives constructors whose results cannot be opened", function()
    local ok, err = rules.load({ { name = "x", text = "local r = rule{} r.match = 1" } }, h.host())
    assert.truthy(ok or err)
    assert.matches("made but not returned", h.refused("local r = rule{} r.x = 1 return {}"))
  end)
end)

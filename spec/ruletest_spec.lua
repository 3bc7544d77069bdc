local h = require "rules.helper"
local ruletest = require "defendis.ruletest"

local NORMALIZER = [[return normalizer{ id = "n", dataset = "d", time = "at", map = function(r)
    return { a = { b = r.x }, list = r.list } end, tests = { %s } }]]
local RULE = [[return rule{ id = "r", title = "Title", level = "low", dataset = "d",
  match = function(r) return r.hit and r.hit.yes end, level_for = function(r) return r.level end, tests = { %s } }]]
local BOTH = [[{ name = "yes", record = { hit = { yes = 1 } }, match = true },
  { name = "no", record = {}, match = false }]]
local CORRELATION = [[return correlation{ id = "c", title = "C", type = "event_count", rules = { "r" }, group_by = {},
  timespan = "1h", condition = { gte = 2 }, level = "high", tests = { %s } }]]

-- The outcomes as { name = true or message }.
local function outcomes(...)
  local out = {}
  for _, t in ipairs(ruletest.run(h.must(...)).tests) do out[t.name] = t.ok or t.message end
  return out
end

describe("ruletest.run", function()
  it("passes what does what it says, with file, line and rule", function()
    local report = ruletest.run(h.must(RULE:format(BOTH)))
    assert.same({ passed = 2, failed = 0, tests = {
      { file = "rules/1.lua", line = 1, rule = "r", name = "yes", ok = true },
      { file = "rules/1.lua", line = 1, rule = "r", name = "no", ok = true } } }, report)
  end)

  it("runs the examples", function()
    local report = ruletest.run(h.examples())
    assert.same({}, (function()
      local failed = {}
      for _, t in ipairs(report.tests) do failed[#failed + 1] = t.message end
      return failed
    end)())
    assert.same({ 16, 0 }, { report.passed, report.failed })
  end)

  it("names path, expected and got of every difference in a document", function()
    local got = outcomes(NORMALIZER:format[[
      { name = "same", input = { x = 1, list = { 1, 2 } }, expect = { a = { b = 1 }, list = { 1, 2 } } },
      { name = "subset", input = { x = 1, list = { 1 } }, expect = {} },
      { name = "value", input = { x = "1" }, expect = { a = { b = 1 } } },
      { name = "shape", input = {}, expect = { a = { b = { c = 1 } }, z = 2 } },
      { name = "list", input = { list = { 1, 2 } }, expect = { list = { 1, 3, 4 } } },
      { name = "shorter list", input = { list = { 1, 2 } }, expect = { list = { 1 } } },
      { name = "null and missing", input = { x = null }, expect = { a = { b = null }, z = null } },
      { name = "null but there", input = { x = 1 }, expect = { a = { b = null } } }]])
    assert.same({ same = true, subset = true, value = 'a.b: expected 1, got "1"',
      shape = "a.b: expected a table, got nil\nz: expected 2, got nil",
      list = "list[2]: expected 3, got 2\nlist[3]: expected 4, got nil\nlist: expected a list of 3, got 2",
      ["shorter list"] = "list: expected a list of 1, got 2", ["null and missing"] = true,
      ["null but there"] = "a.b: expected null, got 1" }, got)
  end)

  it("fails a normalizer that raises, with the line", function()
    local got = outcomes[[return normalizer{ id = "n", dataset = "d", map = function(r)
      return r.a.b end, tests = { { name = "raises", input = {}, expect = {} } } }]]
    assert.equal([[rules/1.lua:2: attempt to index a nil value (field 'a'): "a" is missing or null; get(record, "path") gives nil then]],
      got.raises)
  end)

  it("fails a rule that matches wrongly, has the wrong level or raises", function()
    local got = outcomes(RULE:format(BOTH .. [[,
      { name = "wrong", record = {}, match = true },
      { name = "level", record = { hit = { yes = 1 }, level = "high" }, match = true, level = "high" },
      { name = "own level", record = { hit = { yes = 1 } }, match = true, level = "low" },
      { name = "wrong level", record = { hit = { yes = 1 }, level = "medium" }, match = true, level = "high" },
      { name = "raises", record = { hit = true }, match = true }]]))
    assert.same({ yes = true, no = true, wrong = "match: expected true, got false", level = true, ["own level"] = true,
      ["wrong level"] = "level: expected high, got medium",
      raises = "rules/1.lua:2: attempt to index a boolean value (field 'hit')" }, got)
  end)

  it("holds title and context of a finding against what is expected, of a correlation that of its first", function()
    local got = outcomes([[return rule{ id = "r", title = "R", level = "low", dataset = "d", match = function(r) return r.hit end,
      title_for = function(r) return r.title end, context = function(r) return r.c end, tests = {
      { name = "title", record = { hit = 1, title = "x" }, match = true, title = "x" },
      { name = "own title", record = { hit = 1 }, match = true, title = "R" },
      { name = "wrong title", record = { hit = 1, title = "x" }, match = true, title = "y" },
      { name = "context", record = { hit = 1, c = { a = 1, b = 2 } }, match = true, context = { a = 1 } },
      { name = "wrong context", record = { hit = 1, c = { a = 1 } }, match = true, context = { a = 2, z = 3 } },
      { name = "no context", record = { hit = 1 }, match = true, context = { a = 2 } },
      { name = "fault", record = { hit = 1, title = {} }, match = true, title = "R" },
      { name = "no", record = {}, match = false } } }]], NORMALIZER:format '{ name = "n", input = {}, expect = {} }',
      CORRELATION:gsub("level = \"high\"", [[level = "high", level_for = function(f) return f.count > 2 and "critical" or nil end,
      title_for = function(f) if f.count > 2 then error "x" end return "n" .. f.count end, context = function(f) return { f.count } end]])
      :format[[{ name = "good", findings = 1, level = "high", title = "n2", context = { 2 },
        events = { { hit = 1, at = 1 }, { hit = 1, at = 2 } } },
      { name = "bad level", findings = 1, level = "low", events = { { hit = 1, at = 1 }, { hit = 1, at = 2 } } },
      { name = "bad", findings = 1, title = "n3", context = { 3 }, events = { { hit = 1, at = 1 }, { hit = 1, at = 2 } } },
      { name = "none", findings = 0, title = "n2", events = {} }]])
    assert.same({ title = true, ["own title"] = true, ["wrong title"] = 'title: expected "y", got "x"', context = true,
      ["wrong context"] = "context.a: expected 2, got 1\ncontext.z: expected 3, got nil",
      ["no context"] = "context: expected a table, got nil",
      fault = "rules/1.lua:2: title_for returned table, not a text", no = true, n = true, good = true,
      ["bad level"] = "level: expected low, got high", bad = 'context[1]: expected 3, got 2\ntitle: expected "n3", got "n2"',
      none = 'title: expected "n2", got nil', ["has tests"] = nil }, got)
  end)

  it("runs the events of a correlation in any order through rules and normalizer", function()
    local got = outcomes(NORMALIZER:format '{ name = "n", input = {}, expect = {} }', RULE:format(BOTH),
      CORRELATION:format[[
      { name = "two", findings = 1, events = { { hit = { yes = 1 }, at = "2026-01-01T00:59:59Z" },
        { hit = { yes = 1 }, at = "2026-01-01" } } },
      { name = "too far", findings = 0, events = { { hit = { yes = 1 }, at = "2026-01-01T01:00:00Z" },
        { hit = { yes = 1 }, at = "2026-01-01" } } },
      { name = "no match", findings = 0, events = { { hit = { yes = 1 }, at = 1 }, { at = 2 } } },
      { name = "same id", findings = 0, events = { { id = 5, hit = { yes = 1 }, at = 1 },
        { id = 5, hit = { yes = 1 }, at = 1 } } },
      { name = "wrapped", findings = 1, events = { { dataset = "d", record = { hit = { yes = 1 }, at = 1 } },
        { dataset = "d", record = { hit = { yes = 1 }, at = 2 } } } },
      { name = "wrong", findings = 2, events = { { hit = { yes = 1 }, at = 1 }, { hit = { yes = 1 }, at = 2 } } },
      { name = "raises", findings = 0, events = { { hit = true, at = 1 } } },
      { name = "no time", findings = 0, events = { { hit = { yes = 1 } } } }]])
    assert.same({ n = true, yes = true, no = true, two = true, ["too far"] = true, ["no match"] = true,
      ["same id"] = true, wrapped = true, wrong = "findings: expected 2, got 1",
      raises = "events[1]: rules/2.lua:2: attempt to index a boolean value (field 'hit')",
      ["no time"] = 'events[1]: no time in the field "at"' }, got)
  end)

  it("asks for the dataset where it cannot be known, and for a normalizer that knows the time", function()
    local got = outcomes(RULE:format(BOTH), (RULE:format(BOTH):gsub('"r"', '"q"'):gsub('"d"', '"other"')),
      (CORRELATION:format[[{ name = "which", findings = 0, events = { {} } },
        { name = "time", findings = 1, events = { { dataset = "d", record = {} } } }]]:gsub('{ "r" }', '{ "r", "q" }')))
    assert.equal("events[1]: which dataset? write { dataset = ..., record = {...} }", got.which)
    assert.equal('events[1]: no normalizer says which field of "d" is the time', got.time)
  end)

  it("fails what has no positive or no negative test, saying which", function()
    local function gap(...)
      local tests = ruletest.run(h.must(...)).tests
      return tests[#tests].message
    end
    assert.equal("rules/1.lua:1: the rule has no positive and no negative test", gap(RULE:format ""))
    assert.equal("rules/1.lua:1: the rule has no negative test",
      gap(RULE:format '{ name = "yes", record = { hit = { yes = 1 } }, match = true }'))
    assert.equal("rules/1.lua:1: the rule has no positive test",
      gap(RULE:format '{ name = "no", record = {}, match = false }'))
    assert.equal("rules/1.lua:1: the normalizer has no test", gap(NORMALIZER:format ""))
    assert.equal("rules/2.lua:1: the correlation has no positive and no negative test",
      gap(RULE:format(BOTH), CORRELATION:format ""))
  end)

  it("runs only what the filter selects", function()
    local set = h.must(RULE:format(BOTH), NORMALIZER:format "")
    local function count(filter)
      local report = ruletest.run(set, { filter = filter })
      return { report.passed, report.failed }
    end
    assert.same({ 2, 0 }, count "Title")
    assert.same({ 1, 0 }, count "yes")
    assert.same({ 2, 0 }, count "rules/1")
    assert.same({ 0, 1 }, count "rules/2")
    assert.same({ 0, 0 }, count "[")
  end)
end)

describe("ruletest.junit", function()
  it("writes one suite per file, escaped", function()
    local odd = ', { name = "<a> & \\"b\\"\\1", record = {}, match = true }'
    local xml = ruletest.junit(ruletest.run(h.must(RULE:format(BOTH .. odd), NORMALIZER:format "")))
    assert.equal([[<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4" failures="2">
  <testsuite name="rules/1.lua" tests="3" failures="1">
    <testcase classname="r" name="yes"/>
    <testcase classname="r" name="no"/>
    <testcase classname="r" name="&lt;a&gt; &amp; &quot;b&quot;?">
      <failure message="match: expected true, got false"/>
    </testcase>
  </testsuite>
  <testsuite name="rules/2.lua" tests="1" failures="1">
    <testcase classname="n" name="has tests">
      <failure message="rules/2.lua:1: the normalizer has no test"/>
    </testcase>
  </testsuite>
</testsuites>
]], xml)
  end)
end)

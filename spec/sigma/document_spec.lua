-- document_spec.lua: what becomes of Sigma documents: rules, correlations, filters, and faults in them.
local h = require "sigma.helper"
local null = h.null

local SEARCH = "detection:\n  s: {hit: 1}\n  condition: s\n"
local SOURCE = "logsource: {product: defendis, service: d}\n"
local RULE = "title: First\nid: r1\nname: first\nlevel: low\n" .. SOURCE .. SEARCH
local SECOND = "title: Second\nid: r2\nname: second\n" .. SOURCE .. SEARCH:gsub("hit", "second")

local function correlation(lines, top) return "title: C\nid: c\n" .. (top or "") .. "correlation:\n  " .. lines:gsub("\n(.)", "\n  %1") end

local COUNT = "type: event_count\nrules: [first]\ngroup-by: [who]\ntimespan: 1h\ncondition: {gte: 2}\n"

describe("a Sigma rule", function()
  it("keeps what it says of itself", function()
    local set = assert(h.load{ [[
title: T
id: 0d7e2a10-5c9b-4b1e-9b1e-6f5a8c3d2e12
name: n
level: critical
status: test
description: what for
author: somebody
date: 2026-01-05
modified: 2026-01-06
tags: [attack.t1078]
references: https://a.example/
falsepositives: [Tests]
fields: [email]
custom_of_ours: {a: 1}
]] .. SOURCE .. SEARCH })
    local def = set.definitions[1]
    local o = def.options
    assert.same({ "T", "n", "critical", "test", "what for", "somebody", "2026-01-05", "2026-01-06", "d" },
      { o.title, o.name, o.level, o.status, o.description, o.author, o.date, o.modified, o.dataset })
    assert.same({ { "https://a.example/" }, { "Tests" }, { "attack.t1078" } }, { o.references, o.falsepositives, o.tags })
    assert.same({ "a.yml:13: fields is not used", "a.yml:14: custom_of_ours is not used" }, def.notes)
    local result = set:apply("d", { hit = 1 }, { id = "x", time = 1000 })
    assert.same({ "0d7e2a10-5c9b-4b1e-9b1e-6f5a8c3d2e12", "critical", "T" },
      { result.findings[1].rule.id, result.findings[1].level, result.findings[1].title })
    assert.same({}, set:apply("other", { hit = 1 }, { id = "x", time = 1000 }).findings)
  end)

  it("goes by its name or title without an id, and is of medium level when it says none", function()
    local set = assert(h.load{ "title: T\n" .. SOURCE .. SEARCH .. "---\ntitle: U\nname: n\nlevel: ~\n" .. SOURCE .. SEARCH })
    assert.equal("medium", set.by_id.T.level)
    assert.equal("medium", set.by_id.n.level)
  end)

  it("runs its tests when it has some, and is not asked for any", function()
    local ruletest = require "defendis.ruletest"
    local report = ruletest.run(assert(h.load{ RULE .. "---\n" .. SECOND
      .. "tests:\n  - {name: yes, match: true, record: {second: 1, x: ~}}\n  - {name: no, match: false, record: {second: 1}}\n" }))
    assert.same({ 1, 1 }, { report.passed, report.failed })
    assert.equal("no", report.tests[2].name)
    report = ruletest.run(assert(h.load{ SECOND .. "tests:\n  - {name: yes, match: true, record: {second: 1}}\n" }))
    assert.equal("a.yml:1: the rule has no negative test", report.tests[2].message)
  end)

  it("has its dataset from a logsource in a rule file, the first that fits", function()
    local function lua(fields) return "return logsource{ " .. fields .. " }" end
    local rule = "title: T\nid: r\nlogsource: {product: windows, service: security, category: logon, definition: any}\n" .. SEARCH
    assert.equal("x", assert(h.load{ rule, lua 'product = "windows", service = "security", dataset = "x"' }).by_id.r.dataset)
    assert.equal("x", assert(h.load{ lua 'category = "logon", dataset = "x"', lua 'product = "windows", dataset = "y"',
      rule }).by_id.r.dataset)
    assert.equal('a.yml:3: field "logsource": no dataset is known for "product: windows, category: logon, service: security"; '
      .. "write product: defendis and service: DATASET, or say it in a rule file: return logsource{ ..., dataset = ... }", h.refused(rule))
    assert.matches("^a.yml:3: ", h.refused(rule, lua 'product = "linux", dataset = "x"'))
    assert.equal('b.lua:1: missing required field "dataset"', h.refused(rule, lua 'product = "windows"'))
    assert.equal("b.lua:1: one of product, category, service is needed", h.refused(rule, lua 'dataset = "x"'))
  end)

  -- text, what is said
  for _, case in ipairs{
    { "id: x\n" .. SOURCE .. SEARCH, 'a.yml:1: missing required field "title"' }, { "title: 5\n" .. SOURCE .. SEARCH,
      'a.yml:1: field "title": a text expected' },
    { "title: T\nlevle: high\n" .. SOURCE .. SEARCH, 'a.yml:2: unknown key "levle", nearest key "level"' },
    { "title: T\nlevel: hihg\n" .. SOURCE .. SEARCH,
      'a.yml:2: field "level": one of informational, low, medium, high, critical expected, got "hihg", nearest "high"' },
    { "title: T\n" .. SOURCE .. SEARCH .. "tags:\n  - a\n  - 5\n", 'a.yml:8: field "tags[2]": a string expected, got a number' },
    { "title: T\n" .. SEARCH, 'a.yml:1: missing required field "logsource"' }, { "title: T\nlogsource: d\n" .. SEARCH,
      'a.yml:2: field "logsource": a map expected' },
    { "title: T\nlogsource: {produkt: defendis}\n" .. SEARCH, 'a.yml:2: field "logsource": unknown key "produkt", nearest key "product"' },
    { "title: T\n" .. SOURCE, 'a.yml:1: missing required field "detection", "correlation" or "filter"' },
    { "title: T\n" .. SOURCE .. "detection: x\n", 'a.yml:3: field "detection": a map expected' },
    { "action: global\ntitle: T\n", "a.yml:1: action: collections are of old rules, write every document in full" },
    { "- a\n", "a.yml:1: a Sigma document is a map" }, { "", "a.yml:1: there is no document in it" },
    { RULE .. "---\n" .. RULE, 'a.yml:11: field "id": "r1" is already used at a.yml:1' },
    { RULE .. "correlation: {}\n", "a.yml:1: a document has one of detection, correlation and filter, not detection and correlation" },
    { "title: T\n" .. SOURCE .. SEARCH .. "tests: [{name: a, match: 5, record: {}}]\n",
      'a.yml:6: field "tests[1].match": a boolean expected, got a number' },
  } do
    it("is refused with file and line: " .. case[2], function() assert.equal(case[2], h.refused(case[1])) end)
  end
end)

describe("a Sigma correlation", function()
  it("counts what Sigma rules and rules in Lua matched, wherever they stand", function()
    local set = assert(h.load{ correlation((COUNT:gsub("%[first%]", "[first, lua_rule]"))), RULE,
      [[return rule{ id = "l", name = "lua_rule", title = "L", level = "low",
      dataset = "d", match = function(r) return r.lua end }]] })
    assert.is_false(set.by_id.r1.alerts)
    local events = {}
    for i, record in ipairs{ { hit = 1, who = "a" }, { lua = true, who = "a" }, { hit = 1, who = "b" } } do
      for _, e in ipairs(require("rules.helper").events_of(set, "d", record, { id = "x" .. i, time = i })) do events[#events + 1] = e end
    end
    local found = set:evaluate("c", events[1].group, { events[1], events[2] }, 0, nil)
    assert.same({ 1, 2, "a" }, { #found, found[1].count, found[1].group.who })
  end)

  it("has Sigma's keys as options of correlation{...}", function()
    local options
    local rules = require "defendis.rules.correlation"
    local validate = rules.validate
    finally(function() rules.validate = validate end)
    rules.validate = function(o)
      options = o
      return "seen"
    end
    local function read(text, top)
      assert(not h.load{ text and correlation(text, top), RULE })
      return options
    end
    local o = read("type: temporal\nrules:\n  - first\n  - second\ngroup-by: [u]\n"
      .. "timespan: 1M\naliases:\n  u: {first: a.b, second: c}\ncondition: first and not second\n",
      "level: high\ngenerate: true\n")
    assert.same({ id = "c", title = "C", level = "high", type = "temporal", rules = { "first", "second" }, group_by = { "u" },
      timespan = "2629746s",
      aliases = { u = { first = "a.b", second = "c" } }, condition = "first and not second", generate = true }, o)
    o = read("type: value_percentile\nrules: first\ntimespan: 2y\n"
      .. "condition: {field: f, percentile: 95, gt: 1.5, lte: 7}\ngenerate: false\n")
    assert.same({ { "first" }, {}, "63113904s", { field = "f", percentile = 95, gt = 1.5, lte = 7 }, false, "medium" },
      { o.rules, o.group_by, o.timespan, o.condition, o.generate, o.level })
  end)

  -- lines of correlation, what is said
  for _, case in ipairs{
    { COUNT:gsub("first", "frist"), 'a.yml:5: field "rules[1]": unknown rule "frist", nearest rule "first"' },
    { COUNT .. "group_by: [x]\n", 'a.yml:9: field "correlation": unknown key "group_by", nearest key "group-by"' },
    { COUNT:gsub("1h", "1h30"), 'a.yml:7: field "correlation.timespan": a span such as 15m, 24h or 30d expected, got 1h30' },
    { COUNT:gsub("1h", "1D"), 'a.yml:7: field "correlation.timespan": a span such as 15m, 24h or 30d expected, got 1D' },
    { COUNT:gsub("timespan: 1h\n", ""), 'a.yml:4: field "correlation": missing required field "timespan"' },
    { COUNT:gsub("gte: 2", "gtee: 2"), 'a.yml:8: field "condition": unknown key "gtee", nearest key "gte"' },
    { COUNT:gsub("gte: 2", "gte: x"), 'a.yml:8: field "condition.gte": a number expected, got a string' },
    { COUNT:gsub("event_count", "event_cuont"), '^a.yml:4: field "type": one of ' },
    { COUNT:gsub("%[who%]", "\n    - who\n    - 5"), 'a.yml:8: field "group_by[2]": a string expected, got a number' },
  } do
    it("is refused with the line in the YAML: " .. case[2], function()
      local message = h.refused(correlation(case[1]), RULE)
      assert.truthy(message == case[2] or case[2]:find("^^") and message:find(case[2]), message)
    end)
  end
end)

describe("a Sigma filter", function()
  local function filter(rules, lines, more)
    return "title: F\n" .. (more or "") .. "filter:\n  rules: " .. rules .. "\n  " .. (lines
      or "own: {user: admin}\ncondition: not own\n"):gsub("\n(.)", "\n  %1") .. SOURCE
  end

  it("takes records out of the rules that it names, by id or name, in YAML and in Lua, and of no others", function()
    local set = assert(h.load{ filter "[r1, l]", filter("[first, r1]", "h: {host: lab}\ncondition: not h\n"), RULE .. "---\n" .. SECOND,
      [[return rule{ id = "l", title = "L", level = "low", dataset = "d", match = function(r) return r.hit end }]] })
    local function hits(record)
      local seen = {}
      for _, f in ipairs(set:apply("d", record, { id = "1" }).findings) do seen[f.rule.id] = true end
      return { seen.r1 or false, seen.r2 or false, seen.l or false }
    end
    assert.same({ true, true, true }, hits{ hit = 1, second = 1, user = "eve" })
    assert.same({ false, true, false }, hits{ hit = 1, second = 1, user = "Admin" })
    assert.same({ false, true, true }, hits{ hit = 1, second = 1, host = "lab" })
    assert.same({ false, false, false }, hits{ user = "eve" })
    assert.same({ true, false, true }, hits{ hit = 1, user = null })
  end)

  it("takes records out of any rule of its dataset", function()
    local other = "---\ntitle: O\nid: o\nlogsource: {product: defendis, service: e}\n" .. SEARCH
    local set = assert(h.load{ filter "any", RULE .. "---\n" .. SECOND .. other })
    local record = { hit = 1, second = 1, user = "admin" }
    local function count(dataset) return #set:apply(dataset, record, { id = "1" }).findings end
    assert.same({ 0, 1 }, { count "d", count "e" })
    record.user = "eve"
    assert.same({ 2, 1 }, { count "d", count "e" })
  end)

  for _, case in ipairs{
    { filter "[frist]", 'a.yml:3: field "filter.rules": unknown rule "frist", nearest rule "first"' },
    { filter "\n    - first\n    - c", 'a.yml:5: field "filter.rules": "c" is a correlation, not a rule' },
    { filter "[]", 'a.yml:3: field "filter.rules": names of rules expected' }, { filter("[first]", "condition: not own\n"),
      "a.yml:3: no search is given" },
    { filter("[first]", nil, "level: low\n"), 'a.yml:2: field "level": a filter has none' },
    { filter("[first]"):gsub("service: d", "service: e"),
      'a.yml:3: field "filter.rules": the logsource of the filter is e, of "first" it is d' },
    { filter("[first]", "own|x: {a|wide: b}\ncondition: not own\n"),
      'a.yml:4: field "a|wide": the modifier wide is not supported: no text of a record is UTF-16' },
  } do
    it("is refused with its line: " .. case[2], function()
      assert.equal(case[2], h.refused(case[1], RULE, correlation(COUNT)))
    end)
  end
end)

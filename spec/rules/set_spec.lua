local h = require "rules.helper"

local function rule(id, fields)
  return ([[return rule{ id = "%s", title = "T", level = "low", dataset = "d", tags = { "a" },
    match = function(r) return r.hit end, %s }]]):format(id, fields or "")
end

local CORRELATION = [[return correlation{ id = "c", title = "C", type = "value_count", rules = { "r" },
  group_by = { "who" }, timespan = "1h", condition = { field = "service", gte = 2 }, level = "high" }]]

describe("set:apply", function()
  it("makes one finding per matching record", function()
    local set = h.must(rule("r", "version = 3"))
    local finding = set:apply("d", { hit = 1 }, { id = "x", time = 5 }).findings[1]
    assert.same({ id = finding.id, type = "match", title = "T", level = "low", time = 5, tags = { "a" },
      rule = { id = "r", title = "T", version = 3 }, evidence = { { id = "x", time = 5, dataset = "d" } },
      evidence_total = 1 }, finding)
    assert.equal(h.array_mt, getmetatable(finding.evidence))
    assert.equal(h.array_mt, getmetatable(finding.tags))
  end)

  it("gives a finding the same id for the same rule and record, and only for these", function()
    local set = h.must(rule "r", rule "r1")
    local function ids(id)
      local out = {}
      for _, f in ipairs(set:apply("d", { hit = 1 }, { id = id, time = 5 }).findings) do out[#out + 1] = f.id end
      return out
    end
    local one, ten = ids "1", ids "11"
    assert.same(one, ids "1")
    local seen = {}
    for _, id in ipairs{ one[1], one[2], ten[1], ten[2] } do
      assert.is_nil(seen[id])
      seen[id] = true
    end
  end)

  it("runs the rules of the record's dataset only", function()
    local set = h.must(rule "r")
    assert.equal(0, #set:apply("other", { hit = 1 }, { id = "x", time = 5 }).findings)
  end)

  it("gives a finding without time to a record without one", function()
    local set = h.must(rule "r")
    assert.is_nil(set:apply("d", { hit = 1 }, { id = "x" }).findings[1].time)
  end)

  it("takes the level from level_for, and the rule's own when that says nothing", function()
    local set = h.must(rule("r", "level_for = function(r) return r.level end"))
    assert.equal("critical", set:apply("d", { hit = 1, level = "critical" }, { id = "x" }).findings[1].level)
    assert.equal("low", set:apply("d", { hit = 1 }, { id = "x" }).findings[1].level)
  end)

  it("keeps the finding and reports the fault when level_for fails", function()
    local set = h.must(rule("r", "level_for = function(r) return r.level.x end"))
    local result = set:apply("d", { hit = 1 }, { id = "x" })
    assert.equal("low", result.findings[1].level)
    assert.matches("^rules/1.lua:2: attempt to index", result.faults[1].message)
    set = h.must(rule("r", "level_for = function(r) return 'hihg' end"))
    result = set:apply("d", { hit = 1 }, { id = "x" })
    assert.equal("low", result.findings[1].level)
    assert.equal("rules/1.lua:2: level_for returned hihg, not a level", result.faults[1].message)
  end)

  it("reports a rule that raises with file and line and goes on with the others", function()
    local set = h.must([[return rule{ id = "bad", title = "T", level = "low", dataset = "d",
      match = function(r)
        return r.source.type == "x"
      end }]], rule "good", [[return rule{ id = "table", title = "T", level = "low", dataset = "d",
      match = function() error({}) end }]], [[return rule{ id = "tail", title = "T", level = "low", dataset = "d",
      match = function() return ("x"):rep({}) end }]])
    local result = set:apply("d", { hit = 1 }, { id = "x" })
    assert.equal("good", result.findings[1].rule.id)
    assert.same({ "bad", "table", "tail" }, { result.faults[1].rule, result.faults[2].rule, result.faults[3].rule })
    assert.equal(
      [[rules/1.lua:3: attempt to index a nil value (field 'source'): "source" is missing or null; get(record, "path") gives nil then]],
      result.faults[1].message)
    assert.equal("rules/3.lua:2: error object (table)", result.faults[2].message)
    assert.matches("^rules/4.lua:2: bad argument", result.faults[3].message)
  end)

  it("keeps the message of a fault short and on one line", function()
    local set = h.must(rule("r", "level_for = function() error(('x\\n'):rep(100000)) end"))
    local message = set:apply("d", { hit = 1 }, { id = "x" }).faults[1].message
    assert.is_true(#message < 600)
    assert.is_nil(message:find("\n"))
  end)

  it("normalizes, and passes the record through where no normalizer is", function()
    local set = h.must("return normalizer{ id = 'n', dataset = 'd', map = function(r) return { x = r.y } end }")
    assert.same({ x = 1 }, set:apply("d", { y = 1 }, { id = "x" }).doc)
    local record = {}
    assert.equal(record, set:apply("other", record, { id = "x" }).doc)
  end)

  it("has a fault in place of a document when map raises or returns none, and the rules still run", function()
    local set = h.must([[return normalizer{ id = "n", dataset = "d", map = function(r)
      return ocsf.detection_finding{ time = 1, severity_id = 2, finding_inof = {} } end }]], rule "r")
    local result = set:apply("d", { hit = 1 }, { id = "x" })
    assert.is_nil(result.doc)
    assert.equal("n", result.fault.rule)
    assert.equal('rules/1.lua:1: detection_finding: unknown attribute "finding_inof", nearest attribute "finding_info"',
      result.fault.message)
    assert.equal(1, #result.findings)
    set = h.must("return normalizer{ id = 'n', dataset = 'd', map = function(r) end }")
    assert.equal("rules/1.lua:1: map returned nil, a table expected", set:apply("d", {}, { id = "x" }).fault.message)
  end)

  it("forgets the last record's results", function()
    local set = h.must([[return normalizer{ id = "n", dataset = "d", map = function(r) return r.doc end }]],
      rule("r", "level_for = function() error 'x' end"), rule("s", "suppress = '1h'"))
    set:apply("d", { hit = 1 }, { id = "x", time = 1 })
    local result = set:apply("d", { doc = {} }, { id = "y", time = 1 })
    assert.same({ 0, 0, 0 }, { #result.findings, #set:events(), #result.faults })
    assert.is_nil(result.fault)
    assert.truthy(result.doc)
  end)

  it("allocates nothing for a record that no rule matches", function()
    local set = h.must(rule "r", CORRELATION, rule("s", "suppress = '1h'"))
    local record, meta = { id = "x" }, { id = "x", time = 5 }
    set:apply("d", record, meta)
    collectgarbage()
    collectgarbage "stop"
    local before = collectgarbage "count"
    for _ = 1, 10000 do set:apply("d", record, meta) end
    local grown = collectgarbage "count" - before
    collectgarbage "restart"
    assert.is_true(grown < 1, ("%.1f KiB"):format(grown))
  end)
end)

describe("a rule that a correlation counts", function()
  it("makes events, one per element of a list to group by, and no finding of its own", function()
    local set = h.must(rule "r", CORRELATION)
    local result = set:apply("d", { hit = 1, who = { "eve", "bob" }, service = "vpn" }, { id = "x", time = 5 })
    assert.equal(0, #result.findings)
    assert.same({
      { rule = "c", group = "s3:eve", time = 5, id = "x", member = "r", value = "s3:vpn" },
      { rule = "c", group = "s3:bob", time = 5, id = "x", member = "r", value = "s3:vpn" },
    }, set:events())
  end)

  it("makes findings too when it says generate", function()
    local set = h.must(rule("r", "generate = true"), CORRELATION)
    local result = set:apply("d", { hit = 1, who = "eve", service = "vpn" }, { id = "x", time = 5 })
    assert.same({ 1, 1 }, { #result.findings, #set:events() })
  end)

  it("counts the records that take no part, and why", function()
    local set = h.must(rule "r", CORRELATION)
    local many = {}
    for i = 1, 40 do many[i] = i end
    assert.equal(0, #h.events_of(set, "d", { hit = 1, service = "vpn" }, { id = "1", time = 5 }))
    assert.equal(0, #h.events_of(set, "d", { hit = 1, who = "x" }, { id = "2", time = 5 }))
    assert.equal(0, #h.events_of(set, "d", { hit = 1, who = h.null, service = { 1 } }, { id = "3", time = 5 }))
    assert.equal(0, #h.events_of(set, "d", { hit = 1, who = "x", service = "vpn" }, { id = "4" }))
    assert.equal(32, #h.events_of(set, "d", { hit = 1, who = many, service = "vpn" }, { id = "5", time = 5 }))
    assert.same({ missing_group = 1, missing_value = 2, no_time = 1, group_capped = 1, not_a_number = 0, evicted = 0 }, set.counters)
  end)
end)

describe("a rule that suppresses", function()
  local function events_of(set, records)
    local out = {}
    for i, record in ipairs(records) do
      local result = set:apply("d", record, { id = tostring(i), time = record.at })
      assert.equal(0, #result.findings)
      for _, event in ipairs(set:events()) do out[#out + 1] = event end
    end
    return h.sorted(out)
  end

  it("alerts on the first record of a group, then on the first one after the silence", function()
    local set = h.must(rule("r", "dedup = function(r) return r.who end, suppress = '10s'"))
    local events = events_of(set, { { hit = 1, who = "eve", at = 0 }, { hit = 1, who = "eve", at = 9999 },
      { hit = 1, who = "eve", at = 10000 }, { hit = 1, who = "eve", at = 10001 } })
    local findings = h.all(set, "r", "s3:eve", events)
    assert.same({ 0, 10000 }, { findings[1].time, findings[2].time })
    assert.equal(2, #findings)
    assert.same({ dedup = { "eve" } }, findings[1].group)
    assert.equal("match", findings[1].type)
    assert.same({ { id = "1", time = 0, dataset = "d" } }, findings[1].evidence)
  end)

  it("makes the id that the same rule makes without suppression", function()
    local event = events_of(h.must(rule("r", "suppress = '1h'")), { { hit = 1, at = 5 } })[1]
    local set = h.must(rule("r", "suppress = '1h'"))
    local plain = h.must(rule "r"):apply("d", { hit = 1 }, { id = "1", time = 5 }).findings[1]
    assert.equal(plain.id, h.all(set, "r", event.group, { event })[1].id)
  end)

  it("is one group without dedup, and quiet for a day without suppress", function()
    local set = h.must(rule("r", "suppress = '1h'"), rule("q", "dedup = function(r) return { r.who, 1 } end"))
    set:apply("d", { hit = 1, who = "eve" }, { id = "1", time = 5 })
    assert.same({ "", "s3:evei1:1" }, { set:events()[1].group, set:events()[2].group })
    assert.equal(86400000, set:correlations()[2].suppress_ms)
  end)

  it("carries the level of the record that alerts", function()
    local set = h.must(rule("r", "suppress = '1h', level_for = function(r) return r.level end"))
    local event = events_of(set, { { hit = 1, at = 5, level = "critical" } })[1]
    assert.equal("critical", h.all(set, "r", event.group, { event })[1].level)
  end)

  it("loses no alert: a record without group, or with a dedup that fails, is a group of its own", function()
    local set = h.must(rule("r", "dedup = function(r) return r.who.name end"))
    local groups = {}
    for i, who in ipairs{ {}, {}, { name = h.null }, { name = { {} } }, "text" } do
      groups[i] = h.events_of(set, "d", { hit = 1, who = who }, { id = tostring(i), time = 5 })[1].group
    end
    local seen = {}
    for _, group in ipairs(groups) do
      assert.is_nil(seen[group])
      seen[group] = true
    end
    local result = set:apply("d", { hit = 1 }, { id = "6", time = 5 })
    assert.equal(1, #set:events())
    assert.matches("^rules/1.lua:2: attempt to index", result.faults[1].message)
  end)

  it("alerts at once for a record without time", function()
    local set = h.must(rule("r", "suppress = '1h'"))
    local result = set:apply("d", { hit = 1 }, { id = "1" })
    assert.same({ 1, 0, 1 }, { #result.findings, #set:events(), set.counters.no_time })
  end)
end)

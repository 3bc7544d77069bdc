-- What correlations mean, point by point: Sigma correlation rules 2.1 and what they leave open.
local h = require "rules.helper"
local memory = require "defendis.rules.memory"
local ruletest = require "defendis.ruletest"

local BASES = [[local function named(id, dataset)
    return rule{ id = id, title = id, level = "low", dataset = dataset, match = function(r) return r[id] end }
  end
  return { named("a", "d"), named("b", "d"), named("e", "d") }]]

local function correlation(text)
  return ([[return correlation{ title = "T", level = "high", %s }]]):format(text)
end

local function load(...)
  local texts = { ... }
  for i, text in ipairs(texts) do texts[i] = correlation(text) end
  return h.must(BASES, table.unpack(texts))
end

-- "a@5 b@7" as records; "a=x@5" has v = "x" (a number when it looks like one), who is eve
local function records(text, extra)
  local out = {}
  for names, value, at in text:gmatch("(%l+)=?(%S-)@(%d+)") do
    local r = { id = ("%03d"):format(#out + 1), at = tonumber(at), who = "eve", v = value ~= "" and (tonumber(value) or value) or nil }
    for name in names:gmatch "%l" do r[name] = true end
    for k, v in pairs(extra or {}) do r[k] = v end
    out[#out + 1] = r
  end
  return out
end

local function join(...)
  local out = {}
  for _, list in ipairs{ ... } do table.move(list, 1, #list, #out + 1, out) end
  return out
end

local function events_of(set, list)
  local out = {}
  for _, r in ipairs(list) do
    for _, event in ipairs(h.events_of(set, "d", r, { id = r.id, time = r.at })) do out[#out + 1] = event end
  end
  return out
end

local function found(set, list, options, id)
  if type(list) == "string" then list = records(list) end
  return memory.run(set, events_of(set, list), options)[id or "c"]
end

local function times(...)
  local out = {}
  for i, f in ipairs(found(...)) do out[i] = f.time end
  table.sort(out)
  return out
end

local COUNT = [[id = "c", type = "event_count", rules = { "a" }, group_by = { "who" }, timespan = "5ms", condition = { gte = 2 }]]
local ORDER = [[id = "c", type = "%s", rules = { "a", "b" }, group_by = { "who" }, timespan = "5ms"]]

local function number(kind, condition, more)
  return load(([[id = "c", type = "%s", rules = { "a", "b" }, group_by = { "who" }, timespan = "9ms", condition = { field = "v", %s }, %s]])
    :format(kind, condition, more or ""))
end

describe("a window", function()
  it("(1) does not hold an event that is exactly the timespan old", function()
    assert.same({}, times(load(COUNT), "a@0 a@5"))
    assert.same({ 4 }, times(load(COUNT), "a@0 a@4"))
    assert.same({}, times(load(ORDER:format "temporal_ordered"), "a@0 b@5"))
    assert.same({ 4 }, times(load(ORDER:format "temporal_ordered"), "a@0 b@4"))
    assert.same({}, times(load(ORDER:format "temporal_ordered"), "b@0 a@4"))
    assert.same({ 4 }, times(load(ORDER:format "temporal"), "b@0 a@4"))
  end)

  it("(2) is one for each group, however their events alternate", function()
    local set = load(COUNT)
    local list = join(records "a@0 a@4", records("a@1 a@3", { who = "bob" }))
    for i, r in ipairs(list) do r.id = tostring(i) end
    local list_of = found(set, list)
    assert.same({ { "bob", 3 }, { "eve", 4 } }, { { list_of[1].group.who, list_of[1].time }, { list_of[2].group.who, list_of[2].time } })
  end)

  it("(3) takes no event without the field to group by, and counts it, unless the field is marked with ?", function()
    local set, list = load(COUNT), records("a@0 a@1", { who = h.null })
    assert.same({}, times(set, list))
    assert.equal(2, set.counters.missing_group)
    local open = load((COUNT:gsub('"who"', '"?who", "at"'):gsub('"at"', '"?n"')))
    local f = found(open, list)[1]
    assert.same({ 1, h.null, h.null }, { f.time, f.group.who, f.group.n })
    assert.same({ 1 }, times(load((COUNT:gsub('"who"', '"?who"'))), list))
  end)

  it("(4) counts an event once that comes again after a restart", function()
    local list = records "a@0"
    assert.same({}, times(load(COUNT), join(list, list)))
    assert.same({}, times(load(COUNT), join(list, list), { cuts = { 1, 2, math.maxinteger } }))
  end)

  it("(6) takes events of one time for being in order", function()
    assert.same({ 3 }, times(load(ORDER:format "temporal_ordered"), "b@3 a@3"))
  end)

  it("(7) fires when gte comes true, and is then quiet for the timespan or longer", function()
    assert.same({ 1, 6 }, times(load(COUNT), "a@0 a@1 a@2 a@3 a@4 a@5 a@6"))
    assert.same({ 1, 9 }, times(load(COUNT .. ", suppress = '8ms'"), "a@0 a@1 a@2 a@3 a@4 a@5 a@6 a@7 a@8 a@9"))
  end)

  it("(8) decides lt when it closes, not before, and only when something opened it", function()
    local set = load((COUNT:gsub("gte = 2", "lt = 2")))
    assert.same({ 7 }, times(set, "a@2"))
    assert.same({}, times(set, "a@2", { cuts = { 6 } }))
    assert.same({ 7 }, times(set, "a@2", { cuts = { 6, 7 } }))
    assert.same({ 12 }, times(set, "a@2 a@6 a@7"))
    assert.same({}, times(set, ""))
    assert.same({ from = 7, to = 12 }, found(set, "a@2 a@6 a@7")[1].window)
  end)

  it("(13) that wants 101 to 200 decides when it closes", function()
    local set = load((COUNT:gsub("gte = 2", "gt = 100, lte = 200"):gsub("5ms", "1s")))
    local function many(n)
      local out = {}
      for i = 1, n do out[i] = "a@" .. i end
      return table.concat(out, " ")
    end
    assert.same({ 0, 1, 1, 0 }, { #times(set, many(100)), #times(set, many(101)), #times(set, many(200)), #times(set, many(201)) })
  end)

  it("(20) holds max_events at most, and what it did without is counted", function()
    local set = load(COUNT .. ", max_events = 2")
    assert.same({ 1 }, times(set, "a@0 a@1 a@2"))
    assert.equal(1, set.counters.evicted)
    local sum = number("value_sum", "gte = 9", "max_events = 2")
    assert.same({}, times(sum, "a=4@0 a=4@1 a=4@2"))
    assert.equal(1, sum.counters.evicted)
    local closing = number("value_sum", "lte = 8", "max_events = 2")
    assert.same({ 9 }, times(closing, "a=4@0 a=4@1 a=4@2"))
    assert.equal(1, closing.counters.evicted)
  end)
end)

describe("a condition as text", function()
  it("(9) with not is decided at the end, and what is negated counts before and after", function()
    local set = load((ORDER:format "temporal") .. [[, condition = "a and not b"]])
    assert.same({ 15 }, times(set, "a@10"))
    assert.same({}, times(set, "a@10", { cuts = { 14 } }))
    assert.same({}, times(set, "a@10 b@14"))
    assert.same({ 15 }, times(set, "a@10 b@15"))
    assert.same({}, times(set, "b@6 a@10"))
    assert.same({ 15 }, times(set, "b@5 a@10"))
    assert.same({}, times(set, "b@10"))
  end)

  it("(9) with an order does not look at what was before", function()
    local set = load((ORDER:format "temporal_ordered") .. [[, condition = "a and not b"]])
    assert.same({ 15 }, times(set, "b@9 a@10"))
    assert.same({}, times(set, "a@10 b@11"))
    assert.same({ 17 }, times(set, "a@10 b@11 a@12"))
    local three = load((ORDER:format "temporal_ordered"):gsub('"b" }', '"b", "e" }') .. [[, condition = "a and b and not e"]])
    assert.same({ 15 }, times(three, "a@10 b@11"))
    assert.same({}, times(three, "b@10 a@11"))
    assert.same({}, times(three, "a@10 b@15"))
    assert.same({}, times(three, "a@10 e@10 b@11"))
  end)

  it("binds not before and before or, and names its rules itself when none are listed", function()
    local set = load [[id = "c", type = "temporal", group_by = { "who" }, timespan = "5ms", condition = "a or b and e"]]
    assert.same({ 1 }, times(set, "a@1"))
    assert.same({}, times(set, "b@1"))
    assert.same({ 2 }, times(set, "b@1 e@2"))
    local grouped = load [[id = "c", type = "temporal", group_by = { "who" }, timespan = "5ms", condition = "(a or b) and e"]]
    assert.same({}, times(grouped, "a@1"))
    assert.same({ 2 }, times(grouped, "a@1 e@2"))
    local negated = load [[id = "c", type = "temporal", group_by = { "who" }, timespan = "5ms", condition = "a and not (b or e)"]]
    assert.same({ 6 }, times(negated, "a@1"))
    assert.same({}, times(negated, "a@1 e@2"))
  end)
end)

describe("a reference", function()
  it("(10) by an alias reads another field for each rule", function()
    local set = load [[id = "c", type = "temporal", rules = { "a", "b" }, group_by = { "org" }, timespan = "5ms",
      aliases = { org = { a = "user.domain", b = "victim" } }]]
    local list = { { id = "1", at = 1, a = true, user = { domain = "acme" } }, { id = "2", at = 2, b = true, victim = "acme" },
      { id = "3", at = 3, b = true, victim = "globex" } }
    assert.same({ { org = "acme" } }, { found(set, list)[1].group })
    assert.equal(1, #found(set, list))
  end)

  local FIRST = [[id = "c", name = "many", type = "event_count", rules = { "a" }, group_by = { "host" }, timespan = "9ms",
    condition = { gte = 2 }]]
  local SECOND = [[id = "m", name = "moved", type = "temporal_ordered", rules = { "many", "b" }, group_by = { "host" },
    timespan = "9ms"]]
  local THIRD = [[id = "o", type = "event_count", rules = { "moved" }, group_by = { "who" }, timespan = "99ms", condition = { gte = 2 }]]

  local function at_host(text, host, extra)
    local list = records(text, extra)
    for _, r in ipairs(list) do
      r.host, r.id = host, host .. r.id
    end
    return list
  end

  it("(11) to a correlation of a correlation groups by its own field, which the records carry", function()
    local set = load(THIRD, FIRST, SECOND)
    local list = join(at_host("a@1 a@2 b@3", "h1"), at_host("a@11 a@12 b@13", "h2"))
    local outer = found(set, list, nil, "o")
    assert.equal(1, #outer)
    assert.same({ { who = "eve" }, 13, 2 }, { outer[1].group, outer[1].time, outer[1].count })
    assert.equal("m", outer[1].evidence[1].correlation)
    assert.equal(found(set, list, nil, "m")[1].id, outer[1].evidence[1].id)
    -- h2's records do not agree on who it was
    local mixed = join(at_host("a@1 a@2 b@3", "h1"), at_host("a@11 a@12", "h2"), at_host("b@13", "h2", { who = "bob" }))
    for i, r in ipairs(mixed) do r.id = tostring(i) end
    assert.same({}, found(set, mixed, nil, "o"))
    assert.equal(1, set.counters.missing_group)
  end)

  it("(11) lets inner correlations alert only where the outer one says generate", function()
    local function alerts(set)
      local out = {}
      for _, c in ipairs(set:correlations()) do out[#out + 1] = c.key .. (c.alerts and "!" or "") end
      return table.concat(out, " ")
    end
    assert.equal("c m o!", alerts(load(THIRD, FIRST, SECOND)))
    assert.equal("c m! o!", alerts(load(THIRD .. ", generate = true", FIRST, SECOND)))
    assert.equal("c! m o!", alerts(load(THIRD, FIRST, SECOND .. ", generate = true")))
  end)

  it("(12) finds a rule by id and by name", function()
    for _, name in ipairs{ "c", "many" } do
      local set = load(FIRST, (SECOND:gsub('"many"', ('"%s"'):format(name))))
      assert.equal(1, #found(set, at_host("a@1 a@2 b@3", "h1"), nil, "m"))
    end
  end)

  it("(18) to an unknown operator, key or unit is refused with its line", function()
    local function refused(text) return h.refused(BASES, correlation(text)) end
    assert.matches('^rules/2.lua:1: field "condition": unknown key "gle", nearest key "gte"', refused((COUNT:gsub("gte", "gle"))))
    assert.matches('^rules/2.lua:2: unknown key "timespam", nearest key "timespan"', refused((COUNT:gsub("timespan", "\ntimespam"))))
    assert.matches("^rules/2.lua:3: .*timespan", refused((COUNT:gsub("timespan", "\n\ntimespan"):gsub("5ms", "5y"))))
  end)

  it("(19) that leads back to itself is refused", function()
    local function refused(...)
      local texts = { ... }
      for i, text in ipairs(texts) do texts[i] = correlation(text) end
      return h.refused(BASES, table.unpack(texts))
    end
    local function counts(id, rules)
      return ([[id = "%s", type = "event_count", rules = { "%s" }, group_by = {}, timespan = "1h", condition = { gte = 1 }]])
        :format(id, rules)
    end
    assert.matches('^rules/%d.lua:1: field "rules%[1%]": ".*" leads back', refused(counts("x", "y"), counts("y", "z"), counts("z", "x")))
    assert.matches("leads back", refused(counts("x", "x")))
    local long = {}
    for i = 1, 11 do long[i] = counts("n" .. i, i == 1 and "a" or "n" .. i - 1) end
    assert.matches("more than 10 correlations in a chain", refused(table.unpack(long)))
    long[11] = nil
    assert.truthy(load(table.unpack(long)))
  end)
end)

describe("a condition on numbers", function()
  it("(14) takes percentiles by linear interpolation, of one value too, and of none nothing", function()
    local function value(p, text)
      local f = found(number("value_percentile", ("percentile = %d, neq = -1"):format(p)), text)[1]
      return f and f.value
    end
    assert.same({ 1, 2.5, 4, 1.75 }, { value(0, "a=4@0 a=1@1 a=3@2 b=2@3"), value(50, "a=4@0 a=1@1 a=3@2 b=2@3"),
      value(100, "a=4@0 a=1@1 a=3@2 b=2@3"), value(25, "a=4@0 a=1@1 a=3@2 b=2@3") })
    assert.same({ 7, 7, 7 }, { value(0, "a=7@0"), value(50, "a=7@0"), value(100, "a=7@0") })
    assert.is_nil(value(50, "a@0"))
    assert.same({ 3 }, times(number("value_median", "gte = 5"), "a=1@0 a=2@1 a=8@2 a=9@3"))
    assert.same({ 3 }, times(number("value_percentile", "gte = 5"), "a=1@0 a=2@1 a=8@2 a=9@3"))
  end)

  it("(15) leaves out NaN, infinite numbers and text, and counts them", function()
    local set = number("value_sum", "gte = 3")
    local list = records "a=1@0 a=x@1 a@2 a@3 a@4 a=2@5"
    list[3].v, list[4].v, list[5].v = 0 / 0, math.huge, -math.huge
    local f = found(set, list)
    assert.same({ 5, 3, 2 }, { f[1].time, f[1].value, f[1].evidence_total })
    assert.equal(4, set.counters.not_a_number)
  end)

  it("is on the sum, which forgets what left, and is exact", function()
    local set = number("value_sum", "gte = 10")
    assert.same({ 8 }, times(set, "a=4@0 a=6@8"))
    assert.same({}, times(set, "a=4@0 a=6@9"))
    assert.same({ 3 }, times(number("value_sum", "gte = 1"), "a=1e100@0 a=0.5@1 a=-1e100@2 a=0.5@3", { from = 3 }))
    assert.equal(0.6, found(number("value_sum", "gt = 0.5"), "a=0.1@0 a=0.2@1 a=0.3@2")[1].value)
  end)

  it("is on the mean, and a record that two rules match counts once", function()
    assert.same({ 2 }, times(number("value_avg", "gte = 2"), "a=1@0 ab=1@1 a=4@2"))
    assert.equal(3, found(number("value_sum", "gte = 3"), "ab=1@0 ab=2@1")[1].value)
  end)
end)

describe("a decision", function()
  it("(16) in two halves, the second from what was kept, is that of one uninterrupted run", function()
    local set = number("value_avg", "lt = 5")
    local text = "a=1@0 a=8@4 a=9@9 a=1@12 b=2@20 a=1@33"
    local whole = found(set, text)
    assert.equal(3, #whole)
    for cut = 1, 45 do assert.same(whole, found(set, text, { cuts = { cut, math.maxinteger } })) end
    local waiting = load((ORDER:format "temporal") .. [[, condition = "a and not b", suppress = "20ms"]])
    for cut = 5, 30 do assert.same({ 5 }, times(waiting, "a@0 a@18", { cuts = { 5, cut, math.maxinteger } })) end
  end)
end)

describe("the test of a correlation", function()
  it("ends when all windows have closed, or at the time that it says", function()
    local NORMAL = "return normalizer{ id = 'n', dataset = 'd', time = 'at', id_field = 'id', map = function(r) return r end }"
    local function run(test)
      local set = h.must(BASES, NORMAL, correlation([[id = "c", type = "temporal", group_by = {}, timespan = "1h",
        condition = "a and not b", tests = { { name = "x", events = { { id = "1", a = true, at = "2026-01-05T08:00:00Z" } }, ]] ..
        test .. " } }"))
      return ruletest.run(set, { filter = "x" }).tests[1]
    end
    assert.is_true(run("findings = 1").ok)
    assert.is_true(run("findings = 1, ['until'] = '2026-01-05T09:00:00Z'").ok)
    assert.is_true(run("findings = 0, ['until'] = '2026-01-05T08:59:59Z'").ok)
    assert.matches("not a time", run("findings = 0, ['until'] = 'soon'").message)
  end)
end)

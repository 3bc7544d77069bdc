local h = require "rules.helper"

local W = 3600000

local function set_of(kind, condition, extra)
  return h.must([[local function named(id, dataset)
      return rule{ id = id, title = id, level = "low", dataset = dataset, match = function(r) return r[id] end }
    end
    return { named("a", "d"), named("b", "d"), named("e", "other") }]],
    ([[return correlation{ id = "c", title = "C", type = "%s", rules = { "a", "b", "e" }, group_by = { "who", "n" },
      timespan = "1h", %s level = "high", tags = { "t" }, %s }]]):format(kind,
      condition and ("condition = %s,"):format(condition) or "", extra or ""))
end

-- "a@5 b@7" as events in that order, with ids 1, 2, ...; "a=vpn@5" has the value vpn
local function events(text)
  local out = {}
  for member, value, time in text:gmatch("(%l)=?(%w*)@(%d+)") do
    out[#out + 1] = { rule = "c", group = "s3:evei1:7", time = tonumber(time), id = ("%03d"):format(#out + 1),
      member = member, value = value ~= "" and "s" .. #value .. ":" .. value or nil }
  end
  return out
end

local function fired(set, text)
  local times = {}
  for i, finding in ipairs(h.all(set, "c", "s3:evei1:7", events(text))) do times[i] = finding.time end
  return times
end

describe("event_count", function()
  it("fires on the record that makes it true, then is quiet for the timespan", function()
    local set = set_of("event_count", "{ gte = 2 }")
    assert.same({ 1 }, fired(set, "a@0 a@1 a@2 a@3"))
    assert.same({ 1, W + 1 }, fired(set, ("a@0 a@1 a@%d a@%d a@%d"):format(W - 1, W, W + 1)))
    assert.same({ 1, 2 * W }, fired(set, ("a@0 a@1 a@%d a@%d"):format(2 * W - 1, 2 * W)))
  end)

  it("is quiet for as long as suppress says", function()
    local set = set_of("event_count", "{ gte = 1 }", "suppress = '2h'")
    assert.same({ 0, 2 * W }, fired(set, ("a@0 a@%d a@%d a@%d"):format(W, 2 * W - 1, 2 * W)))
  end)

  it("does not see a record that is exactly the timespan old", function()
    local set = set_of("event_count", "{ gte = 2 }")
    assert.same({}, fired(set, ("a@5 a@%d"):format(W + 5)))
    assert.same({ W + 4 }, fired(set, ("a@5 a@%d"):format(W + 4)))
  end)

  it("counts any of its rules, and a record that several match once", function()
    local set = set_of("event_count", "{ gte = 2 }")
    assert.same({ 2 }, fired(set, "a@1 b@2"))
    local both = events "a@1 b@1"
    both[2].id = both[1].id
    assert.same({}, h.all(set, "c", "s3:evei1:7", both))
  end)

  it("takes the same id in two datasets for two records", function()
    local both = events "a@1 e@1"
    both[2].id = both[1].id
    assert.equal(1, #h.all(set_of("event_count", "{ gte = 2 }"), "c", "s3:evei1:7", both))
  end)

  it("forgets a repeated record only when its last appearance left the window", function()
    local list = events(("a@0 a@10 a@%d"):format(W + 5))
    list[2].id = list[1].id
    assert.equal(1, #h.all(set_of("event_count", "{ gte = 2 }"), "c", "s3:evei1:7", list))
  end)

  it("compares with every operator, and with all that are given", function()
    assert.same({ 3 }, fired(set_of("event_count", "{ gt = 2 }"), "a@1 a@2 a@3 a@4"))
    -- what more records can take back is known when the window has closed
    assert.same({ W + 1 }, fired(set_of("event_count", "{ eq = 2 }"), "a@1 a@2"))
    assert.same({}, fired(set_of("event_count", "{ eq = 2 }"), "a@1 a@2 a@3"))
    assert.same({ W + 1 }, fired(set_of("event_count", "{ gte = 2, neq = 2 }"), "a@1 a@2 a@3"))
    assert.same({}, fired(set_of("event_count", "{ gte = 1, lt = 2 }"), "a@1 a@2"))
  end)
end)

describe("value_count", function()
  it("counts different values, not records", function()
    local set = set_of("value_count", '{ field = "v", gte = 2 }')
    assert.same({}, fired(set, "a=x@1 a=x@2 b=x@3"))
    assert.same({ 4 }, fired(set, "a=x@1 a=x@2 b=x@3 a=y@4"))
  end)

  it("forgets a value when its last record left the window", function()
    local set = set_of("value_count", '{ field = "v", gte = 2 }')
    assert.same({ W + 5 }, fired(set, ("a=x@0 a=x@10 a=y@%d"):format(W + 5)))
    assert.same({}, fired(set, ("a=x@0 a=x@10 a=y@%d"):format(W + 10)))
  end)

  it("counts tuples of several fields", function()
    local set = set_of("value_count", '{ field = { "v", "w" }, gte = 2 }')
    local function value(v, w)
      return h.events_of(set, "d", { a = 1, who = "eve", n = 7, v = v, w = w }, { id = "1", time = 1 })[1].value
    end
    assert.not_equal(value("ab", "c"), value("a", "bc"))
  end)
end)

describe("temporal", function()
  it("fires when every rule matched, in any order", function()
    local set = set_of("temporal")
    assert.same({ 3 }, fired(set, "e@1 b@2 a@3"))
    assert.same({}, fired(set, "e@1 b@2 b@3"))
  end)

  it("fires when as many different rules matched as the condition says", function()
    assert.same({ 3 }, fired(set_of("temporal", "{ gte = 2 }"), "a@1 a@2 e@3"))
  end)

  it("counts a record that several rules match once for each", function()
    local both = events "a@1 b@1 e@1"
    both[2].id = both[1].id
    assert.equal(1, #h.all(set_of("temporal"), "c", "s3:evei1:7", both))
  end)
end)

describe("temporal_ordered", function()
  local set = set_of("temporal_ordered")
  it("fires only when the rules matched in list order", function()
    assert.same({ 3 }, fired(set, "a@1 b@2 e@3"))
    assert.same({}, fired(set, "a@1 e@2 b@3"))
    assert.same({ 5 }, fired(set, "e@1 a@2 e@3 b@4 e@5"))
  end)

  it("takes records of one time for ordered, whatever their ids", function()
    assert.same({ 5 }, fired(set, "a@5 b@5 e@5"))
    assert.same({ 5 }, fired(set, "e@5 b@5 a@5"))
    assert.same({ 6 }, fired(set, "b@5 a@5 e@6"))
  end)

  it("needs the whole order within the timespan", function()
    assert.same({}, fired(set, ("a@0 b@4 e@%d"):format(W)))
    assert.same({ W - 1 }, fired(set, ("a@0 b@4 e@%d"):format(W - 1)))
    assert.same({ W + 9 }, fired(set, ("a@0 b@4 a@10 b@11 e@%d"):format(W + 9)))
    assert.same({}, fired(set, ("a@0 b@10 a@11 e@%d"):format(W + 1)))
    assert.same({}, fired(set, ("a@0 b@1 a@2 e@%d"):format(W)))
  end)
end)

describe("the finding of a correlation", function()
  it("says what was counted, over what, for whom", function()
    local set = set_of("event_count", "{ gte = 3 }")
    local list = events "a@1 b@2 e@3 a@4"
    list[2].id = list[1].id
    local finding = h.all(set, "c", "s3:evei1:7", list)[1]
    assert.same({ id = finding.id, type = "correlation", title = "C", level = "high", time = 4, tags = { "t" },
      rule = { id = "c", title = "C" }, window = { from = 1, to = 4 }, count = 3, group = { who = "eve", n = 7 },
      evidence = { { id = "001", time = 1, dataset = "d" }, { id = "003", time = 3, dataset = "other" },
        { id = "004", time = 4, dataset = "d" } }, evidence_total = 3 }, finding)
  end)

  it("has at most 100 references and the number of all", function()
    local list = {}
    for i = 1, 150 do list[i] = ("a@%d"):format(i) end
    local finding = h.all(set_of("event_count", "{ gte = 150 }"), "c", "s3:evei1:7", events(table.concat(list, " ")))[1]
    assert.same({ 100, 150, "001" }, { #finding.evidence, finding.evidence_total, finding.evidence[1].id })
  end)

  it("has another id for another group", function()
    local set = set_of("event_count", "{ gte = 1 }")
    local function id(group) return h.all(set, "c", group, events "a@1")[1].id end
    assert.not_equal(id "s3:evei1:7", id "s3:evei1:8")
  end)
end)

describe("set:evaluate", function()
  it("takes an iterator as well as an array", function()
    local set, list, i = set_of("event_count", "{ gte = 2 }"), events "a@1 a@2", 0
    local findings = set:evaluate("c", "s3:evei1:7", function()
      i = i + 1
      return list[i]
    end, 0, nil)
    assert.equal(1, #findings)
  end)

  it("uses what came before since, without firing on it", function()
    local set = set_of("event_count", "{ gte = 2 }")
    local findings, state = set:evaluate("c", "s3:evei1:7", events "a@1 a@2 a@3", 3, nil)
    assert.same({ 3, "3" }, { findings[1].time, state })
    assert.same({}, (set:evaluate("c", "s3:evei1:7", events "a@1 a@2", 3, nil)))
  end)

  it("keeps its state when nothing fires", function()
    local set = set_of("event_count", "{ gte = 2 }")
    assert.equal("77", select(2, set:evaluate("c", "s3:evei1:7", {}, 3, "77")))
    assert.is_nil(select(2, set:evaluate("c", "s3:evei1:7", {}, 3, nil)))
  end)

  it("ignores stored events that the rules of today cannot count", function()
    assert.same({}, fired(set_of("event_count", "{ gte = 1 }"), "x@1"))
    assert.same({}, fired(set_of("value_count", '{ field = "v", gte = 1 }'), "a@1"))
  end)

  it("raises for an unknown key, events out of order and a foreign state", function()
    local set = set_of("event_count", "{ gte = 2 }")
    assert.has_error(function() set:evaluate("nope", "", {}, 0) end, 'no rule "nope"')
    assert.error_matches(function() set:evaluate("c", "", events "a@2 a@1", 0) end, "not sorted")
    assert.error_matches(function() set:evaluate("c", "", {}, 0, "soon") end, "state is not from")
  end)
end)

describe("findings of random records", function()
  -- A generator of our own, so that a failure can be run again.
  local function generator(seed)
    return function(n)
      seed = (seed * 1103515245 + 12345) % 2147483648
      return seed // 65536 % n + 1
    end
  end

  local KINDS = { { "event_count", "{ gte = 4 }" }, { "event_count", "{ gt = 2, lt = 5 }" },
    { "value_count", '{ field = "v", gte = 3 }' }, { "temporal" }, { "temporal_ordered" } }

  local function records(random)
    local out = {}
    for i = 1, 60 do
      local name = ({ "a", "b", "e" })[random(3)]
      out[i] = { dataset = name == "e" and "other" or "d", id = ("%02d"):format(random(50)), at = random(40) * (W // 8),
        [name] = true, who = random(2) == 1 and "eve" or { "eve", "bob" }, n = 7, v = "s" .. random(4) }
      -- one id is one record, whenever it comes
      for j = 1, i - 1 do
        if out[j].id == out[i].id then out[i] = out[j] end
      end
    end
    return out
  end

  -- What a store does: one row per (rule, group, time, id, member), repeats kept when `repeats` says so.
  local function stored(set, list, repeats)
    local groups, seen = {}, {}
    for _, record in ipairs(list) do
      for _, event in ipairs(h.events_of(set, record.dataset, record, { id = record.id, time = record.at })) do
        local row = table.concat({ event.group, event.time, event.id, event.member }, "|")
        if repeats or not seen[row] then
          seen[row] = true
          groups[event.group] = groups[event.group] or {}
          table.insert(groups[event.group], event)
        end
      end
    end
    for _, group in pairs(groups) do h.sorted(group) end
    return groups
  end

  -- Evaluates in pieces that end at `cuts`, each with no more history than promised.
  local function findings_of(set, groups, cuts)
    local out = {}
    for group, list in pairs(groups) do
      local since, state = math.mininteger, nil
      for _, till in ipairs(cuts) do
        local part = {}
        for _, event in ipairs(list) do
          if event.time < till and (since == math.mininteger or event.time > since - W) then part[#part + 1] = event end
        end
        local found
        found, state = set:evaluate("c", group, part, since, state)
        for _, finding in ipairs(found) do out[#out + 1] = finding end
        since = till
      end
    end
    table.sort(out, function(x, y) return x.id < y.id end)
    return out
  end

  it("are the same for any order, any cut into calls and any repetition, with ids of their own", function()
    local total = 0
    for seed = 1, 60 do
      local random = generator(seed)
      local kind = KINDS[seed % #KINDS + 1]
      local set = set_of(kind[1], kind[2])
      local list = records(random)
      local whole = findings_of(set, stored(set, list), { math.maxinteger })
      total = total + #whole
      for i = 2, #whole do assert.not_equal(whole[i - 1].id, whole[i].id) end
      for _ = 1, 3 do
        local cuts = {}
        for i = 1, random(8) do cuts[i] = random(42 * (W // 8)) end
        table.sort(cuts)
        cuts[#cuts + 1] = math.maxinteger
        local again = h.shuffled({ table.unpack(list) }, random)
        for i = 1, 10 do again[#again + 1] = list[i] end
        assert.same(whole, findings_of(set_of(kind[1], kind[2]), stored(set, again, random(2) == 1), cuts))
      end
    end
    assert.is_true(total > 100, "the records make too few findings to prove anything")
  end)
end)

-- The same records in any order, on any pages, with restarts and repeats: the same findings with the same ids. Over the real state.
-- DEFENDIS_SEED=N runs one case again.
local h = require "rules.helper"
local commit = require "defendis.pipeline.commit"
local core = require "defendis.core"
local memory = require "defendis.rules.memory"
local rules = require "defendis.rules"
local scratch = require "support.scratch"
local store = require "defendis.store"

local DAY <const> = 86400000
local DAYS <const> = 24
local CASES <const> = 200

local BASES = [[local function named(id)
    return rule{ id = id, title = id, level = "low", dataset = "d", match = function(r) return r[id] end }
  end
  return { named("a"), named("b"), named("e") }]]

-- Types and their conditions; $ is a small number.
local KINDS = {
  'type = "event_count", rules = { "a", "b" }, condition = { gte = $ }',
  'type = "event_count", rules = { "a", "b" }, condition = { lt = $ }',
  'type = "event_count", rules = { "a", "b", "e" }, condition = { gte = $, lte = 6 }, suppress = "9d"',
  'type = "event_count", rules = { "a", "e" }, condition = { gt = 2 }, max_events = 3',
  'type = "value_count", rules = { "a", "b" }, condition = { field = "v", gte = $ }',
  'type = "value_count", rules = { "a", "b" }, condition = { field = { "v", "x" }, neq = $ }',
  'type = "value_sum", rules = { "a", "b" }, condition = { field = "x", gt = $ }',
  'type = "value_sum", rules = { "a", "b" }, condition = { field = "x", lt = $ }, max_events = 4',
  'type = "value_avg", rules = { "a", "b", "e" }, condition = { field = "x", gte = 0.7 }',
  'type = "value_percentile", rules = { "a", "b", "e" }, condition = { field = "x", percentile = 80, gte = 1.5 }',
  'type = "value_median", rules = { "a" }, condition = { field = "x", lte = 0.5 }',
  'type = "temporal", rules = { "a", "b", "e" }',
  'type = "temporal", rules = { "a", "b", "e" }, condition = { lt = 3 }',
  'type = "temporal", condition = "a and (b or e)"',
  'type = "temporal", condition = "(a or b) and not e", suppress = "9d"',
  'type = "temporal_ordered", rules = { "a", "b", "e" }',
  'type = "temporal_ordered", rules = { "b", "e", "a" }, condition = "b and not a and e"',
  'type = "absence", rules = { "a", "b" }',
  'type = "absence", rules = { "a" }, entities = { "eve", "nobody" }',
  'type = "new_value", rules = { "a", "b", "e" }, condition = { field = "v" }',
  'type = "spike", rules = { "a", "b", "e" }, condition = { gte = $ }, factor = 2, reference = 3',
  'type = "ratio", rules = { "a", "b" }, condition = { gt = 1 }',
  'type = "session", rules = { "a", "b" }, condition = { gte = $ }, gap = "8h"',
  'type = "session", rules = { "a", "e" }, condition = { gte = 3600 }, gap = "9h", measure = "duration"',
}

local function kind_of(case, k) return KINDS[(case * 7 + k) % #KINDS + 1] end

local folder

-- The path of a state that is not there. One state lives at a time, and syncing it shows nothing here.
local function fresh()
  if folder then scratch.remove(folder) end
  local pipe <close> = assert(io.popen "mktemp -d -p /dev/shm 2>/dev/null || mktemp -d")
  folder = assert(pipe:read "l")
  return folder .. "/s.db"
end

-- A generator of our own, so that a failure can be run again.
local function generator(seed)
  return function(n)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed // 65536 % n + 1
  end
end

local function rules_of(case, random)
  local texts = { { name = "1.lua", text = BASES } }
  for k = 1, 4 do
    local kind = kind_of(case, k):gsub("%$", function() return tostring(random(3) + 1) end)
    texts[k + 1] = { name = k .. ".lua", text = ([[return correlation{ id = "c%d", title = "T", level = "high", group_by = { "%s" },
      timespan = "%dh", %s }]]):format(k, random(6) == 1 and "?side" or "who", ({ 9, 30, 72 })[random(3)], kind) }
  end
  texts[6] = { name = "6.lua", text = [[return correlation{ id = "o", title = "O", level = "high", group_by = { "whom" }, timespan = "5d",
    type = "event_count", rules = { "c1", "c2" }, condition = { gte = 2 }, aliases = { whom = { c1 = "who", c2 = "who" } } }]] }
  texts[7] = { name = "7.lua", text = [[return correlation{ id = "p", title = "P", level = "high", group_by = { "side" }, timespan = "4d",
    type = "temporal", condition = "o or a and not c3", rules = { "o", "c3", "a" }, generate = true }]] }
  return texts
end

local function records(random)
  local out = {}
  for i = 1, 70 do
    local at = random(DAYS * 8) * (DAY // 8) - 1 + random(2) - 1
    out[i] = { id = ("%02d"):format(random(60)), at = math.min(at, DAYS * DAY - 1), [({ "a", "b", "e" })[random(3)]] = true,
      who = random(3) == 1 and { "eve", "bob" } or "eve", side = random(3) > 1 and "left" or nil, v = "s" .. random(4),
      x = ({ 0.1, 0.2, 1, 2.5, -1, "many" })[random(6)] }
    -- one id is one record, whenever it comes
    for j = 1, i - 1 do
      if out[j].id == out[i].id then out[i] = out[j] end
    end
  end
  return out
end

local function host()
  local out = h.host()
  out.uuid5, out.null, out.array = core.hash.uuid5, core.json.null, core.json.array
  return out
end

-- A pipeline of events only: opens the state anew each time, as after a restart.
local function session(path, texts)
  local set = assert(rules.load(texts, host()))
  local state = assert(store.open(path))
  local c = commit.new(state, {}, set, 0)
  assert(c:open{})
  return c, set, state
end

local function deliver(c, set, page)
  assert(c:transaction(function()
    for _, r in ipairs(page) do
      local events = set:apply("d", r, { id = r.id, time = r.at }).events
      c.store:add_events(events, events.n, c.watermarks, c.since)
    end
    return c.store:flush_events()
  end))
end

local function decide(c, set, day)
  for _, item in ipairs(set:correlations()) do assert(c:correlate(item, day * DAY)) end
end

local function findings_of(state)
  local out = {}
  for f in state:findings() do out[#out + 1] = f.doc end
  table.sort(out)
  return out
end

-- In order, on one page, decided at once.
local function straight(texts, list)
  local c, set, state = session(fresh(), texts)
  deliver(c, set, list)
  decide(c, set, DAYS)
  local out = findings_of(state)
  c:close()
  return out
end

-- In any order that a pipeline allows: a record comes before its day is decided.
local function scrambled(texts, list, random)
  local path, todo, day = fresh(), h.shuffled(list, random), 0
  local c, set, state = session(path, texts)
  while day < DAYS do
    day = math.min(DAYS, day + random(6))
    local left, page = {}, {}
    for _, r in ipairs(todo) do
      if r.at < day * DAY or random(4) == 1 then page[#page + 1] = r end
      if r.at >= day * DAY or random(5) == 1 then left[#left + 1] = r end -- some come again, too late or not
      if #page == 9 then
        deliver(c, set, page)
        page = {}
      end
    end
    deliver(c, set, page)
    todo = h.shuffled(left, random)
    if random(3) == 1 then
      c:close()
      c, set, state = session(path, texts)
    end
    decide(c, set, day)
  end
  local out = findings_of(state)
  c:close()
  return out
end

local function ids(docs)
  local out = {}
  for i, doc in ipairs(docs) do out[i] = doc:match('"id":"([%x-]+)","level"') end
  table.sort(out)
  return out
end

-- The rules' own account, without a state.
local function replayed(texts, list)
  local set, events, out = assert(rules.load(texts, host())), {}, {}
  for _, r in ipairs(list) do
    set:apply("d", r, { id = r.id, time = r.at })
    for _, e in ipairs(set:events()) do events[#events + 1] = e end
  end
  local found = memory.run(set, events, { from = 0, cuts = { DAYS * DAY }, origin = 0 })
  for _, c in ipairs(set:correlations()) do
    for _, f in ipairs(c.alerts and found[c.key] or {}) do out[#out + 1] = f.id end
  end
  table.sort(out)
  return out
end

describe("findings", function()
  teardown(function() scratch.remove(folder) end)

  it("are the same for any order, pages, restarts and repeats, over all types of correlations", function()
    local one, total = tonumber(os.getenv "DEFENDIS_SEED"), {}
    for case = one or 1, one or CASES do
      local random = generator(case)
      local texts, list = rules_of(case, random), records(random)
      local whole = straight(texts, list)
      local why = ("DEFENDIS_SEED=%d"):format(case)
      assert.same(whole, scrambled(texts, list, random), why)
      assert.same(replayed(texts, list), ids(whole), why)
      for i = 2, #whole do assert.not_equal(whole[i - 1], whole[i], why) end
      for _, doc in ipairs(whole) do
        local id = doc:match '"rule":{"id":"(%w+)"'
        local kind = id:match "^c" and kind_of(case, tonumber(id:sub(2))) or id
        total[kind] = (total[kind] or 0) + 1
      end
    end
    for _, kind in ipairs(one and {} or { "o", "p", table.unpack(KINDS) }) do
      assert.is_true((total[kind] or 0) >= 10, "too few findings to prove anything: " .. kind)
    end
  end)
end)

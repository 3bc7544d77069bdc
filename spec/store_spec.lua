-- store_spec.lua: the state of ingestion.
local scratch = require "support.scratch"
local core = require "defendis.core"
local store = require "defendis.store"

local DAY = 86400000

describe("the state of ingestion", function()
  local dir, s

  before_each(function()
    dir = scratch.dir()
    s = assert(store.open(dir .. "/state.db", { exclusive = true }))
  end)

  after_each(function()
    s:close()
    scratch.remove(dir)
  end)

  local function put(from, to, state, more)
    local row = { dataset = "d", input = "i", from = from, to = to, state = state }
    for k, v in pairs(more or {}) do row[k] = v end
    assert.is_true(s:put_window(row))
  end

  it("passes options on, and an unknown one is named", function()
    local other, err = store.open(dir .. "/state.db", { exclusive = true })
    assert.is_nil(other)
    assert.equal("store", err.kind)
    assert.has_error(function() store.open(dir .. "/x.db", { exclusve = true }) end)
  end)

  it("lists exactly the columns of its schema", function()
    local listed, real = {}, {}
    for _, spec in ipairs(store.TABLES) do
      for i = 2, #spec do listed[#listed + 1] = spec[1] .. "." .. spec[i] end
    end
    for name, column in s.db:rows [[SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c
        WHERE t.type = 'table']] do
      real[#real + 1] = name .. "." .. column
    end
    table.sort(listed)
    table.sort(real)
    assert.same(real, listed)
  end)

  describe("the ledger", function()
    it("gives back a window as it was put, with what each sink got", function()
      assert.is_nil(s:window("d", "i", 1, 2))
      put(1, 2, "walked", { pass = 2, walks = 3, page_size = 100, next_page = 4, total_pages = 9, announced = 850,
        pass_pages = 1, pass_received = 100, pass_unique = 98, pass_before = 97,
        pages = 3, received = 300, unique = 290, duplicate = 9, dead = 1, normalized = 290, replaced = 2,
        reason = "cap", request_id = "r-1", updated_ms = 5, emitted = { jsonl = 290, hec = 100 } })
      local row = s:window("d", "i", 1, 2)
      assert.same({ dataset = "d", input = "i", from = 1, to = 2, state = "walked", pass = 2, walks = 3,
        page_size = 100, next_page = 4, total_pages = 9, announced = 850, pass_pages = 1, pass_received = 100,
        pass_unique = 98, pass_before = 97,
        pages = 3, received = 300, unique = 290,
        duplicate = 9, dead = 1, normalized = 290, replaced = 2, reason = "cap", request_id = "r-1", updated_ms = 5,
        emitted = { jsonl = 290, hec = 100 }, delivered = {} }, row)
      row.state, row.reason, row.emitted.hec = "closed", nil, 290
      assert.is_true(s:put_window(row))
      assert.same(row, s:window("d", "i", 1, 2))
    end)

    it("refuses a state it does not know and a window that ends before it begins", function()
      for _, bad in ipairs{ { state = "done" }, { from = 2 }, { to = "tomorrow" } } do
        local row = { dataset = "d", input = "i", from = 1, to = 2 }
        for k, v in pairs(bad) do row[k] = v end
        local ok, err = s:put_window(row)
        assert.is_nil(ok)
        assert.equal("store", err.kind)
      end
    end)

    it("lists the windows that overlap a time, in order", function()
      put(3, 4, "open")
      put(1, 2, "closed", { emitted = { a = 7 } })
      put(2, 3, "closed")
      assert.is_true(s:put_window{ dataset = "e", input = "i", from = 1, to = 2 })
      local function names(filter)
        local list = {}
        for row in s:windows(filter) do list[#list + 1] = row.dataset .. row.from .. (row.emitted.a or "") end
        return table.concat(list, " ")
      end
      assert.equal("d17 d2 d3 e1", names())
      assert.equal("d2 d3", names{ dataset = "d", from = 2 })
      assert.equal("d17", names{ dataset = "d", input = "i", to = 2 })
      for row in s:windows() do
        if row.from == 1 then break end
      end
      assert.is_true(s:begin())
      assert.is_true(s:commit())
    end)

    it("knows the day up to which all windows are closed without a hole", function()
      assert.equal(10, s:checkpoint("d", "i", 10))
      put(10, 11, "closed")
      put(11, 12, "closed")
      put(13, 14, "closed")
      assert.equal(12, s:checkpoint("d", "i", 10))
      put(12, 13, "walked")
      assert.equal(12, s:checkpoint("d", "i", 10))
      put(12, 13, "closed")
      assert.equal(14, s:checkpoint("d", "i", 10))
      assert.equal(5, s:checkpoint("d", "i", 5))
      assert.equal(14, s:checkpoint("d", "i", 12))
      assert.equal(20, s:checkpoint("d", "i", 20))
      assert.equal(10, s:checkpoint("d", "other", 10))
    end)

    it("falls back to a window that is open again, and bridges windows of any size", function()
      put(10, 17, "closed")
      put(15, 20, "closed")
      assert.equal(20, s:checkpoint("d", "i", 10))
      put(12, 13, "open")
      assert.equal(12, s:checkpoint("d", "i", 10))
      assert.equal(1, s:drop_window("d", "i", 12, 13))
      assert.equal(20, s:checkpoint("d", "i", 10))
    end)
  end)

  describe("ids", function()
    it("are new once per day", function()
      local key = core.hash.key16("d", "i", "1")
      assert.is_true(s:seen_new(1, key))
      assert.is_false(s:seen_new(1, key))
      assert.is_true(s:seen_new(2, key))
      assert.is_true(s:seen_new(1, core.hash.key16("d", "i", "2")))
    end)

    it("are told apart by every byte, NUL too", function()
      local key = ("\0"):rep(16)
      assert.is_true(s:seen_new(1, key))
      assert.is_true(s:seen_new(1, ("\0"):rep(15) .. "\1"))
      assert.is_false(s:seen_new(1, key))
    end)

    it("are forgotten with a rollback", function()
      local key = core.hash.key16 "x"
      assert(s:begin())
      assert.is_true(s:seen_new(9, key))
      s:rollback()
      assert.is_true(s:seen_new(9, key))
    end)
  end)

  describe("events of a correlation", function()
    local function add(rule, grp, time, id, member, value)
      assert.equal(0, s:add_events({ rule, time, grp, id, member or "", value }, 6, {}, math.mininteger))
      assert(s:flush_events())
    end

    -- The events of a group of a rule in [from, to).
    local function events(rule, wanted, from, to)
      local list = {}
      for grp, found in s:each_group(rule, 0, from, to) do
        for _, e in ipairs(grp == wanted and found or {}) do
          list[#list + 1] = ("%d %s %s %s"):format(e.time, e.id, e.member, e.value)
        end
      end
      return list
    end

    it("are counted once and come back by time, id and member", function()
      for _ = 1, 2 do add("r", "g", 5, "b", "m", 1.5) end
      add("r", "g", 5, "a", "n", "text")
      add("r", "g", 5, "a", "m", 7)
      add("r", "g", 4, "z")
      add("r", "other", 4, "z")
      add("r2", "g", 4, "z")
      assert.same({ "4 z  nil", "5 a m 7", "5 a n text", "5 b m 1.5" }, events("r", "g", 0, 6))
      assert.same({ "4 z  nil" }, events("r", "g", 0, 5))
      assert.same({}, events("none", "g", 0, 5))
      assert.equal(6, s:count_events("r", 0, 6))
      assert.equal(0, s:count_events("r", DAY, 5 * DAY))
      assert.equal(0, s:count_events("none", 0, 5))
    end)

    it("are found over the borders of days and centuries, before 1970 too", function()
      for _, time in ipairs{ -1, 0, DAY - 1, DAY, 40 * DAY, 80000 * DAY, -300000 * DAY, 300000 * DAY } do
        add("r", "g", time, "i")
      end
      assert.equal(8, #events("r", "g", math.mininteger, math.maxinteger))
      assert.same({ "0 i  nil", DAY - 1 .. " i  nil", DAY .. " i  nil" }, events("r", "g", 0, 40 * DAY))
      assert.same({ -300000 * DAY .. " i  nil" }, events("r", "g", math.mininteger, -9 * DAY))
      assert.same({ 300000 * DAY .. " i  nil" }, events("r", "g", 90000 * DAY, math.maxinteger))
      assert.same({}, events("r", "g", 5, 5))
    end)

    it("are not overwritten by another opening of the state", function()
      add("r", "g", 1, "first")
      s:close()
      s = assert(store.open(dir .. "/state.db", { exclusive = true }))
      add("q", "g", 2, "other")
      add("r", "g", 2, "second")
      assert.same({ "1 first  nil", "2 second  nil" }, events("r", "g", 0, DAY))
      assert.same({ "2 other  nil" }, events("q", "g", 0, DAY))
    end)

    it("come group by group, with what came before, where something is new", function()
      math.randomseed(7)
      local kept = {}
      for i = 1, 600 do
        local grp, time = "g" .. math.random(9), math.random(0, 40 * DAY)
        add("r", grp, time, ("i%03d"):format(i), "m", i)
        add("other", grp, time, "x", "m", i)
        kept[i] = { grp = grp, time = time, id = ("i%03d"):format(i) }
      end
      table.sort(kept, function(a, b) return a.time < b.time or a.time == b.time and a.id < b.id end)
      for _, c in ipairs{ { back = DAY, from = 10 * DAY, to = 20 * DAY },
        { back = 30 * DAY, from = 31 * DAY, to = 31 * DAY + DAY // 4 } } do
        local expected, order = {}, {}
        for _, e in ipairs(kept) do
          if e.time >= c.from - c.back and e.time < c.to then
            expected[e.grp] = expected[e.grp] or {}
            table.insert(expected[e.grp], e.id)
            if e.time >= c.from then expected[e.grp].new = true end
          end
        end
        for grp, ids in pairs(expected) do if ids.new then order[#order + 1] = grp end end
        table.sort(order)
        assert.is_true(#order > 0)
        local n = 0
        for grp, found in s:each_group("r", c.back, c.from, c.to) do
          n = n + 1
          assert.equal(order[n], grp)
          local ids = {}
          for i, e in ipairs(found) do ids[i] = e.id end
          expected[grp].new = nil
          assert.same(expected[grp], ids)
        end
        assert.equal(#order, n)
      end
    end)

    it("of groups with too few are left out", function()
      for i, grp in ipairs{ "a", "b", "b", "c", "c", "c", "c" } do add("r", grp, i, "i" .. i) end
      add("r", "c", DAY + 1, "new")
      add("r", "a", DAY + 1, "new")
      local found = {}
      for grp, list in s:each_group("r", DAY, DAY, 2 * DAY, 2) do found[#found + 1] = grp .. #list end
      assert.same({ "a2", "c5" }, found)
      for grp, list in s:each_group("r", DAY, DAY, 2 * DAY, 3) do found[#found + 1] = grp .. #list end
      assert.same({ "a2", "c5", "c5" }, found)
    end)

    it("can be added and dropped while their groups are walked", function()
      for i = 1, 50 do add("r", "g" .. i, i, "i") end
      local n = 0
      for grp in s:each_group("r", 0, 0, DAY) do
        n = n + 1
        add("r", "new" .. grp, 1, "i")
        s:drop_events("other", DAY)
      end
      assert.equal(50, n)
    end)

    it("that are late are counted and left out, by rule", function()
      local list = { "r", 5, "g", "a", "m", nil, "r", 4, "g", "b", "m", nil, "q", 4, "g", "c", "m", nil }
      assert.equal(1, s:add_events(list, 18, { r = 5 }, 0))
      assert(s:flush_events())
      assert.same({ 3, { r = 2, q = 1 } }, { s:add_events(list, 18, {}, 6) })
      assert(s:flush_events())
      local rows = {}
      for rule, ms, grp, id, member in s.db:rows "SELECT rule, time_ms, grp, id, member FROM late ORDER BY n" do
        rows[#rows + 1] = table.concat({ rule, ms, grp, id, member }, " ")
      end
      assert.same({ "r 4 g b m", "r 5 g a m", "r 4 g b m", "q 4 g c m" }, rows)
      assert.same({ "5 a m nil" }, events("r", "g", 0, DAY))
      assert.same({ "4 c m nil" }, events("q", "g", 0, DAY))
      assert.has_error(function() s:add_events({ "r", 5, "g", "a", "m", 0 / 0 }, 6, {}, 0) end, "an event's value is not a number")
    end)

    it("that are damaged are an error, and nothing is counted without them", function()
      add("r", "g", 5, "a", "m", "value")
      local body = (s.db:row "SELECT body FROM event")
      for i = 0, #body + 3 do
        local bad = i <= #body and body:sub(1, i) or ({ body .. "x", "-" .. body, "5 1 1 1 99 s\n" .. body:rep(3) })[i - #body]
        s.db:exec("UPDATE event SET body = CAST(? AS BLOB)", bad)
        local ok, err = pcall(function() return #events("r", "g", 0, DAY) end)
        if i == 0 or i == #body or i == #body + 2 then
          assert.is_true(ok)
        else
          assert.is_false(ok)
          assert.equal("store", err.kind)
          assert.matches("state damaged", err.message)
        end
      end
    end)

    it("are dropped by whole days, per rule", function()
      for _, rule in ipairs{ "r", "q" } do
        for day = 0, 3 do add(rule, "g", day * DAY + 5, "i") end
      end
      assert.equal(2, s:drop_events("r", 2 * DAY + 6))
      assert.equal(2, #events("r", "g", 0, 9 * DAY))
      assert.equal(4, #events("q", "g", 0, 9 * DAY))
    end)
  end)

  it("keeps what fired, and drops what is old", function()
    assert.is_nil(s:fired("r", "g"))
    assert(s:set_fired("r", "h", "old", 50))
    assert(s:set_fired("r", "g", "first", 100))
    assert(s:set_fired("q", "g", "another rule's", 10))
    assert(s:set_fired("r", "g", "second", 200))
    assert(s:set_fired("r", "i", "behind a newer one", 150))
    assert.equal("second", s:fired("r", "g"))
    assert.equal(2, s:drop_fired("r", 200))
    assert.is_nil(s:fired("r", "h"))
    assert.equal("second", s:fired("r", "g"))
    assert.equal("behind a newer one", s:fired("r", "i"))
    assert.equal("another rule's", s:fired("q", "g"))
  end)

  it("keeps settings of three kinds apart, as text or number", function()
    for _, kind in ipairs{ "meta", "sink_state", "watermark" } do
      assert.is_nil(s[kind](s, "k"))
      assert.is_true(s["set_" .. kind](s, "k", kind))
    end
    assert.is_true(s:set_watermark("r", 1767225600000))
    assert.equal("sink_state", s:sink_state "k")
    assert.equal(1767225600000, s:watermark "r")
    assert.is_true(s:set_meta("k", nil))
    assert.is_nil(s:meta "k")
    assert.equal("watermark", s:watermark "k")
  end)

  it("takes a finding once and lists them by time", function()
    assert.is_true(s:add_finding("2", "r", 20, "high", "{}"))
    assert.is_true(s:add_finding("1", "r", 10, "low", '{"a":1}'))
    assert.is_false(s:add_finding("1", "r", 99, "high", "other"))
    local all = {}
    for f in s:findings() do all[#all + 1] = f end
    assert.same({ { id = "1", rule = "r", time_ms = 10, level = "low", doc = '{"a":1}' },
      { id = "2", rule = "r", time_ms = 20, level = "high", doc = "{}" } }, all)
    local n = 0
    for f in s:findings "high" do n = n + tonumber(f.id) end
    assert.equal(2, n)
  end)

  it("keeps a dead letter once per window, byte for byte", function()
    local raw = "{\"broken\0\xff"
    local letter = { dataset = "d", input = "i", from = 3, reason = "parse", time_ms = 9, raw = raw }
    assert.is_true(s:add_dead(letter))
    assert.is_false(s:add_dead(letter))
    letter.from, letter.where = 4, "page 2"
    assert.is_true(s:add_dead(letter))
    local froms = {}
    for l in s:dead_letters() do
      froms[#froms + 1] = l.from
      assert.equal(raw, l.raw)
    end
    assert.same({ 3, 4 }, froms)
    assert.equal(2, s:dead_count())
    assert.equal(0, s:dead_count{ dataset = "other" })
  end)

  it("forgets the windows of one input, or everything", function()
    put(1, 2, "closed", { emitted = { a = 1 } })
    s:put_window{ dataset = "d", input = "j", from = 1, to = 2 }
    s:add_dead{ dataset = "d", input = "i", from = 1, reason = "x", time_ms = 1, raw = "r" }
    s:seen_new(1, core.hash.key16 "k")
    s:set_meta("since", 1)
    assert.is_true(s:reset{ dataset = "d", input = "i" })
    assert.is_nil(s:window("d", "i", 1, 2))
    assert.is_table(s:window("d", "j", 1, 2))
    assert.equal(0, s:dead_count())
    assert.is_false(s:seen_new(1, core.hash.key16 "k"))
    assert.is_true(s:reset())
    for _, spec in ipairs(store.TABLES) do assert.equal(0, (s.db:row("SELECT count(*) FROM " .. spec[1]))) end
  end)

  it("commits nothing of a page of which one write failed", function()
    assert(s:begin())
    assert.is_true(s:seen_new(1, core.hash.key16 "k"))
    local new, err = s:add_finding("f", "r", 1, nil, "{}")
    assert.is_nil(new)
    assert.equal("store", err.kind)
    assert.is_nil((s:commit()))
    assert.is_true(s:seen_new(1, core.hash.key16 "k"))
  end)

  it("raises when a read fails, so that an absent row is not one that could not be read", function()
    s:close()
    assert.has_error(function() s:window("d", "i", 1, 2) end)
    assert.has_error(function() s:meta "k" end)
  end)
end)

-- ledger_spec.lua: what the ledger accepts as proof.
local core = require "defendis.core"
local ledger = require "defendis.ledger"
local scratch = require "support.scratch"
local store = require "defendis.store"

describe("ledger.verify", function()
  local dir, s

  before_each(function()
    dir = scratch.dir()
    s = assert(store.open(dir .. "/state.db"))
  end)

  after_each(function()
    s:close()
    scratch.remove(dir)
  end)

  local function put(from, to, more)
    local row = { dataset = "d", input = "i", from = from, to = to, state = "closed", announced = 10, received = 12, pass_received = 10,
      pass_unique = 10, unique = 9, normalized = 9, duplicate = 2, dead = 1, emitted = { a = 9 } }
    for k, v in pairs(more or {}) do row[k] = v ~= "none" and v or nil end
    assert.is_true(s:put_window(row))
  end

  -- The problems as text.
  local function problems(filter)
    local out = {}
    for i, p in ipairs(ledger.verify(s, filter or {}).problems) do
      out[i] = ("%s %s %d-%d: %s"):format(p.dataset, p.input, core.api.days(p.from), core.api.days(p.to), p.message)
    end
    return out
  end

  it("adds up windows that follow each other and are whole", function()
    put(1, 2)
    put(2, 3)
    put(1, 4, { input = "j" })
    local sum = ledger.verify(s, {})
    assert.same({ windows = 3, announced = 30, received = 36, unique = 27, duplicate = 6, dead = 3, sinks = {}, problems = {} }, sum)
  end)

  it("names a window that is open, with the reason", function()
    put(1, 2, { state = "open", reason = "it moved" })
    assert.same({ "d i 1-2: not complete: it moved" }, problems())
  end)

  it("names a hole between windows", function()
    put(1, 2)
    put(4, 5)
    assert.same({ "d i 2-4: never walked" }, problems())
  end)

  it("names what is missing at both ends of the time asked for", function()
    put(3, 4)
    assert.same({ "d i 1-3: never walked", "d i 4-6: never walked" }, problems{ from = 1, to = 6 })
    assert.same({ "d i 4-6: never walked" }, problems{ from = 4, to = 6 })
    assert.same({ "d i 1-2: never walked" }, problems{ from = 1, to = 2 })
    assert.same({}, problems{ from = 3, to = 4 })
  end)

  it("takes windows that overlap as they come", function()
    put(1, 8)
    put(2, 3)
    put(7, 9)
    put(9, 10)
    assert.same({}, problems{ from = 1, to = 10 })
  end)

  it("names figures that do not add up", function()
    put(1, 2, { received = 13 })
    put(2, 3, { normalized = 8 })
    put(3, 4, { pass_received = 9 })
    put(4, 5, { emitted = { a = 8 } })
    assert.same({ "d i 1-2: received 13 is not unique 9 + duplicate 2 + dead 1", "d i 2-3: normalized 8 is not unique 9",
      "d i 3-4: only 9 of 10 announced records came", "d i 4-5: a got 8 of 9 documents" }, problems())
  end)

  it("asks for nothing from a sink that is not in the pipeline any more", function()
    put(1, 2, { emitted = { a = 8, b = 9 } })
    s:set_meta("sinks", "b")
    assert.same({}, problems())
    s:set_meta("sinks", "b\na")
    assert.same({ "d i 1-2: a got 8 of 9 documents" }, problems())
  end)

  it("names what a sink that is served from the outbox has yet to take, per window and in all", function()
    local function count(documents, dead)
      assert(s:owe({ dataset = "d", input = "i", from = 1, to = 2 }, "hec"))
      assert(s:add_delivered({ dataset = "d", input = "i", from = 1, to = 2 }, "hec", documents, dead))
    end
    put(1, 2)
    assert(s:put_delivery{ sink = "hec", kinds = "\nd\nfindings\n", seq = 5, position = 2, settled = "5:4-5 6:0-0" })
    local body = ("{}\n"):rep(8)
    for _, row in ipairs{ { seq = 4, kind = "d" }, { seq = 5, kind = "d" }, { seq = 6, kind = "findings" }, { seq = 7, kind = "e" },
      { seq = 8, kind = "d", sink = "other" }, { seq = 9, kind = "d", sink = "hec" } } do
      row.count, row.ids, row.body = 8, "", body
      assert(s:put_outbox(row))
    end
    count(4, 1)
    assert.same({ { sink = "hec", behind = 24 - 2 - 3, dead = 0 } }, ledger.sinks(s))
    local function message(p) return p.message end
    local found = ledger.verify(s, {}).problems
    assert.same({ "hec took 4 of 9 documents and refused 1", "19 documents behind" }, { message(found[1]), message(found[2]) })
    count(4, 0)
    found = ledger.verify(s, {}).problems
    assert.same({ 1, "hec" }, { #found, found[1].sink })
    assert(s:put_delivery{ sink = "hec", kinds = "\nd\nfindings\n", seq = 10, position = 0, settled = "" })
    assert.same({}, ledger.verify(s, {}).problems)
  end)

  it("asks for no announcement where the API made none, and takes records seen elsewhere as duplicates", function()
    put(1, 2, { announced = "none" })
    put(2, 3, { received = 10, unique = 0, normalized = 0, duplicate = 10, dead = 0, emitted = {} })
    assert.same({}, problems())
  end)
end)

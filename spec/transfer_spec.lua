-- transfer_spec.lua: a whole state out of one store and into another.
local scratch = require "support.scratch"
local core = require "defendis.core"
local store = require "defendis.store"
local transfer = require "defendis.transfer"

describe("transfer", function()
  local dir

  before_each(function() dir = scratch.dir() end)
  after_each(function() scratch.remove(dir) end)

  local function rows(s)
    local list = {}
    for row in transfer.export(s) do
      local fields = {}
      for k, v in pairs(row) do fields[#fields + 1] = k .. "=" .. tostring(v) end
      table.sort(fields)
      list[#list + 1] = table.concat(fields, ",")
    end
    return list
  end

  it("moves every row, and an import of the same again is refused", function()
    local a <close> = assert(store.open(dir .. "/a.db"))
    local b <close> = assert(store.open(dir .. "/b.db"))
    a:put_window{ dataset = "d", input = "i", from = 1, to = 2, emitted = { jsonl = 4 }, reason = "cap" }
    a:seen_new(1, core.hash.key16 "k")
    a:add_events({ "r", 5, "g", "i", "m", 1.5 }, 6, {}, 0)
    assert(a:flush_events())
    a:set_fired("r", "g", "state", 5)
    a:add_finding("f", "r", 5, "low", "{}")
    a:add_dead{ dataset = "d", input = "i", from = 1, reason = "x", time_ms = 1, raw = "\0\xff" }
    a:add_dead{ dataset = "d", input = "i", from = 1, to = 2, sink = "hec", doc = ("\0"):rep(24), reason = "x", time_ms = 1, raw = "{}" }
    a:put_outbox{ seq = 7, kind = "d", input = "i", from = 1, to = 2, count = 1, ids = ("\xff"):rep(24), body = "{}\n" }
    a:put_outbox{ seq = 8, sink = "hec", kind = "findings", count = 1, ids = ("\1"):rep(24), body = "{}\n" }
    a:put_delivery{ sink = "hec", kinds = "\nd\n", seq = 7, position = 0, settled = "" }
    a:owe({ dataset = "d", input = "i", from = 1, to = 2 }, "hec")
    a:set_meta("since", 20454)
    assert(b:begin())
    for row in transfer.export(a) do assert.is_true(transfer.import(b, row)) end
    assert(b:commit())
    assert.equal(14, #rows(a))
    assert.same(rows(a), rows(b))
    assert.is_false(b:seen_new(1, core.hash.key16 "k"))
    for row in transfer.export(a) do assert.is_nil((transfer.import(b, row))) end
  end)

  it("refuses rows that are none of ours", function()
    local s <close> = assert(store.open(dir .. "/a.db"))
    for _, row in ipairs{ { table = "sqlite_schema" }, {}, { table = "seen", day = 1, key = "xyz" },
      { table = "seen", day = "x", key = "00" } } do
      local ok, err = transfer.import(s, row)
      assert.is_nil(ok)
      assert.is_string(err.message)
    end
  end)
end)

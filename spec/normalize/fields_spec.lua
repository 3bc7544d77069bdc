local fields = require "defendis.normalize.fields"

local null = {}
local function get(record, path) return fields.get(record, fields.path(path), null) end
local function groups(record, names, cap)
  local paths = {}
  for i, name in ipairs(names) do paths[i] = fields.path(name) end
  local out = {}
  local n, capped = fields.groups(out, record, paths, null, nil, cap or 32)
  assert.equal(n, #out)
  return out, capped
end

describe("fields", function()
  it("reads a dotted path, and nil for what is missing or null on the way", function()
    local record = { source = { name = "x" }, machine = null, flag = false }
    assert.equal("x", get(record, "source.name"))
    assert.is_nil(get(record, "source.nope"))
    assert.is_nil(get(record, "source.name.deeper"))
    assert.is_nil(get(record, "machine"))
    assert.is_nil(get(record, "machine.ip"))
    assert.is_false(get(record, "flag"))
  end)

  it("gives two different tuples two different texts", function()
    local seen = {}
    local tuples = { { "a", "b" }, { "ab" }, { "a", "b", "" }, { "", "ab" }, { "s1:a", "b" }, { 1 }, { "1" }, { true },
      { "true" }, { 1.5 }, { "1.5" }, { "a\0b" }, {} }
    for _, tuple in ipairs(tuples) do
      local text = fields.tuple(table.unpack(tuple))
      assert.is_nil(seen[text], text)
      seen[text] = true
    end
  end)

  it("takes 2 and 2.0 for the same value", function()
    assert.equal(fields.tuple(2), fields.tuple(2.0))
  end)

  it("takes a tuple text apart again", function()
    local values = { "s1:a", "", "a\0b", 42, -1, true, false }
    assert.same(values, fields.untuple(fields.tuple(table.unpack(values))))
    assert.is_nil(fields.untuple("nonsense"))
  end)

  it("has one group for each different element of a list", function()
    assert.same({ fields.tuple("a"), fields.tuple("b") }, (groups({ e = { "a", "b", "a", null, {} } }, { "e" })))
    assert.same({ fields.tuple("a", 1), fields.tuple("a", 2), fields.tuple("b", 1), fields.tuple("b", 2) },
      (groups({ e = { "a", "b" }, n = { 1, 2 } }, { "e", "n" })))
  end)

  it("has no group when a field is missing, null, an empty list or an object", function()
    for _, record in ipairs{ {}, { e = null }, { e = {} }, { e = { k = 1 } }, { e = { null } } } do
      assert.same({}, (groups(record, { "e" })))
    end
    assert.same({}, (groups({ e = "a" }, { "e", "missing" })))
  end)

  it("has one group for all when there is no field to group by", function()
    assert.same({ "" }, (groups({}, {})))
  end)

  it("cuts the groups at the cap and says so", function()
    local many = {}
    for i = 1, 40 do many[i] = i end
    local list, capped = groups({ e = many }, { "e" })
    assert.equal(32, #list)
    assert.is_true(capped)
    list, capped = groups({ e = many, f = { 1, 2 } }, { "f", "e" })
    assert.equal(32, #list)
    assert.is_true(capped)
    assert.is_false(select(2, groups({ e = { 1 } }, { "e" })))
  end)

  it("asks the host for the text of its own values", function()
    local number = io.stdout -- any userdata
    local paths = { fields.path "n" }
    assert.is_nil(fields.value({ n = number }, paths, null))
    assert.equal("n3:1e9", fields.value({ n = number }, paths, null, function() return "1e9" end))
  end)
end)

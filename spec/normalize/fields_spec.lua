local fields = require "defendis.normalize.fields"

local null = {}
local function get(record, path) return fields.get(record, fields.path(path), null) end
local function groups(record, names, cap)
  local paths = {}
  for i, name in ipairs(names) do paths[i] = fields.path(name) end
  return fields.groups(record, paths, null, nil, cap or 32)
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

  it("reads one path or several as one text, or nothing when a value is missing or no scalar", function()
    local record = { a = "x", b = { c = 5, d = { e = true } }, n = null, l = { 1 } }
    local function read(...)
      local paths = {}
      for i, name in ipairs{ ... } do paths[i] = fields.path(name) end
      return fields.reader(paths, null)(record)
    end
    for _, name in ipairs{ "a", "b.c", "b.d.e" } do assert.equal(fields.part(get(record, name)), read(name)) end
    assert.equal(fields.tuple("x", 5, true), read("a", "b.c", "b.d.e"))
    for _, name in ipairs{ "n", "l", "x", "b", "a.x", "x.y", "b.d", "b.c.e", "n.x" } do
      assert.is_nil(read(name))
      assert.is_nil(read("a", name))
    end
    for _, other in ipairs{ 5, "text", true, null } do assert.is_nil(fields.reader({ { "len" } }, null)(other)) end
  end)

  it("asks the host for the text of its own values", function()
    local record, paths = { n = io.stdout, m = { n = io.stdout } }, { { "n" }, { "m", "n" } } -- any userdata
    for _, path in ipairs(paths) do
      assert.is_nil(fields.reader({ path }, null)(record))
      assert.equal("n3:1e9", fields.reader({ path }, null, function() return "1e9" end)(record))
    end
  end)
end)

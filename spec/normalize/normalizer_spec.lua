local normalizer = require "defendis.normalize.normalizer"

local null = {}
local function meta(record, options)
  options = options or { time = "leakedAt" }
  return normalizer.compile({ id = "n", dataset = "d", time = options.time, id_field = options.id_field,
    map = function(r) return r end }, null).meta(record)
end

describe("a normalizer's meta", function()
  it("reads id and event time", function()
    local id, ms, fault = meta{ id = "a", leakedAt = "1970-01-01T00:00:01Z" }
    assert.same({ "a", 1000 }, { id, ms })
    assert.is_nil(fault)
  end)

  it("reads them at dotted paths, whole numbers as texts", function()
    local id, ms = meta({ meta = { key = 12.0, at = 5 } }, { id_field = "meta.key", time = "meta.at" })
    assert.same({ "12", 5 }, { id, ms })
  end)

  it("says what is wrong with an id or a time", function()
    assert.equal('no id in the field "id"', select(3, meta{ leakedAt = "1970-01-01" }))
    assert.equal('no id in the field "id"', select(3, meta{ id = null, leakedAt = "1970-01-01" }))
    assert.equal('no id in the field "id"', select(3, meta{ id = "", leakedAt = "1970-01-01" }))
    assert.equal('no id in the field "id"', select(3, meta{ id = 1.5, leakedAt = "1970-01-01" }))
    assert.equal('no time in the field "leakedAt"', select(4, meta{ id = "a", leakedAt = null }))
    local id, ms, id_fault, fault = meta{ id = "a", leakedAt = "soon" }
    assert.equal("a", id)
    assert.is_nil(ms)
    assert.is_nil(id_fault)
    assert.equal('no time in the field "leakedAt": not an ISO 8601 time: "soon"', fault)
  end)

  it("has no time where none is configured", function()
    local id, ms, fault = normalizer.default("d", null).meta{ id = "a", time = 5 }
    assert.equal("a", id)
    assert.is_nil(ms)
    assert.is_nil(fault)
  end)
end)

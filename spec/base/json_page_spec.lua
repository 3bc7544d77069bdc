-- json_page_spec.lua: pages of records: access, and faults that cost one record and not the page.
local json = require "defendis.core".json

local function page_of(...) return assert(json.page('{"data":[' .. table.concat({ ... },
  ",") .. '],"paging":{"hasMore":false}}')) end

describe("json.page", function()
  it("gives records, their source text, fields and paging", function()
    local p <close> = page_of('{"a":{"b":"x","n":null,"l":[1],"d":1.5,"t":true,"s":"\\u00e9"}, "big":1e400}', "5",
      "null", "[1,2]", "{}")
    assert.equal(5, p:len())
    assert.same({ b = "x", n = json.null, l = { 1 }, d = 1.5, t = true, s = "é" }, p:record(1).a)
    assert.equal(5, p:record(2))
    assert.equal(json.null, p:record(3))
    assert.is_true(json.is_array(p:record(4)))
    assert.same({}, p:record(5))
    assert.equal("[1,2]", p:raw(4))
    assert.same({ "x", json.null, 1.5, true, "é" }, { p:field(1, "a.b"), p:field(1, "a.n"), p:field(1, "a.d"),
      p:field(1, "a.t"), p:field(1, "a.s") })
    assert.equal("1e400", tostring(p:field(1, "big")))
    for _, path in ipairs{ "a", "a.l", "a.x", "x", "a.b.c", "", ".", "a." } do assert.is_nil(p:field(1, path)) end
    assert.is_nil(p:field(2, "a"))
    assert.same({ hasMore = false }, p:paging())
  end)

  it("identifies a record by text and time in their usual forms, and leaves all others to the caller", function()
    local hash = require "defendis.core".hash
    local p <close> = page_of('{"a":{"id":"x\\u00e9"},"t":"2026-01-02T03:04:05Z"}', '{"a":{"id":7},"t":"2026-01-02"}', '{"a":{"id":""}}',
      '{"a":{"id":"x"},"t":"soon"}', '{"a":{"id":"x"},"t":null}', "5", '{"a" 1}')
    assert.same({ hash.key16("source", "xé"), "xé", 1767323045000 }, { p:identify(1, "source", "a.id", "t") })
    assert.same({ hash.key16("", "xé"), "xé" }, { p:identify(1, "", "a.id") })
    for i = 2, 7 do assert.same({}, { p:identify(i, "source", "a.id", "t") }) end
    assert.same({ hash.key16("source", "x"), "x" }, { p:identify(5, "source", "a.id") })
  end)

  it("refuses what is not an object with one array `data`", function()
    for text, want in pairs{ ["[]"] = "not a JSON object", ["null"] = "not a JSON object",
      ['"data"'] = "not a JSON object", ["{}"] = "`data` is missing",
      ['{"Data":[]}'] = "`data` is missing", ['{"data":null}'] = "not an array", ['{"data":{}}'] = "not an array",
      ['{"data":"x"}'] = "not an array",
      ['{"data":[],"data":[]}'] = "`data` appears twice", ['{"data":[],"d\\u0061ta":[]}'] = "`data` appears twice",
      ['{"data":[],"paging":{},"paging":{}}'] = "`paging` appears twice", ["<html>"] = "byte 1",
        [""] = "ends too early" } do
      local p, err = json.page(text)
      assert.is_nil(p)
      assert.equal("decode", err.kind)
      assert.truthy(tostring(err):find(want, 1, true), text .. " -> " .. tostring(err))
    end
  end)

  it("takes other keys, and paging that is missing or of another type", function()
    for _, text in ipairs{ '{"data":[]}', '{"data":[],"paging":null}', '{"data":[],"paging":[]}',
      '{"x":{"data":[1],"data":2},"data":[]}' } do
      local p = assert(json.page(text))
      assert.equal(0, p:len())
      assert.is_nil(p:paging())
    end
    assert.equal(2, assert(json.page '{"d\\u0061ta":[1,01]}'):len())
  end)

  it("loses only the record that is wrong", function()
    for bad, where in pairs{ ['{"a":01}'] = 7, ['{"a":1.}'] = 8, ['{"a":"\\q"}'] = 8, ['{"a":"x\ny"}'] = 8,
      ['{"a":"\\u12"}'] = 11, ['{"a":NaN}'] = 6, ["01"] = 2,
      ["NaN"] = 1, ["+1"] = 1, ['{"a":"\0"}'] = 7, ['{"a" 1}'] = 6, ["{a:1}"] = 2, ['{"a":[1,]}'] = 9, ['{"a":1,}'] = 8,
      ['{"a":"]},{[","b":tru}'] = 21, ['{"a":{"b":[{"c":.5}]}}'] = 17, ["tru"] = 4, ["-"] = 2,
      [('['):rep(127) .. (']'):rep(127)] = 127,
      [('['):rep(9999) .. (']'):rep(9999)] = 127 } do
      local p = page_of('{"id":1}', " " .. bad .. " ", '{"id":3}')
      assert.equal(3, p:len())
      assert.same({ id = 1 }, p:record(1))
      assert.same({ id = 3 }, p:record(3))
      local record, err = p:record(2)
      assert.is_nil(record)
      assert.equal("decode", err.kind)
      assert.equal(where, err.offset)
      assert.truthy(err.message:find("record 2, byte " .. where .. ": ", 1, true))
      assert.equal(bad, p:raw(2))
      assert.equal(err.message, select(2, p:field(2, "a")).message)
      assert.same({ hasMore = false }, p:paging())
    end
  end)

  it("loses only the record that is too large or too deep", function()
    local long = '{"s":"' .. ("x"):rep(200) .. '"}'
    local p = assert(json.page('{"data":[{"id":1},' .. long .. ",[" .. long .. '],{"id":4}]}', { max_record = 100,
      max_depth = 4 }))
    assert.same({ id = 1 }, p:record(1))
    assert.truthy(select(2, p:record(2)).message:find "larger")
    assert.equal(long, p:raw(2))
    assert.truthy(select(2, p:record(3)).message:find "larger")
    assert.same({ id = 4 }, p:record(4))
  end)

  it("can lose every record, or the first, or the last", function()
    local p = page_of("01", "02", "03")
    for i = 1, 3 do assert.is_nil((p:record(i))) end
    p = page_of("01", "2")
    assert.equal(2, p:record(2))
    p = page_of("1", "02")
    assert.equal(1, p:record(1))
    assert.is_nil((p:record(2)))
  end)

  it("loses the page when a record's end cannot be told, or the fault is outside of records", function()
    for _, text in ipairs{ '{"data":[{"a":01},{"b":2}', '{"data":[{"a":01', '{"data":[{"a":"x},{"b":2}]}',
      '{"data":[1,]}', '{"data":[,1]}', '{"data":[1,,2]}',
      '{"data":[{"a":1]},{"b":2}]}', '{"data":[{"a":[1},{"b":2}]}', '{"data":[{"a":1}{"b":2}]}',
      '{"data":[{"a":1} 2]}', '{"data":[1}', '{"data":[]}]', '{"data":[1],"paging":{"a":01}}',
      '{"other":[01],"data":[]}', '{"x":{"data":[01]},"data":[]}', '{"data":[01]', '{"data":[01],}',
        '[{"data":[01]}]', '{"data":[1]"paging":{}}' } do
      local p, err = json.page(text)
      assert.is_nil(p, text)
      assert.equal("decode", err.kind)
    end
    assert.equal("limit", select(2, json.page('{"data":[1,2,3,4]}', { max_nodes = 4 })).kind)
    assert.equal("limit", select(2, json.page('{"data":[01,02,03,04]}', { max_nodes = 8 })).kind)
  end)

  it("counts the characters that it replaced, each string once", function()
    local p = page_of('{"a":"x\xff\xfe","b":"fine","c":"\\ud800"}', '{"\xff":1}')
    assert.equal(0, p:replaced())
    assert.equal("x\u{FFFD}\u{FFFD}", p:field(1, "a"))
    assert.equal(2, p:replaced())
    p:record(1)
    p:record(1)
    assert.equal(3, p:replaced())
    p:record(2)
    assert.equal(4, p:replaced())
    assert.equal('{"\xff":1}', p:raw(2))
  end)

  it("has equal hashes for equal data only", function()
    local text = {}
    for i = 1, 40 do text[i] = ('{"id":%d}'):format(i) end
    local one = page_of(table.unpack(text)):hash()
    assert.equal(one, page_of(table.unpack(text)):hash())
    assert.equal(one, json.page('{"paging":{"p":2},"data":[' .. table.concat(text, ",") .. "]}"):hash())
    local seen = { [one] = true }
    for i = 1, 40 do
      local old = text[i]
      text[i] = '{"id":0}'
      local h = page_of(table.unpack(text)):hash()
      assert.is_nil(seen[h])
      seen[h], text[i] = true, old
    end
    assert.are_not.equal(page_of("1"):hash(), page_of("2"):hash())
  end)

  it("refuses records that are not there, and all use after close", function()
    local p = page_of "1"
    for _, i in ipairs{ 0, 2, -1, math.maxinteger, math.mininteger } do assert.has_error(function() p:record(i) end) end
    assert.equal(#'{"data":[1],"paging":{"hasMore":false}}', p:bytes())
    p:close()
    p:close()
    for _, name in ipairs{ "len", "record", "raw", "field", "paging", "replaced", "hash", "bytes" } do
      assert.error_matches(function() p[name](p, 1, "a") end, "closed")
    end
    assert.has_error(function() p.len(json.buffer()) end)
  end)

  it("survives a collector that runs at every chance", function()
    local old = collectgarbage("incremental", 1, 1000)
    for _ = 1, 20 do
      local p = page_of('{"a":["x",{"b":"y"}],"c":1e400}', "01")
      assert.equal('{"a":["x",{"b":"y"}],"c":1e400}', json.encode(p:record(1), { sort_keys = true }))
      collectgarbage()
    end
    collectgarbage(old)
  end)
end)

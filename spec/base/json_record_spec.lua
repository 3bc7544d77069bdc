-- page:read: records that are filled in as they are read behave as the tables of page:record.
local core = require "defendis.core"
local json = core.json

local TEXTS = { [[{"id":"a","n":1,"list":[1,{"x":2}],"in":{"y":{"z":true}},"none":null,"k\u0041":"esc","":"empty"}]],
  [[{"id":"b","in":[],"more":{}}]], [[{"id":"c","id":"twice","in":{"y":"text","y":7}}]], "[1,2]", '"text"', "7" }

local function page_of(list) return assert(json.page('{"data":[' .. table.concat(list, ",") .. "]}")) end

-- The same values as plain tables.
local function plain(v)
  if type(v) ~= "table" then return v end
  local out = {}
  for k, value in pairs(v) do out[k] = plain(value) end
  return out
end

local function copy_of(page, i) return plain(page:record(i)) end

describe("a record that is read as it is needed", function()
  local page, reader
  before_each(function() page, reader = page_of(TEXTS), json.reader() end)
  after_each(function() page, reader = nil, nil end)

  -- every way to look at a record, after each of several ways in which others were read before
  local LOOKS = {
    index = function(r) return r.id end,
    missing = function(r) return r.nothing end,
    null = function(r) return r.none == json.null end,
    deep = function(r)
      local y = type(r["in"]) == "table" and r["in"].y
      return type(y) == "table" and y.z or plain(y)
    end,
    escaped = function(r) return r.kA end,
    empty = function(r) return r[""] end,
    number = function(r) return r[1] end,
    walked = plain,
    encoded = function(r) return plain(json.decode((json.encode(r)))) end,
    sorted = function(r) return (json.encode(r, { sort_keys = true })) end,
    next = function(r) return (json.next(r)) ~= nil end,
    length = function(r) return #r end,
    in_order = function(r)
      local n = 0
      for _ in ipairs(r) do n = n + 1 end
      return n
    end,
    array = function(r) return json.encode(r):sub(1, 1) end,
  }

  for name, look in pairs(LOOKS) do
    it("gives what a table gives: " .. name, function()
      for _ = 1, 3 do -- the second and third time with what was learned
        for other in pairs(LOOKS) do
          for i = 1, 3 do
            local lazy = page:read(i, reader)
            LOOKS[other](page:read(i, reader))
            assert.same(look(page:record(i)), look(lazy), i .. " after " .. other)
            assert.same(look(page:record(i)), look(lazy), i .. " again after " .. other)
          end
        end
      end
    end)
  end

  it("is the value itself when it is no object", function()
    assert.same({ 1, 2 }, page:read(4, reader))
    assert.equal("text", page:read(5, reader))
    assert.equal(7, page:read(6, reader))
  end)

  it("is a table, and the same one each time it is asked for", function()
    local r = page:read(1, reader)
    assert.equal("table", type(r))
    assert.is_true(rawequal(r["in"], r["in"]))
    assert.equal(r.list, r.list)
  end)

  it("keeps what is written and what is taken away, whether it was read before or not", function()
    for round = 1, 3 do
      local r = page:read(1, reader)
      r.id, r.new, r.n, r[1] = nil, "x", 2, "one"
      if round == 2 then assert.is_nil(r.id) end
      assert.is_nil(r.id)
      r["in"].y = nil
      local whole = copy_of(page, 1)
      whole.id, whole.new, whole.n, whole[1] = nil, "x", 2, "one"
      whole["in"].y = nil
      assert.same(whole, plain(r))
      assert.is_nil(r.id)
      r.id = "back"
      assert.equal("back", r.id)
    end
  end)

  it("holds at first only what was read before", function()
    local raw = 0
    local r = page:read(1, reader)
    assert.is_nil(r.n == 2 or r.nothing or nil)
    for key in next, page:read(1, reader) do raw = raw + (type(key) == "string" and 1 or 0) end
    assert.equal(1, raw)
  end)

  it("is a table as any other once it was walked", function()
    local r = page:read(1, reader)
    for key in pairs(r) do r[key] = nil end
    assert.is_nil(r.id)
    assert.is_nil(next(r))
    assert.is_nil(getmetatable(r))
    page:close()
    assert.is_nil(r.id)
  end)

  it("is made whole at once when most were walked", function()
    for _ = 1, 20 do plain(page:read(1, reader)) end
    local r = page:read(1, reader)
    page:close()
    assert.equal("a", r.id)
  end)

  it("takes more different fields than can be learned", function()
    local members = {}
    for i = 1, 100 do members[i] = ('"f%d":%d'):format(i, i) end
    local wide = page_of{ "{" .. table.concat(members, ",") .. "}" }
    for _ = 1, 3 do
      local r = wide:read(1, reader)
      r.f50 = nil
      for i = 1, 100 do assert.equal(i ~= 50 and i or nil, r["f" .. i]) end
      r.g = 1
      assert.equal(1, r.g)
    end
    for i = 1, 100 do
      local r = wide:read(1, json.reader())
      r["new" .. i] = i
      assert.equal(i, r["new" .. i])
    end
  end)

  it("takes objects at more places than can be learned", function()
    local members = {}
    for i = 1, 30 do members[i] = ('"f%d":{"g":{"h":{"i":{"j":{"k":{"l":{"m":{"n":{"o":%d}}}}}}}}}'):format(i, i) end
    local deep = page_of{ "{" .. table.concat(members, ",") .. "}" }
    for _ = 1, 2 do
      local r = deep:read(1, reader)
      for i = 1, 30 do assert.equal(i, r["f" .. i].g.h.i.j.k.l.m.n.o) end
    end
  end)

  it("says so when it is read after its page was closed", function()
    local r = page:read(1, reader)
    local known = r.id
    page:close()
    assert.equal("a", known)
    assert.equal("a", r.id)
    for _, f in ipairs{ function() return r.n end, function() r.n = 1 end, function() return pairs(r) end,
      function() return json.encode(r) end } do
      assert.has_error(f, "a record was kept after the work on its page: keep copies of what is needed of it")
    end
  end)

  it("outlives the variable that held its page", function()
    local r = page_of(TEXTS):read(1, json.reader())
    page = nil
    collectgarbage()
    collectgarbage()
    assert.equal(1, r.n)
  end)

  it("hides what is sensitive, also at the second reading and when walked", function()
    local hidden = page_of{ '{"id":1,"password":"hunter2","in":{"Token":{"a":"b"},"x":"4111 1111 1111 1111"}}' }
    local list = core.sensitive.fields{ names = { "password", "token" }, scan = true }
    local learned = json.reader(list)
    for round = 1, 3 do
      local r = hidden:read(1, learned)
      if round == 3 then plain(r) end
      assert.equal("[password]", tostring(r.password))
      assert.equal("userdata", type(r["in"].Token.a))
      assert.equal("4111 11** **** 1111", r["in"].x)
    end
  end)

  it("takes a page, a number of a record and a reader", function()
    assert.has_error(function() page:read(7, reader) end)
    assert.has_error(function() page:read(1, {}) end)
    assert.has_error(function() page:read(1) end)
  end)

  it("names the fault of a record that cannot be read", function()
    local bad = page_of{ '{"id":"\1"}' }
    local r, err = bad:read(1, reader)
    assert.is_nil(r)
    assert.equal("decode", err.kind)
  end)
end)

-- json_encode_spec.lua: Lua values as JSON text, and there and back again.
local json = require "defendis.core".json
local cjson = require "cjson".new()

describe("json.encode", function()
  it("writes each kind of value", function()
    for _, case in ipairs{ { 1, "1" }, { -5, "-5" }, { math.mininteger, "-9223372036854775808" }, { math.maxinteger,
      "9223372036854775807" },
      { 1.0, "1.0" }, { -0.0, "-0.0" }, { 0.1, "0.1" }, { 1e100, "1e+100" }, { 0.1 + 0.2, "0.30000000000000004" },
      { 123.25, "123.25" },
      { 0.0001, "0.0001" }, { 1e15, "1e+15" }, { 123456789012345.0, "123456789012345.0" }, { true, "true" }, { false,
      "false" },
      { json.null, "null" }, { "x", '"x"' }, { {}, "{}" }, { json.array{}, "[]" }, { json.object{}, "{}" }, { { 1,
      2 }, "[1,2]" },
      { { a = 1 }, '{"a":1}' }, { json.array{ {} }, "[{}]" }, { json.number "1e400", "1e400" }, { "", '""' } } do
      assert.equal(case[2], json.encode(case[1]))
    end
  end)

  it("escapes quotes, backslashes, control characters, < and the two line separators", function()
    assert.equal([["\"\\\b\f\n\r\t\u0000\u000b\u001f\u003c/>&]] .. "\127" .. [[\u2028\u2029"]],
      json.encode '"\\\b\f\n\r\t\0\v\31</>&\127\u{2028}\u{2029}')
  end)

  it("always writes valid UTF-8", function()
    for _, text in ipairs{ "\xff", "a\xc0\xafb", "\xed\xa0\x80", "\xe2\x82", ("x"):rep(40) .. "\xf4\x90\x80\x80",
      "é\xe2", ("\x80"):rep(3000) } do
      local out = json.encode(text)
      assert.is_truthy(utf8.len(out))
      assert.is_truthy(out:find("\u{FFFD}", 1, true))
    end
  end)

  it("leaves text of many scripts as it is, at any length and place", function()
    for n = 0, 40 do
      for _, text in ipairs{ "é", "日本語", "𝄞", "Привет", "مرحبا", "\u{2027}\u{202a}", "\n", '"',
        "<" } do
        local whole = ("a"):rep(n) .. text .. ("b"):rep(40 - n)
        assert.equal(whole, json.decode(json.encode(whole)))
      end
    end
    local long = ("0123456789é"):rep(5000)
    assert.equal(long, json.decode(json.encode(long)))
  end)

  it("gives back the same text for what it has read", function()
    for _, text in ipairs{ "[]", "{}", "null", "[[],{},null]", '{"a":{"b":[1,2,{"c":[]}]}}', "4111111111111111",
      "1234567890123456789", "-9223372036854775808",
      "18446744073709551615", "1e400", "0.1", "1.0", '"日本語 \u{1F600} é"', "[0,-0.0,1.5]",
      "[12345678901234567,9999999999999999]", '{"":[[[]]]}',
      "3.14159265358979323846", "[true,false]" } do
      assert.equal(text, json.encode(json.decode(text)))
    end
  end)

  it("gives back bit for bit 16 to 19 digit integers and random doubles", function()
    math.randomseed(7)
    for _ = 1, 20000 do
      local i = math.random(0) >> math.random(0, 12)
      assert(json.decode(json.encode(i)) == i)
      local d = string.unpack("d", string.pack("j", math.random(0)))
      if d == d and d - d == 0 then assert(string.pack("d", json.decode(json.encode(d))) == string.pack("d", d),
        json.encode(d)) end
      local short = math.random(-10 ^ 9 // 1, 10 ^ 9 // 1) / 10 ^ math.random(0, 7)
      assert(json.decode(json.encode(short)) == short and #json.encode(short) <= 18, short)
    end
  end)

  it("names the path of what has no JSON form", function()
    local cycle = { a = {} }
    cycle.a.b = cycle
    local cases = {
      { { a = { b = { 1, 2, print } } }, "%$%.a%.b%[3%]: a function" }, { coroutine.create(print), "%$: a thread" },
      { { x = io.stdout }, "%$%.x: a userdata" },
      { { 0 / 0 }, "%$%[1%]: .*NaN" }, { { math.huge }, "%$%[1%]" }, { { -math.huge }, "infinity" }, { { a = { 1,
      x = 2 } }, "%$%.a: its keys" },
      { { 1, nil, 3 }, "%$: its keys" }, { { [2] = 1 }, "%$: its keys" }, { { [1.5] = 1 }, "its keys" },
      { { [true] = 1 }, "its keys" },
      { { [0] = 1 }, "its keys" }, { json.array{ a = 1 }, "its keys" }, { json.object{ 1 }, "its keys" },
      { { a = json.array{ 1, nil, 3 } }, "%$%.a: its keys" },
      { cycle, "%.a%.b.*nested deeper than 128, or a cycle" },
    }
    for _, case in ipairs(cases) do
      for _, options in ipairs{ {}, { sort_keys = true } } do
        local text, err = json.encode(case[1], options)
        assert.is_nil(text)
        assert.truthy(tostring(err):find(case[2]), tostring(err) .. " / " .. case[2])
      end
    end
    local text, err = json.encode(nil)
    assert.is_nil(text)
    assert.truthy(tostring(err):find "%$: a nil")
  end)

  it("nests 128 deep and no deeper", function()
    local v = 1
    for _ = 1, 128 do v = { v } end
    assert.equal(("["):rep(128) .. "1" .. ("]"):rep(128), json.encode(v))
    assert.is_nil((json.encode{ v }))
  end)

  it("sorts keys by their bytes when asked to, at every level", function()
    local t = { b = 1, a = { z = 1, y = { "x" }, [""] = 0 }, B = 2, ab = 3, ["é"] = 4, ["a\0"] = 5 }
    assert.equal('{"B":2,"a":{"":0,"y":["x"],"z":1},"a\\u0000":5,"ab":3,"b":1,"é":4}', json.encode(t,
      { sort_keys = true }))
  end)

  it("does not call metamethods", function()
    local t = setmetatable({ a = 1 }, { __pairs = error, __index = error, __len = error, __tostring = error })
    assert.equal('{"a":1}', json.encode(t))
    assert.has_error(function() json.array(t) end)
  end)
end)

describe("json's marks", function()
  it("say what would be written as an array", function()
    assert.is_true(json.is_array(json.array{}))
    assert.is_true(json.is_array{ 1, 2 })
    for _, v in ipairs{ {}, { a = 1 }, { 1, a = 2 }, json.object{}, json.object(json.array{}), "x", 1 } do
      assert.is_false(json.is_array(v)) end
    local t = {}
    assert.equal(t, json.array(t))
    assert.equal("[]", json.encode(setmetatable({}, json.array_mt)))
  end)

  it("cannot be changed or reached through a value", function()
    assert.is_false(getmetatable(json.array{}))
    assert.is_false(getmetatable(json.object{}))
    assert.is_false(getmetatable(json.number "1e400"))
    assert.is_false(getmetatable(json.buffer()))
    assert.is_false(getmetatable(json.page '{"data":[]}'))
    assert.has_error(function() json.array_mt.__index = {} end)
    assert.has_error(function() json.array_mt.__gc = print end)
    assert.has_error(function() setmetatable(json.array_mt, nil) end)
    assert.has_error(function() setmetatable(json.array{}, {}) end)
  end)
end)

describe("json.buffer", function()
  it("gathers values and text, and is as before when a value is refused", function()
    local b <close> = json.buffer()
    assert.equal(0, b:len())
    assert.equal("", b:text())
    assert.is_true(b:encode{ 1 })
    assert.equal(b, b:add "\n")
    local ok, err = b:encode{ "good", { "good", print } }
    assert.is_nil(ok)
    assert.truthy(tostring(err):find "%$%[2%]%[2%]")
    assert.is_true(b:encode({ b = 1, a = 2 }, { sort_keys = true }))
    assert.equal('[1]\n{"a":2,"b":1}', b:text())
    assert.equal(17, b:len())
    b:reset()
    assert.equal("", b:text())
  end)

  it("may be closed twice and used again", function()
    local b = json.buffer():add "x"
    b:close()
    b:close()
    assert.equal("y", b:add("y"):text())
    assert.has_error(function() b.add({}, "x") end)
  end)
end)

describe("json and an independent parser", function()
  local function random_value(depth)
    local kind = math.random(depth > 0 and 8 or 6)
    if kind == 1 then return json.null
    elseif kind == 2 then return math.random(2) == 1
    elseif kind == 3 then return math.random(-2 ^ 53 // 1 | 0, 2 ^ 53 // 1 | 0)
    elseif kind == 4 then return math.random(-1000000, 1000000) / 64
    elseif kind <= 6 then
      local chars = {}
      for i = 1, math.random(0, 30) do
        local code = math.random(4) < 4 and math.random(0, 127) or math.random(0x80, 0x10ffff)
        chars[i] = utf8.char(code >= 0xd800 and code < 0xe000 and 0x20ac or code)
      end
      return table.concat(chars)
    end
    local t, n = {}, math.random(0, 6)
    for i = 1, n do t[kind == 7 and i or random_value(0)] = random_value(depth - 1) end
    if kind == 7 then return json.array(t) end
    local object = {}
    for k, v in pairs(t) do object[type(k) == "userdata" and "null" or tostring(k)] = v end
    return object
  end

  -- the other one has no arrays apart from tables and no integers, so values are compared, not types
  local function equal(a, b)
    if type(a) ~= "table" then return a == b end
    for k, v in pairs(a) do if not equal(v, b[k]) then return false end end
    for k in pairs(b) do if a[k] == nil then return false end end
    return true
  end

  it("agree on random documents", function()
    math.randomseed(42)
    for _ = 1, 2000 do
      local value = random_value(5)
      local text = assert(json.encode(value))
      assert.is_truthy(utf8.len(text))
      local mine, theirs = json.decode(text), cjson.decode("[" .. text .. "]")[1]
      assert(equal(value, mine), text)
      assert(equal(mine, theirs), text)
      assert.equal(json.encode(value, { sort_keys = true }), json.encode(mine, { sort_keys = true }))
    end
  end)
end)

describe("keys that are written again and again", function()
  -- names of all lengths around what the encoder remembers, many more of them than it has room for, and some to escape
  local function names(round)
    local out = {}
    for i = 1, 700 do out[i] = ("k%d_%d%s"):format(round, i, ("<\"é"):rep(i % 3)) .. ("x"):rep(i % 25) end
    return out
  end

  it("are written like the first time, whatever else was a key or was collected in between", function()
    for round = 1, 4 do
      local list = names(round % 2)
      for _ = 1, 3 do
        for i = 1, #list - 2 do
          local value = { [list[i]] = i, [list[i + 1]] = { [list[i + 2]] = list[i] }, same = true }
          assert.same(value, json.decode(json.encode(value)))
        end
      end
      collectgarbage()
    end
  end)

  it("are no keys when they are tables or functions", function()
    for _, key in ipairs{ {}, print, json.null, true, 1.5 } do
      assert.is_nil((json.encode{ a = 1, [key] = 2 }))
      assert.is_nil((json.encode{ [key] = 2 }))
    end
  end)
end)

-- json_spec.lua: what the parser takes, what it refuses, and what each value becomes in Lua.
local json = require "defendis.core".json

local function refused(text)
  local value, err = json.decode(text)
  return value == nil and type(err) == "table" and err.kind == "decode" and tostring(err):find("byte %d+") ~= nil
end

local nested = function(n, open, close, inner) return open:rep(n) .. (inner or "") .. close:rep(n) end

local accepted = {
  structure = {
    "[]", "{}", "[[]]", "[{}]", '{"a":[]}', '{"a":{}}', "[1]", "[1,2]", "[null]", "[true,false,null]", '[[],[[]],[]]',
    '{"":0}',
    '{"a":1,"a":2}', '{"a":1,"b":2}', '{"a":{"b":{"c":[]}}}', "null", "true", "false", "42", '"x"', '""', '[""]',
    "[{},{}]",
    '{"a":null}', '[null,1,"1",{}]', '{"a":"b","asd":"sdf"}',
  },
  numbers = {
    "[0]", "[-0]", "[1]", "[-1]", "[10]", "[123]", "[0.1]", "[-0.1]", "[1.5]", "[0e1]", "[0E1]", "[0e+1]", "[0e-1]",
    "[1e5]", "[1E5]",
    "[1e+5]", "[1E-5]", "[123.456e78]", "[123.456e-78]", "[1e400]", "[-1e400]", "[1e-400]", "[123e65]", "[20e1]",
    "[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]", "[100000000000000000000]",
    "[-123123123123123123123123123123]", "[0.4e00669999999999999999999999999999999]", "[1.0]", "[10.00]",
    "[9223372036854775807]",
  },
  strings = {
    '"a"', '" "', '"/"', '"a/*b*/c"', '"\127"', '"a\127a"', '"{[,:]}"', '"new line"', '"null"', '["a","b"]',
    '"0123456789abcdef0"',
    '"the quick brown fox jumps over the lazy dog and then some"',
  },
  escapes = {
    [["\""]], [["\\"]], [["\/"]], [["\b\f\n\r\t"]], [["\u0000"]], [["\u0041"]], [["\u00e9"]], [["\uABCD"]],
    [["\uabcd"]], [["\u20ac"]],
    [["\ud834\udd1e"]], [["\uD83d\uDe00"]], [["\udbff\udfff"]], [["\\u0000"]], [["\\n"]], [["\u2028\u2029"]],
    [["\uFFFE"]], [["\u007f"]],
    [["\ud800"]], [["\udc00"]], [["\ud800a"]], [["\ud800\n"]], [["\ud800\ud800"]], [["\udc00\ud800"]], [["\u005C"]],
    [["\u0022"]],
  },
  utf8 = {
    '"é"', '"€"', '"𝄞"', '"日本語"', '"\u{10FFFF}"', '"\u{7ff}\u{800}"', '"\u{FEFF}"', '"\u{2028}"',
    '{"é":1}', '"\xff"', '"\xc0\xaf"',
    '"\xe0\x80\x80"', '"\xed\xa0\x80"', '"\xf4\x90\x80\x80"', '"\xe2\x82"', '"\x80"', '"\xc3"',
    '["\xf8\x88\x80\x80\x80"]',
  },
  whitespace = {
    " []", "[] ", "[ ]", "[ 1 , 2 ]", "\t[]", "\n[]\n", "\r\n{}\r\n", '{ "a" : 1 }', "[\n1\n,\t2\r]",
    ' {"a"\n:\t[ ] } ', " 1 ", "\n null\t",
  },
}

local rejected = {
  structure = {
    "", " ", "[", "]", "{", "}", "[]]", "{}}", "[}", "{]", "[1,", "[1,]", "[,1]", "[,]", "[1,,2]", "[1 2]", "[1;2]",
    "[1:2]", "[[]", "[]1",
    "[],", "[][]", "{}{}", '{"a"}', '{"a":}', '{"a" 1}', '{"a":1,}', '{,"a":1}', '{"a":1,,"b":2}', "{a:1}", "{'a':1}",
    "{1:1}", "{null:1}",
    '{"a":1 "b":2}', '{"a":1}x', '{"a":1}#', '{"a":1}//', '{"a":1}/**/', "[/*c*/]", "// c\n[]", '{"a"=1}', '{"a"::1}',
    '{"a","b"}',
    '{"a":"a" 123}', '["a"', '["a",', '{"a":1', '{"a":', '{"a"', '{"', '["x"]]', "[\"\",", "<null>", "[<null>]", "*",
    "[*]", "abc", "(1)",
    "[1],2", "1 2", '"a""b"', "null null", "[\0]", "[]\0", "{}\0", "\0", "[1\0]", "@", "['']", "`a`", '{"a":1}}', "=",
    "[1}", '{"a":1]',
  },
  words = {
    "nul", "nulL", "Null", "NULL", "tru", "True", "fals", "falsee", "truee", "nullx", "[nul]", "[tru", "[fa]",
    "undefined", "None",
    "NaN", "nan", "-NaN", "Infinity", "-Infinity", "inf", "[Infinity]", "True", "[truth]", "[nulls]", "t", "f", "n",
  },
  numbers = {
    "-", "+1", "[+1]", "[++1]", "[--1]", "[-]", "[- 1]", "[01]", "[-01]", "[00]", "[-00]", "[012]", "[.1]", "[-.1]",
    "[1.]", "[-1.]", "[0.]", "[1.e1]",
    "[0.e1]", "[2.e+3]", "[1e]", "[1e+]", "[1e-]", "[1E]", "[0e]", "[0E+]", "[1ee2]", "[1e1.5]", "[1.2.3]", "[1.2-3]",
    "[1+2]", "[0x1]", "[0x]",
    "[1a]", "[1e1a]", "[1_000]", "[1,000.]", "[1 000]", "[１]", "[1-]", "[-a]", "[-Infinity]", "[0b1]", "[1f]", "[1L]",
    "[1.5f]", "[,1.0]", "[e1]", "1.",
    "-1e", "00", "2.", "[1.0e]", "[9.e+]", "[1/2]", "[\0001]", "[1\0]",
  },
  strings = {
    '"', '"a', '["a]', "'a'", '"a\nb"', '"a\tb"', '"a\rb"', '"\0"', '"\31"', '"\1"', '["\0"]', '"a\\', '["\n"]',
    "[a]", "[\\n]", '["a" "b"]',
    '"a"x', '["x', '"\b"', '{"a\nb":1}', '"0123456789abcdef\n"', '“a”',
  },
  escapes = {
    [["\a"]], [["\v"]], [["\0"]], [["\'"]], [["\x00"]], [["\x41"]], [["\u"]], [["\u0"]], [["\u00"]], [["\u004"]],
    [["\u00G0"]], [["\uD8 0"]],
    [["\U0041"]], [["\é"]], [["\🌀"]], [["\ "]], [["\]], [["\"]], [["\\\"]], [["\ud800\u"]], [["\ud800\u1"]],
    [["\ud800\u1x"]], [["\u{41}"]],
    [["\u-123"]], [["\uqqqq"]], '"\\\n"', '"\\\0"', [[\u0041]], [["\u002]], [["\1"]], [["\N"]],
  },
  utf8 = { "\xef\xbb\xbf{}", "\xef\xbb\xbf", "\xff", "[\xff]", "[1\xe5]", "\xfe\xff\0[\0]", "[\0]\0", "é", "[é]",
  '{é:1}', "\xc2\xa0[]" },
  whitespace = { "\f[]", "[\f]", "[\v1]", "[\u{2060}]", "\u{a0}[]", "[1,\u{3000}2]", "\u{2028}[]", "[\b]", "[1\f,2]" },
}

describe("json.decode", function()
  for group, texts in pairs(accepted) do
    for i, text in ipairs(texts) do
      it(("takes valid %s %d: %q"):format(group, i, text:sub(1, 40)), function()
        local value, err = json.decode(text)
        assert.is_nil(err)
        assert.is_not_nil(value)
      end)
    end
  end
  for group, texts in pairs(rejected) do
    for i, text in ipairs(texts) do
      it(("refuses invalid %s %d: %q"):format(group, i, text:sub(1, 40)), function() assert.is_true(refused(text)) end)
    end
  end

  it("says at which byte, counted from 1, a text is wrong and why", function()
    local cases = {
      ['{"a":01}'] = "byte 7: this is not a number", ['["x\n"]'] = "byte 4: a raw control",
      ['["\\q"]'] = "byte 4: this escape",
      ['["\\u12g4"]'] = "byte 7: \\u needs", ["[1 2]"] = "byte 4: a comma or a closing bracket",
      ['{"a" 1}'] = "byte 6: a colon",
      ["{1}"] = "byte 2: a key", ["[1] x"] = "byte 5: something follows", ["[1,2"] = "byte 5: the document ends",
      ["[tru"] = "byte 5: the document ends",
      ['{"a":1]'] = "byte 7: a comma or a closing brace", ["[?]"] = "byte 2: a value",
    }
    for text, want in pairs(cases) do
      local _, err = json.decode(text)
      assert.truthy(tostring(err):find(want, 1, true), text .. " -> " .. tostring(err))
    end
  end)

  it("reads integers exactly, and only those as integers", function()
    for text, want in pairs{ ["0"] = 0, ["-1"] = -1, ["4111111111111111"] = 4111111111111111,
      ["9007199254740993"] = 9007199254740993,
      ["9223372036854775807"] = math.maxinteger, ["-9223372036854775808"] = math.mininteger } do
      local got = json.decode(text)
      assert.equal("integer", math.type(got), text)
      assert.equal(want, got)
    end
    for text, want in pairs{ ["1.0"] = 1.0, ["1e3"] = 1000.0, ["0.1"] = 0.1, ["1.5e300"] = 1.5e300, ["-0.0"] = -0.0,
      ["10000000000000000000"] = 1e19,
      ["0.30000000000000004"] = 0.1 + 0.2, ["2.2250738585072014e-308"] = 2.2250738585072014e-308,
      ["0e999999999999999999999"] = 0.0,
      ["1.7976931348623157e308"] = 1.7976931348623157e308, ["12345.678900"] = 12345.6789, ["1230000e-4"] = 123.0,
        ["100e-30"] = 1e-28 } do
      local got = json.decode(text)
      assert.equal("float", math.type(got), text)
      assert.equal(want, got)
    end
  end)

  it("reads -0 as the float it is", function()
    local got = json.decode "-0"
    assert.equal("float", math.type(got))
    assert.equal(-math.huge, 1 / got)
  end)

  it("keeps the text of numbers that neither an integer nor a float says exactly", function()
    for _, text in ipairs{ "9223372036854775808", "-9223372036854775809", "18446744073709551615", "1e400", "-1e400",
      "1e-400", "1E1000000000000",
      "3.14159265358979323846", "9007199254740993.0", "0.1000000000000000055511151231257827",
      "123456789012345678901234567890", "5e-324",
      "12345678901234567890.5", "0." .. ("0"):rep(500) .. "1" } do
      local got = json.decode(text)
      assert.equal("userdata", type(got), text)
      assert.equal(text, tostring(got))
      assert.equal(text, json.encode(got))
      assert.equal(json.number(text), got)
    end
    assert.are_not.equal(json.number "1e400", json.number "1e401")
  end)

  it("has number() give what decode gives, and refuse all else", function()
    assert.equal(5, json.number "5")
    assert.equal("float", math.type(json.number "5.0"))
    for _, text in ipairs{ "", " 1", "1 ", "01", "1.", "x", "[1]", "1,2", "-", '"1"', "true", "1x1" } do
      local value, err = json.number(text)
      assert.is_nil(value)
      assert.equal("decode", err.kind)
    end
  end)

  it("turns escapes and characters into UTF-8", function()
    for _, case in ipairs{ { [["\u0041\u00e9\u20ac\ud834\udd1e"]], "Aé€𝄞" }, { [["\"\\\/\b\f\n\r\t"]],
      '"\\/\b\f\n\r\t' },
      { [["a\u0000b"]], "a\0b" }, { '"é\\u00e9日"', "éé日" }, { [["\udbff\udfff"]], "\u{10FFFF}" },
        { '"\\\\u0041"', "\\u0041" } } do
      assert.equal(case[2], json.decode(case[1]))
    end
  end)

  it("replaces what is not UTF-8, and lone surrogates, by U+FFFD", function()
    local r = "\u{FFFD}"
    for text, want in pairs{ ["a\xffb"] = "a" .. r .. "b", ["\xc0\xaf"] = r .. r, ["\xed\xa0\x80"] = r .. r .. r,
      ["\xf4\x90\x80\x80"] = r:rep(4),
      ["\xe2\x82"] = r, ["\xe2\x82x"] = r .. "x", ["\xf0\x9f\x98"] = r, ["\xf0\x9f\x98\\n"] = r .. "\n",
      ["\xc3\xa9\x80"] = "é" .. r, ["\xe0\x9f\x80"] = r:rep(3),
      ["\xfe\xff"] = r .. r, ["\\ud800"] = r, ["\\ud800x"] = r .. "x", ["\\ud800\\u0041"] = r .. "A",
      ["\\udc00\\ud800"] = r .. r,
      ["\\ud800\\ud834\\udd1e"] = r .. "𝄞", ["\\ud83d\\n"] = r .. "\n" } do
      local got = json.decode('"' .. text .. '"')
      assert.equal(want, got)
      assert.is_truthy(utf8.len(got))
      assert.equal(want, next(json.decode('{"' .. text .. '":1}')))
    end
  end)

  it("tells empty arrays from empty objects and null from absent", function()
    local v = json.decode '{"a":[],"o":{},"n":null}'
    assert.is_true(json.is_array(v.a))
    assert.is_false(json.is_array(v.o))
    assert.equal(json.null, v.n)
    assert.equal(require "cjson".null, json.null)
    assert.is_nil(v.x)
    assert.equal(json.null, json.decode "null")
  end)

  it("lets the last of repeated keys win", function()
    assert.same({ a = 3, b = 2 }, json.decode '{"a":1,"b":2,"\\u0061":3}')
  end)

  it("takes keys that mean something to Lua as plain data", function()
    local v = json.decode '{"__index":{"x":1},"__gc":1,"__metatable":2,"__name":"n","constructor":3,"":4}'
    assert.is_nil(getmetatable(v))
    assert.is_nil(v.x)
    assert.same({ __index = { x = 1 }, __gc = 1, __metatable = 2, __name = "n", constructor = 3, [""] = 4 }, v)
  end)

  it("keeps keys apart that are alike in length, ends and case", function()
    local t, want = {}, {}
    for i = 1, 2000 do
      local key = ("k%05d%s"):format(i, ("x"):rep(i % 40))
      t[i], want[key] = ('"%s":%d'):format(key, i), i
    end
    assert.same(want, json.decode("{" .. table.concat(t, ",") .. "}"))
    assert.same(want, json.decode("{" .. table.concat(t, ",") .. "}"))
  end)

  it("nests 128 deep and no deeper, unless told otherwise", function()
    for _, pair in ipairs{ { "[", "]" }, { '{"a":', "}", "1" } } do
      assert.is_table(json.decode(nested(128, pair[1], pair[2], pair[3])))
      local value, err = json.decode(nested(129, pair[1], pair[2], pair[3]))
      assert.is_nil(value)
      assert.equal("limit", err.kind)
    end
    assert.equal("limit", select(2, json.decode(("["):rep(1000000))).kind)
    assert.is_table(json.decode(nested(1000, "[", "]"), { max_depth = 1000 }))
    assert.equal("limit", select(2, json.decode("[[1]]", { max_depth = 1 })).kind)
  end)

  it("keeps to the caps on bytes and values", function()
    assert.equal("limit", select(2, json.decode("[1,2,3]", { max_nodes = 3 })).kind)
    assert.is_table(json.decode("[1,2,3]", { max_nodes = 4 }))
    assert.equal("limit", select(2, json.decode("[1,2,3]", { max_bytes = 6 })).kind)
    assert.is_table(json.decode("[1,2,3]", { max_bytes = 7 }))
    assert.equal("limit", select(2, json.decode("[" .. ("[],"):rep(9000000) .. "1]")).kind)
  end)

  it("names the nearest option for one it does not know", function()
    assert.error_matches(function() json.decode("1", { max_dept = 1 }) end, "max_dept.*max_depth")
    assert.error_matches(function() json.encode(1, { sort = 1 }) end, "sort_keys")
    assert.error_matches(function() json.decode("1", { max_depth = 0 }) end, "max_depth must be")
    assert.error_matches(function() json.decode("1", { max_bytes = "x" }) end, "max_bytes must be")
    assert.has_error(function() json.decode(nil) end)
  end)

  it("reads the same numbers whatever the locale", function()
    local old = os.setlocale()
    if not (os.setlocale "de_DE.UTF-8" or os.setlocale "fr_FR.UTF-8" or os.setlocale "de_DE") then
      pending "no locale with a decimal comma here" return end
    local number, text = json.decode "[1.5,0.30000000000000004,1.25e-7]", json.encode{ 1.5, 0.1 + 0.2, 1.25e-7 }
    os.setlocale(old)
    assert.same({ 1.5, 0.1 + 0.2, 1.25e-7 }, { number[1], number[2], number[3] })
    assert.equal("[1.5,0.30000000000000004,1.25e-07]", text)
  end)

  it("refuses every prefix of a document, and survives every changed byte", function()
    local text = [[{"data":[{"id":-12.5e3,"s":"a\u00e9\ud83d\ude00é\n","t":true,"n":null,"a":[1,[],{}]},{"id":2}],]] ..
      [["paging":{"hasMore":false}}]]
    for i = 0, #text - 1 do
      assert.is_true(refused(text:sub(1, i)), i)
      assert.is_nil((json.page(text:sub(1, i))))
      for _, byte in ipairs{ 0, 1, 0x22, 0x5c, 0x30, 0x2c, 0x5d, 0x7d, 0x80, 0xff, text:byte(i + 1) ~ 1,
        text:byte(i + 1) ~ 0x20 } do
        local changed = text:sub(1, i) .. string.char(byte) .. text:sub(i + 2)
        local value, err = json.decode(changed)
        assert.is_true(value ~= nil or err ~= nil)
        local page = json.page(changed)
        for k = 1, page and page:len() or 0 do page:record(k) end
      end
    end
  end)
end)

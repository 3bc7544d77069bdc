-- detection_spec.lua: what a detection says of a record.
local h = require "sigma.helper"
local null = h.null

-- { what, lines of the search s, { records that fit }, { records that do not } }
local SEARCHES = {
  { "a text is the whole value, without regard to case", "f: Abc", { "abc", "ABC" }, { "abcd", "xabc", "ab", "", null } },
  { "letters beyond ASCII have no case either", "f: 'Éва Ωß Ĳ Ạ'", { "éВА ωß ĳ ạ", "ÉВА Ωß Ĳ Ạ" }, { "eва ωß ĳ ạ" } },
  { "cased keeps the case", "f|cased: Abc", { "Abc" }, { "abc", "ABC" } },
  { "cased holds for each value of a list", "f|cased: [Abc, Def, Ghi]", { "Abc", "Ghi" }, { "abc", "GHI" } },
  { "a list is one of its values", "f: [a, B, c]", { "A", "b", "c" }, { "d", "ab", null } },
  { "a list with wildcards is one of its values", "f: [a*, '*z', m]", { "ab", "yz", "M" }, { "b", "mm" } },
  { "a star is any text, an empty one too", "f: a*c", { "ac", "abc", "AbbbC" }, { "abcd", "xac" } },
  { "stars may stand anywhere", "f: '*a*b*'", { "ab", "xaxbx", "aab" }, { "ba", "a" } },
  { "the end is not what a star before it has taken", "f: a*ba", { "aba", "abaxba" }, { "aba!", "ba", "a" } },
  { "start and end do not overlap", "f: aba*ba", { "ababa" }, { "aba", "abaa" } },
  { "a question mark is one character", "f: a?c", { "abc", "aéc", "a龍c", "a?c" }, { "ac", "abbc" } },
  { "question marks and stars go together", "f: '?b*?'", { "abc", "ébxx" }, { "ab", "bb" } },
  { "a dot, a percent sign and brackets mean themselves", "f: 'a.b%d[x]^$'", { "a.b%d[x]^$" }, { "axb%d[x]^$", "a.b5[x]^$" } },
  { "an escaped star is a star", [[f: 'a\*']], { "a*" }, { "ab", [[a\*]] } },
  { "an escaped question mark is one", [[f: 'a\?']], { "a?" }, { "ab" } },
  { "a single backslash is a backslash", [[f: 'C:\Win']], { [[c:\win]] }, { "c:win" } },
  { "two backslashes are one", [[f: 'C:\\Win']], { [[c:\win]] }, { [[c:\\win]] } },
  { "two backslashes and a star are a backslash and any text", [[f: 'C:\\*']], { [[c:\]], [[c:\x]] }, { "c:*", "c:" } },
  { "three backslashes and a star are a backslash and a star", [[f: 'C:\\\*']], { [[c:\*]] }, { [[c:\x]] } },
  { "four backslashes are two", [[f: '\\\\host']], { [[\\host]] }, { [[\host]] } },
  { "a backslash at the end is one", [[f: 'C:\']], { [[c:\]] }, { "c:" } },
  { "contains", "f|contains: B", { "abc", "b" }, { "ac", null } },
  { "contains takes wildcards", "f|contains: 'a?c*e'", { "xxabcdexx" }, { "xxabdexx" } },
  { "contains, a list", "f|contains: [x, y]", { "ax", "by" }, { "ab" } },
  { "contains, all of a list", "f|contains|all: [x, y]", { "xay", "YX" }, { "ax", "by" } },
  { "contains, cased", "f|contains|cased: B", { "aBc" }, { "abc" } },
  { "startswith", "f|startswith: Ab", { "abc", "AB" }, { "xab", "a" } },
  { "endswith", "f|endswith: '@Acme.example'", { "eve@acme.EXAMPLE", "@acme.example" }, { "eve@acme.example.org", "acme.example" } },
  { "endswith, a list", "f|endswith: [.pst, .sql]", { "a.SQL" }, { "a.sqlx", "sql" } },
  { "a number is itself, also as text", "f: 443", { 443, 443.0, "443" }, { 4430, "4430", "0443", true } },
  { "a text of digits is the number too", "f: '443'", { 443, "443" }, { 444 } },
  { "a fraction", "f: 9.8", { 9.8, "9.8" }, { 9.81, 9 } },
  { "a whole number written as a fraction is the number", "f: 8443", { 8443.0 }, { 8443.5 } },
  { "signs that look like a pair of letters are none", "f: '\u{D7}'", { "\u{D7}" }, { "\u{F7}" } },
  { "cidr, IPv6 around all that is small, but no IPv4", "f|cidr: '::/64'", { "::1" }, { "10.0.0.1" } },
  { "one of some numbers", "f: [1, 2, 3]", { 1, "3" }, { 4, true } },
  { "true is a boolean, not a text", "f: true", { true }, { false, "true", 1, null } },
  { "false is one that is there", "f: false", { false }, { true, null, "false" } },
  { "yes is a text", "f: yes", { "yes", "YES" }, { true } },
  { "quotes make texts of true and null", "f: ['true', 'null']", { "TRUE", "null" }, { true, null } },
  { "null is what is null or not there", "f: null", { null }, { "", "null", 0, false } },
  { "nothing behind the colon is null", "f:", { null }, { "x" } },
  { "null may be one of a list", "f: [null, x]", { null, "x" }, { "y", "" } },
  { "an empty text is an empty text", "f: ''", { "" }, { null, "x" } },
  { "exists", "f|exists: true", { "", 0, false, "x", {} }, { null } },
  { "does not exist", "f|exists: false", { null }, { "", false } },
  { "lt", "f|lt: 3", { 2, -1, 2.9, "2" }, { 3, "x", null, true } },
  { "lte", "f|lte: 3", { 3, 2 }, { 3.1 } },
  { "gt", "f|gt: 3", { 4, "10" }, { 3, "3", "0x10" } },
  { "gte", "f|gte: 2.5", { 2.5, 3 }, { 2.4 } },
  { "cidr, IPv4", "f|cidr: 10.8.0.0/13", { "10.8.0.1", "10.15.255.255", "::ffff:10.9.0.1" }, { "10.16.0.0", "10.7.255.255", "x", "10.8.0",
    10 } },
  { "cidr, IPv6", "f|cidr: '2001:db8::/33'", { "2001:db8::1", "2001:DB8:7fff::" }, { "2001:db8:8000::", "2001:db9::", "10.0.0.1" } },
  { "cidr, one address and one of several", "f|cidr: [192.0.2.7, '::1/128', 0.0.0.0/32]", { "192.0.2.7", "::1", "0.0.0.0" },
    { "192.0.2.8", "::2" } },
  { "base64", "f|base64|contains: 'pass word'", { "xxcGFzcyB3b3Jkxx" }, { "pass word" } },
  { "base64 of one and two bytes over", "f|base64: [a, ab]", { "YQ==", "YWI=" }, { "YQ", "a" } },
  { "base64offset finds the text at any place", "f|base64offset|contains: secret",
    { "c2VjcmV0", "eHNlY3JldHk=", "eHhzZWNyZXR5", "eXNlY3JldHo=", "eXpzZWNyZXR6", "eHh4c2VjcmV0" }, { "c2VjcmU=" } },
  { "windash is any dash", "f|windash|contains: ' -enc x-y'",
    { "a -enc x-y", "a /enc x-y", "a \u{2013}enc x-y", "a \u{2015}ENC x-y" }, { "a +enc x-y", "a -enc x/y" } },
  { "windash, each dash by itself", "f|windash: '-a -b'", { "/a -b", "-a \u{2014}b" }, { "a b" } },
  { "fieldref", "f|fieldref: g.h", { { "a", g = { h = "A" } } }, { { "a", g = { h = "b" } }, { "a" }, { null, g = { h = null } } } },
  { "fieldref with a position", "f|fieldref|endswith: g", { { "eve@acme", g = "ACME" } }, { { "acme@x", g = "acme" } } },
  { "a list in the record has one value that fits", "f: b", { { { "a", "B" } } }, { { { "a" } }, { {} } } },
  { "all asks each value of the rule, not of the record", "f|all: [a, b]", { { { "a", "b", "c" } } }, { { { "a" } }, { { "a", "c" } } } },
}

describe("a search of a detection", function()
  local function record(v)
    if type(v) == "table" and (v[1] ~= nil or v.g) then return { f = v[1], g = v.g } end
    return { f = v }
  end
  for _, case in ipairs(SEARCHES) do
    it("reads: " .. case[1], function()
      local set = assert(h.load{ h.rule("s:\n  " .. case[2] .. "\ncondition: s\n") })
      local match = set.by_id.r.match
      for i, v in ipairs(case[3]) do assert.is_true(match(record(v)), ("%d should fit"):format(i)) end
      for i, v in ipairs(case[4]) do assert.is_false(match(record(v)), ("%d should not fit"):format(i)) end
    end)
  end

  it("reads a field that is not there as null, and nothing else", function()
    assert.is_true(h.match("s: {f: null}\ncondition: s\n", {}))
    assert.is_false(h.match("s: {f: ''}\ncondition: s\n", {}))
    assert.is_false(h.match("s: {f: '*'}\ncondition: s\n", {}))
    assert.is_true(h.match("s: {a.b|exists: false}\ncondition: s\n", { a = "text" }))
  end)

  it("goes down dots, and through lists of objects", function()
    local d = "s: {a.b.c: x}\ncondition: s\n"
    assert.is_true(h.match(d, { a = { b = { c = "X" } } }))
    assert.is_true(h.match(d, { a = { { b = { c = "y" } }, { b = { { c = "x" } } } } }))
    assert.is_false(h.match(d, { a = { b = { x = "c" } } }))
    assert.is_false(h.match(d, { a = "x" }))
    assert.is_false(h.match(d, { a = null }))
  end)

  it("is every field of a map, or one map of a list", function()
    local map, list = "s: {a: 1, b: 2}\ncondition: s\n", "s: [{a: 1, b: 2}, {c: 3}]\ncondition: s\n"
    assert.is_true(h.match(map, { a = 1, b = 2 }))
    assert.is_false(h.match(map, { a = 1, b = 3 }))
    assert.is_true(h.match(list, { a = 1, b = 2 }))
    assert.is_true(h.match(list, { c = 3 }))
    assert.is_false(h.match(list, { a = 1 }))
  end)

  it("finds keywords in any text or number of the record, deep down, not in names of fields", function()
    local d = "s: [S3cret, 'a*z', 4711]\ncondition: s\n"
    assert.is_true(h.match(d, { x = { y = { "no", "my s3CRET!" } } }))
    assert.is_true(h.match(d, { x = "..abcz.." }))
    assert.is_true(h.match(d, { n = 4711, m = null, b = true }))
    assert.is_false(h.match(d, { s3cret = "no", n = 12, m = null }))
    assert.is_true(h.match("s: one\ncondition: s\n", { x = "only ONE" }))
  end)

  it("finds all keywords, each anywhere, or a pattern", function()
    local d = "s:\n  '|all': [foo, bar]\ncondition: s\n"
    assert.is_true(h.match(d, { a = "foo", b = { "bar" } }))
    assert.is_false(h.match(d, { a = "foo" }))
    assert.is_true(h.match("s: {'|re': 'fo+b'}\ncondition: s\n", { a = "xfooob" }, h.CORE))
    assert.is_true(h.match("s: ['x', {f: 1}]\ncondition: s\n", { f = 1 }))
  end)

  it("says the same of a value that it has seen before, and of one that only looks alike", function()
    local set = assert(h.load{ h.rule("s: {f|contains: ABC}\ncondition: s\n") })
    local match = set.by_id.r.match
    for _ = 1, 3 do
      assert.is_true(match{ f = "xabcx" })
      assert.is_false(match{ f = "xABX" })
    end
    for i = 1, 30000 do assert(match{ f = i .. "abc" .. ("x"):rep(60) }) end
    assert.is_true(match{ f = "xabcx" })
  end)

  it("leaves no garbage behind for values that were seen", function()
    local set = assert(h.load{ h.rule("a: {f|contains: [x, y], g.h|startswith: 'Q', n|gt: 3}\n"
      .. "b: {f: [u, v, w]}\ncondition: a and not 1 of b*\n") })
    local match, seen = set.by_id.r.match, { f = "a long text with an X in it, longer than what Lua interns", g = { h = "qqq" }, n = 5 }
    assert.is_true(match(seen))
    collectgarbage("stop")
    local before = collectgarbage("count")
    for _ = 1, 1000 do match(seen) end
    local gained = collectgarbage("count") - before
    collectgarbage("restart")
    assert.is_true(gained < 1, gained)
  end)
end)

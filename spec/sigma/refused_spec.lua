-- refused_spec.lua: what cannot be honoured is refused, with file, line, field and modifier.
local h = require "sigma.helper"

-- search lines (the first is line 6), line of the message, pattern of what is said
local SEARCHES = {
  { "f|wide: x", 6, 'field "f|wide": the modifier wide is not supported' },
  { "g: 1\nf|utf16le|base64offset|contains: x", 7, 'field "f|utf16le|base64offset|contains": the modifier utf16le is not supported' },
  { "f|utf16: x", 6, "the modifier utf16 is not supported" },
  { "f|utf16be: x", 6, "the modifier utf16be is not supported" },
  { "f|expand: '%admins%'", 6, "the modifier expand is not supported: placeholders" },
  { "f|contain: x", 6, 'unknown modifier "contain", nearest modifier "contains"' },
  { "f|contains|contains: x", 6, "the modifier contains is given twice" },
  { "f|contains|startswith: x", 6, "the modifiers contains and startswith do not go together" },
  { "f|contains|base64: x", 6, "the modifier base64 cannot stand behind contains" },
  { "f|base64|windash: x", 6, "the modifier windash cannot stand behind base64" },
  { "f|i: x", 6, "the modifier i stands behind re only" },
  { "f|re|contains: x", 6, "the modifiers re and contains do not go together" },
  { "f|cidr|cased: 10.0.0.0/8", 6, "the modifiers cidr and cased do not go together" },
  { "f|lt|gt: 5", 6, "do not go together" },
  { "f|exists|all: true", 6, "the modifiers exists and all do not go together" },
  { "f|: x", 6, "a modifier is missing behind |" },
  { "f||all: x", 6, "a modifier is missing behind |" },
  { "f|exists: x", 6, "exists takes true or false" },
  { "f|lt: x", 6, "lt takes a number" },
  { "f|cidr: 10.0.0.1/8", 6, '"10.0.0.1/8" is no network such as 10.0.0.0/8, bits behind the network are set' },
  { "f|cidr: 10.0.0.0/33", 6, "is no network" },
  { "f|cidr: '2001:db8::1::/64'", 6, "is no network" },
  { "f|cidr: 010.0.0.0/8", 6, "is no network" },
  { "f|re: 5", 6, "re takes a text" },
  { "f|fieldref: 5", 6, "fieldref takes the name of a field" },
  { "f|base64: a*", 6, "base64 takes a text without wildcards" },
  { "f|base64: ''", 6, "base64 takes a text without wildcards" },
  { "f|windash: -a -b -c -d -e -f", 6, "more than five dashes" },
  { "f|contains: null", 6, "a text or number expected, got null" },
  { "f|contains: true", 6, "a text or number expected, got boolean" },
  { "f: []", 6, "the list of values is empty" },
  { "f: {a: 1}", 6, "a map is no value" },
  { "f: [[a]]", 6, "got a nested list or map" },
  { "a..b: 1", 6, "is no path of a field" },
  { "f: '" .. ("?"):rep(101) .. "'", 6, "more than 100 times ?" },
  { "'|startswith': x", 6, "the modifier startswith is not for keywords" },
  { "'|all': ['']", 6, "keywords: a keyword is empty" },
  { "f|re: a", 6, "re needs the program's core" },
}

describe("a search that cannot be honoured", function()
  for _, case in ipairs(SEARCHES) do
    it("is refused: " .. case[1]:sub(1, 40), function()
      local message = h.refused(h.rule("s:\n  " .. case[1]:gsub("\n", "\n  ") .. "\ncondition: s\n"))
      assert.truthy(message:find(("a.yml:%d: "):format(case[2]), 1, true) == 1 and message:find(case[3], 1, true), message)
    end)
  end

  -- lines of the detection behind line 4
  for _, case in ipairs{
    { "s: {}\ncondition: s", 5, "an empty map says nothing" }, { "s: []\ncondition: s", 5, "an empty list says nothing" },
    { "s: [[a]]\ncondition: s", 5, "a list inside of a list has no meaning" }, { "s:\n  - a: 1\n  - ''\ncondition: s", 7,
      "a keyword is empty" },
    { "s: true\ncondition: s", 5, "keywords: a keyword is a text" }, { "s: {a: 1}\ntimeframe: 5m\ncondition: s", 6,
      "timeframe is of old rules" },
    { "condition: s", 5, "no search is given" } } do
    it("is refused: " .. case[1]:gsub("\n", " "), function()
      local message = h.refused(h.rule(case[1] .. "\n"))
      assert.truthy(message:find(("a.yml:%d: "):format(case[2]), 1, true) == 1 and message:find(case[3], 1, true), message)
    end)
  end
end)

describe("a regular expression", function()
  -- search, what fits, what does not
  for _, case in ipairs{
    { "f|re: '^[a-z]+@acme\\.example$'", { "eve@acme.example", "eve@acme.example\n" }, { "Eve@acme.example", "eve@acmexexample",
      "eve@acme.example.org" } },
    { "f|re|i: '^ab[c-e]d'", { "ABCD", "abed" }, { "abfd" } },
    { "f|re: '(?i)foo'", { "xFOOx" }, { "fo" } },
    { "f|re: 'foo|^bar$|b[|]z'", { "xfoox", "bar", "b|z" }, { "xbar", "bz" } },
    { "f|re: 'a.c'", { "abc", "aéc" }, { "a\nc", "ac" } },
    { "f|re|s: 'a.c'", { "a\nc" }, { "ac" } },
    { "f|re: '\\d+-\\w*?\\S\\.'", { "12-a." }, { "x-a." } },
    { "f|re: '[^0-9\\s_-]x'", { "ax" }, { "1x", "-x", "_x" } },
    { "f|re|all: [a, b]", { "ab" }, { "a" } },
    { "f|re: [colou?r, '%d']", { "color", "colour", "%d" }, { "colouur", "5" } },
    { "f|re: '^(?=.*a)(b|a){2}$'", { "ab", "aa" }, { "bb", "aba" } },
    { "f|re|m: '^a$'", { "b\na" }, { "b\nab" } },
    { "f|re|i: '^é$'", { "É" }, { "e" } },
  } do
    it("means what it says: " .. case[1], function()
      local match = assert(h.load({ h.rule("s:\n  " .. case[1] .. "\ncondition: s\n") }, h.CORE)).by_id.r.match
      for _, text in ipairs(case[2]) do assert.is_true(match{ f = text }, text) end
      for _, text in ipairs(case[3]) do assert.is_false(match{ f = text }, text) end
    end)
  end

  it("that does not compile is refused", function()
    local _, err = h.load({ h.rule("s: {f|re: 'a('}\ncondition: s\n") }, h.CORE)
    assert.matches('a.yml:5: field "f|re": the regular expression does not compile: ', err.message, 1, true)
  end)
end)

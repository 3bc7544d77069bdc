-- condition_spec.lua: what a condition makes of its searches.
local h = require "sigma.helper"

-- condition, then letters of the searches that hold and whether the rule does
local CONDITIONS = {
  { "a", { "a", true }, { "b", false } },
  { "not a", { "", true }, { "a", false } },
  { "not not a", { "a", true }, { "", false } },
  { "a and b", { "ab", true }, { "a", false } },
  { "a or b", { "b", true }, { "x", false } },
  { "a or b and x_1", { "a", true }, { "b", false }, { "bx", true } },
  { "(a or b) and x_1", { "a", false }, { "ax", true } },
  { "not a and b", { "b", true }, { "ab", false }, { "", false } },
  { "not (a and b)", { "a", true }, { "ab", false } },
  { "a and not (b or not x_1)", { "ax", true }, { "a", false }, { "abx", false } },
  { "A_nd or a", { "a", true }, { "n", true }, { "b", false } },
  { "1 of x_*", { "x", true }, { "y", true }, { "ab", false } },
  { "any of x_*", { "y", true }, { "a", false } },
  { "all of x_*", { "xy", true }, { "x", false } },
  { "not 1 of x_*", { "a", true }, { "y", false } },
  { "a and not 1 of x_* and b", { "ab", true }, { "abx", false } },
  { "1 of them", { "b", true }, { "_", false }, { "", false } },
  { "all of them", { "abxyn", true }, { "abxyn_", true }, { "abxy", false } },
  { "1 of *_2", { "y", true }, { "x", false } },
  { "1 of a", { "a", true }, { "b", false } },
  { "1 of _*", { "_", true }, { "ab", false } },
  { "_h and a", { "_a", true }, { "a", false } },
  { "a AND NOT b", { "a", true }, { "ab", false } },
  { "[a, b and x_1]", { "a", true }, { "bx", true }, { "b", false } },
}

local SEARCHES = "a: {a: 1}\nb: {b: 1}\nx_1: {x: 1}\nx_2: {y: 1}\nA_nd: {n: 1}\n_h: {_: 1}\n"

describe("a condition", function()
  for _, case in ipairs(CONDITIONS) do
    it("means what Sigma says: " .. case[1], function()
      local set = assert(h.load{ h.rule(SEARCHES .. "condition: " .. case[1] .. "\n") })
      for i = 2, #case do
        local record = {}
        for letter in case[i][1]:gmatch(".") do record[letter] = 1 end
        assert.equal(case[i][2], set.by_id.r.match(record), case[i][1])
      end
    end)
  end

  -- condition, and what the message says
  local REFUSED = {
    { "a and", "the condition ends too early" }, { "''", "the condition is empty" }, { "a b", '"b" is not expected here' },
    { "(a", 'a "%)" is missing' }, { "a)", '"%)" is not expected here' }, { "nope", 'unknown search "nope"' }, { "x_3",
      'nearest search "x_1"' },
    { "2 of x_*", '"2 of" is not supported' }, { "1 of z*", 'no search is meant by "z%*"' }, { "1 of", "ends too early" },
    { "all of (a)", "followed by them or a name" },
    { "a | count() > 5", "an aggregation of old rules, write a document with correlation" }, { "a & b", '"&" is no part of a condition' },
    { "'" .. ("("):rep(70) .. "a" .. (")"):rep(70) .. "'", "deeper than 64 levels" },
  }
  for _, case in ipairs(REFUSED) do
    it("is refused with its line: " .. case[1]:sub(1, 30), function()
      local message = h.refused(h.rule(SEARCHES .. "condition: " .. case[1] .. "\n"))
      assert.matches('^a.yml:11: field "condition": ', message)
      assert.matches(case[2], message)
    end)
  end

  it("has to be there", function()
    assert.equal('a.yml:5: missing required field "condition"', h.refused(h.rule("a: {a: 1}\n")))
  end)
end)

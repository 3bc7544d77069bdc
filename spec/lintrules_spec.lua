-- lintrules_spec.lua: each thing that lint says, where, and what silences it.
local cjson = require "cjson"
local lintrules = require "defendis.lintrules"
local run = require "support.run"

local META = 'description = "d", author = "a", date = "2026-01-31", tags = { "attack.t1078" },'
local TESTS = 'tests = { { name = "y", match = true, record = {} }, { name = "n", match = false, record = {} } },'

-- A rule file of one rule. more: source put into it; body: of match.
local function rule(more, body, id)
  return ('return rule{ id = "%s", title = "T", dataset = "dataleaks.credentials", level = "low", %s\n%s\n%s\nmatch = function(r)\n%s\n'
    .. "end }"):format(id or "r", META, TESTS, more or "", body or "return r.email ~= nil")
end

describe("lint", function()
  local folder
  before_each(function() folder = run.folder() end)
  after_each(run.clean)

  -- files: name -> text. Returns the findings as lines "file:line name", the exit code, and the findings.
  local function lint(files, words)
    for name, text in pairs(files) do run.write(folder .. "/" .. name, text) end
    local got = run.defendis(("lint --json %s %s"):format(folder, words or ""))
    assert.equal("", got.err)
    local found, lines = cjson.decode(got.out).findings, {}
    for i, f in ipairs(found) do lines[i] = ("%s:%d %s"):format(f.file:match "[^/]+$", f.line, f.name) end
    return lines, got.code, found
  end

  it("is content with a rule that has everything, and with the examples but for what infos say", function()
    assert.same({ {}, 0 }, { (lint{ ["a.lua"] = rule() }), (select(2, lint{})) })
    local got = run.defendis "lint examples/rules"
    assert.same({ 0, "" }, { got.code, got.err })
    assert.matches("0 errors, 0 warnings, %d+ infos\n$", got.out)
  end)

  it("says what metadata is missing, as infos that fail only with --strict", function()
    local bare = rule():gsub("description.-},\n", "\n", 1)
    local expected = { "a.lua:1 missing-author", "a.lua:1 missing-date", "a.lua:1 missing-description", "a.lua:1 missing-tag" }
    local lines, code = lint{ ["a.lua"] = bare }
    assert.same({ expected, 0 }, { lines, code })
    assert.equal(1, (select(2, lint({}, "--strict"))))
  end)

  it("looks at the form of ATT&CK tags and dates, on their lines", function()
    local text = rule():gsub("date = .-},\n", 'date = "31.1.2026",\ntags = { "attack.t1078.004", "attack.credential_access", "tlp.red",\n'
      .. '"attack.T1078",\n"attack.t107", "attack.exfiltratoin",\n"Bad Tag" },\n', 1)
    local lines, code, found = lint{ ["a.lua"] = text }
    assert.same({ { "a.lua:1 bad-date", "a.lua:3 bad-tag", "a.lua:4 bad-tag", "a.lua:4 bad-tag", "a.lua:5 bad-tag" }, 1 }, { lines, code })
    assert.matches("attack.exfiltration", found[3].message .. found[4].message, 1, true)
  end)

  it("says which fields no record of the dataset has, wherever a rule reads them, with the nearest", function()
    local text = [[
local function helper(r) return get(r, "source.nam") end
local function apart(machine) return get(machine, "hostname"), get(machine, "hostnam") end
]] .. rule("level_for = function(x)\n return x.sevrity == 'critical' and 'critical' or nil end,\n"
      .. "dedup = function(r) return { r.emial:lower(),\n"
      .. 'r["usernam"], r.tags[1] } end,', 'apart(r.infectedMachine)\nlocal other = { r = { emial = 1 } }\n'
      .. 'return other.r.emial == r.source.type and helper(r) and get(r, "infectedMachine.hostnam") and get(r, "source.type")')
    local lines, code, found = lint{ ["a.lua"] = text }
    local expected = {}
    for i, line in ipairs{ 1, 2, 6, 7, 8, 12 } do expected[i] = ("a.lua:%d unknown-field"):format(line) end
    assert.same(expected, lines)
    assert.equal(1, code)
    assert.matches('no record of dataleaks.credentials has "sevrity", nearest "severity"', found[3].message, 1, true)
  end)

  it("looks at the fields that correlations and normalizers name", function()
    local lines = lint{ ["a.lua"] = rule(), ["b.lua"] = 'return {\nnormalizer{ id = "n", dataset = "dataleaks.credentials",\n'
      .. 'id_field = "uid",\ntime = "leakedAt", map = function(r) return { a = r.emial } end, tests = { { name = "t", input = {}, '
      .. 'expect = {} } } },\n'
      .. 'correlation{ id = "c", title = "C", type = "value_count", rules = { "r" }, timespan = "1d", level = "low",\n' .. META
      .. '\ngroup_by = { "email",\n"domian" }, condition = { gte = 2,\nfield = "source.nmae" },\n'
      .. 'tests = { { name = "y", findings = 1, events = {} }, { name = "n", findings = 0, events = {} } } } }' }
    assert.same({ "b.lua:3 unknown-field", "b.lua:4 unknown-field", "b.lua:8 unknown-field", "b.lua:9 unknown-field" }, lines)
  end)

  it("takes the fields of the user's own records in place of the simulator's", function()
    local records = run.write(folder .. "/r.jsonl", '{"id":"1","mine":{"deep":[{"er":1}]}}\n')
    local words = ("--records %s --dataset dataleaks.credentials"):format(records)
    local lines = lint({ ["a.lua"] = rule(nil, "return r.mine.deep == get(r, 'mine.deep.er')\nor r.email") }, words)
    assert.same({ "a.lua:6 unknown-field" }, lines)
  end)

  it("names a dataset that the catalog does not have", function()
    local lines, _, found = lint{ ["a.lua"] = (rule():gsub("dataleaks%.credentials", "dataleaks.credential")) }
    assert.same({ "a.lua:1 unknown-dataset" }, lines)
    assert.matches('nearest dataset "dataleaks.credentials"', found[1].message, 1, true)
  end)

  it("finds patterns that may be slow, and no others", function()
    for pattern, slow in pairs{ [".-.-.-.-b$"] = true, ["^.*.*x"] = true, ["%w+%w*@"] = true, ["(.-)(.-)x"] = true, [".-a.-b.-c"] = true,
      ["[^,]*.*$"] = true, ["%S+.-x"] = true, ["^%w+://([^/:?#]+)"] = false, ["^(.-)%s*$"] = true, [".-@.-"] = false, ["%d+%.%d+"] = false,
      ["%%.-%%.-"] = false, ["a?b?c*"] = false, ["%.%-%*"] = false, ["[.*+-]+"] = false, ["%b().-"] = false, ["^%a+%d+$"] = false,
      ["x*"] = false, [""] = false, ["%"] = false, ["["] = false } do
      assert.equal(slow, lintrules.slow(pattern) ~= nil, pattern)
    end
    local lines = lint{ ["a.lua"] = rule("", 'local s = r.email\nreturn s:match(".-.-x")\nor string.find(s, ".-.-", 1, true)\n'
      .. 'or string.gsub(s, "a.*.*", "%0")\nor s:find [[.-.-]]\nor s == ".-.-"') }
    assert.same({ "a.lua:6 slow-pattern", "a.lua:8 slow-pattern", "a.lua:9 slow-pattern" }, lines)
  end)

  it("finds a rule that was meant to be counted and is not", function()
    assert.same({ "a.lua:3 unused-rule" }, (lint{ ["a.lua"] = rule "generate = false," }))
  end)

  it("finds a suppress that is shorter than a window of the correlation that counts it", function()
    local correlation = 'return correlation{ id = "c", title = "C", type = "event_count", rules = { "r" }, timespan = "2d", level = "low", '
      .. 'group_by = {}, condition = { gte = 2 }, ' .. META
      .. 'tests = { { name = "y", findings = 1, events = {} }, { name = "n", findings = 0, events = {} } } }'
    assert.same({ "a.lua:3 short-suppress" }, (lint{ ["a.lua"] = rule 'generate = true, suppress = "1d",', ["c.lua"] = correlation }))
    assert.same({}, (lint{ ["a.lua"] = rule 'generate = true, suppress = "2d",', ["c.lua"] = correlation }))
  end)

  it("finds what has no tests", function()
    local lines, _, found = lint{ ["a.lua"] = (rule():gsub(', { name = "n".- } }', " }")) }
    assert.same({ "a.lua:1 missing-test" }, lines)
    assert.equal("the rule has no negative test", found[1].message)
  end)

  it("names ids that are used in two files, and what does not load, by file and line", function()
    local lines, code, found = lint{ ["a.lua"] = rule(), ["b.lua"] = "\n" .. rule() }
    assert.same({ { "b.lua:2 duplicate-id" }, 1, "error" }, { lines, code, found[1].severity })
    assert.matches("a%.lua:1$", found[1].message)
    lines, code = lint{ ["b.lua"] = "return rule{\nid = 1 }" }
    assert.same({ { "b.lua:1 load" }, 1 }, { lines, code })
  end)

  it("is silent about what a comment on the line ignores by name, and tells a name that is none", function()
    local text = rule("", "return r.emial -- lint: ignore unknown-field\nor r.emial -- lint: ignore slow-pattern\n"
      .. "or r.emial:match('.*.*') -- lint: ignore slow-pattern, unknown-field\nor r.email -- lint: ignore unknown-feild")
    local lines, _, found = lint{ ["a.lua"] = text }
    assert.same({ "a.lua:6 unknown-field", "a.lua:8 bad-ignore" }, lines)
    assert.matches('nearest name "unknown-field"', found[2].message, 1, true)
  end)

  it("prints a line for each, and the sums", function()
    run.write(folder .. "/a.lua", rule(nil, "return r.emial"))
    local got = run.defendis("lint " .. folder)
    assert.equal(1, got.code)
    assert.equal(folder .. '/a.lua:5: warning: no record of dataleaks.credentials has "emial", nearest "email" (known from the simulator; '
      .. "give yours by --records) (unknown-field)\n0 errors, 1 warnings, 0 infos\n", got.out)
  end)
end)

-- typo_spec.lua: a slip of the pen anywhere in a rule or pipeline file is told by file, line, key and the nearest known one.
--
-- The cases are made from what the tables of validators themselves say: a key that is near to none makes them list what they know.
local check = require "defendis.check"
local pipeline_file = require "defendis.pipeline.file"
local rules = require "defendis.rules"
local run = require "support.run"

local FAR <const> = "zzzzzzzzzzzzzzzzzzzz"

-- %s stands on line 3, as a field of the table that is looked at.
local RULE = 'return rule{ id = "r", title = "t", level = "low", dataset = "d", match = function() end,\n\n%s }'
local CORRELATION = [[return { rule{ id = "one", title = "t", level = "low", dataset = "d", match = function() end },
  correlation{ id = "c", title = "t", type = "event_count", rules = { "one" }, group_by = {}, timespan = "1h", level = "low",
%s } }]]
local FILTER = 'return filter{ id = "f", title = "t", rules = { "any" }, dataset = "d", match = function() end,\n\n%s }'
local NORMALIZER = 'return normalizer{ id = "n", dataset = "d", map = function(r) return r end,\n\n%s }'
local MAP = 'return normalizer{ id = "n", dataset = "d", time = "at", target = "ocsf:2004", map = {\n\n%s } }'
local RULES = {
  rule = RULE, ["a rule's test"] = RULE:format 'tests = { {\n%s } }':gsub("\n\n", "\n"),
  correlation = CORRELATION, condition = CORRELATION:format "condition = {\n%s }":gsub("low\",\n", 'low", '),
  ["a correlation's test"] = CORRELATION:format 'condition = { gte = 1 }, tests = { {\n%s } }':gsub("low\",\n", 'low", '),
  normalizer = NORMALIZER, ["a normalizer's test"] = NORMALIZER:format 'tests = { {\n%s } }':gsub("\n\n", "\n"),
  filter = FILTER, ["a filter's test"] = FILTER:format 'tests = { {\n%s } }':gsub("\n\n", "\n"),
  logsource = "return logsource{ dataset = 'd',\n\n%s }",
}
local PIPELINE = 'return pipeline{ scope = "watchlists", datasets = { "exposure" }, since = "2026-01-01", store = "s",\n\n%s }'
local PIPELINES = {
  pipeline = PIPELINE, sensitive = PIPELINE:format "sinks = { jsonl{ path = 'x' } }, sensitive = {\n%s }":gsub("\n\n", "\n"),
}
for name in ("jsonl sqlite syslog kafka elastic splunk_hec thehive webhook"):gmatch "%S+" do
  PIPELINES["the sink " .. name] = PIPELINE:format(("sinks = { %s{\n%%s } }"):format(name)):gsub("\n\n", "\n")
end

-- Two ways to misspell a word; none gives another of the known ones, or is as near to one of them.
local function misspelt(word, known)
  local out = {}
  for _, typo in ipairs{ word .. word:sub(-1), #word > 4 and word:sub(1, 1) .. word:sub(3, 3) .. word:sub(2, 2) .. word:sub(4) or nil } do
    if typo ~= word and check.nearest(typo, known) == word then out[#out + 1] = typo end
  end
  return out
end

describe("a misspelt key", function()
  local folder
  before_each(function() folder = run.folder() end)
  after_each(run.clean)

  local function of_rules(text)
    local set, err = rules.load({ { name = "a.lua", text = text } }, pipeline_file.host())
    return set == nil and err.message or "loaded"
  end
  local function of_pipeline(text)
    local path = run.write(folder .. "/a.lua", text)
    local plan, err = pipeline_file.load(path)
    return plan == nil and err.message:gsub("^.*/", "") or "loaded"
  end

  local function try(templates, load)
    local tried = 0
    for what, template in pairs(templates) do
      local message = load(template:format(FAR .. " = 1"))
      local list = message:match(('^a%%.lua:3: .*unknown key "%s", known: (.*)$'):format(FAR))
      assert.truthy(list, what .. ": " .. message)
      local known, n = {}, 0
      for key in list:gmatch "[^, ]+" do known[#known + 1] = key end
      for _, key in ipairs(known) do
        for _, typo in ipairs(misspelt(key, known)) do
          n = n + 1
          message = load(template:format(("[%q] = 1"):format(typo)))
          assert.equal(('unknown key "%s", nearest key "%s"'):format(typo, key), message:match "^a%.lua:3: .-(unknown .*)$",
            what .. ": " .. message)
        end
      end
      assert.is_true(n >= #known, ("%s: %d typos of %d keys"):format(what, n, #known))
      tried = tried + n
    end
    return tried
  end

  it("of rule, correlation, condition, filter, normalizer, logsource or one of their tests", function()
    assert.is_true(try(RULES, of_rules) > 80)
  end)

  it("of pipeline, its settings or a sink", function() assert.is_true(try(PIPELINES, of_pipeline) > 80) end)

  it("of scope, and every other word of a pipeline file that has known ones", function()
    for text, said in pairs{
      ['datasets = { "exposure",\n\n"ransomwrae" }'] = 'datasets[2]": unknown dataset "ransomwrae", nearest dataset "ransomware"',
      ['\nscope = {\ndomian = { "a.example" } }'] = 'scope.domian": unknown input "domian", nearest input "domain"',
      ['\n\nnormalize = "ocfs"'] = 'one of ocsf, ocsf:5021 expected, got "ocfs", nearest "ocsf"',
      ['\n\nsinks = { jsonll{ path = "x" } }'] = 'unknown name "jsonll", nearest name "jsonl"',
      ['\n\nstore = secert.env "X"'] = 'unknown name "secert", nearest name "secret"' } do
      local rest = ""
      for name, value in pairs{ scope = '"watchlists"', datasets = '{ "exposure" }', store = '"s"', since = '"2026-01-01"',
        sinks = '{ jsonl{ path = "x" } }' } do
        if not text:find("%f[%w]" .. name .. " =") then rest = rest .. (", %s = %s"):format(name, value) end
      end
      local message = of_pipeline(("return pipeline{ %s%s }"):format(text, rest))
      assert.truthy(message:find("^a%.lua:3: ") and message:find(said, 1, true), message)
    end
  end)
end)

describe("a misspelt word in a rule file", function()
  local function refused(text)
    local set, err = rules.load({ { name = "a.lua", text = text } }, pipeline_file.host())
    return set == nil and err.message or "loaded"
  end

  it("is told when it is the name of an expression, for each of them", function()
    local names = { "field", "constant", "lower", "upper", "trim", "host", "scheme", "domain", "len", "text", "number", "mask", "hmac",
      "absent", "iso", "millis", "concat", "first_of", "lookup", "equals", "when", "each", "split", "join", "fn" }
    for _, name in ipairs(names) do
      local typo = #name > 2 and name .. name:sub(-1) or nil
      local message = typo and refused(MAP:format(("message = %s 'x'"):format(typo)))
      assert.truthy(not typo or message == ('a.lua:3: unknown name "%s", nearest name "%s"'):format(typo, name), message)
    end
  end)

  it("is told when it is a value that is one of some, an attribute of the target, the target, or a rule", function()
    local cases = {
      ['a.lua:3: field "map.severity_di": unknown attribute "severity_di", nearest attribute "severity_id"'] = MAP:format "severity_di = 1",
      ['a.lua:3: field "map.finding_info.tilte": unknown attribute of finding_info "tilte", nearest attribute of finding_info "title"'] =
        MAP:format '["finding_info.tilte"] = "x"',
      ['a.lua:2: field "target": unknown target "ocfs:2004", nearest target "ocsf:2004"'] =
        'return normalizer{ id = "n", dataset = "d",\ntarget = "ocfs:2004", map = { a = "b" } }',
      ['a.lua:2: field "level": one of informational, low, medium, high, critical expected, got "hihg", nearest "high"'] =
        'return rule{ id = "r", title = "t", dataset = "d", match = function() end,\nlevel = "hihg" }',
    }
    local function with(fields)
      return ([[return { rule{ id = "b1f5", name = "stealer", title = "t", level = "low", dataset = "d", match = function() end },
  rule{ id = "two", title = "t", level = "low", dataset = "d", match = function() end },
correlation{ id = "c", title = "t", level = "low", group_by = {}, timespan = "1h",
%s } }]]):format(fields)
    end
    cases['a.lua:5: field "rules[2]": unknown rule "stealre", nearest rule "stealer"'] =
      with 'type = "event_count", condition = { gte = 1 }, rules = { "two",\n"stealre" }'
    cases['a.lua:4: field "condition": unknown rule "stealre", nearest rule "stealer"'] =
      with 'condition = "two and stealre", type = "temporal"'
    cases['a.lua:5: field "condition": "stealre" is not among its rules, nearest "stealer"'] =
      with 'type = "temporal", rules = { "two", "stealer" },\ncondition = "two and stealre"'
    cases['a.lua:5: field "aliases.who.stealre": "stealre" is not among its rules, nearest "stealer"'] =
      with 'type = "temporal", rules = { "two", "stealer" }, aliases = { who = { two = "a",\nstealre = "b" } }'
    for said, text in pairs(cases) do assert.equal(said, refused(text)) end
    assert.matches('^a.lua:4: field "type": one of .* expected, got "evnet_count", nearest "event_count"$',
      refused(with 'type = "evnet_count", rules = { "two" }, condition = { gte = 1 }'))
  end)

  it("is told when it is a global, where the file runs or where a rule does", function()
    assert.equal('a.lua:2: unknown name "strng", nearest name "string"', refused "\nlocal x = strng.lower('a')")
    local set = assert(rules.load({ { name = "a.lua", text = 'return rule{ id = "r", title = "t", level = "low", dataset = "d",\n'
      .. "match = function(r)\nreturn tonumbr(r.x) == 1 end }" } }, pipeline_file.host()))
    assert.same({ { rule = "r", message = 'a.lua:3: unknown name "tonumbr", nearest name "tonumber"' } },
      set:apply("d", { x = 1 }, { id = "1" }).faults)
  end)
end)

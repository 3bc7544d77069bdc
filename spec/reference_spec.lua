-- reference_spec.lua: every field that is checked has its line in the reference, and the line stands beside the check.
local check = require "defendis.check"
local cjson = require "cjson"
local expressions = require "defendis.normalize.expressions"
local normalizer = require "defendis.normalize.normalizer"
local file = require "defendis.pipeline.file"
local reference = require "defendis.reference"
local rule = require "defendis.rules.rule"
local correlation = require "defendis.rules.correlation"
local run = require "support.run"
local sinks = require "defendis.pipeline.sinks"

local function topic(name)
  for _, t in ipairs(reference.topics()) do
    if t.name == name then return t end
  end
end

local function row(of, name)
  for _, r in ipairs(topic(of).rows) do
    if r.name == name then return r end
  end
end

describe("the reference", function()
  after_each(run.clean)

  it("has a phrase for each name, and says what each field takes", function()
    for _, t in ipairs(reference.topics()) do
      local seen, calls = {}, t.name == "map" or t.name == "helpers" or t.name == "sigma"
      for _, r in ipairs(t.rows) do
        local where = ("%s: %s"):format(t.name, r.name)
        assert.is_nil(seen[r.name], where .. " is there twice")
        assert(#r.phrase > 5, where .. " has no phrase: use check.field or check.required")
        assert(calls or r.takes ~= "", where .. " does not say what it takes: use check.typed")
        assert.is_nil(r.phrase:find("[|\n]"), where)
        seen[r.name] = true
      end
    end
  end)

  it("has each field that is checked, those of nested tables too", function()
    for name, spec in pairs{ rule = rule.SPEC, correlation = correlation.SPEC, normalizer = normalizer.SPEC, pipeline = file.SPEC } do
      for key in pairs(spec) do assert(row(name, key), name .. ": " .. key) end
    end
    assert.is_true(row("rule", "tests[].match").required)
    assert.equal(50, row("correlation", "condition.percentile").default)
    assert.equal("list of texts", row("pipeline", "sensitive.grants").takes)
    for _, name in ipairs(sinks.names()) do
      for key in pairs(require("defendis.sinks." .. name).OPTIONS) do
        assert(row("sinks", name .. "." .. key) or row("sinks", "HTTP." .. key), name .. "." .. key)
      end
    end
    assert.matches("not of webhook$", row("sinks", "HTTP.max_attempts").phrase)
    assert.equal("number from 1 to 3600; default 30", reference.takes(row("sinks", "kafka.timeout")))
  end)

  it("shows a new field without a phrase to the first test", function()
    rule.SPEC.new_field = check.text
    local r = row("rule", "new_field")
    rule.SPEC.new_field = nil
    assert.same({ "", "text" }, { r.phrase, r.takes })
  end)

  it("has each expression that a rule file sees", function()
    local env, n = {}, 0
    expressions.add(env)
    for name in pairs(env) do
      n = n + 1
      local found = false
      for _, r in ipairs(topic("map").rows) do found = found or r.name:match("^%w+_?%w*") == name end
      assert(found, name)
    end
    assert.equal(n, #topic("map").rows)
  end)

  it("takes each default that it shows for a value that is right", function()
    local options = { path = "p.lua" }
    for name, entry in pairs(file.SPEC) do
      local default = check.given(options, file.SPEC, name)
      assert.equal(type(entry) == "table" and entry.default or nil, default)
      if default ~= nil then assert.is_nil((entry.validate(default)), name) end
    end
    assert.equal("7d", check.given({ window = "7d" }, file.SPEC, "window"))
    assert.equal(false, check.given({ generate = false }, { generate = check.field(check.boolean, "x", true) }, "generate"))
  end)
end)

describe("defendis help", function()
  it("lists its topics", function()
    local got = run.defendis("help")
    assert.equal(0, got.code)
    for _, t in ipairs(reference.topics()) do assert.matches("\n" .. t.name .. " ", got.out) end
  end)

  it("prints a topic, or what of it is looked for", function()
    assert.matches("\nlevel_for +function%(record%): another level.-%(function%)\n", run.defendis("help rule").out)
    local got = run.defendis("help rule --find supp").out
    assert.matches("\nsuppress .*%(span such as \"24h\"; default \"24h\"%)\n$", got)
    assert.is_nil(got:find("level_for", 1, true))
    assert.equal("rule", cjson.decode(run.defendis("help rule --json").out).name)
    assert.same({ "rule", 9 }, { cjson.decode(run.defendis("help --json").out)[1], #cjson.decode(run.defendis("help --json").out) })
  end)

  it("knows the nearest topic", function()
    local got = run.defendis("help corelation")
    assert.same({ 2, 'defendis: unknown topic "corelation", nearest topic "correlation"\n' }, { got.code, got.err })
  end)

  it("prints the file in the tree", function()
    assert.equal(run.read("lua/defendis/rules/REFERENCE.md"), run.defendis("help --markdown").out)
  end)
end)

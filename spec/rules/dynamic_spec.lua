-- What functions of rules and correlations choose of a finding: level, title, context.
local core = require "defendis.core"
local file = require "defendis.pipeline.file"
local memory = require "defendis.rules.memory"
local rules = require "defendis.rules"

local function load(text) return assert(rules.load({ { name = "a.lua", text = text } }, file.host())) end

local function rule(more)
  return load('return rule{ id = "r", title = "T", level = "low", dataset = "d", match = function() return true end,\n' .. more .. " }")
end

local function apply(set, record) return set:apply("d", record or {}, { id = "1", time = 1000 }) end

describe("title_for and context of a rule", function()
  it("make title and context of its finding, whose id stays", function()
    local plain = apply(rule "").findings[1]
    local f = apply(rule [[title_for = function(r) return "T of " .. r.who end,
      context = function(r) return { who = r.who, n = { 1, 2 } } end]], { who = "eve" }).findings[1]
    assert.same({ "T of eve", { who = "eve", n = { 1, 2 } }, plain.id, "T" }, { f.title, f.context, f.id, f.rule.title })
    assert.same({ "T", nil }, { plain.title, plain.context })
  end)

  it("leave the rule's own when they say nothing", function()
    local result = apply(rule "title_for = function(r) return r.x end, context = function(r) return null end")
    assert.same({ "T", nil, {} }, { result.findings[1].title, result.findings[1].context, result.faults })
  end)

  it("leave the rule's own and are a fault with their line when they raise or return what is none", function()
    local cases = {
      ["title_for = function(r) error 'x' end"] = "a.lua:2: x",
      ["\ntitle_for = function(r) return {} end"] = "a.lua:3: title_for returned table, not a text",
      ["title_for = function(r) return '' end"] = "a.lua:2: title_for returned nothing, not a text",
      ["title_for = function(r) return ('x'):rep(2000) end"] = "a.lua:2: title_for returned 2000 bytes, 1024 at most",
      ["context = function(r) return r.x.y end"] = 'a.lua:2: attempt to index a nil value (field \'x\'): "x" is missing or null; '
        .. 'get(record, "path") gives nil then',
      ["context = function(r) return 7 end"] = "a.lua:2: context returned number, not a table",
      ["context = function(r) return { ipairs } end"] = "a.lua:2: context: cannot encode $[1]: a function has no JSON form",
      ["context = function(r) return { ('x'):rep(17000) } end"] = "a.lua:2: context is 17004 bytes of JSON, 16384 at most",
      ["context = function(r) while true do end end"] = "a.lua:2: over its budget of 10000000 instructions",
    }
    for more, message in pairs(cases) do
      local result = apply(rule(more))
      assert.same({ { { rule = "r", message = message } }, "T" }, { result.faults, result.findings[1].title })
      assert.is_nil(result.findings[1].context)
    end
  end)

  it("hold on to nothing of the record, and have half a character as every document has it", function()
    local record = { list = { 1 } }
    local set = rule 'context = function(r) return { list = r.list } end, title_for = function() return "a\\xc3" end'
    local f = apply(set, record).findings[1]
    record.list[1] = 2
    assert.same({ { list = { 1 } }, core.json.decode(core.json.encode{ "a\xc3" })[1] }, { f.context, f.title })
  end)

  it("have of a secret its HMAC and mask only", function()
    local set = load([[return rule{ id = "r", title = "T", level = "low", dataset = "dataleaks.credentials", match = { email = "e" },
      context = function(r) return { secret = r.password, whole = r } end,
      title_for = function(r) return "T " .. tostring(r.password) end }]])
    local record = set.host.example("dataleaks.credentials", { email = "e", password = "Hunter2!" })
    local f = set:apply("dataleaks.credentials", record, { id = "1" }).findings[1]
    assert.same({ "T [password]", "[password]", "[password]" }, { f.title, f.context.secret.mask, f.context.whole.password.mask })
    assert.is_nil(core.json.encode(f):find "Hunter2")
  end)

  it("go with the event of a rule that suppresses, whose finding is made later", function()
    local set = rule [[suppress = "1h", level_for = function() return "high" end, title_for = function(r) return r.who end,
      context = function(r) return { who = r.who } end]]
    apply(set, { who = "eve" })
    local f = memory.run(set, set:events()).r[1]
    assert.same({ "high", "eve", { who = "eve" } }, { f.level, f.title, f.context })
  end)

  it("are not there in events of older states, which hold the bare level", function()
    local set = rule 'suppress = "1h", title_for = function(r) return r.who end'
    local event = { rule = "r", time = 1000, group = "", id = "1", member = "r", value = "critical" }
    local f = memory.run(set, { event }).r[1]
    assert.same({ "critical", "T", nil }, { f.level, f.title, f.context })
  end)

  it("leave the event of a rule without them as it was", function()
    local set = rule 'suppress = "1h", level_for = function() return "high" end'
    apply(set)
    assert.equal("high", set:events()[1].value)
  end)
end)

describe("level_for, title_for and context of a correlation", function()
  local function run(more)
    local set = load([[return { rule{ id = "r", title = "T", level = "low", dataset = "d", match = function() return true end },
correlation{ id = "c", title = "C", level = "low", type = "event_count", rules = { "r" }, group_by = { "who" }, timespan = "1h",
  condition = { gte = 2 },
]] .. more .. " } }")
    local events = {}
    for i = 1, 3 do
      set:apply("d", { who = "eve" }, { id = tostring(i), time = 1000 * i })
      events[i] = set:events()[1]
    end
    local found, faults = memory.run(set, events)
    return found.c[1], faults
  end

  it("see the finding, and make its level, title and context", function()
    local plain = run ""
    local f, faults = run [[level_for = function(f) return f.count >= 2 and "critical" or nil end,
      title_for = function(f) return f.title .. " of " .. f.group.who end, context = function(f) return f end]]
    assert.same({ {}, "critical", "C of eve", plain.id }, { faults, f.level, f.title, f.id })
    assert.same({ title = "C", level = "low", count = 2, group = { who = "eve" }, window = { from = 1000, to = 2000 }, time = 2000,
      evidence_total = 2 }, f.context)
  end)

  it("get a table of their own", function()
    local f, faults = run [[title_for = function(f) f.group.who, f.window.from = "bob", 0 end]]
    assert.same({ {}, { who = "eve" }, 1000, "C" }, { faults, f.group, f.window.from, f.title })
  end)

  it("leave the correlation's own and are a fault when they fail", function()
    local f, faults = run "level_for = function(f) return 'hihg' end, title_for = function(f)\n return f.x.y end"
    assert.same({ "low", "C" }, { f.level, f.title })
    assert.same({ { rule = "c", message = "a.lua:4: level_for returned hihg, not a level" },
      { rule = "c", message = [[a.lua:5: attempt to index a nil value (field 'x'): "x" is missing or null; ]]
        .. [[get(record, "path") gives nil then]] },
    }, faults)
  end)
end)

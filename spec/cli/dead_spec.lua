-- dead_spec.lua: dead letters as an operator sees them: of sinks and of normalizers.
local cjson = require "cjson"
local pipelined = require "support.pipelined"
local run = require "support.run"
local sunk = require "support.sunk"

local NORMALIZER = [[return { normalizer{ id = "n", time = "leakedAt", dataset = "dataleaks.credentials", map = function(r)
  if r.severity == "critical" and %s then error("no idea\27[31m", 0) end
  return { id = r.id } end, tests = { { name = "a", input = { id = "1" }, expect = { id = "1" } } } } }]]

describe("defendis state dead", function()
  local sim, announced
  setup(function()
    sim = run.simulator "--records 600"
    announced = pipelined.announced(sim, "dataleaks.credentials", "acme.example")
  end)
  teardown(function() sim.stop() end)
  after_each(run.clean)

  local function pipeline(sinks, rules)
    local p = pipelined.new(sim, { sinks = "{ " .. sinks .. " }", ["until"] = '"2026-04-01"', window = '"30d"', page_size = "100" }, rules)
    sunk.write(p)
    return p
  end

  local function good(p, line)
    local got = p:command(line)
    assert.same({ 0, "" }, { got.code, got.err })
    return got.out
  end

  local function letters(p, options)
    local out = {}
    for line in good(p, "state dead list PIPELINE --json " .. (options or "")):gmatch("[^\n]+") do out[#out + 1] = cjson.decode(line) end
    return out
  end

  it("lists what a sink refused as a table that drives no terminal, and as JSON with the document", function()
    local p = pipeline(sunk.entry("got", 'mode = "poison"'))
    assert.equal(6, p:ingest().code)
    local all = letters(p)
    assert.equal(#announced - #sunk.took(p, "got"), #all)
    local first = all[1]
    assert.same({ 1, "dataleaks.credentials", "acme.example", "test:got", "poison\27[31m", false },
      { first.id, first.dataset, first.input, first.sink, first.reason, first.retry })
    assert.matches("^0%x+$", first.document)
    assert.truthy(table.concat(announced, " "):find(cjson.decode(first.raw).id, 1, true))
    local text = good(p, "state dead list PIPELINE")
    assert.matches("^id +time +dataset +input +refused by +bytes +reason\n", text)
    assert.matches("\n *1 +%S+Z +dataleaks%.credentials +acme%.example +sink test:got +%d+ +poison\\x1B%[31m\n", text)
    assert.is_nil(text:find("password", 1, true))
    assert.truthy(good(p, "state dead list PIPELINE --raw --id 1"):find("\n1: " .. first.raw, 1, true))
    assert.equal(1, #letters(p, "--id 2"))
    assert.equal(#all, #letters(p, "--sink test:got --dataset dataleaks.credentials"))
    assert.equal(0, #letters(p, "--sink other"))
    assert.matches("\ntest:got +0 +" .. #all .. "\n", p:command("ledger show PIPELINE").out)
  end)

  it("retry gives documents to the sink that refused them again, and to no other", function()
    local p = pipeline(sunk.entry("got", 'mode = "poison"') .. ", " .. sunk.entry "other")
    assert.equal(6, p:ingest().code)
    local dead = #letters(p)
    assert.equal(("the next ingest tries %d documents and 0 records again\n"):format(dead), good(p, "state dead retry PIPELINE"))
    assert.equal(0, #letters(p))
    local code, text = p:verify()
    assert.equal(6, code)
    assert.truthy(text:find(("sink test:got: %d documents behind"):format(dead), 1, true))
    assert.is_nil(text:find("test:other", 1, true))
    p:edit{ sinks = "{ " .. sunk.entry "got" .. ", " .. sunk.entry "other" .. " }" }
    assert.equal("", p:ingest().err)
    for _, to in ipairs{ "got", "other" } do assert.same({ announced, 0 }, { sunk.records(p, to) }) end
    assert.equal(0, (p:verify()))
  end)

  it("retry of findings gives them again with the same id", function()
    local rule = [[return { rule{ id = "any", title = "Any", level = "low", dataset = "dataleaks.credentials", generate = true,
      match = function() return true end, tests = { { name = "a", record = {}, match = true } } } }]]
    local p = pipeline(sunk.entry("got", 'mode = "poison", wants = "findings"'), rule)
    assert.equal(6, p:ingest().code)
    local first = letters(p, "--dataset findings")[1]
    assert.equal(cjson.decode(first.raw).id, first.document)
    good(p, "state dead retry PIPELINE --id " .. first.id)
    p:edit{ sinks = "{ " .. sunk.entry("got", 'wants = "findings"') .. " }" }
    assert.equal(0, p:ingest().code)
    local last
    for _, d in ipairs(sunk.took(p, "got")) do last = d end
    assert.same({ first.document, "findings", first.raw }, { last.id, last.kind, last.json })
    assert.equal(0, (p:verify()))
  end)

  it("retry leaves what was refused by a sink that is no more, and says so", function()
    local p = pipeline(sunk.entry("got", 'mode = "poison"'))
    assert.equal(6, p:ingest().code)
    local dead = #letters(p)
    p:edit{ sinks = '{ jsonl{ path = "out" } }' }
    assert.equal("defendis: the sink test:got is not in the pipeline any more\n", p:ingest().err)
    assert.equal(("the next ingest tries 0 documents and 0 records again\n"
      .. "%d stay: their sink is not in the pipeline any more, or does not want them\n"):format(dead), good(p, "state dead retry PIPELINE"))
    assert.equal(dead, #letters(p))
  end)

  it("retry sends records that a normalizer failed on through it again with the next ingest", function()
    local p = pipeline('jsonl{ path = "out" }, ' .. sunk.entry "got", NORMALIZER:format "true")
    assert.equal(6, p:ingest().code)
    local all = letters(p)
    assert.is_true(#all > 5)
    assert.equal("n", all[1].where)
    assert.truthy(all[1].reason:find("no idea", 1, true))
    assert.equal(#announced - #all, #p:lines())
    assert.equal(("the next ingest tries 0 documents and %d records again\n"):format(#all), good(p, "state dead retry PIPELINE"))
    assert.matches("%(to be tried again%)", good(p, "state dead list PIPELINE"))
    -- not mended yet: they come back with the reason
    assert.equal(6, p:ingest().code)
    assert.equal(#all, #letters(p))
    assert.is_false(letters(p)[1].retry)
    assert.equal(0, (p:verify()))
    good(p, "state dead retry PIPELINE")
    p:rules(NORMALIZER:format "false")
    p:edit{}
    local got = p:ingest()
    assert.same({ 0, "" }, { got.code, got.err })
    assert.equal(0, #letters(p))
    assert.same(announced, p:ids())
    assert.same({ announced, 0 }, { sunk.records(p, "got") })
    assert.equal(0, (p:verify()))
    for _, row in ipairs(p:ledger()) do assert.equal(0, row.dead) end
  end)

  it("drop asks for --yes with the number, and forgets those that were named", function()
    local p = pipeline(sunk.entry("got", 'mode = "poison"'))
    assert.equal(6, p:ingest().code)
    local n = #letters(p)
    local got = p:command "state dead drop PIPELINE --id 1"
    assert.same({ 2, ("defendis: this forgets 1 dead letters in %s; add --yes to do it\n"):format(p.path) }, { got.code, got.err })
    assert.equal("forgot 1 dead letters\n", good(p, "state dead drop PIPELINE --id 1 --yes"))
    assert.equal(n - 1, #letters(p))
    assert.equal(("forgot %d dead letters\n"):format(n - 1), good(p, "state dead drop PIPELINE --sink test:got --yes"))
    assert.equal(0, (p:verify()))
  end)

  it("says that there is no state, and makes none", function()
    local folder = run.folder()
    for _, action in ipairs{ "dead list", "dead retry", "dead drop --yes", "export" } do
      local got = run.defendis(("state %s %s/none.db"):format(action, folder))
      assert.same({ 2, ("defendis: no state file %s/none.db; run an ingest first\n"):format(folder) }, { got.code, got.err })
    end
    assert.equal("", io.popen("ls -A " .. folder):read("a"))
  end)
end)

describe("defendis state export and import", function()
  after_each(run.clean)

  it("carry a whole state over, with what is on its way to sinks", function()
    local sim = run.simulator "--records 600"
    finally(sim.stop)
    local p = pipelined.new(sim, { sinks = "{ " .. sunk.entry "got" .. " }", ["until"] = '"2026-04-01"', window = '"30d"',
      give_up = '"0s"' })
    sunk.write(p)
    sunk.down(p, "got", true)
    assert.equal(6, p:ingest().code)
    local exported = p:command("state export PIPELINE").out
    os.execute(("mv %s/state.db %s/before.db"):format(p.folder, p.folder))
    local got = run.defendis(("state import %s/state.db"):format(p.folder), { input = exported })
    assert.same({ 0, ("took in %d rows\n"):format(select(2, exported:gsub("\n", ""))) }, { got.code, got.out })
    assert.equal(exported, p:command("state export PIPELINE").out)
    sunk.down(p, "got", false)
    assert.equal(0, p:ingest().code)
    assert.same({ pipelined.announced(sim, "dataleaks.credentials", "acme.example"), 0 }, { sunk.records(p, "got") })
    got = run.defendis(("state import %s/state.db"):format(p.folder), { input = exported })
    assert.equal(2, got.code)
    assert.matches("state%.db is there; name a state that is not, or put this one aside\n$", got.err)
  end)

  it("refuse what is no export, and leave no state behind", function()
    local folder = run.folder()
    for text, message in pairs{ ["{}\n"] = "line 1: not a row of a state: nil",
      ["[1\n"] = "line 1: JSON, byte 3: the document ends too early",
      ['{"table":"seen","day":1,"key":"00"}\n{"table":"seen","day":"x","key":"00"}\n'] = "line 2: [^\n]*cannot store" } do
      local got = run.defendis(("state import %s/state.db"):format(folder), { input = text })
      assert.equal(2, got.code)
      assert.matches("^defendis: " .. message, got.err)
      assert.is_nil(io.open(folder .. "/state.db"))
    end
  end)
end)

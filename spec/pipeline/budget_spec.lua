-- budget_spec.lua: rules that loop, eat memory or give nonsense spoil neither the page nor the run.
local core = require "defendis.core"
local pipelined = require "support.pipelined"
local run = require "support.run"
local scripted = require "support.scripted"

local MIB <const> = 1 << 20

describe("core.budget", function()
  local call = core.budget.new(100000, 8 * MIB)

  it("is pcall for what stays within it: all arguments, all results, all errors", function()
    assert.same({ n = 4, true, 3, nil, "x" }, table.pack(call(function(a, b) return a + b, nil, "x" end, 1, 2)))
    local object = {}
    assert.same({ false, object }, { call(error, object) })
    assert.same({ n = 1, true }, table.pack(call(function() end)))
  end)

  it("ends what loops, at its line, also when that catches what ends it", function()
    local ok, message = call(function() while true do end end)
    assert.is_false(ok)
    assert.matches("budget_spec%.lua:%d+: over its budget of 100000 instructions$", message)
    ok, message = call(function() while true do pcall(function() while true do end end) end end)
    assert.is_false(ok)
    assert.matches("over its budget of 100000 instructions$", message)
  end)

  it("leaves nothing behind: the next call has all of it, and no hook stays", function()
    assert.is_false((call(function() while true do end end)))
    assert.is_nil((debug.gethook()))
    assert.is_true((call(function() for _ = 1, 1000 do end end)))
  end)

  it("ends what grows, in one block or in many, and what it held is free again", function()
    local grows = { function() return ("x"):rep(9 * MIB) end, function() local t = {} for i = 1, 1e9 do t[i] = { t } end return t end,
      function() local s = "x" while true do s = s .. s end end }
    local roomy = core.budget.new(1000000000, 8 * MIB) -- a slow machine counts them, too
    collectgarbage()
    local before = collectgarbage "count"
    for _, f in ipairs(grows) do
      assert.same({ false, "over its budget of 8 MiB of memory" }, { roomy(f) })
      collectgarbage()
      assert.is_true(collectgarbage "count" < before + 1024)
    end
    assert.is_true((call(function() for _ = 1, 30 do local _ = ("x"):rep(MIB) end end)), "garbage counts")
  end)

  it("ends the program, with the line, when a C function does not return", function()
    local script = run.write(run.folder() .. "/stuck.lua", [[
      local call = require("defendis.core").budget.new(100000, 1 << 24, 100)
      call(function() return (("x"):rep(100000)):find(".-.-.-.-y") end)]])
    local p = assert(io.popen(("%s timeout 60 lua5.4 %s 2>&1; echo $?"):format(run.under, script)))
    local said = p:read("a")
    p:close()
    run.clean()
    assert.matches("stuck%.lua:2: a rule is in a call that does not return; mend its pattern\n5\n$", said)
  end)
end)

describe("a pipeline whose rules go wrong", function()
  local api
  after_each(function()
    if api then api.stop() end
    api = nil
    run.clean()
  end)

  local RULES = [[
local function map(r)
  if r.kind == "loops" then while true do pcall(function() while true do end end) end end
  if r.kind == "eats" then local t = {} while true do t[#t + 1] = ("x"):rep(100000) .. #t end end
  if r.kind == "nonsense" then return 7 end
  if r.kind == "raises" then error { "what" } end
  return { id = r.id }
end
return {
  normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt", map = map },
  rule{ id = "loops", title = "l", level = "low", dataset = "dataleaks.credentials",
    match = function(r) while r.kind == "rule" do end end },
  rule{ id = "eats", title = "e", level = "low", dataset = "dataleaks.credentials",
    match = function(r) return r.kind == "rule" and #("x"):rep(1 << 30) end },
  rule{ id = "level", title = "v", level = "low", dataset = "dataleaks.credentials",
    match = function(r) return r.kind == "rule" end, level_for = function() return {} end },
  rule{ id = "good", title = "g", level = "low", dataset = "dataleaks.credentials", match = function(r) return r.id ~= nil end },
}]]

  local function ingested(rules, ...)
    local list = {}
    for i, kind in ipairs{ ... } do
      list[i] = ([['{"id":"%d","leakedAt":"2026-01-01T00:00:00Z","kind":"%s"}']]):format(i, kind)
    end
    api = scripted.start(([[return function(req) return list(req, { %s }) end]]):format(table.concat(list, ", ")))
    local p = pipelined.new(api, {}, rules)
    return p, p:ingest()
  end

  it("has the records that a normalizer fails on as dead letters with their line, and all others", function()
    local p, got = ingested(RULES, "good", "loops", "eats", "nonsense", "raises", "good")
    assert.equal(6, got.code, got.err)
    assert.same({ "1", "6" }, p:ids())
    local store <close> = assert(require("defendis.store").open(p.folder .. "/state.db", { readonly = true }))
    local reasons = {}
    for letter in store:dead_letters() do reasons[#reasons + 1] = letter.reason:gsub("^.*/", "") end
    assert.same({ "rules.lua:2: over its budget of 10000000 instructions", "rules.lua:1: over its budget of 64 MiB of memory",
      "rules.lua:1: map returned number, a table expected", "rules.lua:1: error object (table)" }, reasons)
    assert.equal(6, #p:lines("findings"), "the rules see all records")
    assert.equal(0, (p:verify()))
  end)

  it("goes on with the other rules and records, names each rule that failed and ends with 1", function()
    local p, got = ingested(RULES, "good", "rule", "good")
    assert.equal(1, got.code, got.err)
    assert.same({ "1", "2", "3" }, p:ids())
    assert.equal(4, #p:lines("findings"))
    for rule, what in pairs{ loops = "rules.lua:11: over its budget of 10000000 instructions",
      eats = "rules.lua:13: over its budget of 64 MiB of memory", level = "rules.lua:15: level_for returned table" } do
      assert.matches("rule " .. rule .. " failed on 1 records: [^\n]*" .. what:gsub("%p", "%%%0"), got.err)
    end
    assert.equal(0, (p:verify()))
  end)

  it("keeps the records that a rule failed on, and has its findings once it is mended", function()
    local p, got = ingested(RULES, "good", "rule", "good")
    assert.matches("1 records that rules failed on are kept: see state dead list", got.err)
    local file = p.folder .. "/pipeline.lua"
    local listed = run.defendis("state dead list " .. file)
    assert.matches("rule loops", listed.out)
    assert.matches("over its budget", listed.out)
    assert.equal(0, run.defendis("state dead retry " .. file).code)
    assert.equal(1, p:ingest().code, "it fails again")
    assert.matches("rule loops", run.defendis("state dead list " .. file).out)
    assert.equal(0, run.defendis("state dead retry " .. file).code)
    run.write(p.folder .. "/rules.lua", (RULES:gsub('while r.kind == "rule" do end', 'return r.kind == "rule"')
      :gsub('r.kind == "rule" and #%("x"%):rep%(1 << 30%)', 'r.kind == "rule"'):gsub("return {} end", 'return "high" end')))
    got = p:ingest()
    assert.equal(0, got.code, got.err)
    assert.same({ "1", "2", "3" }, p:ids(), "no document again")
    local by = {}
    for _, line in ipairs(p:lines("findings")) do
      local id = line:match('"rule":{"id":"(%w+)"')
      by[id] = (by[id] or 0) + 1
    end
    assert.same({ good = 3, level = 1, loops = 1, eats = 1 }, by)
    assert.matches("^%s*id[^\n]*\n*$", run.defendis("state dead list " .. file).out)
    assert.equal(0, (p:verify()))
  end)

  it("has title and context in findings, also in those of suppressing rules and correlations, and counts faults of both", function()
    local p, got = ingested([[return {
      normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt", map = function(r) return r end },
      rule{ id = "quiet", title = "q", level = "low", dataset = "dataleaks.credentials", suppress = "1h", generate = true,
        match = function(r) return true end, title_for = function(r) return "Q " .. r.kind end,
        context = function(r) return { kind = r.kind } end },
      correlation{ id = "both", title = "B", level = "low", type = "event_count", rules = { "quiet" }, group_by = {}, timespan = "1h",
        condition = { gte = 2 }, title_for = function(f) return "B " .. f.count end, context = function() while true do end end },
      filter{ id = "never", title = "N", rules = { "quiet" }, match = function(r) return r.kind == "bad" and r.x.y end },
    }]], "good", "bad")
    assert.equal(1, got.code, got.err)
    assert.matches("rule both failed on 1 records: [^\n]*rules.lua:7: over its budget", got.err)
    assert.matches("rule never failed on 1 records: [^\n]*rules.lua:8: attempt to index", got.err)
    local found = table.concat(p:lines "findings", "\n")
    assert.matches('"context":{"kind":"good"}[^\n]*"title":"Q good"', found)
    assert.matches('"title":"B 2"', found)
    assert.equal(2, #p:lines "findings")
    assert.equal(0, (p:verify()))
  end)

  it("bounds the functions of a declared map too", function()
    local p, got = ingested([[return normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt",
      map = { id = field "id", x = fn(function(r) while r.kind == "loops" do end return r.kind end) } }]], "good", "loops", "good")
    assert.equal(6, got.code, got.err)
    assert.same({ "1", "3" }, p:ids())
    assert.equal(0, (p:verify()))
  end)
end)

-- `defendis explain` of a finding whose evidence are findings of an inner correlation raised "table index is nil", and the values
-- of events that carry fields along for an outer correlation were shown with their marks ("s3:VPN acme.example").
local cjson = require "cjson"
local pipelined = require "support.pipelined"
local run = require "support.run"

local RULES = [[
return {
  normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt", map = function(r) return r end },
  rule{ id = "every", title = "Every one", dataset = "dataleaks.credentials", level = "low",
    match = function(r) return get(r, "email") end },
  correlation{ id = "inner", title = "Inner", type = "value_count", rules = { "every" }, group_by = { "email" }, timespan = "7d",
    condition = { field = "source.name", gte = 2 }, level = "high" },
  correlation{ id = "outer", title = "Outer", type = "value_count", rules = { "inner" }, group_by = { "domain" }, timespan = "14d",
    condition = { field = "email", gte = 2 }, level = "high", generate = true },
}]]

describe("explain of a chain", function()
  local sim
  setup(function() sim = run.simulator("--records 300") end)
  teardown(function()
    sim.stop()
    run.clean()
  end)

  it("names the inner findings, and values as they are", function()
    local p = pipelined.new(sim, { scope = '{ domain = { "acme.example" } }', ["until"] = '"2026-02-01"', window = '"1w"' }, RULES)
    assert.equal(0, p:ingest().code)
    local found = {}
    for _, line in ipairs(p:lines "findings") do
      local f = cjson.decode(line)
      found[f.rule.id] = f
    end
    local got = p:command("explain --state PIPELINE " .. found.outer.id)
    assert.same({ 0, "" }, { got.code, got.err })
    for _, e in ipairs(found.outer.evidence) do
      assert.matches("\n" .. e.id:gsub("%-", "%%-") .. "  %S+  finding of inner  explain it too", got.out)
    end
    local group = found.inner.group.email
    got = p:command("explain --state PIPELINE --why-not inner " .. group)
    assert.same({ 0, "" }, { got.code, got.err })
    assert.matches("  every +[%w ]- acme%.example", got.out)
    assert.is_nil(got.out:find("s%d+:%w"))
  end)
end)

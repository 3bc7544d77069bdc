-- maps_spec.lua: declarative maps in a pipeline: what the program writes, and what becomes of records that do not fit.
local cjson = require "cjson"
local pipelined = require "support.pipelined"
local run = require "support.run"
local scripted = require "support.scripted"

local DECLARED <const> = [[normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt",
  map = { id = field "id", who = lower "email", at = millis "leakedAt", from = { name = field "source.name" },
    of = concat(field "email", " at ", field "domain"), tags = field "tags", machine = when("infectedMachine",
      field "infectedMachine.hostname") } }]]
local WRITTEN <const> = [[normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt",
  map = function(r) return { id = r.id, who = get(r, "email") and r.email:lower(), at = time.parse(r.leakedAt), from = { name = get(r,
    "source.name") },
    of = r.email .. " at " .. r.domain, tags = r.tags, machine = get(r, "infectedMachine.hostname") } end }]]
local RULE <const> = [[rule{ id = "r", title = "R", level = "high", dataset = "dataleaks.credentials",
  match = function(r) return r.source.type == "stealer" end }]]

describe("a declarative map in a pipeline", function()
  local api

  after_each(function()
    api.stop()
    run.clean()
  end)

  local function documents(rules, options)
    local p, out = pipelined.new(api, options, "return { " .. rules .. " }"), {}
    assert.equal(0, p:ingest().code)
    assert.equal(0, (p:verify()))
    for i, line in ipairs(p:lines()) do out[i] = cjson.decode(line) end
    table.sort(out, function(a, b) return a.id < b.id end)
    return out, #p:lines "findings", p
  end

  it("writes the documents that the same map written in Lua writes, and rules see the records", function()
    api = run.simulator("--records 300")
    local month = { ["until"] = '"2026-02-01"', window = '"1w"' }
    local declared, found = documents(DECLARED .. ", " .. RULE, month)
    local written, same = documents(WRITTEN .. ", " .. RULE, month)
    assert.truthy(#declared > 20 and found > 0)
    assert.same(written, declared)
    assert.equal(same, found)
    assert.same(written, (documents(DECLARED, month))) -- without rules no table is made
  end)

  it("writes the same bytes in every run", function()
    api = run.simulator("--records 300")
    local _, _, first = documents(DECLARED)
    local _, _, second = documents(DECLARED)
    assert.same(first:lines(), second:lines())
  end)

  it("makes a dead letter of a record that it fails on, with the reason, and the others go on", function()
    local records = { '{"id":"a","n":1}', '{"id":"b","n":"x"}', '{"id":"c","n":2}' }
    local quoted = {}
    for i, text in ipairs(records) do quoted[i] = ("%q"):format(text) end
    api = scripted.start(("local records = { %s }\nreturn function(req) return list(req, records) end"):format(table.concat(quoted, ",")))
    local p = pipelined.new(api, nil, [[return normalizer{ id = "n", dataset = "dataleaks.credentials",
      map = { id = field "id", n = fn(function(r) return r.n + 1 end) } }]])
    assert.equal(6, p:ingest().code)
    assert.same({ '{"id":"a","n":2}', '{"id":"c","n":3}' }, p:lines())
    local row = p:ledger()[1]
    assert.same({ 3, 2, 1 }, { row.received, row.unique, row.dead })
    local listed = p:command("state dead list PIPELINE").out
    assert.matches("rules.lua:2: attempt to add", listed)
  end)

  it("labels what a backfill writes", function()
    api = run.simulator("--records 300")
    local p = pipelined.new(api, { ["until"] = '"2026-02-01"' }, "return " .. DECLARED)
    assert.equal(0, run.defendis("ingest --backfill old --from 2026-01-01 --to 2026-02-01 " .. p.path, { env = p.env }).code)
    local lines = p:lines(nil, "out/backfill-old")
    assert.truthy(#lines > 0)
    assert.equal("old", cjson.decode(lines[1]).defendis.backfill)
  end)

  it("does not run when its map is refused, which is told with file and line", function()
    api = run.simulator("--records 10")
    local p = pipelined.new(api, nil,
      'return normalizer{ id = "n", dataset = "dataleaks.credentials",\n map = { a = 1,\n p = field "password" } }')
    local got = p:ingest()
    assert.equal(2, got.code)
    assert.matches('rules.lua:3: field "map.p": "password" is sensitive', got.err)
  end)

  it("tells with `test --loss` which fields of its tests' inputs it does not read", function()
    api = run.simulator("--records 10")
    local path = run.write(run.folder() .. "/r.lua", [[return normalizer{ id = "n", dataset = "d", map = { a = field "a.b",
      h = hmac "password" },
      tests = { { name = "t", input = { a = { b = 1, c = 2 }, d = 3, password = "p" }, expect = { a = 1, c = null } } } }]])
    assert.equal("1 passed, 0 failed\nd (n) does not read: a.c, d\n", run.defendis("test --loss " .. path).out)
    assert.same({ { dataset = "d", rule = "n", fields = { "a.c", "d" } } },
      cjson.decode(run.defendis("test --loss --json " .. path).out).loss)
  end)
end)

-- replay_spec.lua: rules on recorded records: what ingest finds, differences, and a report that hostile data cannot break.
local cjson = require "cjson"
local pipelined = require "support.pipelined"
local run = require "support.run"

local RULES = [[return {
  normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt", map = function(r) return { id = r.id } end,
    tests = { { name = "t", input = {}, expect = {} } } },
  rule{ id = "every", name = "every", title = "Every one", dataset = "dataleaks.credentials", level = "LEVEL", generate = true,
    match = function(r) return r.severity == "critical" end },
  rule{ id = "quiet", title = "Quiet", dataset = "dataleaks.credentials", level = "medium", suppress = "36h",
    dedup = function(r) return r.domain end, match = function(r) return get(r, "source.type") == "stealer" end },
  correlation{ id = "many", title = "Many", type = "value_count", rules = { "every" }, group_by = { "email" }, timespan = "24h",
    condition = { field = "source.name", gte = COUNT }, level = "high" },
}]]

local function rules(level, count) return (RULES:gsub("LEVEL", level or "low"):gsub("COUNT", count or "2")) end

describe("replay", function()
  local sim, p
  setup(function() sim = run.simulator("--records 900") end)
  teardown(function() sim.stop() end)
  before_each(function()
    p = pipelined.new(sim, { scope = '{ domain = { "acme.example", "globex.example" } }', ["until"] = '"2026-04-01"', window = '"1w"',
      page_size = "37" }, rules())
  end)
  after_each(run.clean)

  -- Records as fetch prints them, a file for each input. Returns their paths as --records.
  local function record()
    local words = {}
    for i, domain in ipairs{ "acme.example", "globex.example" } do
      local got = run.defendis("fetch dataleaks.credentials domain=" .. domain, { env = p.env })
      assert.equal(0, got.code)
      words[i] = "--records " .. run.write(("%s/%s.jsonl"):format(p.folder, domain), got.out)
    end
    return table.concat(words, " ")
  end

  local function replay(line, code)
    local got = run.defendis("replay " .. line:gsub("PIPELINE", p.path))
    if code then assert.same({ code, "" }, { got.code, got.err }) end
    return got
  end

  local function sorted(list)
    table.sort(list)
    return list
  end

  local function write(name, text) return run.write(p.folder .. "/" .. name, text) end

  local function line_of(fields)
    fields.leakedAt = fields.leakedAt or "2026-01-05T10:00:00Z"
    return cjson.encode(fields) .. "\n"
  end

  it("finds what ingest found over the same records, byte for byte, with the same ids", function()
    assert.equal(0, p:ingest().code)
    local found = sorted(p:lines "findings")
    assert.is_true(#found > 50)
    local records = record() .. " --dataset dataleaks.credentials"
    local got = cjson.decode(replay("PIPELINE --json " .. records, 0).out)
    local types, ids, expected = {}, {}, {}
    for i, f in ipairs(got.findings) do
      ids[i] = f.id
      types[f.rule.id] = true
    end
    for i, line in ipairs(found) do expected[i] = cjson.decode(line).id end
    assert.same({ every = true, quiet = true, many = true }, types)
    assert.same(sorted(expected), sorted(ids))
    local compared = cjson.decode(replay("PIPELINE --json --fail-on-change --state PIPELINE " .. records, 0).out)
    assert.same({ 0, 0, 0 }, { #compared.changes.added, #compared.changes.removed, #compared.changes.changed })
    assert.equal(#found, #compared.findings)
  end)

  it("leaves the pipeline's state and sinks alone, and makes none but the key that leaked values are compared under", function()
    replay("PIPELINE --dataset dataleaks.credentials " .. record(), 0)
    local pipe <close> = io.popen("ls -a " .. p.folder)
    assert.equal(".\n..\nacme.example.jsonl\nglobex.example.jsonl\npipeline.lua\nrules.lua\nstate.db.hmac-key\n", pipe:read "a")
  end)

  it("gives the same whatever the order of records and files, and however often they come", function()
    local records = record()
    local once = cjson.decode(replay("PIPELINE --json --dataset dataleaks.credentials " .. records, 0).out)
    local lines = {}
    for line in run.read(p.folder .. "/acme.example.jsonl"):gmatch("[^\n]+\n") do lines[#lines + 1] = line end
    for i = 1, #lines // 2 do lines[i], lines[#lines + 1 - i] = lines[#lines + 1 - i], lines[i] end
    write("acme.example.jsonl", table.concat(lines) .. table.concat(lines, "", 1, 50))
    local again = cjson.decode(replay("PIPELINE --json --dataset dataleaks.credentials " .. records, 0).out)
    assert.same(once.findings, again.findings)
    assert.equal(50, again.records.duplicate)
  end)

  it("lists each finding that other rules add, lose or change, with id, rule, title, group and time", function()
    local records = "PIPELINE --dataset dataleaks.credentials --records " .. write("r.jsonl",
      line_of{ id = "1", email = "a@x.example", severity = "critical", source = { name = "S", type = "forum" } }
      .. line_of{ id = "2", email = "a@x.example", severity = "critical", source = { name = "T", type = "forum" } })
    local other = write("other.lua", rules("medium", "3"))
    local got = cjson.decode(replay(records .. " --json --against " .. other, 0).out).changes
    assert.same({ 0, 1, 2 }, { #got.added, #got.removed, #got.changed })
    assert.same({ "many", "Many", "a@x.example", 1767607200000 },
      { got.removed[1].rule.id, got.removed[1].title, got.removed[1].group.email, got.removed[1].time })
    assert.same({ "level" }, got.changed[1].fields)
    assert.same({ "low", "medium" }, { got.changed[1].before.level, got.changed[1].after.level })
    local text = replay(records .. " --against " .. other, 0).out
    assert.matches("0 added, 1 removed, 2 changed", text, 1, true)
    assert.matches("removed +high +2026%-01%-05T10:00:00Z +many +Many +a@x%.example +%x+%-[%x-]+\n", text)
    assert.matches("changed +medium +%S+ +every +Every one +1 +%x[%x-]+ +level low %-> medium\n", text)
    assert.equal(1, replay(records .. " --fail-on-change --against " .. other, 1).code)
    assert.equal(0, replay(records .. " --fail-on-change --against " .. p.folder .. "/rules.lua", 0).code)
    write("rules.lua", rules("medium", "3"))
    assert.same({ 1, 0, 2 }, (function(c) return { #c.added, #c.removed, #c.changed } end)(cjson.decode(
      replay(records .. " --json --against " .. write("old.lua", rules()), 0).out).changes))
  end)

  it("takes lines that name their dataset, folders of files that do, and only the days asked for", function()
    local one = { dataset = "dataleaks.credentials", record = { id = "1", severity = "critical", leakedAt = "2026-01-05" } }
    local two = { dataset = "dataleaks.credentials", record = { id = "2", severity = "critical", leakedAt = "2026-01-06" } }
    local file = write("r.jsonl", cjson.encode(one) .. "\n" .. cjson.encode(two) .. "\n")
    assert.equal(2, #cjson.decode(replay("PIPELINE --json --records " .. file, 0).out).findings)
    for words, left in pairs{ ["--from 2026-01-06"] = "2", ["--to 2026-01-06"] = "1" } do
      local got = cjson.decode(replay(("PIPELINE --json %s --records %s"):format(words, file), 0).out)
      assert.same({ 1, left, 1 }, { #got.findings, got.findings[1].evidence[1].id, got.records.outside })
    end
    os.execute("mkdir " .. p.folder .. "/raw")
    write("raw/dataleaks.credentials-2026-01-05.jsonl", cjson.encode(one.record) .. "\n")
    write("raw/dataleaks.credentials.000001.jsonl", cjson.encode(two.record) .. "\n")
    write("raw/findings.jsonl", "{}\n")
    assert.equal(2, #cjson.decode(replay("PIPELINE --json --records " .. p.folder .. "/raw", 0).out).findings)
  end)

  it("says by file and line what is no record, and says what a state cannot do", function()
    local function refused(words, ...)
      local got = replay("PIPELINE " .. words)
      assert.equal(2, got.code)
      assert.equal("", got.out)
      for _, text in ipairs{ ... } do assert.matches(text, got.err, 1, true) end
    end
    local good = line_of{ id = "1" }
    refused("--dataset dataleaks.credentials --records " .. write("a.jsonl", good .. "\n{]\n"), "a.jsonl:3:", "JSON")
    refused("--dataset dataleaks.credentials --records " .. write("b.jsonl", '{"a":1},{"b":2}\n'), "b.jsonl:1:")
    refused("--dataset dataleaks.credentials --records " .. write("b.jsonl", '[1]\n'), "b.jsonl:1: a record is a JSON object")
    refused("--records " .. write("c.jsonl", good), "c.jsonl:1: which dataset?")
    refused("--dataset dataleaks.credential --records " .. write("c.jsonl", good), 'nearest dataset "dataleaks.credentials"')
    refused("--records /nowhere.jsonl", "/nowhere.jsonl")
    refused("", "give --records FILE")
    refused("--state PIPELINE --against rules", "a state keeps ids and findings, not the records")
    refused("--state PIPELINE --fail-on-change", "--fail-on-change needs --records")
    refused("--records x --from 2026-02-01 --to 2026-01-01", "--from is not before --to")
  end)

  it("refuses to compare what could be read only once", function()
    local file = write("r.jsonl", line_of{ id = "1", severity = "critical" })
    local got = run.defendis(("replay %s --dataset dataleaks.credentials --records /dev/stdin --against %s/rules.lua"):format(p.path,
      p.folder), { prefix = ("sh -c 'cat %s | \"$@\"' sh"):format(file) })
    assert.same({ 2, "defendis: the records could not be read twice alike; give a file that stays as it is\n" }, { got.code, got.err })
  end)

  it("shows what a state found when there are no records", function()
    assert.equal(0, p:ingest().code)
    local got = replay("PIPELINE --state PIPELINE", 0)
    assert.matches("it keeps no records, so no rule was run\n", got.out, 1, true)
    assert.matches("low +%d+ +every +Every one\n", got.out)
  end)

  it("ends with 6 when a record could not be used, with 1 when a rule failed, and says which", function()
    local got = replay("PIPELINE --dataset dataleaks.credentials --records " .. write("r.jsonl", line_of{ severity = "low" }))
    assert.equal(6, got.code)
    assert.matches('1 records could not be used, the first: no text or integer in the id field "id"', got.err, 1, true)
    write("rules.lua", (rules():gsub('r.severity == "critical"', "r.nothing.there")))
    got = replay("PIPELINE --dataset dataleaks.credentials --records " .. write("r.jsonl", line_of{ id = "1" }))
    assert.equal(1, got.code)
    assert.matches("rule every failed on 1 records: .*rules%.lua:5: ", got.err)
  end)

  it("says when correlations do not count records from before the pipeline", function()
    local file = write("r.jsonl", line_of{ id = "1", severity = "critical", email = "a@x.example", leakedAt = "2025-05-05",
      source = { name = "S", type = "stealer" } })
    local got = replay("PIPELINE --dataset dataleaks.credentials --records " .. file)
    assert.matches("2 events lie before 2026-01-01, where the pipeline begins, and count in no correlation; --from begins earlier",
      got.err, 1, true)
    got = replay("PIPELINE --dataset dataleaks.credentials --from 2025-05-01 --records " .. file, 0)
    assert.matches("medium +1 +quiet", got.out)
  end)

  it("writes a report that loads nothing and in which leaked data is text", function()
    local hostile = [[</td><script>alert("1")</script><img src=x onerror=alert(2)> ' "><style>*{display:none}]] .. "\u{202E}\u{200B}\1"
    write("rules.lua", (rules():gsub('title = "Many"', function() return ("title = %q"):format(hostile .. "T") end)))
    local file = write("r.jsonl", line_of{ id = hostile, email = hostile, severity = "critical", source = { name = "S", type = "f" } }
      .. line_of{ id = "2", email = hostile, severity = "critical", source = { name = "T", type = "f" } })
    local out = p.folder .. "/report.html"
    replay(("PIPELINE --dataset dataleaks.credentials --records %s --against %s --report %s"):format(file, write("other.lua",
      rules "high"), out), 0)
    local html = run.read(out)
    assert.matches("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-", html, 1, true)
    local tags = {}
    for tag in html:gmatch("<(%a%w*)") do tags[tag] = (tags[tag] or 0) + 1 end
    for _, tag in ipairs{ "script", "img", "link", "iframe", "a", "object" } do assert.is_nil(tags[tag], tag) end
    assert.equal(1, tags.style)
    assert.is_nil(html:find("[%z\1-\8\11-\31]"))
    for _, text in ipairs{ "\u{202E}", "\u{200B}", "http:", "https:", "url(", "onerror=alert(2)>" } do
      assert.is_nil(html:find(text, 1, true), text)
    end
    assert.matches("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;", html, 1, true)
    assert.matches("\\u{202E}\\u{200B}\\u{1}", html, 1, true)
    assert.matches("<svg ", html, 1, true)
    assert.matches(("level low \u{2192} high"), html, 1, true)
    assert.matches('<h3 class="changed">changed</h3>', html, 1, true)
    local style, said = html:match("<style>(.-)</style>"), html:match("sha256%-([%w+/=]+)'")
    local pipe <close> = io.popen(("base64 -d <<'E' | od -An -tx1 | tr -d ' \\n'\n%s\nE\n"):format(said))
    assert.equal(require("defendis.core").hash.sha256(style), pipe:read "a")
  end)
end)

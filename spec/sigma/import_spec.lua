-- import_spec.lua: `defendis import sigma`, and Sigma files in a pipeline beside rules in Lua.
local cjson = require "cjson"
local pipelined = require "support.pipelined"
local run = require "support.run"

local GOOD = [[
title: From a stealer
id: s1
name: stealer
level: high
fields: [email]
logsource: {product: defendis, service: dataleaks.credentials}
detection:
  s: {source.type: stealer}
  unused: {a: b}
  condition: s
---
title: Two in a day
id: c1
correlation: {type: event_count, rules: [stealer], group-by: [email], timespan: 24h, condition: {gte: 2}}
---
title: But not of the desk
filter: {rules: [stealer], desk: {source.name: Service desk}, condition: not desk}
logsource: {product: defendis, service: dataleaks.credentials}
]]

describe("defendis import sigma", function()
  after_each(run.clean)

  local function import(text, options)
    local path = run.write(run.folder() .. "/a.yml", text)
    local r = run.defendis(("import sigma %s %s"):format(path, options or ""))
    return r.code, (r.out:gsub(path, "a.yml")), (r.err:gsub(path, "a.yml"))
  end

  it("says what it understood, and what is not used", function()
    local code, out, err = import(GOOD)
    assert.same({ 0, "" }, { code, err })
    assert.matches("^id +title +dataset +level +type\n", out)
    assert.matches("\ns1 +From a stealer +dataleaks.credentials +high +rule\n", out)
    assert.matches("\nc1 +Two in a day +dataleaks.credentials +medium +event_count\n", out)
    assert.matches("\nBut not of the desk +But not of the desk +dataleaks.credentials +filter\n", out)
    assert.matches("\na.yml:5: fields is not used\na.yml:9: the search unused is in no condition\n$", out)
  end)

  it("names each document that is refused, shows the others, and ends with exit code 2", function()
    local code, out, err = import("title: A\nlogsource: {}\ndetection: {s: {f|wide: x}, condition: s}\n---\n" .. GOOD .. "---\ntitle: B\n")
    assert.equal(2, code)
    assert.matches("\ns1 +From a stealer", out)
    assert.equal('defendis: a.yml:3: field "f|wide": the modifier wide is not supported: no text of a record is UTF-16\n'
      .. 'defendis: a.yml:24: missing required field "detection", "correlation" or "filter"\n', err)
  end)

  it("names a reference that leads nowhere, a dataset that is none, and YAML that is none", function()
    assert.same({ 2, 'defendis: a.yml:14: field "rules[1]": unknown rule "stealr", nearest rule "stealer"\n' },
      { (function() local code, _, err = import((GOOD:gsub("rules: %[stealer%], group", "rules: [stealr], group"))) return code,
        err end)() })
    local code, _, err = import((GOOD:gsub("dataleaks.credentials", "dataleaks.credential")))
    assert.equal(2, code)
    assert.matches('^defendis: a.yml:6: unknown dataset "dataleaks.credential", nearest dataset "dataleaks.credentials"\n$', err)
    code, _, err = import("a: [\n")
    assert.equal(2, code)
    assert.matches("^defendis: a.yml:2: YAML: ", err)
  end)

  it("gives all of it as JSON", function()
    local code, out = import(GOOD, "--json")
    local said = cjson.decode(out)
    assert.same({ 0, 3, 2, 0 }, { code, #said.rules, #said.notes, #said.errors })
  end)

  it("copies what is good into a folder, and takes nothing away there", function()
    local folder = run.folder() .. "/rules"
    assert.equal(0, (import(GOOD, "-o " .. folder)))
    assert.equal(GOOD, run.read(folder .. "/a.yml"))
    assert.equal(0, (import(GOOD, "-o " .. folder)))
    local code, _, err = import(GOOD .. "# more\n", "-o " .. folder)
    assert.same({ 2, ("defendis: %s/a.yml is there already, with other content\n"):format(folder) }, { code, err })
    assert.equal(GOOD, run.read(folder .. "/a.yml"))
    assert.equal(2, (import("title: A\n", "-o " .. folder .. "/bad")))
    assert.is_nil(io.open(folder .. "/bad"))
  end)

  it("takes the examples, and their tests hold", function()
    local r = run.defendis("import sigma examples/sigma")
    assert.same({ 0, "" }, { r.code, r.err })
    r = run.defendis("test examples/sigma examples/rules")
    assert.same({ 0, "" }, { r.code, r.err })
    assert.equal("23 passed, 0 failed\n", r.out)
  end)

  it("knows rule files by their endings, and says when a folder has none", function()
    local folder = run.folder()
    run.write(folder .. "/readme.txt", "x")
    local r = run.defendis("import sigma " .. folder)
    assert.same({ 2, ("defendis: there is no rule file (*.lua, *.yml) in %s\n"):format(folder) }, { r.code, r.err })
    run.write(folder .. "/a.yaml", GOOD)
    assert.equal(0, run.defendis("import sigma " .. folder).code)
  end)
end)

describe("a pipeline with Sigma files", function()
  local sim
  setup(function() sim = run.simulator("--records 2000") end)
  teardown(function() sim.stop() end)
  after_each(run.clean)

  -- The same three rules in Lua.
  local LUA = [[return {
    rule{ id = "ls", name = "lua_stealer", title = "L", level = "high", dataset = "dataleaks.credentials",
      match = function(r) return get(r, "source.type") == "stealer" and get(r, "source.name") ~= "Service desk" end },
    correlation{ id = "lc", title = "L", type = "event_count", rules = { "ls" }, group_by = { "email" }, timespan = "24h",
      condition = { gte = 2 }, level = "medium" },
    rule{ id = "lp", title = "L", level = "low", dataset = "dataleaks.credentials", match = function(r)
      local email = get(r, "email")
      return email ~= nil and email:lower():find("^[am].*@") ~= nil
    end } }]]
  local PEOPLE = "---\ntitle: A or M\nid: sp\nlogsource: {product: defendis, service: dataleaks.credentials}\ndetection:\n"
    .. "  s: {email: ['a*@*', 'M*@*']}\n  condition: s\n"

  it("finds what the same rules in Lua find, correlations and filters too", function()
    local p = pipelined.new(sim, { ["until"] = '"2026-04-01"', rules = '{ "rules/" }', page_size = "100" })
    os.execute("mkdir " .. p.folder .. "/rules")
    run.write(p.folder .. "/rules/b.lua", LUA)
    run.write(p.folder .. "/rules/a.yml", GOOD .. PEOPLE)
    local r = p:ingest()
    assert.same({ 0, "" }, { r.code, r.err })
    local found = {}
    for line in io.lines(p.folder .. "/out/findings.jsonl") do
      local f = cjson.decode(line)
      local ids = {}
      for i, e in ipairs(f.evidence) do ids[i] = e.id end
      local list = found[f.rule.id] or {}
      found[f.rule.id] = list
      list[#list + 1] = ("%d %s %s %d"):format(f.time, table.concat(ids, " "), cjson.encode(f.group and f.group.email or 0), f.count or 0)
    end
    for _, list in pairs(found) do table.sort(list) end
    assert.is_nil(found.s1)
    assert.is_true(#found.c1 > 3 and #found.sp > 20)
    assert.same(found.lc, found.c1)
    assert.same(found.lp, found.sp)
    assert.equal(0, (p:verify()))
  end)

  it("finds something with each of the examples", function()
    local p = pipelined.new(sim, { ["until"] = '"2026-04-01"', page_size = "100",
      datasets = '{ "dataleaks.credentials", "dataleaks.documents" }',
      rules = ('{ "%s/examples/sigma" }'):format(io.popen("pwd"):read("l")) })
    assert.equal(0, p:ingest().code)
    local titles = {}
    for line in io.lines(p.folder .. "/out/findings.jsonl") do titles[cjson.decode(line).title] = true end
    assert.same({ ["One person in a combo list and in a stealer log within a month"] = true,
      ["Telling document on an open share"] = true }, titles)
  end)

  it("is refused with the line of the YAML", function()
    local p = pipelined.new(sim, { rules = '{ "a.yml" }' })
    run.write(p.folder .. "/a.yml", (GOOD:gsub("gte: 2", "gtee: 2")))
    local r = p:ingest()
    assert.equal(2, r.code)
    assert.matches('^defendis: [^\n]*/a.yml:14: field "condition": unknown key "gtee", nearest key "gte"\n$', r.err)
  end)
end)

local cjson = require "cjson"
local run = require "support.run"

local PIPELINE = [[
-- two datasets of a week
return pipeline{
  scope = { domain = { "acme.example", "globex.example" } },
  datasets = { "dataleaks.credentials", "dataleaks.documents" },
  since = "2026-01-01",
  ["until"] = "2026-01-08",
  window = "1d",
  rules = { "rules" },
  sinks = { jsonl{ path = "out" } },
  store = "state.db",
}
]]

-- A folder with a pipeline and the example rules; changes: what to replace in the pipeline, pairs of plain texts.
local function pipeline(changes)
  local folder, text = run.folder(), PIPELINE
  for from, to in pairs(changes or {}) do
    local at, stop = text:find(from, 1, true)
    text = text:sub(1, at - 1) .. to .. text:sub(stop + 1)
  end
  os.execute(("cp -r examples/rules %s/rules"):format(folder))
  return run.write(folder .. "/p.lua", text), folder
end

local function last_line(text) return text:match("([^\n]*)\n$") end

describe("a pipeline file", function()
  after_each(run.clean)

  local ENV = { DEFENDIS_BASE_URL = "http://127.0.0.1:1", DEFENDIS_API_KEY = "key-1234567890" }

  local function refused(expected, changes)
    local path, folder = pipeline(changes)
    local r = run.defendis("ingest " .. path, { env = ENV })
    assert.same({ 2, "" }, { r.code, r.out })
    assert.equal("defendis: " .. expected .. "\n", (r.err:gsub(folder .. "/", "", nil)))
  end

  it("that is not there, or is a folder, is named", function()
    local r = run.defendis("ingest nowhere.lua", { env = ENV })
    assert.same({ 2, "defendis: cannot read nowhere.lua: No such file or directory\n" }, { r.code, r.err })
    r = run.defendis("ingest /tmp", { env = ENV })
    assert.same({ 2, "defendis: /tmp is not a file\n" }, { r.code, r.err })
  end)

  it("with a fault is refused with file, line, field and the nearest known name", function()
    refused('p.lua:3: unknown key "scoep", nearest key "scope"', { ["scope ="] = "scoep =" })
    refused('p.lua:4: field "datasets[2]": unknown dataset "dataleaks.documnets", nearest dataset "dataleaks.documents"',
      { documents = "documnets" })
    refused('p.lua:9: unknown name "josnl", nearest name "jsonl"', { jsonl = "josnl" })
    refused('p.lua:9: jsonl: unknown key "pahts", nearest key "path"', { ["path"] = "pahts" })
    refused('p.lua:5: field "since": a date such as "2026-01-31" expected', { ["2026-01-01"] = "2026-1-1" })
    refused('p.lua:7: field "window": whole days such as "1d" or "1w" expected: the API takes dates', { ['"1d"'] = '"1h"' })
    refused('p.lua:2: missing required field "store"', { ['store = "state.db",'] = "" })
    refused('p.lua:3: field "scope.domain": a list expected, got a string', { ['{ "acme.example", "globex.example" }'] = '"acme.example"' })
    refused("p.lua:1: a pipeline file returns pipeline{ ... }", { ["return pipeline{"] = "local x = {" })
    refused("p.lua:4: '}' expected (to close '{' at line 2) near 'datasets'", { ['.example" } },'] = '.example" } }' })
    local path = pipeline{ ['{ domain = { "acme.example", "globex.example" } }'] = "os.exit(0)" }
    local r = run.defendis("ingest " .. path, { env = ENV })
    assert.equal(2, r.code)
    assert.matches('p.lua:3: unknown name "os", known: .*jsonl, .*pipeline, secret, sink', r.err)
  end)

  it("whose rules are missing or have a typo is refused with the rule's file and line", function()
    refused("cannot read the rules: cannot read the directory rools: No such file or directory", { ['"rules"'] = '"rools"' })
    local path, folder = pipeline()
    os.execute(("sed -i 's/level = \"critical\"/levle = \"critical\"/' %s/rules/three_services.lua"):format(folder))
    for _, command in ipairs{ "ingest " .. path, "test " .. folder .. "/rules" } do
      local r = run.defendis(command, { env = ENV })
      assert.same({ 2, "" }, { r.code, r.out })
      assert.matches('^defendis: [^\n]*three_services%.lua:15: unknown key "levle", nearest key "level"\n$', r.err)
    end
  end)
end)

describe("defendis ingest, state and ledger", function()
  local sim
  setup(function() sim = run.simulator("--records 2000") end)
  teardown(function() sim.stop() end)
  after_each(run.clean)

  local function good(line)
    local r = run.defendis(line, { env = sim.env })
    assert.same({ 0, "" }, { r.code, r.err })
    return r.out
  end

  it("ingest shows the walk per dataset and input, and the findings: worst first, correlations first within a level", function()
    local path, folder = pipeline{ ['"2026-01-08"'] = '"2026-02-01"' }
    -- one other critical finding, so that the number of findings does not put the correlation first
    os.execute(([[sed -i 's/r.severity == "critical"/r.id < "1" and r.severity == "critical"/' %s]])
      :format(folder .. "/rules/stealer_corporate.lua"))
    local out = good("ingest " .. path)
    local few, fewer = out:match("\nfindings: (%d+) critical correlated, (%d+) critical, %d+ high; the newest of each:\n")
    assert.is_true(tonumber(few) > tonumber(fewer))
    assert.matches("^dataset +input +closed +open +received +unique +duplicate +dead\n"
      .. "dataleaks%.credentials +acme%.example +31 +0 +(%d+) +%1 +0 +0\n", out)
    local order, last, last_correlated = { critical = 1, high = 2 }, 0, true
    local rows = 0
    for level, title in out:match("\nlevel .*$"):gmatch("\n(%l+) +%S+Z  (.-)  ") do
      rows = rows + 1
      local correlated = title:find("Three services", 1, true) ~= nil
      assert.is_true(order[level] > last or order[level] == last and (last_correlated or not correlated))
      last, last_correlated = order[level], correlated
    end
    assert.is_true(rows > 5 and rows <= 15)
    assert.matches("\ncritical +%S+Z  Three services leaked for one person within a day  [%w.]+@%w+%.example +%d+\n", out)
  end)

  it("ingest --json is one document whose lists are lists", function()
    local text = good("ingest --json " .. pipeline())
    local summary = cjson.decode(text)
    assert.same({ true, 28, 0 }, { summary.complete, summary.windows, summary.dead })
    assert.matches('"problems":%[%]', text)
  end)

  it("ingest again has nothing to do and changes nothing", function()
    local path, folder = pipeline()
    good("ingest " .. path)
    local before = run.read(folder .. "/out/dataleaks.credentials.jsonl")
    assert.equal(0, cjson.decode(good("ingest --json " .. path)).records)
    assert.equal(before, run.read(folder .. "/out/dataleaks.credentials.jsonl"))
  end)

  it("ingest that the API refuses ends with its exit code and the reason", function()
    local path = pipeline{ ["globex.example"] = "elsewhere.example" }
    local r = run.defendis("ingest " .. path, { env = sim.env })
    assert.equal(6, r.code)
    assert.matches("defendis: incomplete: dataleaks%.credentials elsewhere%.example 2026%-01%-01%.%.[%d-]+ %(%d windows%): "
      .. "[^\n]*%(403%)[^\n]*\n", r.err)
    assert.equal(2, select(2, r.err:gsub("\n", "")))
    assert.equal(6, run.defendis("ledger verify " .. path).code)
    r = run.defendis("ingest " .. path, { env = { DEFENDIS_BASE_URL = sim.base_url, DEFENDIS_API_KEY = "wrong-1234567890" } })
    assert.matches("%(401%)", r.err)
    assert.is_nil(r.err:find("wrong-1234567890", 1, true))
  end)

  it("state and ledger show what was walked, by pipeline file or by state file, as text and as JSON", function()
    local path, folder = pipeline()
    good("ingest " .. path)
    assert.matches("dataleaks%.credentials +acme%.example +2026%-01%-01 +2026%-01%-08 +0 +%d+\n.*\ndead letters: 0\n$",
      good("state show " .. path))
    local shown = cjson.decode(good("state show --json " .. folder .. "/state.db"))
    assert.equal(4, #shown.streams)
    assert.equal("2026-01-08", shown.streams[1].checkpoint)
    assert.equal("complete", last_line(good("ledger verify " .. path .. " --from 2026-01-01 --to 2026-01-08")))
    assert.matches('"problems":%[%]', good("ledger verify --json " .. path))
    local _, rows = good("ledger show " .. path):gsub("\n", "")
    assert.equal(29, rows)
    local n = 0
    for line in good("ledger show --json " .. path .. " --from 2026-01-03 --to 2026-01-05"):gmatch("[^\n]+") do
      local row = cjson.decode(line)
      assert.is_true(row.from >= "2026-01-03" and row.to <= "2026-01-05")
      n = n + 1
    end
    assert.equal(8, n)
  end)

  it("ledger verify does not call complete what was never walked", function()
    local path = pipeline()
    good("ingest " .. path)
    local r = run.defendis("ledger verify --to 2026-02-01 " .. path)
    assert.equal(6, r.code)
    assert.matches("acme%.example 2026%-01%-08%.%.2026%-02%-01: never walked\n", r.out)
    assert.matches("problems; run ingest again\n$", r.out)
  end)

  it("state reset asks for --yes, says what it forgets, and lets the windows be walked again", function()
    local path, folder = pipeline()
    good("ingest " .. path)
    local r = run.defendis("state reset " .. path)
    assert.same({ 2, ("defendis: this forgets the windows of all datasets in %s; add --yes to do it\n"):format(path) }, { r.code, r.err })
    assert.equal("forgot the windows of dataleaks.documents globex.example\n",
      good("state reset --yes --dataset dataleaks.documents --input globex.example " .. path))
    assert.equal(3, #cjson.decode(good("state show --json " .. path)).streams)
    assert.equal("forgot everything\n", good("state reset --all --yes " .. path))
    assert.equal(0, #cjson.decode(good("state show --json " .. folder .. "/state.db")).streams)
    r = run.defendis("state reset --all --dataset x --yes " .. path)
    assert.same({ 2, "defendis: --all goes without --dataset and --input\n" }, { r.code, r.err })
  end)

  it("state reset --all puts a damaged state aside, so that the next ingest begins anew", function()
    local path, folder = pipeline()
    good("ingest " .. path)
    run.write(folder .. "/state.db", "damaged")
    local r = run.defendis("ingest " .. path, { env = sim.env })
    assert.same({ 2, "" }, { r.code, r.out })
    assert.matches("^defendis: state damaged: [^\n]*; restore a backup or run `defendis state reset %-%-all`\n$", r.err)
    assert.equal(2, run.defendis("state reset --yes " .. path).code)
    assert.equal(("forgot everything; the damaged state is kept as %s/state.db.old\n"):format(folder),
      good("state reset --all --yes " .. path))
    assert.equal("damaged", run.read(folder .. "/state.db.old"))
    good("ingest " .. path)
  end)

  it("a state that is missing, readable by others or not a state is refused with the remedy", function()
    local folder = run.folder()
    local function refused(pattern, path)
      for _, command in ipairs{ "state show ", "ledger verify ", "ledger show " } do
        local r = run.defendis(command .. path)
        assert.same({ 2, "" }, { r.code, r.out })
        assert.matches("^defendis: " .. pattern .. "\n$", r.err)
      end
    end
    refused("no state file [^\n]*/none%.db; run an ingest first", folder .. "/none.db")
    local open = run.write(folder .. "/open.db", "text")
    os.execute("chmod 644 " .. open)
    refused("refused: others can read or write [^\n]*/open%.db %(mode 644%); chmod 600 it", open)
    os.execute("chmod 600 " .. open)
    refused("[^\n]+", open)
    local r = run.defendis("ledger show --from 2026-1-1 " .. open)
    assert.same({ 2, 'defendis: --from "2026-1-1" is not a date; write YYYY-MM-DD\n' }, { r.code, r.err })
  end)
end)

describe("defendis test", function()
  after_each(run.clean)

  it("runs the tests of the example rules", function()
    local r = run.defendis("test examples/rules")
    assert.same({ 0, "" }, { r.code, r.err })
    assert.matches("^%d+ passed, 0 failed\n$", r.out)
  end)

  it("names the test that fails, what it expected and what came, and ends with exit code 1", function()
    local _, folder = pipeline()
    os.execute(("sed -i '0,/findings = 1/s//findings = 2/' %s/rules/three_services.lua"):format(folder))
    local r = run.defendis(("test %s/rules --junit %s/report.xml"):format(folder, folder))
    assert.same({ 1, "" }, { r.code, r.err })
    assert.matches("FAILED  [^\n]*three_services%.lua: [^\n]*: three services in a day\n  findings: expected 2, got 1\n"
      .. "%d+ passed, 1 failed\n$", r.out)
    local xml = run.read(folder .. "/report.xml")
    assert.matches('<testsuites tests="%d+" failures="1">', xml)
    assert.matches('name="three services in a day">%s*<failure', xml)
    local report = cjson.decode(run.defendis("test --json " .. folder .. "/rules").out)
    assert.equal(1, report.failed)
  end)

  it("runs only what --filter names, and says when that is nothing", function()
    assert.equal("1 passed, 0 failed\n", run.defendis("test examples/rules --filter 'the same service three times'").out)
    local r = run.defendis("test examples/rules --filter nothing-like-that")
    assert.same({ 2, "", 'defendis: no test matches --filter "nothing-like-that"\n' }, { r.code, r.out, r.err })
  end)

  it("says which path has no rules, and which report cannot be written", function()
    local r = run.defendis("test nowhere")
    assert.same({ 2, "defendis: cannot read the rules: cannot read the directory nowhere: No such file or directory\n" }, { r.code, r.err })
    r = run.defendis("test examples/rules --junit nowhere/report.xml")
    assert.same({ 2, "defendis: cannot write nowhere/report.xml: No such file or directory\n" }, { r.code, r.err })
  end)
end)

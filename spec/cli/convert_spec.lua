-- convert_spec.lua: `defendis convert`, `defendis validate`, and a pipeline that normalizes with what is shipped.
local cjson = require "cjson"
local pipelined = require "support.pipelined"
local run = require "support.run"

local DIALECTS = { "asim", "cef", "cim", "ecs", "leef", "misp", "ocsf", "stix", "xsoar" }
local FINDING = '{"id":"f-1","rule":{"id":"r-1","title":"Leak"},"type":"match","title":"Leak","level":"high","tags":[],'
  .. '"time":1767607200000,"evidence":[{"id":"c-1","time":1767607200000,"dataset":"exposure"}],"evidence_total":1}\n'

describe("convert and validate", function()
  local sim
  setup(function() sim = run.simulator("--records 2000") end)
  teardown(function() sim.stop() end)
  after_each(run.clean)

  local function convert(line, input) return run.defendis("convert " .. line, { input = input }) end

  it("convert goes on after a bad line, names it, counts it, and fails", function()
    local r = convert("--to ecs", FINDING .. "{oops\n\n[]\n{}\n" .. FINDING)
    assert.equal(1, r.code)
    assert.equal(2, select(2, r.out:gsub("\n", "")))
    assert.equal("f-1", cjson.decode(r.out:match "^[^\n]+").event.id)
    assert.matches("^defendis: stdin:2: [^\n]+\ndefendis: stdin:4: [^\n]+\ndefendis: stdin:5: neither a finding nor an OCSF document\n"
      .. "defendis: 3 of 6 lines failed\n$", r.err)
  end)

  it("convert reads a file, and says which it cannot read, which dialect it does not know and what --bundle is for", function()
    local path = run.write(run.folder() .. "/f.jsonl", FINDING)
    assert.same({ 0, "" }, { convert("--to cef " .. path).code, convert("--to cef " .. path).err })
    assert.matches("^CEF:0|Defendis|defendis|[%d.]+|r%-1|Leak|8|", convert("--to cef " .. path).out)
    for line, message in pairs{ ["--to ecs /nowhere"] = "cannot read /nowhere", ["--to esc"] = "ecs", [""] = "%-%-to",
      ["--to ecs --bundle"] = "%-%-bundle goes with %-%-to stix only" } do
      local r = convert(line, FINDING)
      assert.equal(2, r.code)
      assert.matches(message, r.err)
    end
  end)

  it("convert --bundle makes one bundle of all lines, also of those beside a bad one, and nothing of nothing", function()
    local r = convert("--to stix --bundle", FINDING .. "{}\n" .. FINDING:gsub("f%-1", "f-2"))
    assert.equal(1, r.code)
    assert.matches("stdin:2: ", r.err)
    local reports = select(2, r.out:gsub('"type":"report"', ""))
    assert.same({ 2, 1 }, { reports, select(2, r.out:gsub("\n", "")) })
    assert.same({ 0, "" }, { convert("--to stix --bundle", "\n").code, convert("--to stix --bundle", "\n").out })
  end)

  it("validate names line, path and fault, of JSON lines and of CEF", function()
    local good = '{"name":"x","occurred":"2026-01-05T10:00:00Z","rawJSON":"{}"}\n'
    assert.equal(0, run.defendis("validate --target xsoar", { input = good }).code)
    local r = run.defendis("validate --target xsoar", { input = '{"name":"x","occured":1,"rawJSON":"{}"}\nnot json\n' })
    assert.equal(1, r.code)
    assert.matches('stdin:1: occured: unknown attribute "occured", nearest attribute "occurred"; occurred: is required\n', r.err, 1, true)
    assert.matches("stdin:2: ", r.err)
    assert.matches("2 of 2 lines failed", r.err)
    assert.equal(0, run.defendis("validate --target cef", { input = "CEF:0|D|d|1|r|t|5|cat=x\n" }).code)
    assert.equal(1, run.defendis("validate --target cef", { input = "CEF:0|D|d|1|r|t|50|cat=x\n" }).code)
    assert.equal(2, run.defendis("validate --target ocsf", { input = "" }).code)
  end)

  it("all documents and findings of a pipeline with normalize are valid, in every dialect, and hold no secret", function()
    local datasets = { "dataleaks.credentials", "dataleaks.documents", "dataleaks.paymentcards", "exposure", "ransomware" }
    for target, classes in pairs{ ocsf = { 2004, 2006, 2006, 2004, 2004 }, ["ocsf:5021"] = { 5021, 5021, 5021, 5021, 5021 } } do
      local p = pipelined.new(sim, { scope = '"watchlists"', datasets = '{ "' .. table.concat(datasets, '", "') .. '" }', window = '"1w"',
        ["until"] = '"2026-04-01"', page_size = "100", normalize = ('"%s"'):format(target) }, [[return rule{ id = "r",
          title = "Stealer", level = "high",
        dataset = "dataleaks.credentials", tags = { "attack.t1078" }, match = function(r) return get(r, "source.type") == "stealer" end,
        dedup = function(r) return { r.email, r.url } end, suppress = "7d" }]])
      local r = p:ingest()
      assert.same({ 0, "" }, { r.code, r.err })
      for i, name in ipairs(datasets) do
        local path = p.folder .. "/out/" .. name .. ".jsonl"
        local text = run.read(path)
        assert.is_true(#text > 0)
        for line in text:gmatch "[^\n]+" do assert.is_nil(line:find '"cvv":' or line:find '"password":' or line:find '"cardNumber":') end
        assert.equal("", run.defendis(("validate --target ocsf:%d %s"):format(classes[i], path)).err)
      end
      for _, name in ipairs{ "findings", target == "ocsf" and "ransomware" or nil, target == "ocsf" and "dataleaks.paymentcards" or nil } do
        local path = p.folder .. "/out/" .. name .. ".jsonl"
        for _, dialect in ipairs(DIALECTS) do
          local c = convert("--to " .. dialect .. " " .. path)
          assert.same({ 0, "" }, { c.code, c.err })
          assert.equal(select(2, run.read(path):gsub("\n", "")), select(2, c.out:gsub("\n", "")))
        end
      end
    end
  end)

  it("a pipeline file that names a target that is not shipped is refused on its line", function()
    local p = pipelined.new(sim, { normalize = '"osint"' })
    local r = p:ingest()
    assert.equal(2, r.code)
    assert.matches('pipeline.lua:%d+: field "normalize": one of ocsf, ocsf:5021 expected, got "osint"', r.err)
  end)
end)

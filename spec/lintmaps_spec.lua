-- lintmaps_spec.lua: what lint says of declarative maps.
local cjson = require "cjson"
local run = require "support.run"

describe("lint of a declarative map", function()
  after_each(run.clean)

  local function lint(map, words)
    local path = run.write(run.folder() .. "/a.lua", ('return normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt",\n'
      .. 'tests = { { name = "t", input = {}, expect = {} } }, target = "ocsf:2004", unmapped = false,\nmap = {\n%s } }'):format(map))
    local got = run.defendis(("lint --json %s %s"):format(path, words or ""))
    assert.equal("", got.err)
    local lines, found = {}, cjson.decode(got.out).findings
    for i, f in ipairs(found) do lines[i] = ("%d %s"):format(f.line, f.name) end
    return lines, found
  end

  local GOOD = 'time = millis "leakedAt", ["finding_info.uid"] = field "id", ["finding_info.title"] = "x",\n'

  it("says which fields no record has, wherever the map reads them, with the nearest", function()
    local lines, found = lint(GOOD .. 'severity_id = lookup("sevrity",\n{ low = 2 }, 0), ["device.hostname"] = when("infectedMachine",\n'
      .. 'field "infectedMachine.hostnam"),\nmessage = concat("a",\nlower "emial", field "tags[1]"),\n'
      .. 'observables = each("tags", { name = "x", type_id = 1, value = "y" }) ')
    assert.same({ "3 left-out", "5 unknown-field", "7 unknown-field", "9 unknown-field" }, lines)
    assert.equal('no record of dataleaks.credentials has "sevrity", nearest "severity" (known from the simulator; give yours by --records)',
      found[2].message)
  end)

  it("says what the map leaves out, the innermost names, and nothing of what is read as a whole", function()
    local _, found = lint(GOOD .. 'severity_id = lookup("severity", { low = 2 }, 0),\n'
      .. '["device.hostname"] = field "infectedMachine.hostname"')
    local left = found[1].message
    assert.equal("info", found[1].severity)
    for name, is_left in pairs{ url = true, ["infectedMachine.ip"] = true, ["infectedMachine.hostname"] = false, id = false,
      leakedAt = false, severity = false, infectedMachine = false } do
      assert.equal(is_left, (left .. " "):gsub(",", ""):find(" " .. name .. " ", 1, true) ~= nil, name)
    end
    _, found = lint(GOOD .. 'severity_id = 1, ["evidences"] = { { data = { m = field "infectedMachine" } } }')
    assert.is_nil(found[1].message:find("infectedMachine", 1, true))
  end)

  it("says which constants the attribute does not have, in lookups and branches too", function()
    local lines, found = lint(GOOD .. 'severity_id = lookup("severity",\n{ low = 2, high = 77 }, 0),\nconfidence_id = 4,\n'
      .. 'status_id = when("id",\n1, 98),\nobservables = each("tags", { name = "x", value = "y",\ntype_id = 1077 }),\n'
      .. 'impact_id = 98 -- lint: ignore unknown-value\n')
    local values = {}
    for i, f in ipairs(found) do
      if f.name == "unknown-value" then values[#values + 1] = lines[i] .. " " .. f.message:match "^(.-) in " end
    end
    assert.same({ "5 unknown-value 77 is none of the values of severity_id", "7 unknown-value 4 is none of the values of confidence_id",
      "8 unknown-value 98 is none of the values of status_id",
      "10 unknown-value 1077 is none of the values of observables.type_id" }, values)
    assert.matches("ocsf:2004: 0, 1, 2, 3, 99$", found[3].message)
  end)
end)

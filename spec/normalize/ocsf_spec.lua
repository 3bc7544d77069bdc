local ocsf = require("defendis.normalize.ocsf").new()

local function minimal(extra)
  local doc = { time = 1, severity_id = 4, finding_info = { uid = "x" } }
  for k, v in pairs(extra or {}) do doc[k] = v end
  return doc
end

local function refused(doc)
  local ok, message = pcall(function()
    local made = ocsf.detection_finding(doc)
    return made
  end)
  assert.is_false(ok)
  return message
end

describe("ocsf.detection_finding", function()
  it("fills the constants of class 2004", function()
    local doc = ocsf.detection_finding(minimal())
    assert.same({ time = 1, severity_id = 4, severity = "High", finding_info = { uid = "x" }, activity_id = 1,
      activity_name = "Create", category_uid = 2, category_name = "Findings", class_uid = 2004,
      class_name = "Detection Finding", type_uid = 200401,
      metadata = { version = "1.8.0", product = { name = "defendis", vendor_name = "Defendis" } } }, doc)
  end)

  it("computes type_uid from the activity", function()
    assert.equal(200403, ocsf.detection_finding(minimal{ activity_id = 3 }).type_uid)
  end)

  it("keeps metadata that is given", function()
    local doc = ocsf.detection_finding(minimal{ metadata = { labels = { "a" }, product = { name = "mine" } } })
    assert.same({ version = "1.8.0", product = { name = "mine" }, labels = { "a" } }, doc.metadata)
  end)

  it("gives each document metadata of its own", function()
    assert.not_equal(ocsf.detection_finding(minimal()).metadata, ocsf.detection_finding(minimal()).metadata)
  end)

  it("refuses a document without what the class requires, on the line of the caller", function()
    assert.matches("ocsf_spec.lua:%d+: detection_finding: time is required", refused(minimal{ time = 1.5 }))
    assert.matches("severity_id is required", refused(minimal{ severity_id = 7 }))
    assert.matches("finding_info.uid is required", refused(minimal{ finding_info = {} }))
    assert.matches("activity_id is one of", refused(minimal{ activity_id = 9 }))
    assert.matches("metadata is a table", refused(minimal{ metadata = "x" }))
    assert.matches("class_uid is 2004 for this class, got 2005", refused(minimal{ class_uid = 2005 }))
    assert.matches("a table expected", refused("x"))
  end)

  it("refuses an attribute the class does not have, naming the nearest", function()
    assert.matches('unknown attribute "evidence", nearest attribute "evidences"', refused(minimal{ evidence = {} }))
    assert.matches('unknown attribute "password"', refused(minimal{ password = "x" }))
  end)

  it("maps levels to severity_id", function()
    assert.equal(1, ocsf.severity_id "informational")
    assert.equal(5, ocsf.severity_id "critical")
    assert.equal(0, ocsf.severity_id "weird")
    assert.equal(0, ocsf.severity_id(nil))
  end)
end)

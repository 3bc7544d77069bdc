-- targets_spec.lua: what each target says of paths and of documents.
local null = require("cjson").null
local targets = require "defendis.normalize.targets"

local function copy(v)
  if type(v) ~= "table" then return v end
  local out = {}
  for k, x in pairs(v) do out[k] = copy(x) end
  return out
end

-- Sets the value at a path of keys and indices; "-" takes it away.
local function plant(document, path, value)
  local at, keys = document, {}
  for key in path:gmatch "[^.]+" do keys[#keys + 1] = math.tointeger(tonumber(key)) or key end
  for i = 1, #keys - 1 do
    at[keys[i]] = at[keys[i]] or {}
    at = at[keys[i]]
  end
  if value == "-" then at[keys[#keys]] = nil else at[keys[#keys]] = value end
  return document
end

local UUID5, UUID4 = "7165e2a9-671f-585d-b1e1-ca59c671d934", "7165e2a9-671f-485d-b1e1-ca59c671d934"
local AT = "2026-01-05T10:00:00.000Z"
local OCSF = { activity_id = 1, category_uid = 2, class_uid = 2004, type_uid = 200401, time = 1767607200000, severity_id = 4,
  metadata = { version = "1.8.0", product = { name = "defendis" } }, finding_info = { uid = "x" }, start_time = 1767607200000,
  evidences = { { user = { name = "eve" } } }, observables = { { name = "evidences.user.name", type_id = 4, value = "eve" } },
  malware = { { classification_ids = { 17 } } } }
local DATA = { activity_id = 1, category_uid = 2, class_uid = 2006, type_uid = 200601, time = 1767607200000, severity_id = 4,
  metadata = { version = "1.8.0", product = { name = "defendis" } }, finding_info = { uid = "x" }, file = { name = "a.pdf", type_id = 1 },
  data_security = { category_id = 3, detection_system_id = 99 } }
local INTEL = { activity_id = 2, category_uid = 5, class_uid = 5021, type_uid = 502102, time = 1767607200000, severity_id = 4,
  metadata = { version = "1.8.0", product = { name = "defendis" } }, osint = { { type_id = 9, value = "a@b.example", tlp = "AMBER" } } }

-- target -> a document that is right, and { path, value } that makes it wrong each
local SAMPLES = {
  ["ocsf:2004"] = { OCSF, { "finding_info.uid", "-" }, { "severity_id", 7 }, { "type_uid", 200402 }, { "time", 1767607200 }, { "time",
    "2026-01-05" },
    { "evidences.1", { name = "nothing" } }, { "evidences.1.user", { email_addr = "a@b.example" } }, { "observables.1.type_id", "-" },
    { "malware.1.classification_ids", "-" }, { "password", "x" }, { "class_uid", 2006 }, { "message", null }, { "finding_info", { "x" } },
    { "metadata.product", {} }, { "end_time", 1767607100000 }, { "evidences", { user = {} } }, { "evidences.1.user.password", "x" },
    { "count", 1.5 }, { "is_alert", "yes" } },
  ["ocsf:2006"] = { DATA, { "file.type_id", "-" }, { "data_security", { category_id = 3 } }, { "data_security.category_id", 77 },
    { "evidences", { { user = { name = "x" } } } }, { "metadata.version", "-" }, { "activity_id", 5 } },
  ["ocsf:5021"] = { INTEL, { "osint.1.value", "-" }, { "osint", {} }, { "osint.1.tlp", "PINK" }, { "osint.1.type_id", 77 },
    { "type_uid", 502101 },
    { "finding_info", { uid = "x" } }, { "osint", "-" } },
  ecs = { { ["@timestamp"] = AT, ecs = { version = "9.0.0" }, event = { kind = "alert", category = { "threat" }, type = { "indicator" } },
    threat = { indicator = { type = "email-addr", name = "a@b.example" } }, url = { original = "https://b.example" } },
    { "event.kind", "signal" }, { "event.kind", "alarm" }, { "event.type.1", "info" }, { "event.category", "-" }, { "url.password",
      "S3cret" },
    { "threat.indicator.url.password", "x" }, { "threat.indicator.type", "email" }, { "@timestamp", "-" }, { "@timestamp", 1767607200000 },
    { "threat.indicator.confidence", "high" }, { "usr", { name = "x" } }, { "tags", "a" }, { "event.outcome", "ok" } },
  stix = { { type = "bundle", id = "bundle--" .. UUID5, objects = {
      { type = "identity", spec_version = "2.1", id = "identity--" .. UUID4, created = AT, modified = AT, name = "x" },
      { type = "user-account", spec_version = "2.1", id = "user-account--" .. UUID5, account_login = "eve" },
      { type = "observed-data", spec_version = "2.1", id = "observed-data--" .. UUID5, created = AT, modified = AT, first_observed = AT,
        last_observed = AT, number_observed = 1, created_by_ref = "identity--" .. UUID4, object_refs = { "user-account--" .. UUID5 } } } },
    { "objects.2.credential", "S3cret" }, { "objects.2.id", "user-account--" .. UUID4 }, { "objects.3.object_refs.1", "url--" .. UUID5 },
    { "objects.3.object_refs", {} }, { "objects.1.name", "-" }, { "objects.1.type", "identitty" }, { "objects.3.created", "yesterday" },
    { "objects.3.number_observed", "1" }, { "objects.1.spec_version", "2.0" }, { "type", "list" }, { "id", "bundle--1" },
    { "objects.2.id", "email-addr--" .. UUID5 }, { "objects.3.created_by_ref", "identity--" .. UUID5 }, { "objects.1.x_own", "y" } },
  ["cim:alerts"] = { { app = "a", description = "d", dest = "unknown", id = "i", severity = "high", signature = "s", signature_id = "1",
    src = "unknown", type = "alert", user = "eve" }, { "severity", "High" }, { "type", "finding" }, { "user", "-" }, { "src", "" },
    { "signature_id", 1 }, { "serverity", "low" }, { "dest", null } },
  ["cim:dlp"] = { { action = "detected", app = "a", category = "c", dest = "d", dlp_type = "x", dvc = "d", object = "o",
    object_category = "file",
    object_path = "unknown", severity = "low", signature = "s", src_user = "unknown", vendor_product = "v" }, { "object", "-" },
    { "severity", "severe" }, { "src_user", "" }, { "dvc", "-" }, { "objekt", "x" } },
  asim = { { EventCount = 1, EventStartTime = AT, EventEndTime = AT, EventType = "Alert", EventUid = "1", EventProduct = "p",
    EventVendor = "v",
    EventSchema = "AlertEvent", EventSchemaVersion = "0.1", EventSeverity = "High", Username = "a@b.example", UsernameType = "UPN" },
    { "EventUid", "-" }, { "EventSeverity", "Critical" }, { "EventType", "Finding" }, { "UsernameType", "-" }, { "EventSchemaVersion",
      "0.2" },
    { "EventCount", "1" }, { "ThreatConfidence", 101 }, { "EventStartTime", "2026-01-06T00:00:00Z" }, { "IndicatorType", "Mail" },
    { "EventSubType", "Leak" } },
  misp = { { Event = { info = "x", date = "2026-01-05", threat_level_id = "1", analysis = "0", distribution = "0",
      Attribute = { { type = "url", category = "Network activity", value = "https://b.example", to_ids = false } },
      Object = { { name = "credential", ["meta-category"] = "misc", template_uuid = "a27e98c9-9b0e-414c-8076-d201e039ca09",
        template_version = "4",
        Attribute = { { object_relation = "username", type = "text", value = "eve" } } } } } },
    { "Event.info", "-" }, { "Event.threat_level_id", "9" }, { "Event.date", "5.1.2026" }, { "Event.Object.1.name", "credentials" },
    { "Event.Object.1.Attribute.1.object_relation", "text" }, { "Event.Object.1.Attribute.1.object_relation", "usrname" },
    { "Event.Object.1.Attribute.2", { object_relation = "password", type = "text", value = "S3cret" } },
    { "Event.Object.1.template_uuid", UUID5 }, { "Event.Attribute.1.value", "-" } },
  ["misp:credential"] = { { username = "eve", type = "password", origin = "leak" }, { "username", "-" }, { "type", "passphrase" },
    { "format", "md5" },
    { "password", { "S3cret" } }, { "notification", { "mailed" } }, { "user", "eve" } },
  xsoar = { { name = "x", occurred = AT, rawJSON = '{"a":1}', severity = 0.5 }, { "name", "-" }, { "name", "" }, { "occurred",
    1767607200000 },
    { "rawJSON", { a = 1 } }, { "rawJSON", "a" }, { "severity", 5 }, { "title", "x" } },
}

describe("targets", function()
  it("are found by name, and by the nearest name when there is none", function()
    assert.equal("1.8.0", targets.get("ocsf:2004").version)
    local target, message = targets.get "ocfs:2004"
    assert.is_nil(target)
    assert.equal('unknown target "ocfs:2004", nearest target "ocsf:2004"', message)
    for _, name in ipairs(targets.names()) do assert.equal(name, targets.get(name).name) end
  end)

  it("know their paths, through lists, with their types, and name the nearest attribute", function()
    local t = targets.get "ocsf:2004"
    for path, kind in pairs{ ["finding_info.uid"] = "string", ["evidences.user.name"] = "string", evidences = "list",
      ["evidences[1].user"] = "object",
      ["evidences.1.user.name"] = "string", time = "timestamp", severity_id = "integer", is_alert = "boolean", unmapped = "object" } do
      assert.is_nil(t.check(path), path)
      assert.equal(kind, t.type_of(path), path)
    end
    assert.is_nil(t.check "unmapped.anything.at.all")
    assert.equal('unknown attribute of finding_info "uidd", nearest attribute of finding_info "uid"', t.check "finding_info.uidd")
    assert.equal("time is a timestamp and has nothing below it", t.check "time.x")
    assert.is_nil(t.type_of "finding_info.uidd")
    assert.is_true(t.enums["evidences.user.type_id"][99])
    assert.is_nil(targets.get("ecs").check "@timestamp")
    assert.is_nil(targets.get("misp:leaked-document").check "document-name")
  end)

  it("fill with their defaults all that is required but what a record has to give", function()
    local left = {}
    for _, path in ipairs(targets.get("ocsf:2004").required) do
      if targets.get("ocsf:2004").defaults[path] == nil then left[#left + 1] = path end
    end
    assert.same({ "finding_info.uid", "severity_id", "time" }, left)
    for _, name in ipairs(targets.names()) do
      local t = targets.get(name)
      for path in pairs(t.defaults) do assert.is_nil(t.check(path), name .. " " .. path) end
      for _, path in ipairs(t.required) do assert.is_nil(t.check(path), name .. " " .. path) end
      for path in pairs(t.enums) do assert.is_nil(t.check(path), name .. " " .. path) end
    end
  end)

  for name, samples in pairs(SAMPLES) do
    it(("%s takes a document that is right and sees each of %d faults planted"):format(name, #samples - 1), function()
      assert(#samples >= 6)
      local target = targets.get(name)
      assert.is_nil(target.validate(copy(samples[1])))
      for i = 2, #samples do
        local path, value = samples[i][1], samples[i][2]
        local faults = target.validate(plant(copy(samples[1]), path, copy(value)))
        assert(faults and type(faults[1].path) == "string" and type(faults[1].message) == "string", path)
      end
    end)
  end

  it("say where a fault is and what was expected", function()
    local function first(name, document)
      local f = targets.get(name).validate(document)[1]
      return f.path .. ": " .. f.message
    end
    assert.equal("evidences.1.user: at least one expected of account, name, uid",
      first("ocsf:2004", plant(copy(OCSF), "evidences.1.user", { email_addr = "a" })))
    assert.equal("time: milliseconds expected, this looks like seconds", first("ocsf:2004", plant(copy(OCSF), "time", 1767607200)))
    assert.equal("type_uid: 200401 expected: class_uid * 100 + activity_id", first("ocsf:2004", plant(copy(OCSF), "type_uid", 1)))
    assert.equal("message: a string expected, got null", first("ocsf:2004", plant(copy(OCSF), "message", null)))
    assert.equal(": an object expected, got a string", first("ecs", "x"))
  end)

  it("cef and leef take a line apart and see what is wrong with it", function()
    local CEF, LEEF = "CEF:0|D|d|1.0|r\\|1|a title|8|", "LEEF:2.0|D|d|1.0|r|x09|"
    for _, good in ipairs{ CEF .. "cat=x msg=a \\= b cs1=v cs1Label=source rt=1", CEF, "CEF:0|D|d|1|r|t|Unknown|cat=x" } do
      assert.is_nil(targets.get("cef").validate(good), good)
    end
    for _, bad in ipairs{ "CEF:0|D|d|1.0|r|t|11|cat=x", "CEF:0|D|d|1.0|r|t", CEF .. "nokey=x", CEF .. "msg=a=b", CEF .. "rt=yesterday",
      CEF .. "cs1=x", CEF .. "cat=x cat=y", CEF .. "msg=a\\tb", CEF .. "no pairs", CEF .. "msg=a\nb", "LEEF:1.0|D|d|1|r|", {} } do
      assert.is_table(targets.get("cef").validate(bad), tostring(bad))
    end
    for _, good in ipairs{ LEEF .. "cat=x\tsev=8\turl=https://x.example/?a=b", LEEF, "LEEF:1.0|D|d|1|r|cat=x\tsev=1" } do
      assert.is_nil(targets.get("leef").validate(good), good)
    end
    for _, bad in ipairs{ LEEF .. "sev=11", LEEF .. "sev=high", LEEF .. "usr=x", LEEF .. "cat=x\tcat=y", LEEF .. "a word",
      "LEEF:2.0|D|d", "" } do
      assert.is_table(targets.get("leef").validate(bad), bad)
    end
  end)
end)

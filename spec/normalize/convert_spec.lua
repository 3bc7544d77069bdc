-- convert_spec.lua: findings and OCSF documents in every dialect.
local core = require "defendis.core"
local convert = require "defendis.normalize.convert"
local targets = require "defendis.normalize.targets"

local json = core.json
local HOST = { uuid5 = core.hash.uuid5, null = json.null, array = json.array, now = 1767607200000, version = "1.0",
  encode = function(v) return assert(json.encode(v, { sort_keys = true })) end }

local CORRELATION = [[{"id":"f-1","rule":{"id":"r-1","title":"Three services","version":2},"type":"correlation",
  "title":"Three services leaked",
  "level":"critical","tags":["attack.t1078.004","vip"],"time":1767607200123,"window":{"from":1767520800000,"to":1767607200123},"count":3,
  "group":{"email":"Eve@acme.example","password":"S3cret!","note":"card 4111 1111 1111 1111"},"evidence_total":200,
  "evidence":[{"id":"c-1","time":1767520800000,"dataset":"dataleaks.credentials"},
  {"id":"4111111111111111","time":1767607200123,"dataset":"dataleaks.credentials"}]}]]
local MATCH = [[{"id":"f-2","rule":{"id":"r-2"},"type":"match","title":"Password","level":"high","tags":[],"time":1767607200000,
  "group":{"dedup":["eve@acme.example","203.0.113.9","https://u:S3cret!@vpn.acme.example/?token=S3cret!","acme.example"]},
  "evidence":[{"id":"c-1","time":1767607200000,"dataset":"dataleaks.credentials"}],"evidence_total":1}]]
local CONTEXT = [[{"id":"f-4","rule":{"id":"r-4","title":"T"},"type":"match","title":"Card 4111 1111 1111 1111\\nof | eve","level":"low",
  "time":1767607200000,"context":{"seen":"eve","n":[1,{"a":null}],"password":{"hmac":"S3cret!","mask":"S3cret!"},"class_uid":1,
  "note":"4111 1111 1111 1111"},"evidence":[{"id":"c-1","time":1767607200000}],"evidence_total":1}]]
local BARE = [[{"id":"f-3","rule":{}}]]
local DOCUMENT = [[{"class_uid":2006,"class_name":"Data Security Finding","category_uid":2,"activity_id":1,"type_uid":200601,
  "severity_id":4,
  "time":1767607200000,"metadata":{"version":"1.8.0","product":{"name":"defendis"}},"finding_info":{"uid":"d-1",
  "title":"Leaked document pay.csv"},
  "file":{"name":"pay.csv","type_id":1,"hashes":[{"algorithm_id":3,
  "value":"3dbd81c76d915ae79eaf601e7a14d28fc2427e38926ea51861509fe185eb2d70"}]},
  "unmapped":{"domain":"acme.example","source":{"name":"open share"}}}]]
local POST = [[{"class_uid":2004,"class_name":"Detection Finding","category_uid":2,"activity_id":1,"type_uid":200401,"severity_id":5,
  "time":1767607200000,"metadata":{"version":"1.8.0","product":{"name":"defendis"}},"finding_info":{"uid":"p-1","title":"Post"},
  "malware":[{"classification_ids":[10]}],"osint":[{"type_id":5,"value":"http://x.example/1","threat_actor":{"name":"irongate"}}],
  "evidences":[{"url":{"url_string":"http://x.example/1"}}],"unmapped":{"domain":"acme.example"}}]]

local function made(dialect, text)
  local out, problem = convert.document(dialect, json.decode(text), HOST)
  assert(out, ("%s: %s"):format(dialect, problem))
  return out
end

local function text_of(out) return type(out) == "string" and out or HOST.encode(out) end

describe("convert", function()
  it("writes every dialect from every kind of document, and each passes its target", function()
    for _, dialect in ipairs(convert.DIALECTS) do
      for _, text in ipairs{ CORRELATION, MATCH, CONTEXT, BARE, DOCUMENT, POST } do
        local out = text_of(made(dialect, text))
        assert.is_nil(out:find "S3cret", dialect)
        assert.is_nil(out:find "4111 1111", dialect)
      end
    end
  end)

  it("hands the context of a finding on where a document has a place for what is ours", function()
    for dialect, place in pairs{ ecs = "defendis", cim = "defendis", ocsf = "unmapped", asim = "AdditionalFields" } do
      local context = made(dialect, CONTEXT)[place].context
      assert.same({ "eve", 1, "[card number]", nil }, { context.seen, context.n[1], context.note, context.password }, dialect)
    end
    assert.matches('"context":{[^}]*"seen":"eve"', made("xsoar", CONTEXT).rawJSON)
  end)

  it("writes nothing in the place of what is not there, whatever is missing, null or of another type", function()
    local function each(text, change)
      local keys = {}
      for key in pairs(json.decode(text)) do if key ~= "id" then keys[#keys + 1] = key end end
      for _, key in ipairs(keys) do
        local doc = json.decode(text)
        doc[key] = change
        if type(doc.rule) == "table" or type(doc.evidence) == "table" then
          for _, dialect in ipairs(convert.DIALECTS) do
            local out, problem = convert.document(dialect, doc, HOST)
            assert(out, ("%s without %s: %s"):format(dialect, key, problem))
            out = text_of(out)
            for _, word in ipairs{ "nil", "null", "table: ", "userdata" } do
              assert.is_nil(out:find("%f[%w]" .. word .. "%f[%W]"), ("%s without %s: %s"):format(dialect, key, out))
            end
          end
        end
      end
    end
    for _, text in ipairs{ CORRELATION, MATCH } do
      each(text, nil)
      each(text, json.null)
      each(text, 5)
      each(text, "text")
      each(text, {})
    end
  end)

  it("takes passwords and tokens out of the URLs of an OCSF document, which stays as it is for OCSF only", function()
    local text = POST:gsub('"url_string":"http://x', '"url_string":"http://eve:S3cret!@x'):gsub("example/1", "example/1?token=S3cret!")
    for _, dialect in ipairs(convert.DIALECTS) do
      assert.equal(dialect == "ocsf", text_of(made(dialect, text)):find("S3cret", 1, true) ~= nil, dialect)
    end
  end)

  it("refuses what is neither a finding nor OCSF, and what has no id", function()
    for text, message in pairs{ ["{}"] = "neither a finding nor an OCSF document", ['{"rule":{}}'] = 'a finding without "id"',
      ['{"class_uid":2004}'] = 'without "finding_info.uid" and "metadata.uid"', ['{"class_uid":9999,"metadata":{"uid":"x"}}'] = "no "
        .. "target ocsf:9999" } do
      local out, problem = convert.document("ocsf", json.decode(text), HOST)
      assert.is_nil(out)
      assert.matches(message, problem, 1, true)
    end
    assert.is_nil((convert.document("ecs", "x", HOST)))
  end)

  it("refuses an OCSF document that its class does not allow", function()
    local out, problem = convert.document("ocsf", json.decode((POST:gsub('"uid":"p%-1",', '"uid":"p-1","uidd":1,'))), HOST)
    assert.is_nil(out)
    assert.matches('^not valid as ocsf:2004: finding_info.uidd: unknown attribute', problem)
  end)

  it("ocsf: a finding becomes a Detection Finding that says what it was made of", function()
    local d = made("ocsf", CORRELATION)
    assert.same({ 2004, 200401, 5, 1767607200123, 1767520800000, 200 }, { d.class_uid, d.type_uid, d.severity_id, d.time, d.start_time,
      d.count })
    assert.same({ uid = "r-1", name = "Three services", version = "2", type_id = 1, type = "Rule" }, d.finding_info.analytic)
    assert.same({ "c-1", "4111111111111111" }, { d.finding_info.related_events[1].uid, d.finding_info.related_events[2].uid })
    assert.same({ { technique = { uid = "T1078" }, sub_technique = { uid = "T1078.004" } } }, { table.unpack(d.finding_info.attacks) })
    assert.same({ name = "evidences.user.email_addr", type_id = 5, value = "eve@acme.example" }, d.observables[1])
    assert.equal(DOCUMENT:match "pay.csv", made("ocsf", DOCUMENT).file.name)
  end)

  it("ecs, cim, asim, xsoar say level, time, user and rule in their own words", function()
    local ecs, cim, asim, xsoar = made("ecs", CORRELATION), made("cim", CORRELATION), made("asim", CORRELATION), made("xsoar", CORRELATION)
    assert.same({ "alert", 5, "2026-01-05T10:00:00.123Z", "eve@acme.example", "email-addr", "r-1" },
      { ecs.event.kind, ecs.event.severity, ecs["@timestamp"], ecs.user.email, ecs.threat.indicator.type, ecs.rule.id })
    assert.same({ "critical", "eve@acme.example", "unknown", "r-1", "f-1" }, { cim.severity, cim.user, cim.dest, cim.signature_id, cim.id })
    assert.same({ "High", "critical", "UPN", "User", "2026-01-04T10:00:00Z" },
      { asim.EventSeverity, asim.EventOriginalSeverity, asim.UsernameType, asim.IndicatorType, asim.EventStartTime })
    assert.same({ "Three services leaked", 4, "f-1" }, { xsoar.name, xsoar.severity, json.decode(xsoar.rawJSON).id })
    assert.equal("pay.csv", made("cim", DOCUMENT).object)
    assert.is_nil(targets.get("cim:dlp").validate(made("cim", DOCUMENT)))
  end)

  it("stix: observables have the ids that section 2.9 computes, whoever makes them", function()
    local doc = json.decode((MATCH:gsub("eve@acme.example", "john@example.com"):gsub("203.0.113.9", "198.51.100.3")))
    local ids = {}
    for _, o in ipairs(assert(convert.document("stix", doc, HOST)).objects) do ids[o.type] = o.id end
    assert.equal("email-addr--7165e2a9-671f-585d-b1e1-ca59c671d934", ids["email-addr"])
    assert.equal("ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4", ids["ipv4-addr"])
  end)

  it("stix: the same finding gives the same bundle, and one bundle of many has each object once", function()
    assert.equal(text_of(made("stix", MATCH)), text_of(made("stix", MATCH)))
    local alerts = {}
    for i, text in ipairs{ CORRELATION, MATCH, POST, MATCH } do alerts[i] = assert(convert.alert(json.decode(text), HOST)) end
    local bundle, count = assert(convert.bundle(alerts, HOST)), {}
    for _, o in ipairs(bundle.objects) do count[o.type] = (count[o.type] or 0) + 1 end
    assert.same({ 3, 1, 1, 2, 1 }, { count.report, count["email-addr"], count["marking-definition"], count.identity, count.relationship })
  end)

  it("misp: a ransomware post, a document and a credential are objects of their templates, and nothing is for detection", function()
    local names = {}
    for i, text in ipairs{ POST, DOCUMENT, MATCH } do
      local out = made("misp", text)
      names[i] = out.Event.Object[1].name
      assert.is_nil(HOST.encode(out):find('"to_ids":true', 1, true))
    end
    assert.same({ "ransomware-group-post", "leaked-document", "credential" }, names)
    assert.is_nil(made("misp", BARE).Event.Object)
  end)
end)

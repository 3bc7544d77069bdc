-- thehive_spec.lua: the sink that makes alerts in TheHive.
local cjson = require "cjson"
local core = require "defendis.core"
local hostile = require "support.hostile"
local sinks = require "support.sinks"
local thehive = require "defendis.sinks.thehive"

local answer, serve = hostile.answer, hostile.serve
local MADE = answer(201, '{"_id":"~1"}')

local function open(server, options) return assert(sinks.open(thehive, server, options)) end

local function alert_of(finding, options, id)
  local server = serve(MADE)
  assert.is_true(open(server, options):send{ { id = id or "f-1", kind = "findings", time = 1767225600001, json = cjson.encode(finding) } })
  return cjson.decode(sinks.bodies(server)[1]), server:requests()[1]
end

describe("the thehive sink", function()
  after_each(sinks.clean)

  it("makes an alert of a finding, with what it is grouped by as observables, each once", function()
    local alert, request = alert_of({ id = "f-1", rule = { id = "r1", title = "R" }, type = "correlation", level = "critical",
      title = "Three leaks", tags = { "attack.t1078" }, count = 3, window = { from = 1767225600000, to = 1767229200000 },
      evidence_total = 2,
      group = { email = "omar@acme.example", ip = "192.0.2.7", v6 = "2001:db8::1", domain = "acme.example", url = "https://x.example/a",
        team = "Service desk", dedup = { "omar@acme.example", "b@acme.example" } },
      evidence = { { id = "e1", dataset = "dataleaks.credentials" }, { id = "e`2" } } }, { tlp = 3 })
    assert.matches("^POST /api/v1/alert HTTP/1.1\r\n", request)
    assert.equal("Bearer " .. hostile.KEY, sinks.header(request, "authorization"))
    assert.same({ title = "Three leaks", severity = 4, date = 1767225600001, type = "leak", source = "defendis", sourceRef = "f-1", tlp = 3,
      tags = { "defendis", "attack.t1078", "rule:r1" },
      description = "Finding of defendis\n- rule: `r1`\n- count: `3`\n- from: `2026-01-01T00:00:00Z`\n"
        .. "- to: `2026-01-01T01:00:00Z`\n- records: `2`\n- record: `e1`\n- record: `e'2`",
      observables = { { dataType = "ip", data = "192.0.2.7" }, { dataType = "ip", data = "2001:db8::1" },
        { dataType = "domain", data = "acme.example" }, { dataType = "mail", data = "b@acme.example" },
        { dataType = "url", data = "https://x.example/a" }, { dataType = "mail", data = "omar@acme.example" } } }, alert)
  end)

  it("has a severity from 1 to 4 for each level", function()
    for level, severity in pairs{ informational = 1, low = 1, medium = 2, high = 3, critical = 4, unheard = 2 } do
      assert.equal(severity, alert_of{ level = level }.severity)
    end
  end)

  -- K24
  it("makes a whole alert of a finding without optional fields, or with fields of other types", function()
    for _, finding in ipairs{ {}, { title = cjson.null, rule = "x", tags = "x", group = cjson.null, evidence = { 1, "a" },
      window = { from = "x" }, level = 7 } } do
      local alert, request = alert_of(finding)
      assert.equal("Finding", alert.title)
      assert.matches("^Finding of defendis", alert.description)
      assert.same({ { "defendis" }, "f-1", 2 }, { alert.tags, alert.sourceRef, alert.severity })
      assert.is_truthy(request:find('"observables":[]', 1, true))
      assert.is_nil(request:find "null")
      assert.is_nil(request:find "nil")
    end
  end)

  it("gives a long id a reference of at most 128 characters, always the same", function()
    assert.equal(("x"):rep(128), alert_of({}, nil, ("x"):rep(128)).sourceRef)
    assert.equal(core.hash.sha256(("x"):rep(129)), alert_of({}, nil, ("x"):rep(129)).sourceRef)
  end)

  it("takes it for done when the alert is there already, and not when something else is", function()
    for _, given in ipairs{ answer(409, ""), answer(400, '{"type":"CreateError","message":"Alert leak:defendis:f-1 already exists"}'),
      answer(400, '{"type":"ConflictError","message":"[alert][d1]: version conflict, document already exists"}') } do
      assert.is_true(open(serve(given)):send(sinks.batch(1)))
    end
    for _, given in ipairs{ answer(400, '{"type":"CreateError","message":"Observable already exists"}'), answer(400, "<html>"),
      answer(422, '{"message":"title"}') } do
      assert.is_string(open(serve(given)):send(sinks.batch(1))[1].dead)
    end
  end)

  it("sends the same alert again after a lost answer, and the refusal of the second is success", function()
    local server = serve({ bytes = "", close = "rst" }, answer(400, '{"message":"Alert already exist"}'))
    assert.is_true(open(server, { max_attempts = 2 }):send(sinks.batch(1)))
    local bodies = sinks.bodies(server)
    assert.equal(2, #bodies)
    assert.equal(bodies[1], bodies[2])
  end)

  it("stops when it may not, comes back when it is busy, and believes no login page", function()
    for status, expected in pairs{ [401] = { "auth", false }, [403] = { "auth", false }, [404] = { "not_found", false },
      [503] = { "unavailable", true }, [429] = { "rate_limit", true }, [302] = { "config", false }, [200] = { "decode", true } } do
      local ok, err = open(serve(answer(status, "<html>"))):send(sinks.batch(2))
      assert.is_nil(ok)
      assert.same(expected, { err.kind, err.retryable }, err.message)
    end
  end)

  it("wants findings only", function()
    local sink = open(serve(MADE))
    assert.is_true(sink.wants "findings")
    assert.is_false(sink.wants "dataleaks.credentials")
    assert.same({ dead = "not a finding" }, sink:send{ { id = "a", kind = "findings", json = "3" } }[1])
  end)
end)

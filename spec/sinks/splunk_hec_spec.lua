-- splunk_hec_spec.lua: the sink of Splunk's HTTP Event Collector.
local core = require "defendis.core"
local hostile = require "support.hostile"
local sinks = require "support.sinks"
local splunk_hec = require "defendis.sinks.splunk_hec"

local answer, serve = hostile.answer, hostile.serve
local EVENT, ACK <const> = "/services/collector/event", "/services/collector/ack"
local GOOD = answer(200, '{"text":"Success","code":0}')

local function open(server, options) return assert(sinks.open(splunk_hec, server, options)) end

local function acked(id) return answer(200, ('{"text":"Success","code":0,"ackId":%d}'):format(id)) end
local function ack(text) return answer(200, '{"acks":{' .. text .. "}}") end

local function ids(text)
  local out = {}
  for i, event in ipairs(sinks.lines(text)) do out[i] = event.fields.defendis_id end
  return out
end

describe("the splunk_hec sink", function()
  after_each(sinks.clean)

  it("sends a batch as events with time, source, type and the document's id, and 200 with code 0 is its acknowledgement", function()
    local server = serve(GOOD)
    local sink = open(server, { index = "leaks", host = "h1" })
    assert.equal("splunk_hec:127.0.0.1:" .. server:port(), sink.name)
    assert.is_true(sink:send(sinks.batch(2, function(i, doc)
      if i == 2 then doc.json, doc.time = '{"p":null,"a":[],"t":"\\n\xe2\x80\xa8"}', nil end
    end)))
    local request = server:requests()[1]
    assert.matches("^POST /services/collector/event HTTP/1.1\r\n", request)
    assert.equal("Splunk " .. hostile.KEY, sinks.header(request, "authorization"))
    assert.equal('{"fields":{"defendis_id":"id-1"},"host":"h1","index":"leaks","source":"defendis","sourcetype":"defendis:findings",'
      .. '"time":1767225600.001,"event":{"n":1}}\n{"fields":{"defendis_id":"id-2"},"host":"h1","index":"leaks","source":"defendis",'
      .. '"sourcetype":"defendis:findings","event":{"p":null,"a":[],"t":"\\n\xe2\x80\xa8"}}', sinks.bodies(server)[1])
  end)

  it("takes the url with the collector's path too, and is named by its option", function()
    local server = serve(GOOD)
    local url = ("http://127.0.0.1:%d/services/collector/event"):format(server:port())
    local sink = open(server, { url = url, name = "soc", sourcetype = "x", source = "y" })
    assert.equal("splunk_hec:soc", sink.name)
    assert.is_true(sink:send(sinks.batch(1)))
    assert.matches("^POST /services/collector/event HTTP", server:requests()[1])
  end)

  it("wants all kinds, or those of its options", function()
    local server = serve(GOOD)
    assert.is_nil(open(server).wants)
    local wants = open(server, { kinds = { "findings" } }).wants
    assert.is_true(wants "findings")
    assert.is_false(wants "dataleaks.credentials")
  end)

  -- K2
  it("dead-letters the one event that is refused, and has the others sent again", function()
    local bad = answer(400, '{"text":"Invalid data format","code":6,"invalid-event-number":1}')
    local server = serve(bad, answer(400, '{"text":"Invalid data format","code":6,"invalid-event-number":0}'), GOOD)
    local sink, batch = open(server), sinks.batch(3)
    local results = assert(sink:send(batch))
    assert.same({ dead = "400: Invalid data format" }, results[2])
    assert.is_string(results[1].again)
    assert.is_string(results[3].again)
    assert.is_true(sink:send{ batch[1], batch[3] })
    local bodies = sinks.bodies(server)
    assert.same({ { "id-1", "id-2", "id-3" }, { "id-2" }, { "id-1", "id-3" } }, { ids(bodies[1]), ids(bodies[2]), ids(bodies[3]) })
  end)

  it("loses nothing when the refused event's number is another's", function()
    local server = serve(answer(400, '{"text":"Invalid data format","code":6,"invalid-event-number":1}'), GOOD)
    local results = assert(open(server):send(sinks.batch(3)))
    assert.is_true(results[2])
    assert.is_string(results[1].again)
    assert.is_string(results[3].again)
  end)

  it("has the batch halved when it is too big or the refused event is not named, and dead-letters a single one that is", function()
    for body, status in pairs{ ["{}"] = 413, ['{"text":"x","code":6}'] = 400, ['{"text":"x","code":6,"invalid-event-number":2}'] = 400 } do
      local server = serve(answer(status, body))
      local ok, err = open(server):send(sinks.batch(2))
      assert.is_nil(ok)
      assert.equal("too_big", err.kind)
    end
    assert.matches("^413", open(serve(answer(413, ""))):send(sinks.batch(1))[1].dead)
    assert.matches("^400", open(serve(answer(400, '{"text":"x","code":6}'))):send(sinks.batch(1))[1].dead)
  end)

  it("stops for a token or an index that is refused, and comes back when the server is busy, as late as it says", function()
    for _, case in ipairs{ { 403, '{"text":"Invalid token","code":4}', "auth", false }, { 401, "", "auth", false },
      { 404, "", "not_found", false }, { 400, '{"text":"Incorrect index","code":7,"invalid-event-number":1}', "invalid", false },
      { 301, "", "config", false },
      { 503, '{"text":"Server is busy","code":9}', "unavailable", true }, { 429, "", "rate_limit", true },
      { 500, "<html>", "unavailable", true } } do
      local server = serve(answer(case[1], case[2], { "Retry-After: 400", "Location: https://evil.example/" }))
      local ok, err = open(server):send(sinks.batch(2))
      assert.is_nil(ok)
      assert.same({ case[3], case[4] }, { err.kind, err.retryable }, err.message)
      assert.matches("^splunk_hec:127.0.0.1:%d+ answered " .. case[1], err.message)
      assert.equal(1, (server:count()))
      if case[4] then assert.is_true(math.abs(err.retry_at - core.sys.wall_ms() - 400000) < 5000) end
    end
  end)

  it("takes no other 200 for an acknowledgement", function()
    for _, body in ipairs{ "<html>login</html>", "", "{}", "[]", '{"text":"Success"}', '{"code":"0"}', '{"text":"no","code":9}' } do
      local ok, err = open(serve(answer(200, body))):send(sinks.batch(1))
      assert.is_nil(ok)
      assert.same({ "decode", true }, { err.kind, err.retryable })
    end
  end)

  -- K3
  it("sends the same again when the answer was lost after the server had the events", function()
    local server = serve({ bytes = "", close = "rst" }, GOOD)
    assert.is_true(open(server, { max_attempts = 2 }):send(sinks.batch(3)))
    local bodies = sinks.bodies(server)
    assert.equal(2, #bodies)
    assert.equal(bodies[1], bodies[2])
  end)

  it("never shows its token", function()
    local ok, err = open(serve(answer(403, ('{"text":"no %s here"}'):format(hostile.KEY)))):send(sinks.batch(1))
    assert.is_nil(ok)
    assert.matches("no %*%*%* here", err.message)
  end)

  -- K24
  it("writes nothing for what a document does not have", function()
    local server = serve(GOOD)
    assert.is_true(open(server):send{ { id = "a", kind = "findings", json = "{}" } })
    assert.same({ fields = { defendis_id = "a" }, source = "defendis", sourcetype = "defendis:findings", event = {} },
      sinks.lines(sinks.bodies(server)[1])[1])
  end)
end)

-- K1
describe("the splunk_hec sink with acknowledge = true", function()
  after_each(sinks.clean)

  local function acknowledging(server, timeout)
    return open(server, { acknowledge = true, ack_timeout = timeout or 5, ack_poll = 0.001 })
  end

  it("waits until the index has the batch, and asks on the channel it sent on", function()
    local answers = { acked(7) }
    for _ = 1, 10 do answers[#answers + 1] = ack '"7":false' end
    answers[#answers + 1] = ack '"7":true'
    local server = serve(table.unpack(answers))
    assert.is_true(acknowledging(server):send(sinks.batch(2)))
    local channel = sinks.header(server:requests()[1], "x-splunk-request-channel")
    assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", channel)
    local asked = sinks.bodies(server, ACK)
    assert.equal(11, #asked)
    assert.equal('{"acks":[7]}', asked[1])
    for i = 2, 12 do
      assert.equal(channel, sinks.header(server:requests()[i], "x-splunk-request-channel"))
    end
  end)

  it("gives a batch back after its time, whether the answer is false, unknown, nonsense or none, and sends on another channel", function()
    for _, reply in ipairs{ ack '"0":false', ack "", ack '"1":true', answer(200, "[]"), answer(500, ""), answer(503, "x"),
      { bytes = "", close = true } } do
      local server = serve(acked(0), reply)
      local sink = acknowledging(server, 0.02)
      local ok, err = sink:send(sinks.batch(2))
      assert.is_nil(ok)
      assert.same({ "incomplete", true }, { err.kind, err.retryable })
      sink:send(sinks.batch(2))
      local events, channels = sinks.bodies(server, EVENT), {}
      for _, request in ipairs(server:requests()) do
        if request:find(EVENT, 1, true) then channels[#channels + 1] = sinks.header(request, "x-splunk-request-channel") end
      end
      assert.equal(2, #events)
      assert.equal(events[1], events[2])
      assert.not_equal(channels[1], channels[2])
    end
  end)

  it("stops when the token has no acknowledgment or may not ask", function()
    local ok, err = acknowledging(serve(GOOD)):send(sinks.batch(1))
    assert.is_nil(ok)
    assert.same({ "config", false }, { err.kind, err.retryable })
    assert.matches("enable it there, or leave acknowledge out", err.message)
    local server = serve(acked(0), answer(400, '{"text":"ACK is disabled","code":14}'))
    ok, err = acknowledging(server):send(sinks.batch(1))
    assert.is_nil(ok)
    assert.is_false(err.retryable)
    assert.matches("400: ACK is disabled", err.message)
  end)
end)

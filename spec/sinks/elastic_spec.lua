-- elastic_spec.lua: the sink of Elasticsearch and OpenSearch.
local core = require "defendis.core"
local elastic = require "defendis.sinks.elastic"
local hostile = require "support.hostile"
local sinks = require "support.sinks"

local answer, serve = hostile.answer, hostile.serve

local function open(server, options)
  local o = { index = "logs-defendis-default" }
  for k, v in pairs(options or {}) do o[k] = v end
  return assert(sinks.open(elastic, server, o))
end

-- An answer of _bulk. item(i) -> status, type of the error or nil, name of the action or nil, id or nil.
local function bulk(n, item, errors)
  local items = {}
  for i = 1, n do
    local status, fault, action, id = 201, nil, nil, nil
    if item then status, fault, action, id = item(i) end
    items[i] = ('{"%s":{"_index":".ds-x","_id":"%s","status":%d%s}}'):format(action or "create", id or "id-" .. i, status,
      fault and (',"error":{"type":"%s","reason":"because %d"}'):format(fault, i) or "")
  end
  return answer(200, ('{"took":1,"errors":%s,"items":[%s]}'):format(tostring(errors == true), table.concat(items, ",")))
end

local function refused(kind, retryable, ok, err)
  assert.is_nil(ok)
  assert.same({ kind, retryable }, { err.kind, err.retryable }, err.message)
  return err
end

describe("the elastic sink", function()
  after_each(sinks.clean)

  it("creates each document under its id, with the time where a data stream wants it", function()
    local server = serve(bulk(4))
    local sink = open(server)
    assert.equal(("elastic:127.0.0.1:%d/logs-defendis-default"):format(server:port()), sink.name)
    assert.is_true(sink:send(sinks.batch(4, function(i, doc)
      if i == 2 then doc.json = "{}" end
      if i == 3 then doc.json = '{"@timestamp":"2026-01-01T00:00:00Z"}' end
      if i == 4 then doc.time = nil end
    end)))
    local request = server:requests()[1]
    assert.matches("^POST /_bulk HTTP/1.1\r\n", request)
    assert.equal("ApiKey " .. hostile.KEY, sinks.header(request, "authorization"))
    assert.equal("application/x-ndjson", sinks.header(request, "content-type"))
    local function action(i) return ('{"create":{"_id":"id-%d","_index":"logs-defendis-default"}}\n'):format(i) end
    assert.equal(action(1) .. '{"@timestamp":"2026-01-01T00:00:00.001Z","n":1}\n' .. action(2)
      .. '{"@timestamp":"2026-01-01T00:00:00.002Z"}\n' .. action(3) .. '{"@timestamp":"2026-01-01T00:00:00Z"}\n'
      .. action(4) .. '{"n":4}\n', sinks.bodies(server)[1])
  end)

  it("puts the kind into the index's name, and takes user and password or no token", function()
    local server = serve(bulk(1))
    local sink = open(server, { index = "defendis-{kind}", token = sinks.secret "me:pass-word", scheme = "Basic" })
    assert.is_true(sink:send(sinks.batch(1)))
    assert.equal("defendis-findings", sinks.lines(sinks.bodies(server)[1])[1].create._index)
    assert.equal("Basic bWU6cGFzcy13b3Jk", sinks.header(server:requests()[1], "authorization"))
    for _, name in ipairs{ "Logs", "-x", "a/b", "a b", "", "_x" } do assert.is_string(elastic.OPTIONS.index.validate(name)) end
  end)

  -- K4
  it("judges a hundred items by their positions: 2xx and 409 are in, 429, 5xx and missing rights again, 400 and 404 dead", function()
    local STATUS = { 201, 409, 429, 400, 404, 503, 200, 403, 500 }
    local server = serve(bulk(100, function(i)
      local status = STATUS[i % #STATUS + 1]
      return status, status >= 400 and "a_fault" or nil
    end, true))
    local results = assert(open(server):send(sinks.batch(100)))
    local count = { [true] = 0, again = 0, dead = 0 }
    for i = 1, 100 do
      local status, result = STATUS[i % #STATUS + 1], results[i]
      local how = result == true or next(result)
      count[how] = count[how] + 1
      assert.equal(({ [201] = true, [200] = true, [409] = true, [400] = "dead", [404] = "dead" })[status] or "again", how)
      if result ~= true then assert.equal(("%d: a_fault: because %d"):format(status, i), result[how]) end
    end
    assert.equal(100, #results)
    assert.equal(100, count[true] + count.again + count.dead)
  end)

  -- K5
  it("comes back after 503 or 429 for the whole request, as late as it was told, however often that comes", function()
    local answers = {}
    for i = 1, 19 do answers[i] = answer(503, "<html>") end
    answers[20] = answer(429, '{"error":{"type":"rejected","reason":"queue is full"},"status":429}', { "Retry-After: 900" })
    local server = serve(table.unpack(answers))
    local sink = open(server)
    for _ = 1, 19 do refused("unavailable", true, sink:send(sinks.batch(3))) end
    for i = 1, 2 do -- the second does not even go out
      local err = refused("rate_limit", true, sink:send(sinks.batch(3)))
      if i == 1 then assert.matches("answered 429: queue is full", err.message) end
      assert.is_true(math.abs(err.retry_at - core.sys.wall_ms() - 900000) < 5000)
    end
    local bodies = sinks.bodies(server)
    assert.equal(20, #bodies)
    for i = 2, 20 do assert.equal(bodies[1], bodies[i]) end
  end)

  -- K6
  it("acknowledges nothing by an answer that is not one for this batch", function()
    for name, given in pairs{ fewer = bulk(2), more = bulk(4), none = answer(200, '{"errors":false,"items":[]}'), empty = answer(200, ""),
      html = answer(200, "<html>"), array = answer(200, "[]"), bare = answer(200, '{"errors":false}'),
      text = answer(200, '{"items":"abc"}'),
      order = bulk(3, function(i) return 201, nil, nil, "id-" .. 4 - i end),
      action = bulk(3, function() return 201, nil, "index" end), scalar = answer(200, '{"items":[1,2,3]}') } do
      local ok, err = open(serve(given)):send(sinks.batch(3))
      assert.is_nil(ok, name)
      assert.same({ "decode", true }, { err.kind, err.retryable }, name)
    end
  end)

  it("believes the item and not the flag", function()
    local server = serve(bulk(2, function(i) return i == 1 and 500 or 201, i == 1 and "x" or nil end, false))
    local results = assert(open(server):send(sinks.batch(2)))
    assert.is_string(results[1].again)
    assert.is_true(results[2])
  end)

  -- K7
  it("sends the same bytes for the same documents after a restart", function()
    local server = serve(bulk(5))
    for _ = 1, 3 do assert.is_true(open(server):send(sinks.batch(5))) end
    local bodies = sinks.bodies(server)
    assert.same({ bodies[1], bodies[1] }, { bodies[2], bodies[3] })
  end)

  it("shortens an id that Elasticsearch would not take, always to the same", function()
    local long = ("x"):rep(513)
    local server = serve(bulk(1, function() return 201, nil, nil, core.hash.sha256(long) end))
    assert.is_true(open(server):send{ { id = long, kind = "findings", json = "{}" } })
    assert.equal(core.hash.sha256(long), sinks.lines(sinks.bodies(server)[1])[1].create._id)
  end)

  -- K8
  it("keeps two lines a document, whatever is in it", function()
    local server = serve(bulk(3))
    local texts = { '{"a":"x\\ny\\r\\u2028"}', '{\r\n  "a": "\xe2\x80\xa8\xe2\x80\xa9",\n  "b": 1\n}\n', '{"a":"\\u0085\xc2\x85"}' }
    assert.is_true(open(server):send(sinks.batch(3, function(i, doc) doc.json = texts[i] end)))
    local body = sinks.bodies(server)[1]
    assert.equal(6, select(2, body:gsub("\n", "")))
    assert.equal("\n", body:sub(-1))
    assert.is_nil(body:find("\r", 1, true))
    local lines = sinks.lines(body)
    assert.equal("x\ny\r\xe2\x80\xa8", lines[2].a)
    assert.same({ "\xe2\x80\xa8\xe2\x80\xa9", 1 }, { lines[4].a, lines[4].b })
  end)

  it("has a batch halved that is too big, dead-letters a single one, and stops when it is refused", function()
    assert.equal("too_big", select(2, open(serve(answer(413, ""))):send(sinks.batch(2))).kind)
    assert.matches("^413", open(serve(answer(413, ""))):send(sinks.batch(1))[1].dead)
    refused("auth", false, open(serve(answer(401, '{"error":{"reason":"missing credentials"},"status":401}'))):send(sinks.batch(1)))
    refused("auth", false, open(serve(answer(403, ""))):send(sinks.batch(1)))
    refused("invalid", false, open(serve(answer(400, '{"error":"Malformed action"}'))):send(sinks.batch(1)))
    refused("config", false, open(serve(answer(302, ""))):send(sinks.batch(1)))
  end)

  it("sends the same again when the answer was lost", function()
    local server = serve({ bytes = "", close = "rst" }, bulk(2, function() return 409, "version_conflict_engine_exception" end))
    assert.is_true(open(server, { max_attempts = 2 }):send(sinks.batch(2)))
    assert.equal(2, #sinks.bodies(server))
  end)
end)

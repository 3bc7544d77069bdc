local cjson = require "cjson"
local run = require "support.run"
local scratch = require "support.scratch"
local scripted = require "support.scripted"

local KEY <const> = "scripted-key-0123456789"
local OFF <const> = { DEFENDIS_BASE_URL = "http://127.0.0.1:1" } -- nobody listens there, and there is no key

local PIPELINE = [[
return pipeline{
  scope = { domain = { "acme.example", "globex.example" } },
  datasets = { "dataleaks.credentials", "dataleaks.documents" },
  since = "2026-01-01", ["until"] = "2026-01-08", rules = { "rules" }, normalize = "ocsf", sinks = { jsonl{ path = "out" } },
  store = "state.db",
}
]]

local function pipeline(text)
  local folder = run.folder()
  os.execute(("cp -r examples/rules %s/rules"):format(folder))
  return run.write(folder .. "/p.lua", text or PIPELINE), folder
end

-- All bytes of the files below a folder, or of a file.
local function bytes_of(path)
  local p <close> = assert(io.popen("find " .. path .. " -type f -exec cat {} +"))
  return p:read "a"
end

local function files(dir)
  local out = {}
  local p <close> = assert(io.popen("ls " .. dir))
  for name in p:lines() do
    if name ~= "tape.json" then out[#out + 1] = dir .. "/" .. name end
  end
  return out
end

-- The lines of a file as a set of documents, however their members are ordered.
local function documents(path)
  local encode, out = require("defendis.core").json.encode, {}
  for line in io.lines(path) do out[#out + 1] = encode(assert(require("defendis.core").json.decode(line)), { sort_keys = true }) end
  table.sort(out)
  return out
end

local function lines(path)
  local out = {}
  for line in io.lines(path) do out[#out + 1] = assert(cjson.decode(line)) end
  return out
end

describe("a tape", function()
  local sim
  setup(function() sim = run.simulator "--records 400" end)
  teardown(function() sim.stop() end)
  after_each(run.clean)

  it("of an ingest gives the same documents, findings and exit code without network and key", function()
    local path, folder = pipeline()
    local first = run.defendis(("ingest %s --record %s/tape"):format(path, folder), { env = sim.env })
    assert.equal(0, first.code, first.err)
    assert.matches("^defendis: recorded %d+ calls in [^\n]*; %d+ values in them were replaced\n$", first.err)
    for _ = 1, 2 do -- each replay begins anew
      local second = run.defendis(("ingest %s --replay %s/tape"):format(path, folder), { env = OFF })
      assert.same({ 0, first.out }, { second.code, second.out })
      for _, name in ipairs{ "dataleaks.credentials", "dataleaks.documents", "findings" } do
        local made = documents(("%s/out/replay/%s.jsonl"):format(folder, name))
        assert.is_true(#made > 0)
        assert.same(documents(("%s/out/%s.jsonl"):format(folder, name)), made)
      end
    end
    assert.equal(0, run.defendis("ledger verify " .. path).code) -- the live state is untouched
  end)

  it("stands at the time of its recording", function()
    local path, folder = pipeline((PIPELINE:gsub('"2026%-01%-01", %["until"%] = "2026%-01%-08"', '"' .. os.date("!%Y-%m-%d",
      os.time() - 3 * 86400) .. '"')))
    local first = run.defendis(("ingest %s --record %s/tape"):format(path, folder), { env = sim.env })
    assert.equal(0, first.code, first.err)
    local head = folder .. "/tape/tape.json"
    local now = cjson.decode(run.read(head)).now_ms
    local second = run.defendis(("ingest %s --replay %s/tape"):format(path, folder), { env = OFF })
    assert.same({ 0, first.out }, { second.code, second.out })
    local r = run.defendis(("replay %s --cassette %s/tape --json"):format(path, folder))
    assert.equal(0, r.code, r.err)
    local found = {}
    for _, f in ipairs(lines(folder .. "/out/findings.jsonl")) do found[f.id] = true end
    for _, f in ipairs(cjson.decode(r.out).findings) do assert.is_true(found[f.id]) end
    assert.equal(#lines(folder .. "/out/dataleaks.credentials.jsonl") + #lines(folder .. "/out/dataleaks.documents.jsonl"),
      cjson.decode(r.out).records.unique)
    run.write(head, ('{"tape":1,"now_ms":%d}'):format(now + 5 * 86400000))
    second = run.defendis(("ingest %s --replay %s/tape"):format(path, folder), { env = OFF })
    assert.equal(2, second.code)
    assert.matches("is not on the tape", second.err)
  end)

  it("of a playbook that asks for many things at once gives the same document", function()
    local folder = run.folder()
    local script = run.write(folder .. "/s.lua", [[
      local defendis = require "defendis"
      local client <close> = defendis.client{}
      local jobs = {}
      for i, domain in ipairs{ "acme.example", "globex.example", "acme-labs.example", "nowhere.example" } do
        for n = 1, 2 do
          jobs[#jobs + 1] = function()
            local ids = {}
            for r in client:each("dataleaks.credentials", { domain = domain, pageSize = 20 + n }) do ids[#ids + 1] = r.id end
            return ids
          end
        end
      end
      local out = { today = os.date("!%Y-%m-%d %H:%M", os.time()), day = os.date "!%Y-%m-%d" }
      for i, r in ipairs(defendis.parallel(jobs)) do out[i .. ""] = r.ok and r[1] or { kind = r[1].kind, status = r[1].status } end
      return out
    ]])
    local first = run.defendis(("run %s --record %s/tape"):format(script, folder), { env = sim.env })
    assert.equal(0, first.code, first.err)
    assert.equal("scope", cjson.decode(first.out)["7"].kind)
    local head = folder .. "/tape/tape.json"
    run.write(head, (run.read(head):gsub('"now_ms":%d+', '"now_ms":1767225600000')))
    local second = cjson.decode(run.defendis(("run %s --replay %s/tape"):format(script, folder), { env = OFF }).out)
    assert.equal("2026-01-01 00:00 2026-01-01", second.today .. " " .. second.day)
    local expected = cjson.decode(first.out)
    expected.today, expected.day, second.today, second.day = nil, nil, nil, nil
    assert.same(expected, second)
  end)

  it("keeps errors with all that is known of them, and answers to the same call in their order", function()
    local api <close> = setmetatable({}, { __close = function(a) a.api.stop() end })
    api.api = scripted.start [[
      return function(req, n)
        if req.path == "/api/v1/watchlists/stats" then return { status = 200, body = '{"data":{"n":' .. n .. '}}' } end
        return { status = 409, body = '{"error":"quota_domains_reached","metric":"domains","used":10,"limit":10,"requestedIncrement":1}',
          headers = { ["content-type"] = "application/json", ["x-request-id"] = "rid-7" } }
      end
    ]]
    local folder = run.folder()
    local script = run.write(folder .. "/s.lua", [[
      local client <close> = require("defendis").client{}
      local out = {}
      for i = 1, 3 do out[i] = client:get("/api/v1/watchlists/stats").data.n end
      local _, err = client.watchlists.domain:add{ domain = "x.example", note = "b", z = 1, a = { 2, 1 } }
      return { n = out, kind = err.kind, used = err.used, message = err.message, id = err.request_id, status = err.status }
    ]])
    local first = run.defendis(("run %s --record %s/tape"):format(script, folder), { env = api.api.env })
    assert.equal(0, first.code, first.err)
    run.defendis(("run %s --replay %s/tape --trace %s/played"):format(script, folder, folder), { env = OFF })
    assert.same({ 200, 200, 200, 409 }, (function(t) return { t[1].status, t[2].status, t[3].status, t[4].status } end)(lines(folder
      .. "/played")))
    assert.same({ 1, 2, 3 }, cjson.decode(first.out).n)
    assert.same({ "quota", 10, "rid-7", 409 }, (function(d) return { d.kind, d.used, d.id, d.status } end)(cjson.decode(first.out)))
    for _ = 1, 5 do -- the members of a body in any order
      local second = run.defendis(("run %s --replay %s/tape"):format(script, folder), { env = OFF })
      assert.same(cjson.decode(first.out), cjson.decode(second.out))
    end
  end)

  it("answers nothing that was not asked, and says what is nearest", function()
    local dir = run.folder() .. "/tape"
    local call = "fetch dataleaks.documents domain=acme.example --page-size 50 --from 2026-01-01 --to 2026-01-%02d"
    assert.equal(0, run.defendis(call:format(5) .. " --record " .. dir, { env = sim.env }).code)
    local r = run.defendis(call:format(6) .. " --replay " .. dir, { env = sim.env }) -- the API would know
    assert.same({ 2, "" }, { r.code, r.out })
    assert.matches("GET /api/v1/dataleaks/documents%?domain=acme.example&fromDate=2026%-01%-01&page=1&pageSize=50&toDate=2026%-01%-06 "
      .. "is not on the tape [^\n]*; the nearest there is GET [^\n]*toDate=2026%-01%-05\n", r.err)
    local script = run.write(run.folder() .. "/s.lua", [[
      local client <close> = require("defendis").client{}
      for _ = 1, 2 do
        local query = { domain = "acme.example", from = "2026-01-01", to = "2026-01-05", pageSize = 50 }
        for _ in client:each("dataleaks.documents", query) do end
      end
    ]])
    r = run.defendis(("run %s --replay %s"):format(script, dir), { env = OFF })
    assert.equal(2, r.code)
    assert.matches("was asked once more than the 1 times on the tape", r.err)
  end)

  it("that is damaged is refused with the file's name before anything is done", function()
    local dir = run.folder() .. "/tape"
    local call = "fetch dataleaks.documents domain=acme.example"
    assert.equal(0, run.defendis(call .. " --record " .. dir, { env = sim.env }).code)
    local file = files(dir)[1]
    local text = run.read(file)
    for _, damage in ipairs{ text:sub(1, -10), "", "{}", text:gsub('"request"', '"reqest"'), "\0\0" } do
      run.write(file, damage)
      local r = run.defendis(call .. " --replay " .. dir, { env = OFF })
      assert.same({ 2, "" }, { r.code, r.out })
      assert.matches("^defendis: the tape [^\n]*000001%-GET%-dataleaks%-documents%.json is damaged: [^\n]*; record it again\n$", r.err)
    end
    os.remove(dir .. "/tape.json")
    assert.matches("cannot read the tape [^\n]*tape%.json: No such file", run.defendis(call .. " --replay " .. dir, { env = OFF }).err)
  end)

  it("is recorded into an empty folder only, of its owner only", function()
    local dir = run.folder() .. "/a/tape"
    local call = "call GET /api/v1/watchlists/stats --record " .. dir
    assert.equal(0, run.defendis(call, { env = sim.env }).code)
    assert.equal("700", scratch.mode(dir))
    for _, file in ipairs(files(dir)) do assert.equal("600", scratch.mode(file)) end
    local r = run.defendis(call, { env = sim.env })
    assert.same({ 2, "" }, { r.code, r.out })
    assert.matches("the folder is not empty; give another one", r.err)
    assert.equal(2, run.defendis(call .. " --replay " .. dir, { env = sim.env }).code)
    assert.equal(2, run.defendis(("ingest %s --every 1m --record %s/b"):format(pipeline(), dir), { env = sim.env }).code)
  end)

  it("of a list with a record that is no JSON leads to the same dead letter", function()
    local api = scripted.start [[
      return function(req)
        local from = req.query.fromDate == "2026-01-01"
        return list(req, from and { record("r-1"), '{"id":"r-2","password":"kanarienvogel-77", oops}' } or {})
      end
    ]]
    local path, folder = pipeline((PIPELINE:gsub(', "dataleaks.documents"', ""):gsub(', "globex.example"', "")))
    local first = run.defendis(("ingest %s --record %s/tape"):format(path, folder), { env = api.env })
    api.stop()
    assert.equal(6, first.code, first.err)
    local second = run.defendis(("ingest %s --replay %s/tape"):format(path, folder), { env = OFF })
    assert.same({ 6, first.out }, { second.code, second.out })
    assert.is_nil(bytes_of(folder .. "/tape"):find("kanarienvogel", 1, true))
  end)
end)

describe("trace and tape", function()
  after_each(run.clean)

  -- Leaks in the ways that leaks are: the key echoed in body, header and error; passwords in fields, raw lines and numbers; cards.
  local HOSTILE = [[
    local function hex(s) return (s:gsub(".", function(c) return ("%%%02X"):format(c:byte()) end)) end
    return function(req, n)
      local key = req.headers.authorization:match "%S+$"
      local headers = { ["content-type"] = "application/json", ["x-request-id"] = "rid-" .. key }
      if req.path == "/api/v1/watchlists/stats" and n == 1 then
        headers["retry-after"] = "0"
        return { status = 503, body = '{"error":"no ' .. key .. '"}', headers = headers }
      elseif req.path == "/api/v1/watchlists/stats" then
        return { status = 400, body = '{"error":"bad Kanari-Passw0rt for ' .. key .. '"}', headers = headers }
      end
      local records = {
        record("r-1", 1, '"password":"Kanari-Passw0rt","raw":"https://x.example:me@x.example:Kanari-Passw0rt","echo":"' .. key
          .. '","again":"' .. hex(key) .. '"'),
        record("r-2", 1, '"password":"Kanari-Passw0rt","pin":48213377,"authorization":"Basic Zm9vOmJhcg=="'),
        record("r-3", 1, '"cookies":["session=Kanari-Keks-1"],"accessToken":{"value":"Kanari-Token-1"}'),
        record("r-4", 1, '"note":"paid with 4111 1111 1111 1111.","cardNumber":5555555555554444,"count":4111111111111111'),
        record("r-6", 1, '"url":"https://me:Kanari-u1@x.example/login?user=me&passwd=Kanari-q2#top","proxy":"via Kanari-proxy3"'),
        record("r-5", 1, '"passwort":"bleibt","total":1.50,"big":12345678901234567890,"password":null'),
      }
      local answer = list(req, records)
      answer.headers = headers
      return answer
    end
  ]]
  local CANARIES = { KEY, "Kanari", "48213377", "Zm9vOmJhcg", "5555555555554444", "4111 1111 1111 1111", "%73%63%72%69",
    "c2NyaXB0ZWQta2V5" }

  local function clean(text)
    for _, canary in ipairs(CANARIES) do assert.is_nil(text:find(canary, 1, true), canary) end
  end

  it("hold no key, password, token or card number, and equal values stay equal", function()
    local api = scripted.start(HOSTILE)
    local folder = run.folder()
    local script = run.write(folder .. "/s.lua", [[
      local client <close> = require("defendis").client{}
      local out = {}
      for r in client:each("dataleaks.credentials", { domain = "acme.example" }) do out[#out + 1] = r end
      local _, err = client:request("GET", "/api/v1/watchlists/stats", { query = { token = "Kanari-Passw0rt" } })
      return { records = out, message = err.message }
    ]])
    local line = ("run %s --record %s/tape --trace %s/trace --trace-bodies -vv"):format(script, folder, folder)
    api.env.https_proxy = "http://proxy-user:Kanari%2Dproxy3@127.0.0.1:1" -- loopback asks no proxy
    local first = run.defendis(line, { env = api.env })
    api.stop()
    assert.equal(0, first.code, first.err)
    clean(bytes_of(folder .. "/tape"))
    clean(bytes_of(folder .. "/trace"))
    local second = run.defendis(("run %s --replay %s/tape"):format(script, folder), { env = OFF })
    assert.equal(0, second.code, second.err)
    local before, after = cjson.decode(first.out).records, cjson.decode(second.out).records
    assert.equal(#before, #after)
    local stand_in = after[1].password
    assert.equal(#"Kanari-Passw0rt", #stand_in)
    assert.equal(stand_in, after[2].password)
    assert.matches("^https://x.example:x%d+@x.example:" .. stand_in .. "$", after[1].raw) -- it reads like user:password@host
    assert.equal("number", type(after[2].pin))
    assert.equal(8, #("%d"):format(after[2].pin))
    assert.matches("^555555%d%d%d%d%d%d4444$", ("%d"):format(after[4].cardNumber))
    assert.matches("^paid with 4111 11%d%d %d%d%d%d 1111%.$", after[4].note)
    assert.matches("^https://me:x+%d+@x.example/login%?user=me&passwd=x+%d+#top$", after[5].url)
    assert.same(before[6], after[6])
    assert.equal(before[4].count, after[4].count) -- a number is no text, and its name is none of a card
  end)

  it("tell each attempt, its decision and its wait", function()
    local api = scripted.start(HOSTILE)
    local folder = run.folder()
    run.defendis(("call GET /api/v1/watchlists/stats token=Kanari-1 --trace %s/trace"):format(folder), { env = api.env })
    run.defendis(("call GET /api/v1/watchlists/domain --paginate --trace %s/trace"):format(folder), { env = api.env })
    api.stop()
    assert.equal("600", scratch.mode(folder .. "/trace"))
    clean(run.read(folder .. "/trace"))
    local told = lines(folder .. "/trace")
    assert.same({ { "GET", "/api/v1/watchlists/stats?token=***", 503, 1, "retry", false },
      { "GET", "/api/v1/watchlists/stats?token=***", 400, 2, "fail", true },
      { "GET", "/api/v1/watchlists/domain?page=1&pageSize=100", 200, 1, "done", false } }, (function()
      local out = {}
      for i, t in ipairs(told) do out[i] = { t.method, t.url, t.status, t.attempt, t.decision, t.reused } end
      return out
    end)())
    assert.is_nil(told[1].body)
    assert.is_true(told[1].bytes > 0 and told[1].ms >= 0)
    assert.equal("rid-***", told[1].request_id)
  end)

  it("that cannot be written are an error", function()
    local api = scripted.start "return function(req) return list(req, {}) end"
    local folder = run.folder()
    local call = "call GET /api/v1/watchlists/domain "
    assert.equal(2, run.defendis(call .. "--trace " .. folder, { env = api.env }).code)
    assert.equal(2, run.defendis(call .. "--trace-bodies", { env = api.env }).code)
    local r = run.defendis(call .. "--trace /dev/full", { env = api.env })
    assert.equal(2, r.code)
    assert.matches("the trace /dev/full is not whole: No space left on device", r.err)
    assert.equal(2, run.defendis(call .. "--record /dev/null/x", { env = api.env }).code)
    api.stop()
  end)
end)

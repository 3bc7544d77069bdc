-- sensitive_spec.lua: canaries on their way through a pipeline: nothing readable comes out, whatever rules do, and all can be compared.
local cjson = require "cjson"
local core = require "defendis.core"
local pipelined = require "support.pipelined"
local run = require "support.run"
local scratch = require "support.scratch"
local scripted = require "support.scripted"
local sunk = require "support.sunk"

local CANARIES <const> = { "Canary-P4ss!", "4111111111111111", "4111 1111 1111 1111", "eyJhbGciOiJIUzI1NiJ9.canary",
  "canary-cookie-value", "BEGIN PRIVATE KEY canary", "87654321098765", "deep-canary-5" }
local SECRETS <const> = [["password":"Canary-P4ss!","cardNumber":4111111111111111,"n":{"Card_Number":"4111 1111 1111 1111"},
  "tokens":["eyJhbGciOiJIUzI1NiJ9.canary"],"cookies":[{"name":"sid","value":"canary-cookie-value"}],
  "private_key":"BEGIN PRIVATE KEY canary",
  "a":{"b":[{"c":{"d":{"PASSWORD":"deep-canary-5"}}}]},"pin":87654321098765]]

-- Every way out that a rule file has, each caught, and what it yields put into the document.
local EVIL <const> = [[
local function tries(r)
  local v, out = r.password, {}
  local list = {
    function() return tostring(v) end, function() return "x" .. v end, function() return v .. "x" end, function() return v .. v end,
    function() return ("%s %10s"):format(v, v) end,
    function() return ("%q"):format(v) end, function() return table.concat({ v, v }, ",") end,
    function() return (v:gsub(".", "%0")) end, function() return string.gsub(v, ".", "%0") end, function() return ("x"):gsub("x", v) end,
    function() return ("x"):gsub("x", { x = v }) end, function() return string.upper(v) end, function() return v:sub(1, 1) end,
    function() return string.byte(v, 1) end, function() return string.rep(v, 2) end, function() return string.pack("s", v) end,
    function() return utf8.codepoint(v) end, function() return tonumber(r.pin) end, function() return r.pin + 0 end,
    function() return math.tointeger(r.pin) end, function() return r.cardNumber // 1 end,
    function() return select("#", v), v end,
    function() error(v) end, function() error("x" .. v) end, function() error({ v }) end,
    function() return v:reveal("please") end,
    function() return v.reveal(v, "please") end, function() return pairs(v)(v) end,
    function() return next(v) end,
    function() return v == "Canary-P4ss!" end, function() return v < "Canary-Q" end, function() return get(r, "a.b") end,
    function() return ocsf.severity_id(v) end, function() return time.parse(v) end, function() return { [v] = 1 }, v end,
    function() return r.cardNumber:bin() .. "|" .. r.cardNumber:last4() end, function() return table.unpack({ v }) end,
  }
  for i, try in ipairs(list) do out[i] = array(table.pack(pcall(try))) out[i].n = nil out[i][1] = tostring(out[i][1])
    for k = 2, #out[i] do
      if type(out[i][k]) == "table" then out[i][k] = "table" end
      if out[i][k] == nil then out[i][k] = null end
    end
  end
  return array(out)
end
local function evil(id, options)
  local r = { id = id, title = id, dataset = "dataleaks.credentials", level = "high", match = function() return true end }
  for k, v in pairs(options) do r[k] = v end
  return rule(r)
end
return {
  normalizer{ id = "all", dataset = "dataleaks.credentials", time = "leakedAt",
    map = function(r)
      if r.fails then error(r.password) end
      if r.fails_so then error("no: " .. r.password) end
      return { id = r.id, whole = r, tries = tries(r), text = "p=" .. r.password }
    end },
  evil("raises", { match = function(r) error(r.password) end }),
  evil("raises text", { match = function(r) error("x" .. r.password .. tostring(r.cardNumber)) end }),
  evil("raises a table", { match = function(r) error({ r.password }) end }),
  evil("arithmetic", { match = function(r) return r.pin + 1 end }),
  evil("reveals", { match = function(r) return r.password:reveal("I want to") end }),
  evil("level", { level_for = function(r) return r.password end }),
  evil("groups", { dedup = function(r) return { r.password, r.cardNumber } end, suppress = "1h", generate = true }),
  evil("guess", { match = function(r) return r.password == "Canary-P4ss!" or r.pin == 87654321098765 end }),
  correlation{ id = "c", title = "c", type = "event_count", rules = { "groups" }, group_by = { "password", "tokens" }, timespan = "1h",
    condition = { gte = 1 }, level = "high" },
  correlation{ id = "d", title = "d", type = "value_count", rules = { "groups" }, group_by = { "password.hmac" }, timespan = "1h",
    condition = { field = "cardNumber", gte = 1 }, level = "high" },
}
]]

describe("sensitive fields in a pipeline", function()
  local api
  after_each(function()
    if api then api.stop() end
    api = nil
    run.clean()
  end)

  local function pipeline(records, rules, options)
    local quoted = {}
    for i, text in ipairs(records) do quoted[i] = ("%q"):format((text:gsub("\n%s*", ""))) end
    api = scripted.start(("local records = { %s }\nreturn function(req) return list(req, records) end"):format(table.concat(quoted, ",\n")))
    return pipelined.new(api, options, rules)
  end

  local function record(i, fields) return ('{"id":"r%d","leakedAt":"2026-01-01T%02d:00:00Z",%s}'):format(i, i, fields) end

  -- Where in the folder, and in what a program printed, a text is found.
  local function hits(p, text, got)
    local pipe <close> = io.popen(("grep -rlaF --exclude=rules.lua -- %s '%s'"):format(run.quote(text), p.folder))
    local found = pipe:read "a"
    for name, said in pairs(got or {}) do
      if type(said) == "string" and said:find(text, 1, true) then found = found .. name .. "\n" end
    end
    return found
  end

  local function leaks(p, got)
    local found = {}
    for _, canary in ipairs(CANARIES) do
      local where = hits(p, canary, got)
      if where ~= "" then found[canary] = where end
    end
    return found
  end

  local function sinks(p)
    sunk.write(p)
    p:edit{ sinks = '{ jsonl{ path = "out" }, sqlite{ path = "out.db" }, ' .. sunk.entry "got" .. " }",
      sensitive = '{ cards = { "cardNumber", "Card_Number" } }' }
  end

  it("come out of no document, finding, log, sink or state, whatever rules do without a grant", function()
    local p = pipeline({ record(1, SECRETS), record(2, SECRETS) }, EVIL)
    sinks(p)
    local got = run.defendis("ingest -vv " .. p.path, { env = p.env })
    assert.equal(1, got.code, got.err)
    assert.same({}, leaks(p, got))
    local doc = cjson.decode(p:lines()[1])
    assert.equal("[password]", doc.whole.password.mask)
    assert.equal(doc.whole.password.hmac, cjson.decode(p:lines()[2]).whole.password.hmac)
    assert.equal("p=[password]", doc.text)
    assert.equal("true", doc.tries[36][1])
    assert.same({ "false", "true" }, { doc.tries[17][1], doc.tries[30][1] })
    assert.equal(false, doc.tries[30][2])
    assert.matches('"all" has no grant; add it to sensitive%.grants', doc.tries[26][2])
    assert.matches('%[password%] is not revealed: "reveals" has no grant', got.err .. got.out)
    local seen = {}
    for _, line in ipairs(p:lines "findings") do
      local finding = cjson.decode(line)
      seen[finding.rule.id] = finding
    end
    assert.is_nil(seen.guess)
    assert.equal(doc.whole.password.hmac, seen.c.group.password)
    assert.same({ ["password.hmac"] = doc.whole.password.hmac }, seen.d.group)
    assert.same({ doc.whole.password.hmac, doc.whole.cardNumber.hmac }, seen.groups.group.dedup)
    assert.equal(doc.whole.cardNumber.hmac, doc.whole.n.Card_Number.hmac)
    assert.equal("600", scratch.mode(p.folder .. "/state.db.hmac-key"))
  end)

  it("are masked in datasets without a normalizer; a dead letter keeps its bytes, and is shown masked", function()
    local p = pipeline{ record(1, SECRETS), '{"leakedAt":"2026-01-01T00:00:00Z",' .. SECRETS .. "}",
      '{"id":"x","password":"Canary-P4ss!"x}' }
    sinks(p)
    local got = p:ingest()
    assert.equal(6, got.code)
    for canary, where in pairs(leaks(p, got)) do assert.matches("^[^\n]*/state%.db%S*\n$", where, nil, nil, canary) end
    assert.equal("[password]", cjson.decode(p:lines()[1]).password.mask)
    for _, line in ipairs{ "state dead list PIPELINE --raw", "state dead list PIPELINE --json", "state dead list PIPELINE" } do
      local shown = p:command(line)
      assert.equal(0, shown.code)
      for _, canary in ipairs(CANARIES) do assert.is_nil((shown.out .. shown.err):find(canary, 1, true)) end
      if line:find "json" then assert.matches('"mask":"%[password%]"', (shown.out:gsub("\\", ""))) end
      if line:find "raw" then assert.matches("%(not JSON: %-%-reveal shows the bytes%)", shown.out) end
    end
    local shown = p:command "state dead list PIPELINE --raw --reveal"
    assert.truthy(shown.out:find('"password":"Canary-P4ss!"x', 1, true))
    assert.matches('"event":"reveal"', shown.err)
  end)

  local function rule_of(body)
    return ([[return normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt",
      map = function(r) return %s end }]]):format(body)
  end

  it("are revealed to whom the pipeline grants it, and each time is written down, without the value", function()
    local p = pipeline({ record(1, SECRETS), record(2, SECRETS) }, rule_of '{ id = r.id, clear = r.password:reveal("to reset it") }')
    p:edit{ sensitive = '{ grants = { "n" } }' }
    local got = p:ingest()
    assert.equal(0, got.code, got.err .. got.out)
    assert.same({ 0, "Canary-P4ss!" }, { got.code, cjson.decode(p:lines()[1]).clear })
    local audit = scratch.read(p.folder .. "/state.db.audit.jsonl")
    local first, second = audit:match "^([^\n]+)\n([^\n]+)\n$"
    local note = cjson.decode(first)
    assert.same({ "reveal", "n", "dataleaks.credentials", "r1", "password", "to reset it" },
      { note.event, note.by, note.dataset, note.record, note.field, note.why })
    assert.same({ 64, "r2" }, { #note.hmac, cjson.decode(second).record })
    assert.equal("600", scratch.mode(p.folder .. "/state.db.audit.jsonl"))
    assert.is_nil((audit .. got.err):find("Canary", 1, true))
    assert.equal(first .. "\n", got.err)
  end)

  it("count by their HMAC: the same password on seven accounts, also over a restart and in a backfill", function()
    local records = {}
    for i = 1, 9 do
      records[i] = record(i, ('"email":"u%d@acme.example","password":"%s"'):format(i, i <= 7 and "Canary-P4ss!" or "other" .. i))
    end
    local p = pipeline(records, [[return {
      normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt", map = function(r) return r end },
      rule{ id = "any", title = "any", dataset = "dataleaks.credentials", level = "low", match = function() return true end },
      correlation{ id = "reuse", title = "reuse", type = "value_count", rules = { "any" }, group_by = { "password" }, timespan = "24h",
        condition = { field = "email", gte = 7 }, level = "high" } }]])
    assert.equal(0, p:ingest().code)
    local live = p:lines "findings"
    assert.equal(1, #live)
    local finding = cjson.decode(live[1])
    assert.same({ 7, 64 }, { finding.count, #finding.group.password })
    assert.equal(0, p:command("ingest PIPELINE --backfill old --from 2026-01-01 --to 2026-01-02").code)
    assert.equal(finding.id, cjson.decode(p:lines("findings", "out/backfill-old")[1]).id)
  end)

  it("are compared under the key that is configured, and with lists of HMACs; a key or list that is not there is refused", function()
    local p = pipeline({ record(1, SECRETS) }, [[local ours = sensitive.list "ours.hmac"
      return { normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt",
        map = function(r)
          return { id = r.id, ours = ours:contains(r.password), other = ours:contains(r.pin), none = ours:contains(null) }
        end } }]])
    p:edit{ sensitive = '{ hmac_key = secret.file "my.key" }' }
    local function refused(pattern)
      local got = p:ingest()
      assert.equal(2, got.code)
      assert.matches(pattern, got.err)
    end
    refused "pipeline%.lua:%d+: cannot read the secret file .*my%.key: No such file"
    assert.is_nil(io.open(p.folder .. "/state.db"))
    run.write(p.folder .. "/my.key", "0123456789abcdef\n")
    refused "rules%.lua:1: sensitive%.list: cannot read .*ours%.hmac"
    run.write(p.folder .. "/ours.hmac", "# ours\nabc\n")
    refused "ours%.hmac:2: 64 hexadecimal digits expected"
    run.write(p.folder .. "/ours.hmac", "# ours\n\n" .. core.hash.hmac_sha256("0123456789abcdef", "Canary-P4ss!"):upper() .. "  *stdin\n")
    assert.equal(0, p:ingest().code)
    local doc = cjson.decode(p:lines()[1])
    assert.same({ true, false, false }, { doc.ours, doc.other, doc.none })
    assert.is_nil(io.open(p.folder .. "/state.db.hmac-key"))
    run.write(p.folder .. "/my.key", "short\n")
    refused "less than 16 bytes"
  end)

  it("are what the pipeline says: more fields, fewer, card numbers within texts; never what identifies a record", function()
    local p = pipeline({ record(1, '"password":"Canary-P4ss!","cookies":3,"note":"card 4111 1111 1111 1111.","mine":"deep-canary-5"') })
    p:edit{ sensitive = '{ fields = { "Mine" }, clear = { "Cookies" }, scan = true }' }
    assert.equal(0, p:ingest().code)
    assert.same({}, leaks(p))
    local doc = cjson.decode(p:lines()[1])
    assert.same({ 3, "[Mine]", "card 4111 11** **** 1111." }, { doc.cookies, doc.mine.mask, doc.note })
    for _, field in ipairs{ "id", "leakedAt" } do
      p:edit{ store = '"' .. field .. '.db"', sensitive = ('{ fields = { "%s" } }'):format(field:upper()) }
      local got = p:ingest()
      assert.equal(2, got.code)
      assert.matches('"' .. field .. '" is sensitive, and what identifies a record', got.err)
    end
    p:edit{ sensitive = '{ field = { "x" } }' }
    assert.matches('pipeline%.lua:%d+: field "sensitive": unknown key "field", nearest key "fields"', p:ingest().err)
  end)

  it("are masked by fetch, which says it when they are not", function()
    pipeline{ record(1, SECRETS) }
    local got = run.defendis("fetch dataleaks.credentials domain=acme.example", { env = api.env })
    assert.same({ 0, "" }, { got.code, got.err })
    for _, canary in ipairs{ "Canary-P4ss!", "canary-cookie-value", "eyJhbGci" } do assert.is_nil(got.out:find(canary, 1, true)) end
    got = run.defendis("fetch dataleaks.credentials domain=acme.example --reveal", { env = api.env })
    assert.truthy(got.out:find("Canary-P4ss!", 1, true))
    assert.matches('^{"by":"fetch %-%-reveal","event":"reveal","of":"dataleaks%.credentials"', got.err)
  end)

  it("are in a rule's tests what they are in a pipeline, so that a rule that reads them fails there", function()
    local folder = run.folder()
    local function tested(map)
      run.write(folder .. "/r.lua", ([[return normalizer{ id = "n", dataset = "dataleaks.credentials",
        map = function(r) return %s end,
        tests = { { name = "one", input = { id = "1", password = "S3cret", n = null },
          expect = { p = "[password]", l = "1-7" } } } }]]):format(map))
      return run.defendis("test " .. folder)
    end
    assert.equal("1 passed, 0 failed\n", tested('{ p = r.password, l = r.password:length_class() }').out)
    assert.matches("is neither measured, ordered", tested('{ p = r.password, l = #r.password }').out)
  end)
end)

describe("a simulator's data", function()
  after_each(run.clean)

  it("leaves no clear password, card number or CVV in what a pipeline writes", function()
    local sim = run.simulator "--records 600"
    local secrets, n = {}, 0
    for line in run.defendis("fetch dataleaks.credentials domain=acme.example --reveal", { env = sim.env }).out:gmatch "[^\n]+" do
      local password = cjson.decode(line).password
      if password:find "[!?_]" then secrets[password] = true end -- the others are words such as "password"
    end
    for line in run.defendis("fetch dataleaks.paymentcards bin=555555 --reveal", { env = sim.env }).out:gmatch "[^\n]+" do
      secrets[cjson.decode(line).cardNumber] = true
    end
    local p = pipelined.new(sim, { scope = '"watchlists"', datasets = '{ "dataleaks.credentials", "dataleaks.paymentcards" }',
      ["until"] = '"2026-04-01"', window = '"30d"', page_size = "100", sinks = '{ jsonl{ path = "out" }, sqlite{ path = "out.db" } }' })
    local got = p:ingest()
    sim.stop()
    assert.same({ 0, "" }, { got.code, got.err })
    local list = {}
    for text in pairs(secrets) do
      n = n + 1
      list[n] = text
    end
    assert.is_true(n > 50)
    run.write(run.folder() .. "/x", "")
    local names = run.folder() .. "/secrets"
    run.write(names, table.concat(list, "\n") .. "\n")
    local pipe <close> = io.popen(("grep -raoF -f %s '%s' | head -5"):format(names, p.folder))
    assert.equal("", pipe:read "a")
    for _, line in ipairs(p:lines "dataleaks.paymentcards") do
      local doc = cjson.decode(line)
      assert.same({ "[cvv]", "[cardNumber]" }, { doc.cvv.mask, doc.cardNumber.mask })
    end
  end)
end)

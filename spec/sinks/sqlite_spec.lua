-- sqlite_spec.lua: the sink that keeps documents in an SQLite file.
local cjson = require "cjson"
local core = require "defendis.core"
local kinds = require "defendis.kinds"
local pipelined = require "support.pipelined"
local run = require "support.run"
local scratch = require "support.scratch"
local sqlite = require "defendis.sinks.sqlite"

local ID <const> = 0x64666462

describe("the sqlite sink", function()
  local dir, sinks

  before_each(function() dir, sinks = scratch.dir(), {} end)
  after_each(function()
    for _, sink in ipairs(sinks) do sink:close() end
    scratch.remove(dir)
    run.clean()
  end)

  local function open(options)
    options = options or {}
    options.path = options.path or "deep/leaks.db"
    local sink, err = sqlite.new(options, { folder = dir .. "/" })
    sinks[#sinks + 1] = sink
    return sink, err
  end

  -- The first column of what a query on the file gives, as an analyst would ask it.
  local function ask(sql, path)
    local db <close> = assert(core.store.open(path or dir .. "/deep/leaks.db",
      { readonly = true, application_id = ID, migrations = { "" } }))
    local out = {}
    for v in db:rows(sql) do out[#out + 1] = v end
    return out
  end

  local function document(id, fields, kind)
    return { id = id, kind = kind or "dataleaks.credentials", time = 1767225600000, json = cjson.encode(fields) }
  end

  it("keeps each kind in a table of its own, with columns that can be asked for", function()
    local sink = open()
    assert.is_true(sink:send{
      document("a", { email = "Omar@Acme.example", severity = "High", username = "omar", domain = "acme.example",
        url = "https://x.example/", source = { name = "redline" }, infectedMachine = { hostname = "PC-1" }, tags = { "vip" } }),
      document("b", { severity = "Low", finding_info = { title = "Leaked" }, unmapped = { domain = "globex.example" },
        evidences = { { user = { email_addr = "ben@globex.example", name = "ben" } } } }, "dataleaks.documents"),
      document("c", { id = "c", level = "critical", title = "Three leaks", rule = { id = "r-1" }, type = "correlation",
        group = { email = "omar@acme.example" } }, "findings") })
    assert.same({ "a|omar@acme.example|high|omar|acme.example|PC-1|redline|1767225600000" },
      ask "SELECT id||'|'||email||'|'||severity||'|'||user||'|'||domain||'|'||host||'|'||source||'|'||time FROM dataleaks_credentials")
    assert.same({ "ben@globex.example|ben|low|Leaked|globex.example" },
      ask "SELECT email||'|'||user||'|'||severity||'|'||title||'|'||domain FROM dataleaks_documents")
    assert.same({ 'critical|Three leaks|r-1|correlation|omar@acme.example' },
      ask "SELECT level||'|'||title||'|'||rule||'|'||type||'|'||json_extract(doc, '$.group.email') FROM findings")
    assert.same({ "vip" }, ask "SELECT json_extract(doc, '$.tags[0]') FROM dataleaks_credentials")
    assert.equal("600", scratch.mode(dir .. "/deep/leaks.db"))
  end)

  it("keeps a document that comes again once, also from another run, and one without time, of any shape", function()
    assert.is_true(open():send{ document("a", { n = 1 }), document("b", { n = 2 }) })
    sinks[1]:close()
    local sink = open()
    assert.is_true(sink:send{ document("b", { n = 2 }), document("c", { n = 3 }), document("c", { n = 3 }) })
    assert.is_true(sink:send{ { id = "d", kind = "dataleaks.credentials", json = '["null",{"email":{"x":1},"severity":null}]' } })
    assert.same({ "a", "b", "c", "d" }, ask "SELECT id FROM dataleaks_credentials ORDER BY id")
    assert.same({ 3 }, ask "SELECT count(time) FROM dataleaks_credentials WHERE email IS NULL")
  end)

  it("keeps a document byte by byte", function()
    local json = '{"s":"\\u0000 \xc3\xa9 \xe2\x80\xa8 \'; DROP TABLE kind;--","n":123456789012345678901234567890,"f":1.50}'
    assert.is_true(open():send{ { id = "a'\"", kind = "k", json = json } })
    assert.same({ json }, ask "SELECT doc FROM k")
  end)

  it("keeps nothing of a batch of which one part failed, and goes on with the next", function()
    local sink = open()
    local ok, err = sink:send{ document("a", {}, "new.kind"), { kind = "new.kind", json = "{}" } }
    assert.is_nil(ok)
    assert.equal("store", err.kind)
    assert.same({}, ask "SELECT name FROM kind")
    assert.is_true(sink:send{ document("a", {}, "new.kind") })
    assert.same({ "a" }, ask "SELECT id FROM new_kind")
  end)

  it("gives kinds whose names differ in a sign only tables of their own", function()
    assert.is_true(open():send{ document("a", {}, "x.y"), document("b", {}, "x_y"), document("c", {}, "kind") })
    local tables = ask [[SELECT "table" FROM kind WHERE name IN ('x.y', 'x_y', 'kind') ORDER BY name]]
    assert.equal("x_y", tables[2]) -- the first of the two
    assert.matches("^t_%x+$", tables[1])
    assert.matches("^t_%x+$", tables[3])
  end)

  it("refuses what is not its own: another database, a state, a newer schema, a link, a file that others can read", function()
    local function refused(path, words)
      local sink, err = open{ path = path }
      assert.is_nil(sink)
      assert.truthy(err.message:find(words, 1, true), err.message)
    end
    core.store.open(dir .. "/state.db"):close()
    refused("state.db", "is a database of another program; name another file")
    scratch.write(dir .. "/text.db", "SQLite? no")
    refused("text.db", "text.db")
    assert.equal("SQLite? no", scratch.read(dir .. "/text.db"))
    core.store.open(dir .. "/newer.db", { application_id = ID, migrations = { "", "" } }):close()
    refused("newer.db", "newer version (schema 2, this one knows 1); upgrade")
    open{ path = "own.db" }:close()
    os.execute(("ln -s own.db '%s/link.db'; cp '%s/own.db' '%s/open.db'; chmod 644 '%s/open.db'"):format(dir, dir, dir, dir))
    refused("link.db", "is a symbolic link")
    refused("open.db", "chmod 600 it")
  end)

  it("can be read while it is written, and has one writer", function()
    local sink = open()
    assert.is_true(sink:send{ document("a", {}) })
    local db <close> = assert(core.store.open(dir .. "/deep/leaks.db", { readonly = true, application_id = ID, migrations = { "" } }))
    for id in db:rows "SELECT id FROM dataleaks_credentials" do
      assert.equal("a", id)
      assert.is_true(sink:send{ document("b", {}) })
    end
    local second, err = open()
    assert.is_nil(second)
    assert.truthy(err.message:find("is in use by another process", 1, true))
  end)

  it("wants the kinds that it was told, or all", function()
    assert.is_nil(open().wants)
    local sink = open{ path = "some.db", kinds = { "findings" } }
    assert.is_true(sink.wants "findings")
    assert.is_false(sink.wants "dataleaks.credentials")
    assert.is_string(kinds.check{})
  end)

  it("has every record once, and every finding, after kills of the program at any moment", function()
    local sim = run.simulator "--records 600"
    finally(sim.stop)
    local rules = io.popen("cd examples/rules && pwd"):read "l"
    local function pipeline()
      return pipelined.new(sim, { ["until"] = '"2026-04-01"', window = '"10d"', page_size = "20", rules = ('{ "%s/" }'):format(rules),
        sinks = '{ jsonl{ path = "out" }, sqlite{ path = "leaks.db" } }' })
    end
    local began = scratch.uptime()
    assert.equal(0, pipeline():ingest().code)
    local duration, p = scratch.uptime() - began, pipeline()
    local seed = os.time()
    math.randomseed(seed)
    local kills = 0
    for try = 1, 13 do
      local prefix = ([[sh -c '"$@" & pid=$!; sleep %.3f; kill -9 $pid 2>/dev/null; wait $pid' sh]]):format(math.random() * duration)
      local code = p:ingest{ prefix = try < 13 and prefix or nil }.code
      assert(code == 137 or code == 0, code)
      kills = kills + (code == 137 and 1 or 0)
    end
    assert.equal(0, (p:verify()))
    local announced = pipelined.announced(sim, "dataleaks.credentials", "acme.example")
    local path = p.folder .. "/leaks.db"
    assert.same(announced,
      ask("SELECT json_extract(doc, '$.metadata.original_event_uid') AS i FROM dataleaks_credentials ORDER BY i", path))
    local findings = p:ids "findings"
    assert.is_true(#findings > 0)
    assert.same(findings, ask("SELECT json_extract(doc, '$.id') AS i FROM findings ORDER BY i", path))
  end)
end)

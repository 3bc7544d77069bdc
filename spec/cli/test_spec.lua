-- test_spec.lua: `defendis test`: filters and JUnit for every kind of definition, and --watch.
local process = require "support.process"
local run = require "support.run"

local RULES = [[return {
  normalizer{ id = "norm", dataset = "dataleaks.credentials", time = "leakedAt", map = function(r) return { a = r.id } end,
    tests = { { name = "keeps <a> & \"b\"", input = { id = "1" }, expect = { a = "WANTED" } } } },
  rule{ id = "r-1", name = "ruled", title = "R title", dataset = "dataleaks.credentials", level = "low", match = function(r) return r.x end,
    tests = { { name = "yes", match = true, record = { x = true } }, { name = "no \xff\1", match = false, record = { x = WRONG } } } },
  correlation{ id = "c-1", name = "counted", title = "C title", type = "event_count", rules = { "r-1" }, group_by = {}, timespan = "1d",
    condition = { gte = 1 }, level = "low",
    tests = { { name = "one", findings = 1, events = { { x = true, leakedAt = "2026-01-01" } } },
      { name = "none", findings = 0, events = {} } } },
}]]

local function rules(wanted, wrong) return (RULES:gsub("WANTED", wanted or "1"):gsub("WRONG", wrong or "false")) end

describe("test", function()
  local folder, path, running
  before_each(function()
    folder = run.folder()
    path = run.write(folder .. "/some.lua", rules())
  end)
  after_each(function()
    if running then running:clean() end
    running = nil
    run.clean()
  end)

  local function test(words)
    local got = run.defendis("test " .. path .. " " .. (words or ""))
    assert.equal("", got.err)
    return got.out, got.code
  end

  it("picks by file, id, title and name of normalizer, rule and correlation, and by the name of a test", function()
    for filter, n in pairs{ some = 5, norm = 1, ["r-1"] = 2, ruled = 2, ["R title"] = 2, counted = 2, ["C title"] = 2, none = 1,
      keeps = 1 } do
      assert.equal(("%d passed, 0 failed\n"):format(n), test("--filter '" .. filter .. "'"), filter)
    end
    local got = run.defendis("test " .. path .. " --filter nowhere")
    assert.same({ 2, 'defendis: no test matches --filter "nowhere"\n' }, { got.code, got.err })
  end)

  it("writes JUnit XML that an XML parser reads, with what failed, also of a filtered run", function()
    run.write(path, rules("2", "true"))
    local xml = folder .. "/junit.xml"
    assert.equal(1, select(2, test("--junit " .. xml)))
    local function query(expression)
      local pipe <close> = io.popen(("python3 -c 'import sys, xml.etree.ElementTree as t; r = t.parse(sys.argv[1]); print(%s)' %s"):format(
        expression, xml))
      return pipe:read "l"
    end
    assert.equal("5 2", query 'r.getroot().get("tests"), r.getroot().get("failures")')
    assert.equal("norm r-1", query '" ".join(c.get("classname") for c in r.iter("testcase") if c.find("failure") is not None)')
    assert.equal('keeps <a> & "b"', query '[c.get("name") for c in r.iter("testcase")][0]')
    assert.matches('expected "2", got "1"', query '[c.get("message") for c in r.iter("failure")][0]', 1, true)
    assert.equal(0, select(2, test("--filter counted --junit " .. xml)))
    assert.equal("2 0", query 'r.getroot().get("tests"), r.getroot().get("failures")')
  end)

  -- Waits until the run number n has said how it ended.
  local function ended(n)
    return process.eventually(function() return "run " .. n .. " in " .. running:out() end, function()
      local k = 0
      for line in running:out():gmatch "(%d+ passed, %d+ failed)\n" do
        k = k + 1
        if k == n then return line end
      end
    end)
  end

  it("with --watch runs again when a file changes, comes or goes, and ends on SIGINT with the last run's exit code", function()
    running = process.start("test --watch " .. folder)
    assert.equal("5 passed, 0 failed", ended(1))
    run.write(path, rules("2"))
    assert.equal("4 passed, 1 failed", ended(2))
    run.write(folder .. "/more.lua", (rules():gsub('"norm", dataset = "dataleaks.credentials"', '"norm2", dataset = "exposure"')
      :gsub('id = "([rc])%-1", name = "%w+"', 'id = "%1-2"'):gsub('rules = { "r%-1" }', 'rules = { "r-2" }')))
    assert.equal("9 passed, 1 failed", ended(3))
    os.remove(folder .. "/more.lua")
    assert.equal("4 passed, 1 failed", ended(4))
    assert.equal(1, running:stop "INT")
    assert.equal("", running:err())
  end)

  it("with --watch says what does not load, and goes on when it does again", function()
    running = process.start("test --watch " .. folder)
    ended(1)
    run.write(path, "return rule{ id = 1 }")
    running:says "some%.lua:1: "
    run.write(path, rules())
    assert.equal("5 passed, 0 failed", ended(2))
    os.remove(path)
    running:says "there is no rule file"
    assert.equal(2, running:stop "INT")
  end)

  describe("of rules whose normalizer comes with the program", function()
    local SHIPPED = [[return {
      rule{ id = "r", title = "R", level = "low", dataset = "dataleaks.credentials",
        match = function(r) return r.email ~= nil and type(r.ours) == WANTED end,
        tests = { { name = "y", match = true, record = { id = "1", email = "a@b.c", ours = "x", odd = { a = 1, b = { 2 } } } },
          { name = "n", match = false, record = {} } } },
      correlation{ id = "c", title = "C", type = "event_count", rules = { "r" }, group_by = { "email" }, timespan = "1d", level = "low",
        condition = { gte = 2 }, tests = { { name = "none", findings = 0, events = {} }, { name = "two", findings = 1,
          events = { { email = "a", ours = "x", leakedAt = "2026-01-01T00:00:00Z" },
            { email = "a", ours = "y", more = 1, leakedAt = "2026-01-01T02:00:00Z" } } } } } }]]

    local function pipeline(more)
      run.write(path, (SHIPPED:gsub("WANTED", more and '"userdata"' or '"string"')))
      return run.write(folder .. "/pipeline.lua", ([[return pipeline{ scope = "watchlists", datasets = { "dataleaks.credentials" },
        since = "2026-01-01", store = "state.db", rules = { "some.lua" }, normalize = "ocsf", sinks = { splunk_hec{
          url = "https://splunk.example", token = secret.env "NOT_SET" } } %s }]]):format(more or ""))
    end

    it("knows their times with a pipeline file, or --normalize, as ingest does, and not without", function()
      local line = pipeline()
      assert.same({ 0, "4 passed, 0 failed\n" }, { run.defendis("test " .. line).code, run.defendis("test " .. line).out })
      assert.equal("4 passed, 0 failed\n", (test "--normalize ocsf"))
      assert.matches('no normalizer says which field of "dataleaks.credentials" is the time', (test()), 1, true)
      assert.equal(0, run.defendis("lint " .. line .. " --json").err:len())
    end)

    it("says with --loss what finds no place in its documents", function()
      assert.equal("4 passed, 0 failed\n"
        .. "dataleaks.credentials (shipped.dataleaks.credentials) leaves in unmapped: more, odd.a, odd.b, ours\n",
        run.defendis("test --loss " .. pipeline()).out)
    end)

    it("gives the rules what the pipeline's settings hide, and takes one pipeline file only", function()
      local line = pipeline ', sensitive = { fields = { "ours" }, hmac_key = secret.file "none" }'
      assert.equal("4 passed, 0 failed\n", run.defendis("test " .. line).out)
      local got = run.defendis(("test %s %s"):format(line, line))
      assert.equal(2, got.code)
      assert.matches("are both pipeline files; give one\n$", got.err)
    end)
  end)
end)

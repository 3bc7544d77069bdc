local cjson = require "cjson"
local run = require "support.run"

describe("the examples", function()
  local sim
  setup(function() sim = run.simulator("--records 2000") end)
  teardown(function() sim.stop() end)
  after_each(run.clean)

  -- A command line of ours under stock Lua or by itself: code, stdout, stderr.
  local function shell(command, env, input)
    local dir, words = run.folder(), {}
    for k, v in pairs(env or sim.env) do words[#words + 1] = k .. "=" .. run.quote(v) end
    run.write(dir .. "/in", input or "")
    local _, _, code = os.execute(("env %s %s <%s/in >%s/out 2>%s/err"):format(table.concat(words, " "), command, dir, dir, dir))
    return code, run.read(dir .. "/out"), run.read(dir .. "/err")
  end

  it("pull.lua prints every record of a window without its password, with stock lua5.4", function()
    local code, out, err = shell("lua5.4 examples/pull.lua dataleaks.credentials domain=acme.example from=2026-01-05 to=2026-01-12")
    assert.equal(0, code)
    local n = tonumber(err:match("^(%d+) records, %1 passwords left out\n$"))
    assert.is_true(n > 20)
    assert.equal(n, select(2, out:gsub("\n", "")))
    for line in out:gmatch("[^\n]+") do assert.equal("***", cjson.decode(line).password) end
  end)

  it("pull.lua says what is wrong, and fails", function()
    local usage, code, out, err
    code, out, err = shell("lua5.4 examples/pull.lua dataleaks.credentials domain=elsewhere.example")
    assert.same({ 1, "" }, { code, out })
    assert.matches("%(403%)", err)
    code, out, usage = shell("lua5.4 examples/pull.lua")
    assert.same({ 2, "", "usage: lua5.4 pull.lua DATASET NAME=VALUE ...\n" }, { code, out, usage })
  end)

  it("enrich.lua answers what is leaked of a domain and of an e-mail address", function()
    local run_enrich = run.bin .. " run examples/enrich.lua"
    local code, out = shell(run_enrich, nil, '{"domain": "globex.example"}')
    assert.equal(0, code)
    assert.same({ subject = "globex.example", leaked = true, unknown = {},
      records = { credentials = 200, documents = 4, exposure = 2, ransomware = 1 } }, cjson.decode(out))
    code, out = shell(run_enrich, nil, '{"email": "anna.keller@acme.example"}')
    assert.equal(0, code)
    assert.is_true(cjson.decode(out).records.credentials > 0)
    code, out = shell(run_enrich, nil, '{"domain": "elsewhere.example"}')
    local answer = cjson.decode(out)
    assert.same({ 0, cjson.null, {} }, { code, answer.leaked, answer.records })
    assert.matches("%(403%)", answer.unknown.credentials)
    code, out = shell(run_enrich, nil, '{"name": "eve"}')
    assert.same({ 2, "config" }, { code, cjson.decode(out).error.kind })
  end)

  it("correlate.lua finds with the example rules what ingest finds with them", function()
    local code, out = shell("lua5.4 examples/correlate.lua examples/rules globex.example 2026-01-01 2026-02-01")
    assert.equal(0, code)
    local folder = run.folder()
    run.write(folder .. "/p.lua", ([[return pipeline{ scope = { domain = { "globex.example" } }, datasets = { "dataleaks.credentials" },
      since = "2026-01-01", ["until"] = "2026-02-01", rules = { %q }, sinks = { jsonl{ path = "out" } }, store = "state.db" }]])
      :format(io.popen("pwd"):read("l") .. "/examples/rules"))
    assert.equal(0, (shell(run.bin .. " ingest " .. folder .. "/p.lua")))
    local expected, found = {}, {}
    for line in run.read(folder .. "/out/findings.jsonl"):gmatch("[^\n]+") do
      local f = cjson.decode(line)
      expected[#expected + 1] = ("%s\t%s\t%s"):format(os.date("!%Y-%m-%d %H:%M", f.time // 1000), f.level, f.title)
    end
    for line in out:gmatch("[^\n]+") do found[#found + 1] = line:match("^([^\t]+\t[^\t]+\t[^\t]+)") end
    table.sort(expected)
    table.sort(found)
    assert.is_true(#found > 5)
    assert.same(expected, found)
  end)

  it("sink.lua, named in a pipeline file, puts each document into a folder as a file", function()
    local folder = run.folder()
    run.write(folder .. "/p.lua", ([[return pipeline{ scope = { domain = { "globex.example" } }, datasets = { "dataleaks.credentials" },
      since = "2026-01-01", ["until"] = "2026-02-01", store = "state.db",
      sinks = { jsonl{ path = "out" }, sink "%s/examples/sink.lua" { path = "spool" } } }]]):format(io.popen("pwd"):read("l")))
    local code, _, err = shell(run.bin .. " ingest " .. folder .. "/p.lua")
    assert.same({ 0, "" }, { code, err })
    local lines, files = {}, {}
    for line in io.lines(folder .. "/out/dataleaks.credentials.jsonl") do lines[#lines + 1] = line end
    for name in io.popen("cd " .. folder .. "/spool && ls -A"):lines() do
      assert.matches("^dataleaks%.credentials%.%x+%.json$", name)
      files[#files + 1] = run.read(folder .. "/spool/" .. name)
    end
    table.sort(lines)
    table.sort(files)
    assert.is_true(#lines > 5)
    assert.same(lines, files)
  end)

  it("demo.sh shows a whole pipeline that ends complete, and leaves no simulator behind", function()
    local folder = run.folder()
    os.execute(("mkdir %s/build && cp -r examples %s && ln -s $(realpath %s) %s/build"):format(folder, folder, run.bin, folder))
    local code, out, err = shell("sh -c 'cd " .. folder .. " && sh examples/demo.sh'", { BUILD = "build", DEMO_RECORDS = 2000 })
    assert.same({ 0, "" }, { code, err })
    assert.matches("\nfindings: %d+ critical correlated", out)
    assert.matches("\ncomplete\n", out)
    assert.matches("%d+ build/demo/out/dataleaks%.credentials%.jsonl\n", out)
    local address = out:match("http://127%.0%.0%.1:%d+")
    assert.matches("could not be reached", select(3, shell(run.bin .. " health --base-url " .. address)))
  end)
end)

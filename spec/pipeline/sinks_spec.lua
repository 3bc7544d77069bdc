-- sinks_spec.lua: which sinks a pipeline file can name, and what is said about one that is not right.
local file = require "defendis.pipeline.file"
local run = require "support.run"

describe("a pipeline file's sinks", function()
  after_each(run.clean)

  local GOOD = [[return { OPTIONS = { n = require("defendis.check").count }, GUARANTEE = "none",
    new = function(o, context) return { name = "own:" .. context.name .. ":" .. context.folder .. (o.n or ""), send = function() end,
      close = function() end } end }]]

  local function load(text, sinks)
    local folder = run.folder()
    if text then run.write(folder .. "/own.lua", text) end
    run.write(folder .. "/p.lua", ([[return pipeline{ scope = "watchlists", datasets = { "dataleaks.documents" }, since = "2026-01-01",
      sinks = { %s }, store = "s.db" }]]):format(sinks or 'sink "own.lua" {}'))
    local plan, err = file.load(folder .. "/p.lua")
    return plan, err and err.message:gsub(folder .. "/", "", nil), folder
  end

  it("are made with their options, a name and the folder of the pipeline file, and get limits where they say none", function()
    local plan, _, folder = load(GOOD, 'jsonl{ path = "out" }, sink "own.lua" { n = 7 }')
    assert.equal("jsonl:out", plan.sinks[1].name)
    assert.equal("own:own.lua:" .. folder .. "/7", plan.sinks[2].name)
    assert.same({ documents = 500, bytes = 1048576 }, plan.sinks[2].batch)
  end)

  it("are not made for commands that only need to know where the state is", function()
    local folder = run.folder()
    run.write(folder .. "/own.lua", (GOOD:gsub("new = function%(o, context%)", "%0 error 'no secret here'")))
    run.write(folder .. "/p.lua", [[return pipeline{ scope = "watchlists", datasets = { "dataleaks.documents" }, since = "2026-01-01",
      sinks = { sink "own.lua" {} }, store = "s.db" }]])
    assert.equal(folder .. "/s.db", file.load(folder .. "/p.lua", true).store)
  end)

  it("get their secrets from the environment or a file, which only whoever makes them has to have", function()
    local entry = 'splunk_hec{ url = "http://127.0.0.1:1", token = secret.env "NO_SUCH_TOKEN" }'
    local plan, message, folder = load(nil, entry)
    assert.is_nil(plan)
    assert.equal("p.lua:2: the environment variable NO_SUCH_TOKEN is not set; set it to the key, or keep the key in a file", message)
    assert.equal(folder .. "/s.db", file.load(folder .. "/p.lua", true).store)
    plan, message = load(nil, entry:gsub("secret.env", "secret.file"))
    assert.is_nil(plan)
    assert.matches("^p.lua:2: .*NO_SUCH_TOKEN: No such file or directory", message)
    plan, message = load(nil, entry:gsub('secret.env "NO_SUCH_TOKEN"', '"the text itself"'))
    assert.is_nil(plan)
    assert.matches('secret.env "NAME" or secret.file "path", never the text itself', message, 1, true)
    assert.is_nil(message:find "the text itself\"")
  end)

  local BAD = "{ OPTIONS = {...}, GUARANTEE = text, new = function }; see sinks/README.md"
  for what, case in pairs{
    ["is not there"] = { nil, nil, "cannot read own.lua: No such file or directory" },
    ["is not Lua"] = { "return {", nil, "own.lua:1: unexpected symbol near <eof>" },
    ["raises"] = { "error('not today', 0)", nil, "not today" },
    ["returns nothing"] = { "", nil, "the sink own.lua: it returns no table; see sinks/README.md" },
    ["lacks its guarantee"] = { "return { OPTIONS = {}, new = print }", nil, "the sink own.lua: it must return " .. BAD },
    ["gets an option that it does not know"] = { GOOD, 'sink "own.lua" { m = 1 }', 'p.lua:2: own.lua: unknown key "m", nearest key "n"' },
    ["gets a wrong value"] = { GOOD, 'sink "own.lua" { n = -1 }',
      'p.lua:2: own.lua: field "n": a whole number not below 0 expected, got -1' },
    ["is made from something else than a path"] = { GOOD, "sink { n = 1 }", 'p.lua:2: sink: sink "path/to/file.lua" { options } expected' },
    ["is listed twice"] = { GOOD, 'sink "own.lua" {}, sink "own.lua" {}', "p.lua: the sink own:own.lua: is listed twice" },
    ["has no options"] = { GOOD, 'sink "own.lua"', 'p.lua:2: field "sinks[1]": a sink such as jsonl{ path = "out/" } expected' },
    ["cannot be made"] = { GOOD:gsub("return { name", "do return nil, 'no key' end %0"), nil, "p.lua: own.lua: no key" },
    ["has no name"] = { GOOD:gsub('name = "own:".-, send', "send"), nil,
      "p.lua: the sink own.lua: sink.name is not a line of text; see sinks/README.md" },
    ["has no send"] = { GOOD:gsub("send = function%(%) end,", ""), nil,
      "p.lua: the sink own.lua: sink:send is missing; see sinks/README.md" },
    ["has no time to send"] = { GOOD:gsub("send =", "deadline = 0, %0"), nil,
      "p.lua: the sink own.lua: sink.deadline is not a number of seconds; see sinks/README.md" },
    ["has a batch of none"] = { GOOD:gsub("send =", "batch = { documents = 0 }, %0"), nil,
      "p.lua: the sink own.lua: sink.batch holds numbers of documents and bytes; see sinks/README.md" },
  } do
    it("are refused with what to do about it when one " .. what, function()
      local plan, message = load(case[1], case[2])
      assert.is_nil(plan)
      assert.equal(case[3], message)
    end)
  end
end)

-- jsonl_spec.lua: the sink that appends JSON lines to files.
local core = require "defendis.core"
local jsonl = require "defendis.sinks.jsonl"
local scratch = require "support.scratch"

local KINDS = { "records", "findings" }

describe("the jsonl sink", function()
  local dir, sinks

  before_each(function() dir, sinks = scratch.dir(), {} end)
  after_each(function()
    for _, sink in ipairs(sinks) do sink:close() end
    scratch.remove(dir)
  end)

  local function open(state, path)
    local sink = jsonl.new({ path = path or "out/deep/" }, { folder = dir .. "/" })
    sinks[#sinks + 1] = sink
    local ok, err = sink:open(state, KINDS)
    if not ok then return nil, err end
    return sink
  end

  local function write(sink, kind, text)
    local buffer = core.json.buffer()
    buffer:add(text)
    assert.is_true(sink:write(kind, buffer))
  end

  local function path(kind) return dir .. "/out/deep/" .. kind .. ".jsonl" end

  it("makes its folder for the owner only, and a file per kind", function()
    local before = scratch.descriptors()
    local sink = assert(open())
    assert.equal("700", scratch.mode(dir .. "/out/deep"))
    for _, kind in ipairs(KINDS) do assert.equal("", scratch.read(path(kind))) end
    sink:close()
    assert.equal(before, scratch.descriptors())
  end)

  it("is called by the path as it was given", function()
    assert.equal("jsonl:out/deep/", open().name)
  end)

  it("cuts off what was written after the last commit", function()
    local sink = assert(open())
    write(sink, "records", "1\n")
    local state = assert(sink:prepare())
    write(sink, "records", "2\n3")
    write(sink, "findings", "lost\n")
    sink:close()
    sink = assert(open(state))
    assert.equal("1\n", scratch.read(path "records"))
    assert.equal("", scratch.read(path "findings"))
    write(sink, "records", "2\n")
    assert(sink:prepare())
    assert.equal("1\n2\n", scratch.read(path "records"))
  end)

  it("keeps the sizes of files whose kind is not written for a while", function()
    local sink = assert(open())
    write(sink, "findings", "f\n")
    local state = assert(sink:prepare())
    sink:close()
    local other = jsonl.new({ path = "out/deep/" }, { folder = dir .. "/" })
    sinks[#sinks + 1] = other
    assert.is_true(other:open(state, { "records" }))
    state = assert(other:prepare())
    other:close()
    scratch.write(path "findings", "f\nbehind a crash")
    assert(open(state))
    assert.equal("f\n", scratch.read(path "findings"))
  end)

  it("appends to files that its state does not know, on a line of their own", function()
    local sink = assert(open())
    write(sink, "records", "old\nhalf a li")
    sink:close()
    sink = assert(open())
    write(sink, "records", "new\n")
    assert(sink:prepare())
    assert.equal("old\nhalf a li\nnew\n", scratch.read(path "records"))
    sink:close()
    assert(open())
    assert.equal("old\nhalf a li\nnew\n", scratch.read(path "records"))
  end)

  it("refuses files that lost committed lines, and names the remedy", function()
    local sink = assert(open())
    write(sink, "records", "1\n2\n")
    local state = assert(sink:prepare())
    sink:close()
    scratch.write(path "records", "1\n")
    local none, err = open(state)
    assert.is_nil(none)
    assert.equal("store", err.kind)
    assert.truthy(err.message:find("state reset", 1, true))
    os.remove(path "records")
    none, err = open(state)
    assert.is_nil(none)
    assert.truthy(err.message:find("is missing", 1, true))
  end)

  it("refuses a state of which any byte was changed, and cuts nothing off", function()
    local sink = assert(open())
    write(sink, "records", "1\n2\n")
    local state = assert(sink:prepare())
    sink:close()
    for at = 1, #state do
      local none, err = open(state:sub(1, at - 1) .. string.char(state:byte(at) ~ 1) .. state:sub(at + 1))
      assert.is_nil(none)
      assert.matches("^state damaged: .*; restore a backup or run `defendis state reset %-%-all`$", err.message)
    end
    assert.equal("1\n2\n", scratch.read(path "records"))
  end)

  it("knows a state from before there was a hash", function()
    local sink = assert(open())
    write(sink, "records", "1\n")
    local state = assert(sink:prepare())
    write(sink, "records", "2\n")
    sink:close()
    assert(open((state:match("^.*}"))))
    assert.equal("1\n", scratch.read(path "records"))
  end)

  it("takes an owner's name that a power loss spoiled for none", function()
    local sink = assert(open())
    local state = assert(sink:prepare())
    sink:close()
    for _, spoiled in ipairs{ "", "\0\0\0\0", ("x"):rep(32) .. "\n" } do
      scratch.write(dir .. "/out/deep/.defendis", spoiled)
      assert(open(state)):close()
      assert.equal(33, #scratch.read(dir .. "/out/deep/.defendis"))
    end
  end)

  it("refuses a folder that another state wrote to since, and leaves it whole", function()
    local first = assert(open())
    write(first, "records", "1\n")
    local state = assert(first:prepare())
    first:close()
    local second = assert(open())
    write(second, "records", "2\n")
    local newer = assert(second:prepare())
    second:close()
    local none, err = open(state)
    assert.is_nil(none)
    assert.equal("store", err.kind)
    assert.truthy(err.message:find("another pipeline's state has written here since", 1, true))
    assert.equal("1\n2\n", scratch.read(path "records"))
    assert(open(newer))
  end)

  it("refuses a folder that is being written, and does not take it over", function()
    local first = assert(open())
    local state = assert(first:prepare())
    local none, err = open()
    assert.is_nil(none)
    assert.truthy(err.message:find("another process", 1, true))
    first:close()
    assert(open(state))
  end)

  it("fails the commit when a file shrank under it", function()
    local sink = assert(open())
    write(sink, "records", "1\n")
    assert(sink:prepare())
    write(sink, "records", "2\n")
    scratch.write(path "records", "")
    local none, err = sink:prepare()
    assert.is_nil(none)
    assert.truthy(err.message:find("truncated or removed", 1, true))
  end)
end)

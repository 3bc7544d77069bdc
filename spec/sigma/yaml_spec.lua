-- yaml_spec.lua: YAML as Lua tables, and YAML that means harm.
local null = require("cjson").null
local yaml = require "defendis.sigma.yaml"

local function read(text)
  return yaml.documents(text, null, function(line, message) error({ line = line, message = message }, 0) end)
end

local function refused(text)
  local ok, err = pcall(read, text)
  assert(not ok and type(err) == "table", tostring(err))
  assert.is_nil(err.message:find("\n"))
  return err.message, err.line
end

describe("a YAML stream", function()
  it("is its documents, without empty ones, each with its line", function()
    local docs = read("a: 1\n---\n---\n# only a comment\n---\nb: 2\n...\n")
    assert.same({ { a = 1 }, { b = 2 } }, { docs[1].value, docs[2].value })
    assert.same({ 1, 6, 2 }, { docs[1].line, docs[2].line, #docs })
  end)

  it("knows the line and the order of keys and elements", function()
    local docs, marks = read("b: 1\na:\n  - x\n\n  - y: 2\n")
    local root = docs[1].value
    assert.same({ "b", "a" }, marks[root].keys)
    assert.same({ a = 2, b = 1 }, marks[root].lines)
    assert.same({ 3, 5 }, marks[root.a].lines)
    assert.same({ true, 5 }, { marks[root.a].list, marks[root.a[2]].line })
  end)

  -- text of a value -> what it is
  for text, value in pairs{ ["yes"] = "yes", no = "no", on = "on", ["true"] = true, FALSE = false, ["'true'"] = "true", ["~"] = null,
    ["null"] = null,
    [""] = null, ["'null'"] = "null", ["12"] = 12, ["-7"] = -7, ["0x1F"] = 31, ["0"] = 0, ["1.5"] = 1.5, [".5"] = 0.5, ["'0123'"] = "0123",
    ["2026-01-05"] = "2026-01-05", ["1.2.3.4"] = "1.2.3.4", ["12::30"] = "12::30", ["12:75"] = "12:75", ["1a"] = "1a", ["!!str 5"] = "5",
    ["'1e5'"] = "1e5", ["-"] = { null }, ["*.txt"] = false, ["'*'"] = "*", [".git"] = ".git", ["..."] = null,
      ["|\n  two\n  lines"] = "two\nlines\n",
    ["fe80::1"] = "fe80::1", ["+"] = "+", ["1.5e+3"] = 1500.0 } do
    if text ~= "*.txt" then
      it("reads " .. text:gsub("\n", " ") .. " as people mean it", function()
        local docs = read("v:" .. (text == "-" and "\n  -" or text == "..." and "\n..." or " " .. text) .. "\n")
        assert.same({ v = value }, docs[1].value)
        if type(value) == "number" then assert.equal(math.type(value), math.type(docs[1].value.v)) end
      end)
    end
  end

  -- what the two versions of YAML read as different things
  for _, text in ipairs{ "0123", "-007", "1_000", "1_0.5", "10:30", "10:22:33:44:55:59", "1e5", "12e4", "1.5e3", "0o17", "0b101",
    "0x1_F" } do
    it("refuses " .. text .. " unless it is in quotes", function()
      local message, line = refused("a: 1\nv: " .. text .. "\n")
      assert.equal(('"%s" is read differently by YAML 1.1 and 1.2, write it in quotes'):format(text), message)
      assert.equal(2, line)
      assert.equal(text, read("v: '" .. text .. "'\n")[1].value.v)
    end)
  end

  -- text, line, what is said
  for _, case in ipairs{
    { "a: 1\nb: 2\na: 3\n", 3, 'the key "a" is already at line 1' }, { "v: .inf\n", 1, "no record holds the number .inf" },
    { "v: 12345678901234567890\n", 1, "is too long for a number, write it in quotes" }, { "a: &x {b: 1}\nc:\n  <<: *x\n", 3, "merge keys" },
    { "a:\n  - !!python/object:os.system x\n", 2, "the tag tag:yaml.org,2002:python/object:os.system is not supported" },
    { "a: !!set {x}\n", 1, "the tag tag:yaml.org,2002:set is not supported" }, { "? [a]\n: 1\n", 1, "a key is a text" },
    { "a: *nope\n", 1, "*nope names no anchor before it" }, { "a: &x [1, *x]\n", 1, "*x stands inside what it names" },
    { "a: [1\nb: 2\n", 2, "YAML: did not find expected" }, { "a: 1\n\tb: 2\n", 2, "YAML: found" }, { "a: 1\nb: \1\n", 2,
      "a control character" },
    { "a: \255\n", 1, "not UTF-8" }, { "\255\254a\0:\0", 1, "not UTF-8" } } do
    it("is refused with its line: " .. case[3], function()
      local message, line = refused(case[1])
      assert.truthy(message:find(case[3], 1, true), message)
      assert.equal(case[2], line)
    end)
  end

  it("shares what an alias names", function()
    local docs = read("a: &x [1, 2]\nb: *x\nc: &y text\nd: *y\n")
    assert.equal(docs[1].value.a, docs[1].value.b)
    assert.equal("text", docs[1].value.d)
  end)

  it("refuses aliases that blow up, however few bytes they are", function()
    local lines = { "a0: &a0 [x, x, x, x, x, x, x, x, x, x]" }
    for i = 1, 9 do lines[i + 1] = ("a%d: &a%d [%s]"):format(i, i, ("*a%d, "):rep(10):format(i - 1, i - 1, i - 1, i - 1, i - 1, i - 1,
      i - 1, i - 1, i - 1, i - 1)) end
    local message, line = refused(table.concat(lines, "\n"))
    assert.equal("more than 100000 nodes in one document, aliases written out", message)
    assert.equal(5, line)
  end)

  it("refuses depth, in any style", function()
    for _, text in ipairs{ ("["):rep(500000), ("- "):rep(500000), ("{a: "):rep(500000), ("? "):rep(500000) } do
      local message = refused(text)
      assert.truthy(message:find("deeper than 64 levels") or message == "a key is a text", message)
    end
    local list = read(("["):rep(64) .. ("]"):rep(64))
    assert.equal(1, #list)
  end)

  it("refuses what is too long, and reads what is not", function()
    assert.equal("10485760 bytes, a YAML file has at most 8388608", (refused(("a"):rep(10 << 20))))
    assert.equal(8000000, #read("a: " .. ("x"):rep(8000000))[1].value.a)
    assert.matches("more than 100000 nodes", (refused(("- x\n"):rep(200000))))
    assert.matches("more than 1000000 nodes in one file", (refused((("---\n" .. ("- 1\n"):rep(99000)):rep(11)))))
  end)

  it("says which package is missing", function()
    local loaded, preload = package.loaded.yaml, package.preload.yaml
    finally(function() package.loaded.yaml, package.preload.yaml = loaded, preload end)
    package.loaded.yaml = nil
    package.preload.yaml = function() error("not here") end
    assert.equal("YAML is read with the Lua module yaml, install the package lua-yaml", (refused("a: 1\n")))
  end)
end)

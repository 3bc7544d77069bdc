local cjson = require "cjson"
local csv = require "defendis.helpers.csv"
local lookup = require "defendis.helpers.lookup"
local made = require "helpers.made"
local run = require "support.run"
local sandbox = require "defendis.rules.sandbox"

local files
local env = { null = cjson.null, array = function(t) return t end,
  read = function(path, most)
    if not files[path] then return nil, "cannot read " .. path end
    assert(most == lookup.MAX)
    return files[path]
  end,
  decode = function(text)
    local ok, value = pcall(cjson.decode, text)
    if ok then return value end
    return nil, { message = "no JSON" }
  end }

local function open(kind, text, options)
  files = { ["rules/t"] = text }
  return lookup.new("rules/a.lua", env)[kind]("t", options)
end

local function refused(what, ...)
  local ok, err = pcall(open, ...)
  assert.is_false(ok)
  assert.is_truthy(tostring(err):find(what, 1, true), tostring(err))
end

describe("lookup.csv", function()
  it("looks a row or a column up", function()
    local t = open("csv", "email,team\nana@acme.example,finance\nben@acme.example,\n", { key = "email" })
    assert.same({ email = "ana@acme.example", team = "finance" }, t:get "ana@acme.example")
    assert.equal("finance", t:get("ana@acme.example", "team"))
    assert.equal("", t:get("ben@acme.example", "team"))
    assert.is_nil(t:get "nobody")
    assert.is_nil(t:get("nobody", "team"))
    assert.is_true(t:has "ben@acme.example")
    assert.is_false(t:has "carla@acme.example")
    assert.equal(2, t:len())
  end)

  it("takes quotes, line ends inside them, CRLF, BOM, blank and short rows, another separator, no last line end", function()
    local t = open("csv", '\xEF\xBB\xBF"k";"a b";c\r\n"x;1";"say ""hi""\r\nthere";2\r\n\r\ny\r\n"z";"";"3"', { key = "k", separator = ";" })
    assert.same({ k = "x;1", ["a b"] = 'say "hi"\r\nthere', c = "2" }, t:get "x;1")
    assert.same({ k = "y" }, t:get "y")
    assert.same({ k = "z", ["a b"] = "", c = "3" }, t:get "z")
    assert.equal(3, t:len())
    assert.equal("2", open("csv", "k\tv\n1\t2\n", { key = "k", separator = "\t" }):get("1", "v"))
  end)

  it("counts numbers as their text, and folds keys on both sides", function()
    local t = open("csv", "k,v\n5,five\nANA,x\n", { key = "k", fold = string.lower })
    assert.equal("five", t:get(5, "v"))
    assert.equal("five", t:get(5.0, "v"))
    assert.equal("x", t:get("Ana", "v"))
    local mail = open("csv", "mail,v\nana.b@gmail.com,1\n", { key = "mail", fold = made.all().email.canonical })
    assert.equal("1", mail:get("AnaB+shop@googlemail.com", "v"))
    assert.is_nil(mail:get("no address", "v"))
  end)

  it("names file and line of what is wrong", function()
    local key = { key = "k" }
    refused('lookup.csv: rules/t:4: the key "a" is already at rules/t:2', "csv", "k\na\nb\na\n", key)
    refused("rules/t:6: 3 fields, but 2 columns", "csv", 'k,v\na,"1\n2\r\n3"\n\nb,1,2\n', key)
    refused("rules/t:3: a quote that is not closed", "csv", 'k,v\na,1\nb,"2\nc,3\n', key)
    refused("rules/t:2: text behind a closing quote", "csv", 'k,v\n"a"b,1\n', key)
    refused('rules/t:1: unknown column "k", nearest column "kk"', "csv", "kk,v\na,1\n", key)
    refused('the column "v" is there twice', "csv", "k,v,v\n", key)
    refused("rules/t:1: no row with the names", "csv", "", key)
    refused("rules/t:1: a NUL byte; save the file as UTF-8", "csv", "\xff\xfek\0\n\0", key)
    refused("rules/t:2: no key", "csv", "k,v\n,1\n", key)
    refused("rules/t:2: no key after fold", "csv", "k,v\nx,1\n", { key = "k", fold = function() return nil end })
    files = {}
    local _, why = pcall(function() return (lookup.new("rules/a.lua", env).csv("nope", key)) end)
    assert.matches("^spec/helpers/lookup_spec.lua:%d+: lookup.csv: cannot read rules/nope$", why)
  end)

  it("takes the first or the last of keys that come twice when told to", function()
    local text = "k,v\na,1\nb,2\na,3\n"
    assert.equal("1", open("csv", text, { key = "k", duplicates = "first" }):get("a", "v"))
    local last = open("csv", text, { key = "k", duplicates = "last" })
    assert.equal("3", last:get("a", "v"))
    assert.equal(2, last:len())
  end)

  it("raises for options, columns and calls that it does not have", function()
    refused('missing required field "key"', "csv", "k\n", {})
    refused('unknown key "seperator", nearest key "separator"', "csv", "k\n", { key = "k", seperator = ";" })
    refused('one character such as ";"', "csv", "k\n", { key = "k", separator = "ab" })
    refused('one of first, last expected', "csv", "k\n", { key = "k", duplicates = "all" })
    local t = open("csv", "k,team\na,1\n", { key = "k" })
    assert.error_matches(function() t:get("a", "taem") end, 'unknown column "taem", nearest column "team"')
    assert.has_error(function() t.x = 1 end)
    assert.has_error(function() lookup.new("a.lua", env).csv(nil, { key = "k" }) end)
  end)

  it("gives copies, so that a rule cannot change what the next one sees", function()
    local t = open("csv", "k,v\na,1\n", { key = "k" })
    t:get("a").v = "2"
    assert.equal("1", t:get("a", "v"))
    local nested = open("lua", "return { a = { b = { c = 1 } } }", {})
    nested:get("a", "b").c = 2
    nested:get("a").b.c = 3
    assert.same({ b = { c = 1 } }, nested:get "a")
  end)

  it("finds nothing for anything that a record may hold", function()
    assert.same({}, made.survivors(function(v) return open("csv", "k,v\na,1\n", { key = "k" }):get(v) end))
  end)

  it("survives any text as a file: a table, or a fault of one line", function()
    local pieces, seed = { '"', ",", "\n", "\r", "\r\n", "a", "k", "\xEF\xBB\xBF", "\0", "\xff", '""', " " }, 5
    for _ = 1, 3000 do
      local text = ""
      for _ = 1, 12 do
        seed = (seed * 1103515245 + 12345) & 0x7fffffff
        text = text .. pieces[(seed >> 8) % #pieces + 1]
      end
      local rows, why, line = csv.parse(text, ",")
      assert(rows or type(why) == "string" and math.type(line) == "integer")
      local last = 0
      for _, row in ipairs(rows or {}) do
        assert(row.line > last, text)
        last = row.line
      end
    end
    for _, text in ipairs(made.hostile()) do if type(text) == "string" then pcall(open, "csv", text, { key = "k" }) end end
  end)
end)

describe("lookup.json and lookup.lua", function()
  it("take a table key -> value, or a list with a key", function()
    for kind, texts in pairs{ json = { '{"a": {"n": 1}, "b": 2}', '[{"id": "a", "n": 1}, {"id": 7, "n": 2}]' },
      lua = { "return { a = { n = 1 }, b = 2 }", 'return { { id = "a", n = 1 }, { id = 7, n = 2 } }' } } do
      local t = open(kind, texts[1], {})
      assert.equal(1, t:get("a", "n"))
      assert.equal(2, t:get "b")
      assert.is_nil(t:get("b", "n"))
      t = open(kind, texts[2], { key = "id" })
      assert.equal(1, t:get("a", "n"))
      assert.equal(2, t:get("7", "n"))
      assert.equal(2, t:get(7, "n"))
    end
    assert.is_nil(open("json", '{"a": {"n": null}}', {}):get("a", "n"))
  end)

  it("name what is wrong", function()
    refused("rules/t: no JSON", "json", "{", {})
    refused("a table expected, got a number", "json", "5", {})
    refused("a list; say which field is looked up", "json", "[1]", {})
    refused("a list expected, for there is a key", "json", '{"a": 1}', { key = "id" })
    refused("element 2 is no table", "json", '[{"id": 1}, 2]', { key = "id" })
    refused("element 1: no key", "json", '[{"n": 1}]', { key = "id" })
    refused('element 2: the key "1" is already at rules/t: element 1', "json", '[{"id": 1}, {"id": "1"}]', { key = "id" })
    refused("rules/t:2: ", "lua", "return {\n =", {})
    refused("rules/t:1: attempt to call a nil value (global 'require')", "lua", "return require 'os'", {})
    refused("a value that is a function", "lua", "return { a = function() end }", {})
    refused("tables too deep, or one in itself", "lua", "local t = {} t.t = t return t", {})
    refused("a table expected, got a nil", "lua", "", {})
    refused("attempt to load a binary chunk", "lua", string.dump(function() return {} end), {})
  end)
end)

describe("a rule file", function()
  after_each(run.clean)

  it("reads a lookup beside it while it is loaded, and not from a rule", function()
    local file = require "defendis.pipeline.file"
    local rules = require "defendis.rules"
    local folder = run.folder()
    os.execute("mkdir -p " .. folder .. "/lists")
    run.write(folder .. "/lists/vip.csv", "email\nana@acme.example\n")
    local text = [[local vip = lookup.csv("lists/vip.csv", { key = "email", fold = email.canonical })
      return rule{ id = "r", title = "t", level = "low", dataset = "d", match = function(r)
        if r.late then lookup.csv("lists/vip.csv", { key = "email" }) end
        return vip:has(r.email) end }]]
    local source = { name = folder .. "/a.lua", text = text }
    local set = assert(rules.load({ source }, file.host()))
    local match = set.definitions[1].compiled.match
    assert.is_true(match{ email = "Ana@ACME.example" })
    assert.is_false(match{ email = "ben@acme.example" })
    assert.error_matches(function() match{ late = true } end, "a table is read while the rules are loaded, not by a rule")
    run.write(folder .. "/lists/vip.csv", "email\na@b.example\nA@b.example\n")
    local _, err = rules.load({ source }, file.host())
    assert.equal("config", err.kind)
    assert.equal(('%s/a.lua:1: lookup.csv: %s/lists/vip.csv:3: the key "a@b.example" is already at %s/lists/vip.csv:2; '
      .. 'duplicates = "first" or "last" takes one of them'):format(folder, folder, folder), err.message)
    run.write(folder .. "/lists/vip.csv", "")
    assert.matches("vip.csv:1: no row with the names of the columns$", select(2, rules.load({ source }, file.host())).message)
    os.remove(folder .. "/lists/vip.csv")
    assert.matches("a.lua:1: lookup.csv: cannot read .*/lists/vip.csv: No such file",
      select(2, rules.load({ source }, file.host())).message)
  end)

  it("is refused for a lookup that is too long, or a folder", function()
    local host = require("defendis.pipeline.file").host()
    assert.matches("is longer than 0 MiB", select(2, host.read("/dev/zero", 1000)))
    assert.matches("is not a file", select(2, host.read("/tmp", 1000)))
  end)

  it("of a host that reads no files says so", function()
    local seen = sandbox.new({}, { null = cjson.null }, "a.lua")
    assert.error_matches(function() seen.lookup.lua "x" end, "lookup.lua: this program reads no files for rules")
    assert.error_matches(function() seen.re.new "x" end, "re.new: patterns need the program's core")
  end)
end)

-- map_spec.lua: declarative maps: what each expression writes, what is left out, and what is refused when a map is loaded.
local core = require "defendis.core"
local file = require "defendis.pipeline.file"
local rules = require "defendis.rules"
local run = require "support.run"

local TARGETS <const> = "defendis.normalize.targets"
local host

local function load_map(map, more)
  local text = ("return normalizer{ id = 'n', dataset = 'd', %s map = %s }"):format(more or "", map)
  return rules.load({ { name = "m.lua", text = text } }, host)
end

-- The JSON text that a map makes of the record with this JSON text.
local function written(map, record, more)
  local set = assert(load_map(map, more))
  local page <close> = assert(core.json.page('{"data":[' .. record .. "]}"))
  local buffer = core.json.buffer()
  local ok, err = set:program("d"):run(page, 1, buffer)
  return ok and buffer:text() or nil, err and err.message
end

local function refused(map, more)
  local set, err = load_map(map, more)
  assert(set == nil, "this map should have been refused")
  assert.equal("config", err.kind)
  return err.message
end

local RECORD <const> = [[{"id":"r1","email":" Ann@Acme.Example ","n":42,"big":18446744073709551616,"f":1.50,"yes":true,"no":false,
  "none":null,
  "url":"https://user:pw@VPN.acme.example:8443/a?b","at":"2026-01-05T10:00:00Z","tags":["b","a<"],"empty":[],"password":"S3cret!",
  "source":{"name":"redline","type":"stealer","deep":{"x":1,"y":2}},"list":[{"k":1,"z":9},null,{"k":2},{"q":3}]}]]

describe("a declarative map", function()
  before_each(function()
    host = file.host()
    host.hmac_key = "key"
  end)
  after_each(function() package.loaded[TARGETS] = nil end)

  it("writes what each expression says", function()
    for expression, json in pairs{
      ['field "n"'] = "42", ['field "big"'] = "18446744073709551616", ['field "source.deep"'] = '{"x":1,"y":2}',
        ['field "tags[2]"'] = '"a\\u003c"',
      ['field{ "source", "type" }'] = '"stealer"', ['field "empty"'] = "[]", ['constant{ b = 1, a = {} }'] = '{"a":{},"b":1}',
      ['constant(null)'] = "null", ['"text"'] = '"text"', ['lower(trim "email")'] = '"ann@acme.example"', ['upper "id"'] = '"R1"',
      ['domain "email"'] = '"acme.example"', ['host "url"'] = '"vpn.acme.example"', ['scheme "url"'] = '"https"',
      ['millis "at"'] = "1767607200000", ['millis "n"'] = "42", ['millis("n", "s")'] = "42000", ['iso "n"'] = '"1970-01-01T00:00:00.042Z"',
      ['concat("<", field "id", "/", field "n", 7, ">")'] = '"\\u003cr1/427>"', ['lookup("id", { r1 = { 1 } })'] = "[1]",
      ['lookup("n", { [42] = "a" })'] = '"a"', ['lookup("yes", { [true] = 1 })'] = "1", ['lookup("id", { x = 1 }, 0)'] = "0",
      ['lookup("id", { x = 1 }, lower "id")'] = '"r1"', ['first_of("none", "missing", "id")'] = '"r1"',
      ['length_class "password"'] = '"1-7"',
      ['len "tags"'] = "2", ['mask "password"'] = '"********"', ['join("tags", ", ")'] = '"b, a\\u003c"', ['join("id", ",")'] = '"r1"',
      ['split("source.name", "l", 2)'] = '"ine"', ['text "n"'] = '"42"', ['number(split("at", "T", 1))'] = nil,
        ['number(text "f")'] = "1.50",
      ['equals("source.type", "a", "stealer")'] = "true", ['absent "none"'] = "true", ['absent "id"'] = "false",
      ['when("none", 1, 2)'] = "2", ['when("no", 1, field "id")'] = '"r1"', ['when("source", { a = 1, b = field "none" })'] = '{"a":1}',
      ['when(equals("n", 42), "x")'] = '"x"', ['each("tags", upper ".")'] = '["B","A\\u003c"]',
      ['each("list", { k = field "k", id = field "$.id" })'] = '[{"id":"r1","k":1},{"id":"r1","k":2},{"id":"r1"}]',
      ['each("list", { k = field "k" })'] = '[{"k":1},{"k":2}]', ['each("source", { n = field "name" })'] = '[{"n":"redline"}]',
      ['fn(function(r) return { r.n + 1, r.source.type } end)'] = '[43,"stealer"]', ['{ { a = field "n" }, "x" }'] = '[{"a":42},"x"]',
      ['hmac "password"'] = '"' .. core.hash.hmac_sha256("key", "S3cret!") .. '"',
    } do
      assert.equal(('{"id":"r1","v":%s}'):format(json), (written(('{ id = field "id", v = %s }'):format(expression), RECORD)), expression)
    end
  end)

  it("leaves out what the record does not have, and objects and lists that would be empty", function()
    for _, expression in ipairs{ 'field "none"', 'field "id.x"', 'field "tags[3]"', 'field "tags.x"', 'lower "source"', 'millis "id"',
      'iso "id"',
      'host "none"', 'domain "id"', 'scheme "id"', 'concat("a", field "none")', 'lookup("id", { x = 1 })', 'when("no", 1)',
      'split("id", "1", 3)', 'number "id"', 'mask "none"', 'hmac "none"', 'join("empty", ",")', 'each("empty", 1)', 'each("none", 1)',
      'each("list", { x = field "x" })', 'fn(function() return nil end)', 'fn(function() return null end)', '{ a = { b = field "none" } }',
      '{ when("none", 1), { c = field "none" } }', 'len "none"', 'trim "none"' } do
      assert.equal('{"id":"r1"}', (written(('{ id = field "id", v = %s }'):format(expression), RECORD)), expression)
    end
    assert.matches("empty document", select(2, written('{ v = field "none" }', RECORD)))
  end)

  it("writes names in the order of their bytes, however the map is written, and the same bytes each time", function()
    local map = '{ ["z.b"] = 1, a = 2, z = { a = field "id", ["c.d"] = 3 }, B = 4 }'
    for _ = 1, 20 do assert.equal('{"B":4,"a":2,"z":{"a":"r1","b":1,"c":{"d":3}}}', (written(map, RECORD))) end
  end)

  it("reads times as Lua rules read them", function()
    for _, text in ipairs{ "2026-01-31", "2026-01-31T12:00", "2026-01-31T12:00:00.5Z", "2026-01-31 12:00:60",
      "2026-01-31t12:00:00,123456+02:00",
      "2026-01-31T12:00:00-0130", "2026-01-31T12:00+05", "2026-02-30", "2026-01-31T24:00:00Z", "2026-01-31T12", "2026-01-31T12:00.5Z",
        "soon", "",
      "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00+2:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z" } do
      local ms = require("defendis.time").parse(text)
      assert.equal(ms and ('{"v":%d}'):format(ms) or nil, (written('{ v = millis "t" }', ('{"t":"%s"}'):format(text))), text)
      if ms then
        assert.equal(('{"v":"%s"}'):format(require("defendis.time").format(ms)), (written('{ v = iso "t" }', ('{"t":"%s"}'):format(text))))
      end
    end
  end)

  it("finds the host in what is no proper URL", function()
    for url, name in pairs{ ["acme.example/login"] = "acme.example", ["android://hash==@com.app.x/"] = "com.app.x",
      ["http://[::1]:80/"] = "::1",
      [" HTTP://A.example "] = "a.example", ["a@b@c.example:1"] = "c.example", ["x.example?u=http://y"] = "x.example" } do
      assert.equal(('{"v":"%s"}'):format(name), (written('{ v = host "u" }', ('{"u":"%s"}'):format(url))), url)
    end
    for _, url in ipairs{ "", " ", "http://", "http:///x", "http://[::1", "://", "http://:80" } do
      assert.is_nil((written('{ v = host "u" }', ('{"u":"%s"}'):format(url))), url)
    end
  end)

  it("copies values as the encoder would write them", function()
    local VALUES = { '"é\\u00e9\\ud83d\\udd11\\ud800"', '"\\u0000\\n\\u2028/\\/"', "[[],{},null,[1,[true]]]",
      '{"a":{"b":[{}]},"\\u0061b":"x"}',
      "-0.5", "9007199254740993", "true", '"' .. ("x<"):rep(3000) .. '"', '{ "a" : [ 1 , 2 ] }' }
    for _, value in ipairs(VALUES) do
      local plain = assert(core.json.encode(core.json.decode(value), { sort_keys = true }))
      assert.equal(('{"v":%s}'):format(plain), (written('{ v = field "x" }', ('{"x":%s}'):format(value))), value)
    end
  end)

  it("takes the last of members that share a name, also where there are many", function()
    assert.equal('{"v":2}', (written('{ v = field "a.b" }', '{"a":{"b":1,"c":0},"a":{"b":2}}')))
    assert.is_nil((written('{ v = field "a.b" }', '{"a":{"b":1},"a":{"c":2}}')))
    local members = {}
    for i = 1, 200 do members[i] = ('"k%d":%d'):format(i % 100, i) end
    local text = written('{ v = field "o" }', '{"o":{' .. table.concat(members, ",") .. "}}")
    local _, count = text:gsub('"k%d+"', "")
    assert.equal(100, count)
    assert.truthy(text:find('"k7":107', 1, true))
  end)

  it("meets names that are written with escapes or in other scripts", function()
    assert.equal('{"v":1,"w":2}', (written('{ v = field "ключ", w = field "plain" }',
      '{"\\u043a\\u043b\\u044e\\u0447":1,"pl\\u0061in":2}')))
  end)

  it("puts the rest of the record into unmapped, without what is sensitive", function()
    local map = '{ id = field "id", t = field "source.type", d = when("source.deep", 1), unmapped = { n = 1, yes = "mine" } }'
    local text = written(map,
      [[{"id":1,"n":5,"NONE":null,"yes":2,"source":{"type":"a","name":"b","deep":{"x":1,"PassWord":"p"}},"password":"p",
      "l":[{"cvv":1,"k":2}],"s":{"type":3}}]], "unmapped = true,")
    assert.equal(
      '{"d":1,"id":1,"t":"a","unmapped":{"n":1,"yes":"mine","source":{"name":"b","deep":{"x":1}},"l":[{"k":2}],"s":{"type":3}}}', text)
    assert.equal('{"id":1}', (written('{ id = field "id" }', '{"id":1,"password":"p"}', "unmapped = true,")))
    assert.equal('{"id":1,"unmapped":{"source":"text"}}', (written('{ id = field "id", t = field "source.type" }',
      '{"id":1,"source":"text"}',
      "unmapped = true,")))
  end)

  it("leaves in unmapped what each does not read of a list, every element in its place", function()
    local record = [[{"l":[{"a":1,"b":2,"in":[{"x":1,"y":2}]},null,{"a":3},5,{"c":null,"cvv":7,"b":6}],"s":["x","y"],"o":{"a":1,"b":2}}]]
    for map, rest in pairs{
      ['n = each("l", { n = field "a" }), s = each("s", upper "."), o = each("o", field "b")'] =
        '{"l":[{"b":2,"in":[{"x":1,"y":2}]},null,{},5,{"b":6}],"o":{"a":1}}',
      ['n = each("l", { n = field "a", x = each("in", { x = field "x" }) }), p = each("l", field "b"), s = field "s", o = field "o"'] =
        '{"l":[{"in":[{"y":2}]},null,{},5,{}]}',
      ['n = each("l", field "."), p = each("l", field "a"), s = each("s", { v = field "x" }), o = 1'] =
        '{"s":["x","y"],"o":{"a":1,"b":2}}',
      ['n = each("l", { a = when("a", 1), r = field "$.s" }), o = each("o", { a = field "a", b = len "b" })'] =
        '{"l":[{"a":1,"b":2,"in":[{"x":1,"y":2}]},null,{"a":3},5,{"b":6}]}',
    } do
      local text = written("{ " .. map .. " }", record, "unmapped = true,")
      assert.equal(rest, text:match '"unmapped":(.*)}$', map)
    end
  end)

  it("refuses to copy or compare what is sensitive", function()
    for _, e in ipairs{ 'field "password"', 'lower "a.PassWord"', 'concat(field "password")', 'lookup("cvv", { a = 1 })',
      'equals("password", "x")', 'len "password"', 'length_class(lower "password")',
      'each("cards", { n = field "cardNumber" })', 'join("token", "")', 'when("id", field "password")' } do
      assert.matches("is sensitive: use mask, hmac or length_class", refused("{ v = " .. e .. " }"))
    end
    host.hidden = function() return { "Pin" } end
    assert.matches('"pin" is sensitive', refused '{ v = field "pin" }')
    assert.equal('{"o":{"a":1}}', (written('{ o = field "o" }', '{"o":{"pin":1,"a":1}}')))
  end)

  it("refuses hmac without a key, and gives none when the key never came", function()
    host.hmac_key = nil
    local set = assert(load_map '{ v = hmac "password" }')
    local ok, fault = pcall(set:normalizer("d").map, { id = "1", password = "p" })
    assert.is_false(ok)
    assert.matches("hmac: there is no key", fault)
    host.key_later = false
    assert.equal('m.lua:1: field "map.v": hmac needs a key, and none is configured', refused '{ v = hmac "password" }')
  end)

  it("takes the key of hmac from a secret too", function()
    local path = run.write(run.folder() .. "/key", "key\n")
    assert(os.execute("chmod 600 " .. path))
    local key <close> = assert(core.secret.file(path))
    host.hmac_key = key
    assert.equal('{"v":"' .. core.hash.hmac_sha256("key", "S3cret!") .. '"}', (written('{ v = hmac "password" }', RECORD)))
    run.clean()
  end)

  it("names line and field of what cannot be meant", function()
    assert.equal('m.lua:2: field "map.a.b.x": "x" is written twice', refused '{\n ["a.b"] = { x = 1 },\n a = { b = { x = 2 } } }')
    for map, message in pairs{
      ['{ v = lower(5) }'] = "lower: a path or an expression expected, got a number", ['{ v = field "a..b" }'] = "a path such as",
      ['{ v = field "a[0]" }'] = "counted from 1", ['{ v = lookup("a", {}) }'] = "a table of values expected",
        ['{ v = {} }'] = "an empty table",
      ['{ v = function() end }'] = "a Lua function stands in fn",
        ['{ v = concat("a", fn(function() end)) }'] = "fn stands for a whole value",
      ['{ v = lower(each("a", 1)) }'] = "each stands for a whole value", ['{ v = field "." }'] = "element of a list",
        ['{ ["a."] = 1 }'] = "no path of names",
      ['{ v = constant(function() end) }'] = "a constant: cannot encode", ['lower "x"'] = "a function%(record%) or a table",
        ['"x"'] = "a function%(record%) or a table",
      ['{ v = when("a") }'] = "what to write is missing", ['{ v = millis("a", "h") }'] = "the unit of numbers",
        ['{ v = split("a", "", 1) }'] = "a separator" } do
      assert.matches("^m.lua:1: .*" .. message, refused(map), map)
    end
    assert.matches('field "target": this is for declarative maps', refused("function() end", 'target = "ocsf:2004",'))
    assert.matches('field "target": unknown target "nosuch:1"', refused("{ a = 1 }", 'target = "nosuch:1",'))
  end)

  it("is checked against its target, which fills in what it implies", function()
    local types = { time = "timestamp", class_uid = "integer", ["user.name"] = "string", user = "object", tags = "list" }
    package.loaded[TARGETS] = { get = function(name)
      return name == "ocsf:9" and { name = name, version = "1", required = { "time", "user.name" }, defaults = { class_uid = 9,
        ["meta.v"] = "1" },
        type_of = function(path) return types[path] end,
        check = function(path) if path:find "usr$" then return 'unknown attribute "usr", nearest attribute "user"' end end } or nil
    end }
    local function more(map) return load_map(map, "target = 'ocsf:9',\n") end
    local function message(map) return select(2, more(map)).message end
    assert.equal('m.lua:3: field "map.usr": unknown attribute "usr", nearest attribute "user"',
      message '{ time = 1,\n usr = 1, ["user.name"] = "a" }')
    assert.equal('m.lua:2: field "map": ocsf:9 requires "user.name", which the map does not write', message '{ time = 1 }')
    assert.matches('field "map.user.name": user.name is a string in ocsf:9, got an integer',
      message '{ time = 1, ["user.name"] = len "id" }')
    assert.matches('time is a timestamp in ocsf:9, got a boolean', message '{ time = true, ["user.name"] = "a" }')
    assert.matches('field "map.tags%[1%].usr": unknown attribute "usr"',
      message '{ time = 1, ["user.name"] = "a", tags = { { usr = 1 } } }')
    assert.matches('unknown attribute "usr"', message '{ time = 1, ["user.name"] = "a", tags = each("l", when("x", { usr = 1 })) }')
    assert.matches('user is an object', message '{ time = 1, user = "a" }')
    local map = '{ time = millis "at", ["user.name"] = field "who" }'
    assert.equal('{"class_uid":9,"meta":{"v":"1"},"time":0,"unmapped":{"x":1},"user":{"name":"a"}}',
      (written(map, '{"at":"1970-01-01","who":"a","x":1}', "target = 'ocsf:9',")))
    assert.equal("ocsf:9 requires user.name, for which the record has no value", select(2, written(map, '{"at":"1970-01-01"}',
      "target = 'ocsf:9',")))
    assert.equal('{"class_uid":9,"meta":{"v":"1"},"time":0,"user":{"name":"a"}}',
      (written(map, '{"at":"1970-01-01","who":"a","x":1}', "target = 'ocsf:9', unmapped = false,")))
  end)

  it("tells what of a record nothing reads", function()
    local map = require "defendis.normalize.map"
    local set = assert(load_map [[{ a = field "a", b = field "b.x", c = each("c", { k = field "k" }), d = when("d", 1),
      e = when(equals("e", 1), 1) }]])
    local lost = map.lost(set:normalizer("d").read, { a = { z = 1 }, b = { x = 1, y = 2 }, c = { { k = 1, l = 2 } }, d = { q = 1 }, e = 1,
      f = 1 })
    assert.same({ ["b.y"] = true, ["c.l"] = true, d = true, f = true }, lost)
  end)

  it("fails for one record with the reason, and the buffer stays as it was", function()
    local set = assert(load_map [[{ id = field "id", v = fn(function(r) if r.bad then error("no good", 0) end return r.v end) }]])
    local page <close> = assert(core.json.page '{"data":[{"id":1,"bad":true},5,{"id":2,"v":"x"},{"id" 3}]}')
    local buffer, program = core.json.buffer(), set:program "d"
    buffer:add "before"
    assert.same({ "no good", "the record is no object", "the record is no object" }, { select(2, program:run(page, 1, buffer)).message,
      select(2, program:run(page, 2, buffer)).message, select(2, program:run(page, 4, buffer)).message })
    assert.is_true(program:run(page, 3, buffer))
    assert.equal('before{"id":2,"v":"x"}', buffer:text())
  end)

  it("is no program when its numbers are others", function()
    local made = { code = { 0, 1, 0, 0, 0, 0, 0, -1, 0, 1, 0, -1, -1, -1, -1, 0 }, texts = {}, functions = {} }
    assert(core.map.new(made))
    for i = 1, #made.code do
      local copy = table.move(made.code, 1, #made.code, 1, {})
      for _, n in ipairs{ 99, -2, 2147483647 } do
        copy[i] = n
        core.map.new{ code = copy, texts = {}, functions = {} }
      end
      assert.is_nil((core.map.new{ code = table.move(made.code, 1, i - 1, 1, {}), texts = {}, functions = {} }))
    end
  end)
end)

-- lintsigma_spec.lua: what lint and import say of the detections of Sigma files.
local cjson = require "cjson"
local lintsigma = require "defendis.lintsigma"
local run = require "support.run"
local sigma = require "sigma.helper"

local HEAD = "title: T\nid: r\nauthor: a\ndate: 2026-01-31\ndescription: d\ntags: [attack.t1078]\n"
  .. "logsource: {product: defendis, service: dataleaks.credentials}\ndetection:\n  s:\n"

describe("lint of a Sigma file", function()
  after_each(run.clean)

  local function lint(searches)
    local path = run.write(run.folder() .. "/a.yml", HEAD .. searches .. "  condition: s\n")
    local got = run.defendis("lint --json " .. path)
    local lines, found = {}, cjson.decode(got.out).findings
    for i, f in ipairs(found) do lines[i] = ("%d %s"):format(f.line, f.name) end
    return lines, found, path
  end

  it("says which fields no record has, in searches and filters, with the nearest", function()
    local lines, found = lint [[
    emial: x
    source.type: stealer
    infectedMachine.hostnam|contains: y
    email|fieldref: usrname
]]
    assert.same({ "10 unknown-field", "12 unknown-field", "13 unknown-field" }, lines)
    assert.matches('has "emial", nearest "email"', found[1].message, 1, true)
    local path = run.write(run.folder() .. "/f.yml", HEAD .. "    email: x\n  condition: s\n---\ntitle: F\nfilter: {rules: [r],\n"
      .. "  s: {emial: x}, condition: not s}\nlogsource: {product: defendis, service: dataleaks.credentials}\n")
    assert.matches("f.yml:15: warning: no record of dataleaks.credentials has \"emial\"", run.defendis("lint " .. path).out)
  end)

  it("finds expressions that may be slow, and no others", function()
    for pattern, slow in pairs{ ["^(a+)+$"] = true, ["(.*,)*x"] = true, [".*.*x"] = true, ["(x|(y*)*)"] = true, ["(a{1,}){2,}"] = true,
      [".*a.*b.*c"] = true, ["^(ab)+$"] = false, ["a.*b"] = false, ["[*+]+(x)"] = false, ["\\(a+\\)+"] = false, ["(a+)b+"] = false } do
      assert.equal(slow, lintsigma.slow(pattern) ~= nil, pattern)
    end
    assert.same({ "10 slow-pattern" }, (lint "    url|re: '^(a+)+$'\n"))
  end)

  it("says which searches compare a sensitive value with a text, and import says it too", function()
    local lines, found, path = lint [[
    password|contains: hunter
    password: [hunter2, x]
    Password|re: '^x'
    password|exists: true
    password.hmac: 00ff
    cookies: null
    email|contains: x
]]
    assert.same({ "10 secret-text", "11 secret-text", "12 secret-text", "12 unknown-field" }, lines)
    local said = 'field "password|contains": password is sensitive, no text ever fits it: compare password.hmac with an HMAC, ask '
      .. "password|exists, or write the rule in Lua with password:reveal"
    assert.equal(said, found[1].message)
    local got = run.defendis("import sigma " .. path)
    assert.equal(0, got.code)
    assert.truthy(got.out:find(path .. ":10: warning: " .. said, 1, true))
    assert.truthy(got.out:find(path .. ":12: warning: ", 1, true))
    assert.is_nil(got.out:find(path .. ":1[3-6]: "))
  end)

  it("is silent about what a comment on the line ignores", function()
    assert.same({ "11 secret-text" }, (lint "    password|contains: x # lint: ignore secret-text\n    password|endswith: x\n"))
  end)
end)

describe("a sensitive value in a search", function()
  local opaque = { scalar = function(v) return v == io.stdout and "00FF" or nil end }

  it("fits by its HMAC, and by nothing else", function()
    local function match(search) return sigma.match("s: {" .. search .. "}\ncondition: s", { a = { password = io.stdout } }, opaque) end
    assert.is_true(match "a.password.hmac: 00ff")
    assert.is_true(match "a.password.hmac: [x, y, z, 00ff]")
    assert.is_true(match "a.password|exists: true")
    assert.is_false(match "a.password.hmac: 00fe")
    assert.is_false(match "a.password: 00ff")
    assert.is_false(match "a.password|contains: f")
  end)

  it("leaves a field of that name what it is", function()
    assert.is_true(sigma.match("s: {a.hmac: x}\ncondition: s", { a = { hmac = "x" } }, opaque))
    assert.is_false(sigma.match("s: {a.hmac: x}\ncondition: s", { a = { hmac = "y" } }, opaque))
  end)
end)

local core = require "defendis.core"
local made = require "helpers.made"
local run = require "support.run"
local playbook = require "support.playbook"
local plain = require("defendis.helpers").new()
local h = made.all()

describe("domain.registrable", function()
  -- what the list says of a rule, a wildcard, an exception, the private part, no rule, an international name
  local CASES = { ["acme.com"] = "acme.com", ["a.b.acme.com"] = "acme.com", ["www.acme.co.uk"] = "acme.co.uk",
      ["ACME.Co.UK."] = "acme.co.uk",
    ["x.b.c.ck"] = "b.c.ck", ["a.www.ck"] = "www.ck", ["a.city.kawasaki.jp"] = "city.kawasaki.jp",
    ["a.b.other.kawasaki.jp"] = "b.other.kawasaki.jp",
    ["x.acme.github.io"] = "acme.github.io", ["dc1.corp.internal-name"] = "corp.internal-name",
    ["www.食狮.公司.cn"] = "xn--85x722f.xn--55qx5d.cn",
    ["a.xn--85x722f.xn--55qx5d.cn"] = "xn--85x722f.xn--55qx5d.cn", ["shop.Bücher.de"] = "xn--bcher-kva.de" }

  it("follows rules, wildcards, exceptions, the private part and international names", function()
    for host, expected in pairs(CASES) do assert.equal(expected, (h.domain.registrable(host)), host) end
  end)

  it("is nil with the reason for a public suffix, an address and what is no host", function()
    for _, host in ipairs{ "co.uk", "com", "github.io", "c.ck", "公司.cn" } do
      assert.same({ nil, "a public suffix, below which others register" }, { h.domain.registrable(host) }, host)
    end
    assert.same({ nil, "an IP address" }, { h.domain.registrable("10.1.2.3") })
    assert.same({ nil, "an IP address" }, { h.domain.registrable("2001:db8::1") })
    assert.same({ nil, "not a host name: an empty label" }, { h.domain.registrable("a..com") })
  end)

  it("is nil with what to install when there is no list, and without the core", function()
    local doc = playbook.value([[local a, b = require("defendis").domain.registrable("www.acme.com") return { a or "nil", b }]],
      { env = { DEFENDIS_PUBLIC_SUFFIX_LIST = "/nowhere/list.dat" } })
    assert.same({ "nil", "the file of $DEFENDIS_PUBLIC_SUFFIX_LIST cannot be read as a public suffix list" }, doc)
    assert.same({ nil, "public suffixes need the program's core" }, { plain.domain.registrable("www.acme.com") })
    assert.same({ nil, "international names need the program's core" }, { plain.domain.ascii("bücher.example") })
    assert.equal("acme.com", plain.domain.ascii("ACME.com"))
    run.clean()
  end)

  it("reads the list that it is told to", function()
    local path = run.write(run.folder() .. "/list.dat", "// test\nexample\ncorp.example\n")
    local doc = playbook.value([[local d = require("defendis").domain
      return { d.registrable("a.b.corp.example"), d.registrable("a.b.example") }]],
      { env = { DEFENDIS_PUBLIC_SUFFIX_LIST = path } })
    assert.same({ "b.corp.example", "b.example" }, doc)
    run.clean()
  end)

  it("gives nil and a short reason for anything that is no host", function()
    assert.same({}, made.survivors(h.domain.registrable))
    -- one letter a million times is no host, a label of 63 is
    assert.same({}, made.survivors(h.domain.ascii))
  end)
end)

describe("core.names", function()
  it("fails for any bytes that are no host, without a crash", function()
    local seed = 3
    for n = 0, 1100, 3 do
      local bytes = {}
      for i = 1, n do
        seed = (seed * 1103515245 + 12345) & 0x7fffffff
        bytes[i] = string.char(seed >> 12 & 0xff)
      end
      local text, err = core.names.ascii(table.concat(bytes))
      assert(text or err.kind == "invalid", err and err.message)
      text, err = core.names.registrable(table.concat(bytes))
      assert(text or err.kind == "invalid", err and err.message)
    end
    assert.equal("not a host name: a NUL byte", select(2, core.names.ascii("a\0b")).message)
    assert.has_error(function() core.names.ascii(nil) end)
  end)
end)

describe("domain.is_under", function()
  it("goes by whole labels, one domain or a list, any spelling", function()
    assert.is_true(h.domain.is_under("acme.example", "ACME.example."))
    assert.is_true(h.domain.is_under("VPN.eu.acme.example", "acme.example"))
    assert.is_true(h.domain.is_under("a.bücher.example", "xn--bcher-kva.example"))
    assert.is_true(h.domain.is_under("a.globex.example", { "acme.example", "globex.example" }))
    assert.is_false(h.domain.is_under("notacme.example", "acme.example"))
    assert.is_false(h.domain.is_under("acme.example.evil.com", "acme.example"))
    assert.is_false(h.domain.is_under("example", "acme.example"))
    assert.is_false(h.domain.is_under("acme.example", {}))
    assert.is_false(h.domain.is_under("acme.example", nil))
  end)

  it("is false for anything that is no host, on either side", function()
    assert.same({}, made.survivors(function(v) return h.domain.is_under(v, "acme.example") end))
    assert.same({}, made.survivors(function(v) return type(v) ~= "table" and h.domain.is_under("acme.example", v) end))
  end)
end)

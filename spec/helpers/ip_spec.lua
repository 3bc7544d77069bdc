local made = require "helpers.made"
local h = made.all()

describe("cidr.match", function()
  local YES = { { "10.1.2.3", "10.0.0.0/8" }, { "10.1.2.3", "10.1.2.3" }, { "10.1.2.3", "0.0.0.0/0" }, { "10.1.2.3", "10.1.2.2/31" },
    { "192.168.1.9", "192.168.1.77/24" }, { "2001:db8::1", "2001:db8::/32" }, { "2001:DB8:0:0:0:0:0:1", "2001:db8::1/128" },
    { "::1", "::/0" }, { "fe80::1%eth0", "fe80::/10" }, { "::ffff:10.1.2.3", "10.0.0.0/8" }, { "10.1.2.3", "::ffff:10.0.0.0/104" },
    { "64:ff9b::192.0.2.1", "64:ff9b::/96" },
    { "ffff:ffff:ffff:ffff:8000::", "ffff:ffff:ffff:ffff:8000::/65" }, { " 10.1.2.3 ", "10.0.0.0/8" } }
  local NO = { { "11.1.2.3", "10.0.0.0/8" }, { "10.1.2.4", "10.1.2.3" }, { "10.1.2.4", "10.1.2.2/31" }, { "2001:db9::1", "2001:db8::/32" },
    { "::1", "0.0.0.0/0" }, { "10.1.2.3", "::/0" }, { "ffff:ffff:ffff:ffff::", "ffff:ffff:ffff:ffff:8000::/65" }, { "::2", "::1" } }

  it("knows IPv4 and IPv6, and an IPv4 address in IPv6's clothes", function()
    for _, c in ipairs(YES) do assert.is_true(h.cidr.match(c[1], c[2]), c[1] .. " in " .. c[2]) end
    for _, c in ipairs(NO) do assert.is_false(h.cidr.match(c[1], c[2]), c[1] .. " in " .. c[2]) end
  end)

  it("takes a list, or one made by cidr.list", function()
    local networks = { "10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32" }
    local list = h.cidr.list(networks)
    for _, of in ipairs{ networks, list } do
      assert.is_true(h.cidr.match("192.0.2.7", of))
      assert.is_true(h.cidr.match("2001:db8:1::", of))
      assert.is_false(h.cidr.match("192.0.3.7", of))
    end
    assert.is_true(h.cidr.match("192.0.2.7", require("defendis.core").json.decode('["192.0.2.0/24"]')))
    assert.is_true(list:contains("10.255.255.255"))
    assert.is_false(h.cidr.list{}:contains("10.1.2.3"))
  end)

  it("is false with the reason for what is no address", function()
    for _, text in ipairs{ "10.1.2", "10.1.2.3.4", "256.1.1.1", "010.1.2.3", "10.1.2.3/8", "1::2::3", ":::", "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "12345::", "::g", "::1.2.3.300", "1:2:3:4:5:6:7::8:9", "0x10.1.2.3", "10.1.2.3\0" } do
      assert.same({ false, "not an IP address" }, { h.cidr.match(text, { "0.0.0.0/0", "::/0" }) }, text)
    end
    assert.same({}, made.survivors(function(v) return h.cidr.match(v, { "0.0.0.0/0", "::/0" }) end))
  end)

  it("raises for a network that is none, and names it", function()
    for _, text in ipairs{ "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "acme.example", "", "10.0.0.0/8/8", "::ffff:10.0.0.0/8" } do
      assert.error_matches(function() h.cidr.list{ "::/0", text } end, "cidr.list: entry 2: a network", nil, false)
      assert.has_error(function() h.cidr.match("10.1.2.3", text) end)
    end
    assert.has_error(function() h.cidr.match("10.1.2.3", nil) end)
    assert.has_error(function() h.cidr.list("10.0.0.0/8") end)
    for _, v in ipairs(made.hostile()) do assert.has_error(function() h.cidr.list{ v } end) end
  end)

  it("agrees with arithmetic for every length of prefix", function()
    for bits = 0, 32 do
      local network = ("170.85.170.85/%d"):format(bits)
      for bit = 0, 31 do
        local v = 0xAA55AA55 ~ (1 << 31 - bit)
        local address = ("%d.%d.%d.%d"):format(v >> 24, v >> 16 & 255, v >> 8 & 255, v & 255)
        assert.equal(bit >= bits, h.cidr.match(address, network), address .. " in " .. network)
      end
    end
    for bits = 0, 128 do
      local network = ("aaaa:5555:aaaa:5555:aaaa:5555:aaaa:5555/%d"):format(bits)
      for bit = 0, 127 do
        local groups = { 0xaaaa, 0x5555, 0xaaaa, 0x5555, 0xaaaa, 0x5555, 0xaaaa, 0x5555 }
        groups[bit // 16 + 1] = groups[bit // 16 + 1] ~ (1 << 15 - bit % 16)
        assert.equal(bit >= bits, h.cidr.match(("%x:%x:%x:%x:%x:%x:%x:%x"):format(table.unpack(groups)), network))
      end
    end
  end)
end)

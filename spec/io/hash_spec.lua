-- hash_spec.lua: digests, deterministic ids and keys.
local hash = require("defendis.core").hash

local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

describe("hash", function()
  it("computes SHA-256 as FIPS 180-4 shows", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", hash.sha256 "")
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hash.sha256 "abc")
    assert.equal("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", hash.sha256(("a"):rep(1000000)))
  end)

  it("computes HMAC-SHA-256 as RFC 4231 shows, with short and long keys", function()
    assert.equal("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
      hash.hmac_sha256(("\x0b"):rep(20), "Hi There"))
    assert.equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      hash.hmac_sha256("Jefe", "what do ya want for nothing?"))
    assert.equal("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
      hash.hmac_sha256(("\xaa"):rep(131), "Test Using Larger Than Block-Size Key - Hash Key First"))
  end)

  it("takes an empty key and an empty text", function()
    assert.equal("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad", hash.hmac_sha256("", ""))
  end)

  it("names by UUID version 5 as RFC 9562 shows", function()
    assert.equal("2ed6657d-e927-568b-95e1-2665a8aea6a2",
      hash.uuid5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "www.example.com"))
    assert.equal("2ed6657d-e927-568b-95e1-2665a8aea6a2",
      hash.uuid5("6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "www.example.com"))
  end)

  it("refuses a namespace that is no UUID", function()
    for _, bad in ipairs{ "", "x", "6ba7b810-9dad-11d1-80b4-00c04fd430c", "6ba7b8109dad-11d1-80b4-00c04fd430c8-",
      "6ba7b810-9dad-11d1-80b4-00c04fd430cg" } do
      local id, err = hash.uuid5(bad, "n")
      assert.is_nil(id)
      assert.equal("config", err.kind)
      assert.equal(("not a UUID: '%s'"):format(bad), tostring(err))
    end
  end)

  it("makes a key of each part's length and bytes", function()
    assert.equal(hash.sha256(string.pack("s1s1", "dataset", "id")):sub(1, 32), hex(hash.key16("dataset", "id")))
    local long = ("x"):rep(300) -- 300 is 44 + 2 * 128
    assert.equal(hash.sha256("\xac\x02" .. long .. "\2id"):sub(1, 32), hex(hash.key16(long, "id")))
    assert.equal(16, #hash.key16 "")
  end)

  it("gives different keys to parts that read the same when run together", function()
    local seen = {}
    for _, parts in ipairs{ { "ab", "c" }, { "a", "bc" }, { "abc" }, { "abc", "" }, { "", "abc" }, { "ab\0c" },
      { "ab", "\0c" } } do
      local key = hash.key16(table.unpack(parts))
      assert.is_nil(seen[key])
      seen[key] = true
    end
  end)

  it("raises on wrong arguments", function()
    assert.has_error(function() hash.key16() end)
    assert.has_error(function() hash.key16("a", {}) end)
    local many = {}
    for i = 1, 17 do many[i] = "x" end
    assert.has_error(function() hash.key16(table.unpack(many)) end)
    assert.has_error(function() hash.sha256(nil) end)
  end)
end)

local made = require "helpers.made"
local h = made.all()

local function b64(n) return ("a./Z9"):rep(n):sub(1, n) end

describe("hash.kind", function()
  local CASES = {
    { "5f4dcc3b5aa765d61d8327deb882cf99", "md5" }, { "8846F7EAEE8FB117AD06BDD830B7586C", "ntlm?" },
    { "12345678901234567890123456789012", "md5" }, { "5F4dcc3b5aa765d61d8327deb882cf99", "md5" },
    { "aad3b435b51404eeaad3b435b51404ee:8846f7eaee8fb117ad06bdd830b7586c", "ntlm" },
    { ("a1"):rep(20), "sha1" }, { ("a1"):rep(28), "sha224" }, { ("a1"):rep(32), "sha256" }, { ("a1"):rep(48), "sha384" },
    { ("a1"):rep(64), "sha512" },
    { "$2b$12$" .. b64(53), "bcrypt" }, { "$2y$10$" .. b64(53), "bcrypt" }, { "$2$10$" .. b64(53), "bcrypt" },
    { "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g", "argon2" }, { "$argon2i$m=16,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", "argon2" },
    { "$P$B" .. b64(30), "phpass" }, { "$H$9" .. b64(30), "phpass" }, { "$S$D" .. b64(51), "drupal7" },
    { "$1$salt$" .. b64(22), "md5crypt" }, { "$apr1$salt$" .. b64(22), "apr1" }, { "$5$salt$" .. b64(43), "sha256crypt" },
    { "$6$salt$" .. b64(86), "sha512crypt" }, { "$6$rounds=5000$salt$" .. b64(86), "sha512crypt" },
    { "$y$j9T$" .. b64(22) .. "$" .. b64(43), "yescrypt" }, { "$pbkdf2-sha256$29000$c2FsdA$aGFzaGhhc2hoYXNo", "pbkdf2" },
    { "pbkdf2_sha256$260000$salt$aGFzaGhhc2hoYXNoaGFzaA==", "pbkdf2" }, { "pbkdf2:sha256:150000$salt$aabbccddeeff", "pbkdf2" },
    { "$7$C6..../....salt$" .. b64(43), "scrypt" }, { "$scrypt$ln=16,r=8,p=1$c2FsdA$aGFzaGhhc2g", "scrypt" },
    { "scrypt:32768:8:1$salt$" .. ("a1"):rep(64), "scrypt" }, { "$krb5tgs$23$*user$ACME$x*$aabb$ccdd", "kerberos" },
    { "$2x$10$" .. b64(53), "bcrypt" }, { "$2a$10$" .. b64(53), "bcrypt" }, { "{SHA}" .. ("ab"):rep(13) .. "c=", "sha" },
    { "*" .. ("2A"):rep(20), "mysql41" }, { "{SSHA}" .. b64(28):gsub("%.", "a") .. "ab==", "ssha" },
  }

  it("goes by the shape", function()
    for _, c in ipairs(CASES) do assert.equal(c[2], h.hash.kind(c[1]), c[1]) end
  end)

  it("is what a sensitive value says too, but of what needs the text: NTLM is md5 there, and digits alone are clear", function()
    local core = require "defendis.core"
    local list = assert(core.sensitive.fields{ names = { "password" } })
    for _, c in ipairs(CASES) do
      local page = assert(core.json.page('{"data":[' .. core.json.encode{ password = c[1] } .. "]}"))
      local expected = c[2] == "ntlm?" and "md5" or (c[2] == "ntlm" or not c[1]:find("%D")) and "clear" or c[2]
      assert.equal(expected, page:record(1, list).password:kind(), c[1])
    end
  end)

  it("is nil for clear text, for what is cut short, and for anything", function()
    for _, c in ipairs(CASES) do
      if #c[1] ~= 65 and c[2] ~= "pbkdf2" and c[2] ~= "argon2" and c[2] ~= "yescrypt" and c[2] ~= "ssha" and c[2] ~= "scrypt"
        and c[2] ~= "kerberos" and c[2] ~= "sha" then
        assert.is_nil(h.hash.kind(c[1]:sub(1, -2)), c[1])
        assert.is_nil(h.hash.kind(c[1] .. "\n"), c[1])
      end
      assert.is_nil(h.hash.kind(" " .. c[1]), c[1])
    end
    for _, text in ipairs{ "Summer2026!", "correct horse battery staple and more", "$2b$12$short", "$6$", "{SSHA}" } do
      assert.is_nil(h.hash.kind(text))
    end
    assert.same({}, made.survivors(h.hash.kind))
  end)
end)

describe("card.check", function()
  -- numbers that brands publish for tests
  local GOOD = { ["4111111111111111"] = "visa", ["4222222222222"] = "visa", ["5555555555554444"] = "mastercard",
    ["2223003122003222"] = "mastercard",
    ["378282246310005"] = "amex", ["6011111111111117"] = "discover", ["30569309025904"] = "diners", ["36227206271667"] = "diners",
    ["3530111333300000"] = "jcb", ["6205500000000000004"] = "unionpay", ["6759649826438453"] = "maestro", ["2200000000000004"] = "mir" }

  it("gives brand, first six and last four digits", function()
    for number, brand in pairs(GOOD) do
      local got = assert(h.card.check(number), number)
      assert.same({ brand = brand, bin = number:sub(1, 6), last4 = number:sub(-4) }, got)
    end
    assert.equal("visa", h.card.check(4111111111111111).brand)
    for _, text in ipairs{ "4111 1111 1111 1111", " 4111-1111-1111-1111\n" } do assert.equal("visa", h.card.check(text).brand, text) end
  end)

  it("says why not, and never the number", function()
    local function refused(what, number)
      local value, why = h.card.check(number)
      assert.is_nil(value, number)
      assert.matches(what, why)
      assert.is_nil(why:find("%d%d%d"))
    end
    refused("check digit", "4111111111111112")
    refused("as long as those of visa", "41111111111111")
    refused("as long as those of amex", "3782822463100050")
    refused("no brand", "1111111111111111")
    refused("12 to 19", "41111111111")
    refused("12 to 19", "41111111111111111111")
    refused("only digits", "4111 1111 1111 111x")
    refused("only digits", "4111  1111 1111 1111")
    refused("only digits", "4111.1111.1111.1111")
    refused("12 to 19", "4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1")
    refused("no text", -4111111111111111)
    refused("no text", nil)
    assert.same({}, made.survivors(h.card.check))
  end)

  it("agrees with sensitive values on check digits", function()
    local core = require "defendis.core"
    local list = assert(core.sensitive.fields{ cards = { "card" } })
    for number in pairs(GOOD) do
      for i = 0, 9 do
        local other = number:sub(1, -2) .. i
        local page = assert(core.json.page('{"data":[{"card":"' .. other .. '"}]}'))
        assert.equal(require("defendis.helpers.shapes").luhn(other), page:record(1, list).card:luhn(), other)
      end
    end
  end)

  it("finds every single wrong digit", function()
    for number in pairs(GOOD) do
      for i = 1, #number do
        local wrong = number:sub(1, i - 1) .. (number:byte(i) - 48 + 1) % 10 .. number:sub(i + 1)
        assert.is_nil((h.card.check(wrong)), wrong)
      end
    end
  end)
end)

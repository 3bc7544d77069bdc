local clean = require "defendis.normalize.clean"
local secrets = require "defendis.helpers.secrets"
local null = require("cjson").null

local HOST = { null = null, array = function(t) return t end }

describe("clean", function()
  it("knows a secret by its name", function()
    for _, name in ipairs{ "password", "Password2", "user_password", "cvv", "cardNumber", "card_number", "accessToken", "session-id",
      "PIN", "apiKey",
      "cookies", "clientSecret" } do assert.is_true(clean.is_secret(name), name) end
    for _, name in ipairs{ "id", "domain", "keywords", "spin", "bin", "keyboard", "passport",
      5 } do assert.is_false(clean.is_secret(name), name) end
  end)

  it("knows the names that datasets hide, but for words that other records use as well", function()
    local left = {}
    for _, kind in ipairs{ "LOGIN", "CODE", "TRACK", "CARD" } do
      for _, name in ipairs(secrets[kind]) do
        if not clean.is_secret(name) then left[#left + 1] = name end
      end
    end
    assert.equal("plaintext hash securityAnswer security_answer securityCode security_code pinBlock pin_block track track1 track2 "
      .. "trackData track_data number card", table.concat(left, " "))
  end)

  it("leaves secrets, null and empty tables out of a copy, at any depth", function()
    assert.same({ a = { b = 1 }, l = { { x = "y" } } }, clean.copy(HOST, { password = "p", n = null, e = {}, a = { b = 1, token = "t",
      c = { cvv = 1 } },
      l = { { x = "y", cookies = { "c" } }, {}, null } }))
    assert.is_nil(clean.copy(HOST, { password = "x" }))
    assert.is_nil(clean.copy(HOST, io.stdout))
  end)

  it("takes card numbers out of texts and numbers, and nothing else", function()
    assert.equal("card [card number].", clean.text "card 4111 1111-1111 1111.")
    assert.equal("[card number]", clean.copy(HOST, 4111111111111111))
    for _, text in ipairs{ "4111111111111112", "1767607200000", "007f9ebe-2db3-4494-8539-1f378763a99b", "+49 30 1234567",
      "9223372036854775807" } do
      assert.equal(text, clean.text(text))
    end
  end)

  it("takes user, password and tokens out of a URL", function()
    assert.equal("https://b.example/x?a=1&token=[removed]#id", clean.url "https://eve:S3cret@b.example/x?a=1&token=abc#id")
    assert.equal("https://b.example/a@b", clean.url "https://b.example/a@b")
    assert.equal("android://com.example/", clean.copy(HOST, "android://hash@com.example/"))
  end)
end)

local made = require "helpers.made"
local h = made.all()

describe("email.canonical", function()
  local function same(expected, text, options) assert.equal(expected, (h.email.canonical(text, options)), text) end
  local function refused(what, text)
    local value, why = h.email.canonical(text)
    assert.is_nil(value)
    assert.matches(what, why)
  end

  it("writes one mailbox one way: case, white space, the dot at the end, international domains", function()
    for _, text in ipairs{ "ana@acme.example", " Ana@ACME.Example ", "ANA@acme.example.", "\tana@acme.example\r\n" } do
      same("ana@acme.example", text)
    end
    same("ana@xn--bcher-kva.example", "Ana@BÜCHER.example")
    same("ana@xn--bcher-kva.example", "ana@xn--bcher-kva.example")
    same("jörg@acme.example", "jörg@acme.example")
  end)

  it("drops tags and dots where the provider ignores them, and nowhere else", function()
    same("anab@gmail.com", "a.n.a.b+x+y@gmail.com")
    same("anab@gmail.com", "ana.b@googlemail.com")
    same("ana.b@outlook.com", "ana.b+x@outlook.com")
    same("ana.b+x@acme.example", "ana.b+x@acme.example")
    same("ana.b+x@notgmail.com", "ana.b+x@notgmail.com")
  end)

  it("drops them never or everywhere when asked to", function()
    same("a.b+x@gmail.com", "a.b+x@gmail.com", { tags = false, dots = false })
    same("ab+x@gmail.com", "a.b+x@gmail.com", { tags = false })
    same("a.b@gmail.com", "a.b+x@gmail.com", { dots = false })
    same("ab@acme.example", "a.b+x@acme.example", { tags = "any", dots = "any" })
  end)

  it("keeps a name that is nothing but a tag or dots", function()
    same("+tag@gmail.com", "+tag@gmail.com")
    same("...@gmail.com", "...@gmail.com")
  end)

  it("passes what standards refuse and leaks hold", function()
    same("a..b@carrier.example", "a..b@carrier.example")
    same(".a.@acme.example", ".a.@acme.example")
  end)

  it("says why a text is no address", function()
    refused("no @", "ana.acme.example")
    refused("nothing before", "@acme.example")
    refused("no domain", "ana@localhost")
    refused("no domain", "ana@10.1.2.3")
    refused("empty", "ana@")
    refused("an empty label", "ana@acme..example")
    refused("a character", "ana b@acme.example")
    refused("a character", "ana@ac me.example")
    refused("a character", '"ana b"@acme.example')
    refused("a character", "a@b@acme.example")
    refused("a character", "Ana <ana@acme.example>")
    refused("too long", ("a"):rep(65) .. "@acme.example")
    refused("a label is too long", "ana@" .. ("a"):rep(64) .. ".example")
    refused("no text", nil)
  end)

  it("raises for options that it does not have", function()
    assert.error_matches(function() h.email.canonical("a@b.example", { tag = true }) end, 'unknown key "tag", known: dots, tags')
    assert.error_matches(function() h.email.canonical("a@b.example", { tags = "all" }) end, 'tags is true, false or "any"')
    assert.error_matches(function() h.email.canonical("a@b.example", "x") end, "options are a table")
  end)

  it("gives nil and a short reason for anything", function()
    assert.same({}, made.survivors(h.email.canonical))
    assert.same({}, made.survivors(h.email.domain))
  end)

  it("of its own result is that result, for 5,000 addresses made of pieces", function()
    local pieces = { "a", "B", ".", "+", "@", "gmail.com", "ü", "xn--", "example", " ", "\0", "-", "_", "\xff", "1" }
    local seed, good = 7, 0
    for _ = 1, 5000 do
      local text = ""
      for i = 1, 7 do
        seed = (seed * 1103515245 + 12345) & 0x7fffffff
        text = text .. (i == 4 and "@" or pieces[(seed >> 8) % #pieces + 1])
      end
      local once = h.email.canonical(text)
      if once then
        good = good + 1
        assert.equal(once, (h.email.canonical(once)))
        assert.equal(once:match("@(.*)$"), (h.email.domain(once)))
      end
    end
    assert.is_true(good > 20, good)
  end)
end)

describe("email.domain", function()
  it("is the domain in A-labels and lower case", function()
    assert.equal("xn--bcher-kva.example", h.email.domain("x@Bücher.example"))
    assert.equal("gmail.com", h.email.domain("a.b+c@Gmail.com"))
    assert.same({ nil, "not a mail address: no @" }, { h.email.domain("acme.example") })
  end)
end)

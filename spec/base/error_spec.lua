local base = require("defendis_internals").base

local KINDS = { "none", "config", "auth", "scope", "billing", "quota", "not_found", "invalid", "rate_limit", "unavailable",
  "network", "timeout", "decode",
  "incomplete", "limit", "script", "store" }
local CODES = { none = 0, script = 1, config = 2, store = 2, auth = 3, scope = 3, billing = 3, quota = 3, not_found = 3,
  invalid = 3, rate_limit = 4,
  unavailable = 4, network = 4, timeout = 4, decode = 4, limit = 5, incomplete = 6 }

describe("an error", function()
  it("of each kind has a name that leads back to it, and an exit code", function()
    for i, name in ipairs(KINDS) do
      assert.are.same({ name, CODES[name] }, { base.kind(i - 1) })
      assert.are.equal(i - 1, base.kind_from_name(name))
    end
  end)

  it("of no known kind has a name and a code all the same", function()
    assert.are.same({ "none", 1 }, { base.kind(#KINDS) })
    assert.are.same({ "none", 1 }, { base.kind(-1) })
    assert.are.equal("script", (base.kind(base.kind_from_name "no such kind")))
    assert.are.equal("script", (base.kind(base.kind_from_name "")))
  end)

  it("is filled whole: nothing of an earlier one stays", function()
    local err, rc = base.fail("quota", "the message")
    assert.are.equal(-1, rc)
    assert.are.same({ "quota", "the message", 0, false }, { err.kind, err.message, err.attempts, err.retryable })
    assert.is_nil(err.status)
    assert.is_nil(err.request_id)
    assert.is_nil(err.retry_at)
    assert.are.equal("the message", tostring(err))
  end)

  it("is one line, without control characters, and cut at 511 bytes", function()
    assert.are.equal("a b c  d e", base.fail("config", "a\nb\tc\r\nd\127e").message)
    assert.are.equal(("x"):rep(511), base.fail("config", ("x"):rep(2000)).message)
    assert.are.equal("caf\xc3\xa9", base.fail("config", "caf\xc3\xa9").message)
  end)

  it("is never cut inside a character", function()
    for fill = 505, 511 do
      local message = base.fail("config", ("x"):rep(fill) .. ("\xe2\x82\xac"):rep(20)).message
      assert.is_truthy(utf8.len(message), fill)
      assert.is_true(#message >= 508)
    end
  end)

  it("can be cleared, and there may be nobody to be told", function()
    assert.are.same({ "none", 0 }, { base.cleared() })
  end)
end)

-- http_tls_spec.lua: servers that cannot prove who they are, and those that want to know who we are.
local hostile = require "support.hostile"
local playbook = require "support.playbook"
local run = require "support.run"
local tls = require "support.tls"

local HERE <const> = "127.0.0.1"

local function client(port, options)
  local o = { base_url = "https://" .. HERE .. ":" .. port, retry = { max_attempts = 3 } }
  for k, v in pairs(options or {}) do o[k] = v end
  return hostile.client({ port = function() return port end }, o)
end

describe("a server over TLS", function()
  after_each(function()
    tls.clean()
    hostile.clean()
    run.clean()
  end)

  -- The key must not be in what the server printed: openssl s_server prints all that it is sent.
  local function check_refused(words, ca, cert, key, flags, host)
    local port, printed, pid = tls.serve(cert, key, flags)
    local value, err = client(port, { ca_file = ca, base_url = host and ("https://%s:%d"):format(host, port) }):get "/api/v1/x"
    assert.is_nil(value)
    assert.same({ "config", 1, false }, { err.kind, err.attempts, err.retryable }, err.message)
    assert.matches("identity could not be verified, so nothing was sent: .*" .. words, err.message)
    os.execute("kill " .. pid)
    assert.is_nil(printed:read("a"):find("canary", 1, true))
  end

  it("H19: is refused with a certificate that is expired, early, another's, unsigned, weak or without names, and so is old TLS", function()
    local ca = tls.authority()
    if not ca then return pending "no openssl here" end
    local other = tls.authority "other"
    local function made(...) return tls.certificate(ca, ...) end
    local cert, key = made("expired", HERE, { from = "20200101000000Z", to = "20210101000000Z" })
    check_refused("expired", ca, cert, key)
    cert, key = made("early", HERE, { from = "20900101000000Z", to = "20910101000000Z" })
    check_refused("not yet valid", ca, cert, key)
    cert, key = made("host", "127.0.0.9")
    check_refused("matches target host", ca, cert, key)
    cert, key = made("nameless", HERE, { names = false })
    check_refused("does not match target host", ca, cert, key)
    check_refused("self.signed", ca, other, other .. ".key")
    cert, key = tls.certificate(other, "stranger", HERE)
    check_refused("issuer", ca, cert, key)
    cert, key = made("weak", HERE, { digest = "sha1" })
    check_refused("weak", ca, cert, key, "-cipher DEFAULT@SECLEVEL=0")
    cert, key = made("good", HERE)
    check_refused("protocol", ca, cert, key, "-tls1_1 -cipher DEFAULT@SECLEVEL=0")
  end)

  it("H19: ends the program with another exit code than a network that is down", function()
    local ca = tls.authority()
    if not ca then return pending "no openssl here" end
    local port, _, pid = tls.serve(tls.certificate(ca, "good", HERE))
    local words = "call GET /api/v1/x --base-url https://" .. HERE .. ":" .. port .. " --api-key-file " .. hostile.file("key", hostile.KEY)
    local r = run.defendis(words)
    assert.equal(2, r.code)
    assert.matches("identity could not be verified", r.err)
    os.execute("kill " .. pid)
    r = run.defendis("health --base-url https://" .. HERE .. ":1 --api-key-file " .. hostile.file("key", hostile.KEY))
    assert.equal(4, r.code)
  end)

  it("is trusted when our own authority has signed for it, and sees our certificate when it wants one", function()
    local ca = tls.authority()
    if not ca then return pending "no openssl here" end
    local cert, key = tls.certificate(ca, "good", HERE)
    local port = tls.serve(cert, key, "-www -Verify 1 -verify_return_error -CAfile '" .. ca .. "'")
    local mine, mine_key = tls.certificate(ca, "me", "127.0.0.5")
    local _, err = client(port, { ca_file = ca, cert_file = mine, key_file = mine_key }):get "/"
    assert.equal("decode", err.kind, err.message) -- an answer, though one in HTML
    assert.equal(200, err.status)
    _, err = client(port, { ca_file = ca, timeout = 2, retry = { max_attempts = 1 } }):get "/"
    assert.is_nil(err.status)
    local r = run.defendis(("call GET / --base-url https://%s:%d --api-key-file %s --ca-file %s --cert-file %s --key-file %s"):format(HERE,
      port, hostile.file("key", hostile.KEY), ca, mine, mine_key))
    assert.equal(4, r.code)
    assert.matches("%(200, text/html%) is not JSON", r.err)
    r = run.defendis("health --base-url https://127.0.0.1:1", { env = { DEFENDIS_API_KEY = "k", DEFENDIS_CA_FILE = "/nowhere" } })
    assert.same({ 2, "defendis: ca_file: cannot read /nowhere: No such file or directory\n" }, { r.code, r.err })
  end)

  it("H20: is checked whatever a script asks for", function()
    local ca = tls.authority()
    if not ca then return pending "no openssl here" end
    local port = tls.serve(tls.certificate(ca, "good", HERE))
    local env = { DEFENDIS_BASE_URL = "https://" .. HERE .. ":" .. port, DEFENDIS_API_KEY = hostile.KEY }
    for _, option in ipairs{ "verify = false", "insecure = true", "ssl_verifypeer = 0", "tls = {}", "ca_file = '" .. ca .. "'",
      "cert_file = '" .. ca .. "'", "key_file = 'x'", "api_key_command = 'true'", "base_url = 'https://evil.example'" } do
      local got = playbook.value(([[
        local defendis = require "defendis"
        local ok, client = pcall(defendis.client, { %s })
        if not ok then return tostring(client) end
        return client:get("/api/v1/x") or "?"]]):format(option), { env = env })
      assert.is_true(got:find "unknown key" ~= nil or got:find "a script cannot choose" ~= nil, option .. ": " .. tostring(got))
    end
    assert.equal("config", playbook.value([[
      local client = require("defendis").client{ retry = { max_attempts = 1 } }
      return (select(2, client:get "/api/v1/x")).kind]], { env = env }))
  end)
end)

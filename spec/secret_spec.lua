-- secret_spec.lua: keys that Lua hands on and cannot read.
local core = require "defendis.core"
local hostile = require "support.hostile"
local playbook = require "support.playbook"
local run = require "support.run"
local secret = require "defendis.secret"

local function refused(pattern, value, err)
  assert.is_nil(value)
  assert.equal("config", err.kind)
  assert.matches(pattern, err.message)
  assert.is_nil(err.message:find("canary", 1, true))
end

describe("a secret in Lua", function()
  after_each(function()
    core.sys.setenv("SINK_TOKEN", "")
    hostile.clean()
    run.clean()
  end)

  it("comes from a file or a variable and shows nothing of itself", function()
    core.sys.setenv("SINK_TOKEN", "canary-1\n")
    for _, s in ipairs{ assert(secret.env "SINK_TOKEN"), assert(secret.file(hostile.file("token", "canary-2\n"))) } do
      assert.equal("secret(***)", tostring(s))
      assert.is_true(secret.is(s))
      assert.is_nil(s.bytes)
      assert.is_false(pcall(function() return #s end))
      assert.is_nil(core.json.encode{ s })
    end
    assert.is_false(secret.is "canary-1")
    assert.is_false(secret.is(nil))
  end)

  it("is refused with the name of the file or variable and the remedy", function()
    refused("variable SINK_MISSING is not set; set it to the key", secret.env "SINK_MISSING")
    refused("^the environment variable SINK_TOKEN is empty; write the key into it", secret.env "SINK_TOKEN")
    local path = hostile.file("token", "canary", "644")
    refused("^the secret file " .. path:gsub("%p", "%%%0") .. " can be read by others %(mode 0644%); run: chmod 600 ", secret.file(path))
    refused("cannot read the secret file /nowhere: No such file", secret.file "/nowhere")
  end)

  it("is wiped by close and then refuses to be used, and closing twice is fine", function()
    local s = assert(secret.file(hostile.file("token", "canary-2")))
    s:close()
    s:close()
    assert.is_true(secret.is(s))
    assert.has_error(function() s:sign "x" end, "the secret is closed")
  end)

  -- RFC 4231 cases 1, 2 and 6: binary keys go in as base64 behind whsec_
  it("signs with HMAC-SHA-256 in base64, with the bytes behind whsec_ or with its text", function()
    for key, case in pairs{
      ["whsec_CwsLCwsLCwsLCwsLCwsLCwsLCws="] = { "Hi There", "sDRMYdjbOFNcqK/OrwvxK4gdwgDJgz2nJuk3bC4yz/c=" },
      ["whsec_CwsLCwsLCwsLCwsLCwsLCwsLCws"] = { "Hi There", "sDRMYdjbOFNcqK/OrwvxK4gdwgDJgz2nJuk3bC4yz/c=" },
      Jefe = { "what do ya want for nothing?", "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=" },
      ["whsec_" .. ("qqqq"):rep(43) .. "qqo="] = { "Test Using Larger Than Block-Size Key - Hash Key First",
        "YOQxWR7gtn8Niiaqy/W3f44LxiE3KMUUBUYEDw7jf1Q=" },
      -- the example of Standard Webhooks
      ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] = { 'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}',
        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" },
    } do
      local s <close> = assert(secret.file(hostile.file("key", key)))
      assert.equal(case[2], s:sign(case[1]), key)
    end
  end)

  it("refuses to sign with what only looks like base64", function()
    for _, text in ipairs{ "whsec_ab!d", "whsec_abcde", "whsec_====", "whsec_a=bc", "whsec_YWJj=" } do
      local s <close> = assert(secret.file(hostile.file("key", text)))
      refused("must be base64 behind that", s:sign "x")
    end
  end)

  it("is made in a pipeline file with a path that counts from the file, and a fault names the file's line", function()
    local path = hostile.file("token", "canary-3")
    local constructors = secret.constructors(path:match "^(.*/)")
    assert.is_true(secret.is(constructors.file "token"))
    assert.is_true(secret.is(constructors.file(path)))
    for text, pattern in pairs{ ['\nlocal _ = secret.env "SINK_MISSING"'] = "^pipe.lua:2: the environment variable SINK_MISSING is not set",
      ['local _ = secret.file "missing"'] = "^pipe.lua:1: cannot read the secret file .*/missing",
      ["local _ = secret.file{}"] = "^pipe.lua:1: secret.file: a name expected" } do
      local ok, message = pcall(load(text, "@pipe.lua", "t", { secret = constructors }))
      assert.is_false(ok)
      assert.matches(pattern, message)
    end
  end)

  it("cannot be made by a script in the sandbox", function()
    assert.same({ false, false }, playbook.value[[
      return { pcall(function() return require("defendis.secret").env "HOME" end), (pcall(function()
        return require("defendis.endpoint").open{ url = "http://127.0.0.1:1/" } end)) }]])
  end)
end)

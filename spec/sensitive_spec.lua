-- sensitive_spec.lua: values that a rule can compare and count, and never read.
local core = require "defendis.core"
local random = require "defendis.simulator.random"
local scratch = require "support.scratch"
local secret = require "defendis.secret"
local json, sensitive = core.json, core.sensitive

local KEY <const> = "0123456789abcdef0123456789abcdef"
local folder

local function fields(options)
  options = options or {}
  scratch.write(folder .. "/key", options.with or KEY)
  options.with, options.key = nil, options.key or assert(secret.file(folder .. "/key"))
  options.names, options.cards = options.names or { "password", "cookies" }, options.cards or { "cardNumber" }
  return assert(sensitive.fields(options))
end

local function record(text, list) return assert(assert(json.page('{"data":[' .. text .. "]}")):record(1, list or fields())) end

local function value(text, list) return record(('{"password":%s}'):format(json.encode(text)), list).password end
local function card(text, list) return record(('{"cardNumber":%s}'):format(text), list).cardNumber end

-- Digits with a check digit that is right, or not.
local function with_check(digits, wrong)
  local sum = 0
  for i = 1, #digits do
    local d = digits:byte(-i) - 48
    if i % 2 == 1 then d = d > 4 and 2 * d - 9 or 2 * d end
    sum = sum + d
  end
  return digits .. (10 - sum % 10 + (wrong or 0)) % 10
end

describe("a sensitive value", function()
  before_each(function() folder = scratch.dir() end)
  after_each(function() scratch.remove(folder) end)

  it("stands in the place of strings and numbers below a listed name, at any depth, in any case, however spelled", function()
    local r = record[[{"id":7,"PASSWORD":"Canary","p\u0061ssword":"Canary","a":[{"b":{"c":[{"d":{"Password":"Canary"}}]}}],
      "cookies":["Canary",1234,[{"name":"Canary"}],null,true,""],"passwords":"not listed","é":"x"}]]
    local v = r.PASSWORD
    for _, same in ipairs{ r.password, r.a[1].b.c[1].d.Password, r.cookies[1], r.cookies[3][1].name } do
      assert.equal("userdata", type(same))
      assert.is_true(sensitive.is(same) and same == v)
    end
    assert.is_true(sensitive.is(r.cookies[2]))
    assert.same({ json.null, true, 7, "not listed", "x" }, { r.cookies[4], r.cookies[5], r.id, r.passwords, r["é"] })
    assert.is_nil(json.encode(r):find("Canary", 1, true))
    assert.equal("Canary", record('{"password":"Canary"}', fields{ names = {} }).password)
  end)

  it("prints as the field's name, whatever it is and however long", function()
    local masks = {}
    for n = 0, 1000 do masks[tostring(value(("x"):rep(n % 100) .. n)) .. value(("y"):rep(n % 90)) .. ("%s"):format(value(""))] = true end
    assert.same({ ["[password][password][password]"] = true }, masks)
    assert.equal("a[password]1", "a" .. value "Canary" .. 1)
  end)

  it("is written as JSON with its mask and its HMAC under the key, the same each time", function()
    local v = value "Canary-P4ss!"
    local hmac = core.hash.hmac_sha256(KEY, "Canary-P4ss!")
    assert.equal(hmac, v:hmac())
    assert.equal('{"a":[{"hmac":"' .. hmac .. '","mask":"[password]"}]}', json.encode{ a = { v } })
    assert.equal(json.encode(v), json.encode(v, { sort_keys = true }))
    assert.not_equal(hmac, value("Canary-P4ss!", fields{ with = KEY .. "2" }):hmac())
    assert.not_equal(hmac, value("Canary-P4ss!", assert(sensitive.fields{ names = { "password" } })):hmac())
    assert.equal('{"hmac":"' .. core.hash.hmac_sha256(KEY, "") .. '","mask":"[a\\"b]"}',
      json.encode(record('{"a\\"b":""}', fields{ names = { 'a"b' } })['a"b']))
  end)

  it("has no HMAC where few values are possible: it groups nothing, and a known one tells no others", function()
    local list = fields{ bare = { "cvv" } }
    local v = record('{"cvv":"737"}', list).cvv
    assert.is_nil(v:hmac())
    assert.equal('{"mask":"[cvv]"}', json.encode(v))
    assert.is_nil(require("defendis.pipeline.file").host().scalar(v))
    assert.is_true(v == record('{"cvv":737}', list).cvv)
  end)

  it("equals what has the same bytes, card numbers also with blanks and dashes or as numbers, and no text", function()
    local list = fields()
    assert.is_true(value("Canary", list) == value("Canary", list))
    assert.is_false(value("Canary", list) == value("canary", list))
    assert.is_false(value("Canary", list) == "Canary")
    assert.is_true(value("", list) == value("", list))
    local pan = card('"4111111111111111"', list)
    assert.is_true(pan == card('"4111 1111-1111 1111"', list))
    assert.is_true(pan == card("4111111111111111", list))
    assert.is_false(pan == card("4111111111111112", list))
    assert.is_false(value("1 2", list) == value("12", list))
  end)

  it("refuses everything else with what to use instead, and tells nothing by it", function()
    local v = value "Canary"
    local tries = { function() return #v end, function() return v + 1 end, function() return -v end, function() return v < "Canary" end,
      function() return v <= v end, function() return v & 1 end, function() return v() end, function() return v:lower() end,
      function() return v[1] end, function() v.x = 1 end, function() return string.lower(v) end, function() return ("x"):rep(v) end,
      function() return ("%d"):format(v) end, function() return string.gsub(v, ".", "") end, function() return ("a"):find(v) end,
      function() return utf8.len(v) end, function() return ipairs(v)(v, 0) end }
    for i, try in ipairs(tries) do
      local ok, err = pcall(try)
      assert.is_false(ok, i)
      assert.matches("use v:hmac%(%), v:length_class%(%)", err)
      assert.is_nil(err:find("Canary", 1, true))
    end
    for _, try in ipairs{ function() return table.concat{ v } end, function() return ("%q"):format(v) end, function() return next(v) end,
      function() return setmetatable(v, {}) end, function() error(v, 0) end } do
      local ok, err = pcall(try)
      assert.is_false(ok)
      assert.is_nil(tostring(err):find("Canary", 1, true))
    end
    assert.is_false(getmetatable(v))
    assert.is_nil(tonumber(value "1"))
  end)

  it("says its class of length in characters, whether it is empty, and which kind of hash it looks like", function()
    local classes = { [0] = "0", [1] = "1-7", [7] = "1-7", [8] = "8-11", [11] = "8-11", [12] = "12-15", [15] = "12-15", [16] = "16+" }
    for n, class in pairs(classes) do assert.equal(class, value(("é"):rep(n)):length_class()) end
    assert.same({ true, false }, { value(""):is_empty(), value(" "):is_empty() })
    local hex = "5f4dcc3b5aa765d61d8327deb882cf99"
    local kinds = { [hex] = "md5", [hex:upper()] = "md5", [hex .. "00000000"] = "sha1", [hex .. hex] = "sha256", [hex:rep(4)] = "sha512",
      ["*" .. hex .. "00000000"] = "mysql41", ["$2b$12$" .. ("a"):rep(53)] = "bcrypt", ["$argon2id$v=19$m=1,t=1"] = "argon2",
      ["$6$salt$abcdefgh"] = "sha512crypt", ["pbkdf2_sha256$1$a$b"] = "pbkdf2", [("1"):rep(32)] = "clear", ["$2b$"] = "clear",
      ["Canary"] = "clear", [""] = "clear", ["*"] = "clear" }
    for text, kind in pairs(kinds) do assert.equal(kind, value(text):kind(), text) end
  end)

  it("tells the first six and the last four digits of a card number, for card fields only", function()
    local v = card "\"4111-1111 1111 1234\""
    assert.same({ "411111", "1234", false }, { v:bin(), v:last4(), v:luhn() })
    assert.is_true(card("4111111111111111"):luhn())
    for _, none in ipairs{ '"4111"', '"41111111111111111111"', '"4111x11111111111"', '""' } do
      v = card(none)
      assert.same({ n = 3, nil, nil, false }, table.pack(v:bin(), v:last4(), v:luhn()))
    end
    v = value "4111111111111111"
    assert.is_true(v:luhn())
    assert.has_error(function() v:bin() end)
    assert.has_error(function() v:last4() end)
  end)

  it("is revealed only where a function says so, which is told field, reason and HMAC", function()
    local told
    local function revealed(allow)
      local v = value("Canary", fields{ reveal = function(...)
        told = { ... }
        return allow
      end })
      return pcall(function() return v:reveal "to look it up" end)
    end
    assert.same({ true, "Canary" }, { revealed(true) })
    assert.same({ "password", "to look it up", core.hash.hmac_sha256(KEY, "Canary") }, told)
    assert.is_false(revealed(false))
    assert.is_false(revealed(nil))
    assert.is_false((pcall(function() return value("Canary"):reveal "why" end)))
    local v = value("Canary", fields{ reveal = function() return true end })
    for _, why in ipairs{ "", {}, false } do assert.is_false((pcall(v.reveal, v, why))) end
    assert.is_false((pcall(v.reveal, v)))
  end)

  it("keeps working when the list and the page are gone, and frees all it took", function()
    local v = value "Canary"
    collectgarbage()
    collectgarbage()
    assert.equal(core.hash.hmac_sha256(KEY, "Canary"), v:hmac())
    assert.equal("[password]", tostring(v))
  end)
end)

describe("the key of sensitive values", function()
  before_each(function() folder = scratch.dir() end)
  after_each(function() scratch.remove(folder) end)

  it("is made once, in a file of mode 0600, whatever the umask is", function()
    local path = folder .. "/state.db.hmac-key"
    assert.is_true(sensitive.key_file(path))
    local text = scratch.read(path)
    assert.matches("^" .. ("%x"):rep(64) .. "\n$", text)
    assert.equal("600", scratch.mode(path))
    assert.is_true(sensitive.key_file(path))
    assert.equal(text, scratch.read(path))
    assert.is_true(sensitive.key_file(folder .. "/other"))
    assert.not_equal(text, scratch.read(folder .. "/other"))
    local ok, err = sensitive.key_file(folder .. "/no/such/key")
    assert.is_nil(ok)
    assert.matches("cannot make .*/no/such/key", err.message)
    local pipe <close> = io.popen("ls " .. folder)
    assert.equal("other\nstate.db.hmac-key\n", pipe:read "a")
  end)

  it("is refused when it is too short to be one", function()
    scratch.write(folder .. "/short", "123456789012345")
    local list, err = sensitive.fields{ names = { "a" }, key = assert(secret.file(folder .. "/short")) }
    assert.is_nil(list)
    assert.same({ "config", true }, { err.kind, err.message:find("openssl rand", 1, true) ~= nil })
  end)
end)

describe("the search for card numbers", function()
  before_each(function() folder = scratch.dir() end)
  after_each(function() scratch.remove(folder) end)

  local function scanned(text)
    local r = record(json.encode{ note = text, n = 4111111111111111 }, fields{ scan = true })
    assert.equal(4111111111111111, r.n)
    return r.note
  end

  it("leaves six and four digits of each of 200 numbers, with separators and in sentences", function()
    local BINS = { { "4", 16 }, { "4", 13 }, { "51", 16 }, { "55", 16 }, { "2221", 16 }, { "2720", 16 }, { "34", 15 }, { "37", 15 },
      { "6011", 16 }, { "65", 16 }, { "3528", 16 }, { "62", 16 }, { "62", 19 }, { "36", 14 }, { "30", 14 }, { "38", 14 } }
    local FORMS = { "%s", "card %s.", "2026-01-05 %s;", '{"pan":"%s"}', "a, %s, b", "PAN:%s" }
    for i = 1, 200 do
      local bin = BINS[i % #BINS + 1]
      local body = bin[1] .. ("%018d"):format(random.mix(i) >> 1):sub(-18)
      local digits = with_check((bin[1] == "30" and "300" .. body:sub(4) or body):sub(1, bin[2] - 1))
      local shown = digits
      if i % 3 > 0 then shown = digits:gsub("%d%d%d%d", "%0" .. (i % 3 == 1 and " " or "-")):gsub("[ -]$", "") end
      local text = FORMS[i % #FORMS + 1]:format(shown)
      local got = scanned(text)
      assert.is_nil(got:find(shown, 1, true), text)
      assert.equal(#text, #got)
      local kept = got:match("(%d[%d* -]*%d)[^%d]*$"):gsub("2026%-01%-05 ", ""):gsub("[ -]", "")
      assert.equal(digits:sub(1, 6) .. ("*"):rep(#digits - 10) .. digits:sub(-4), kept)
    end
  end)

  it("leaves at least 990 of 1000 other numbers as they are", function()
    local wrong = 0
    local FORMS = { function(n) return ("%016d"):format(n % 10 ^ 16 | 0) end,
      function(n) return ("%d"):format(1767225600000 + n % 7776000000) end,
      function(n) return ("+49 170 %07d"):format(n % 10000000) end,
      function(n) return ("%08x-%04x-4000-%012d"):format(n & 0xffffffff, n >> 32 & 0xffff, n % 1000000000000) end,
      function(n) return ("192.0.2.%d:%d"):format(n % 256, n % 65536) end,
      function(n) return "https://a.example/" .. with_check("411111" .. ("%09d"):format(n % 1000000000)) end,
      function(n) return with_check("411111" .. ("%09d"):format(n % 1000000000), 1 + n % 9) end,
      function(n) return ("x%sx"):format(with_check("411111" .. ("%09d"):format(n % 1000000000))) end }
    for i = 1, 1000 do
      local text = FORMS[i % #FORMS + 1](random.mix(i) >> 1)
      if scanned(text) ~= text then wrong = wrong + 1 end
    end
    assert.is_true(wrong <= 10, wrong)
  end)
end)

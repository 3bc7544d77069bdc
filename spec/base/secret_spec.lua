local base = require("defendis_internals").base
local hostile = require "support.hostile"
local scratch = require "support.scratch"

local KEY = 'canary"\\/+%=0123456789'

local function refused(pattern, value, err)
  assert.is_nil(value)
  assert.are.equal("config", err.kind)
  assert.matches(pattern, err.message)
  assert.is_nil(err.message:find("%c"))
  assert.is_nil(err.message:find("canary", 1, true))
end

local function output(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "a"
end

describe("a secret", function()
  it("is kept byte for byte, without the white space behind it", function()
    for given, kept in pairs{ [KEY] = KEY, ["a\n"] = "a", ["a \r\n\t\v\f"] = "a", [" a b "] = " a b", ["\xc3\xa9\xff"] = "\xc3\xa9\xff",
      [("k"):rep(4096) .. "\n"] = ("k"):rep(4096) } do
      local s <close> = assert(base.secret(given))
      assert.are.equal(kept, s:bytes())
    end
  end)

  it("is refused when it is empty, too long, or not on one line, and the place is named", function()
    for bytes, pattern in pairs{ [""] = "^the file is empty; write the key into it", [" \r\n "] = "is empty",
      [("canary"):rep(1000)] = "longer than 4096 bytes",
      ["canary\nsecond"] = "control character; it must hold the key on one line", ["canary\r\nX-Injected: 1"] = "control character",
      ["canary\0rest"] = "control character", ["\27canary"] = "control character", ["canary\127x"] = "control character" } do
      refused(pattern, base.secret(bytes, "the file"))
    end
  end)

  it("goes out of memory and out of the redactor when it is freed, in any order and twice", function()
    local a, b, c = base.secret "first-secret", base.secret "second-secret", base.secret "third-secret"
    b:free()
    assert.are.equal("*** second-secret ***", (base.redact "first-secret second-secret third-secret"))
    a:free()
    b:free()
    c:free()
    assert.are.equal("first-secret third-secret", (base.redact "first-secret third-secret"))
  end)

  it("is in memory that no core dump has", function()
    local s <close> = assert(base.secret "in-a-page-of-its-own")
    local smaps, flags = scratch.read "/proc/self/smaps", 0
    for line in smaps:gmatch "VmFlags:([^\n]*)" do if line:find " dd" then flags = flags + 1 end end
    assert.is_true(flags >= 1)
    assert.are.equal("in-a-page-of-its-own", s:bytes())
  end)
end)

describe("redaction", function()
  local secret
  before_each(function() secret = base.secret(KEY) end)
  after_each(function() secret:free() end)

  local function masked(text, expected)
    local buffer, plain = base.redact(text)
    assert.are.equal(expected, buffer)
    if not text:find "\0" then assert.are.equal(expected, plain) end
  end

  it("masks a secret at the start, in the middle, at the end, repeated, and beside NUL bytes", function()
    masked(KEY, "***")
    masked(KEY .. "x", "***x")
    masked("x" .. KEY, "x***")
    masked(KEY .. KEY .. "," .. KEY, "******,***")
    masked("\0" .. KEY .. "\0", "\0***\0")
    masked("", "")
    masked("nothing of the kind", "nothing of the kind")
    masked(KEY:sub(1, -2), KEY:sub(1, -2))
    masked("cana" .. KEY, "cana***")
  end)

  it("masks it percent-encoded in either case and in part, and as JSON writes it", function()
    local function encode(pattern, format) return (KEY:gsub(pattern, function(c) return (format):format(c:byte()) end)) end
    for _, form in ipairs{ encode("[^%w]", "%%%02X"), encode("[^%w]", "%%%02x"), encode(".", "%%%02X"), encode("[/%%]", "%%%02x"),
      encode(".", "\\u%04x"),
      encode("[^%w]", "\\u%04X"), (KEY:gsub('["\\]', "\\%0")), (KEY:gsub('["\\/]', "\\%0")) } do
      masked("a" .. form .. "b", "a***b")
      masked(form, "***")
    end
    masked("100% %zz %4 \\u00 \\", "100% %zz %4 \\u00 \\")
  end)

  it("masks its base64 wherever it stands in the encoded text, but for the ends that others share", function()
    for before = 0, 3 do
      for after = 0, 3 do
        local plain = ("x"):rep(before) .. KEY .. ("y"):rep(after)
        local path = hostile.file("plain", plain)
        local encoded = output("base64 -w0 '" .. path .. "'")
        local hidden = base.redact(encoded)
        assert.is_truthy(hidden:find("***", 1, true), before .. " " .. after)
        local left = hidden:gsub("%*%*%*", "")
        assert.is_true(#left <= 4 * math.ceil(before / 3) + 4 + 4 + 4 * math.ceil(after / 3), hidden)
      end
    end
    hostile.clean()
  end)

  it("leaves secrets alone that are so short that they would hit by chance", function()
    local short <close> = assert(base.secret "abc")
    local four <close> = assert(base.secret "abcd")
    masked("abc", "abc")
    masked("xabcdx", "x***x")
    assert.are.equal("abc", short:bytes())
    assert.are.equal("abcd", four:bytes())
  end)

  it("never makes text longer, for 2,000 random texts, and leaves none of the secret", function()
    math.randomseed(7)
    local parts = { KEY, KEY:sub(1, 5), KEY:sub(-5), "%", "\\", "\\u00", "%2", "x", "\0", "***", '"' }
    for _ = 1, 2000 do
      local text = ""
      for _ = 1, math.random(0, 8) do text = text .. parts[math.random(#parts)] end
      local out = base.redact(text)
      assert.is_true(#out <= #text)
      assert.is_nil(out:find(KEY, 1, true))
    end
  end)
end)

describe("a key file", function()
  after_each(hostile.clean)

  it("is read when only its owner can read it", function()
    for _, mode in ipairs{ "600", "400", "700", "200" } do
      local path = hostile.file("key", "a-key\n", mode)
      local s, err = base.secret_from_file(path)
      if mode == "200" and not s then
        refused("cannot read the API key file .*: Permission denied", s, err) -- root may read it all the same
      else
        assert.are.equal("a-key", s:bytes())
        s:free()
      end
      os.remove(path)
    end
  end)

  it("is refused when others can read or write it, and the remedy is a command", function()
    for _, mode in ipairs{ "644", "640", "604", "660", "666", "620", "601" } do
      local path = hostile.file("key", "canary", mode)
      refused("^the API key file " .. path:gsub("%p", "%%%0") .. " can be read by others %(mode 0" .. mode .. "%); run: chmod 600 "
        .. path:gsub("%p", "%%%0"),
        base.secret_from_file(path))
    end
    local link = hostile.file("x", "") .. "-link"
    os.execute(("ln -s '%s' '%s'"):format(hostile.file("key", "canary", "644"), link))
    refused("can be read by others", base.secret_from_file(link))
  end)

  it("is refused when it is no file: missing, a folder, a pipe, a device, a link to itself", function()
    local path = hostile.file("x", "")
    local dir = path:match "^(.*)/"
    refused("cannot read the API key file .*/missing: No such file", base.secret_from_file(dir .. "/missing"))
    refused("is not a regular file", base.secret_from_file(dir))
    os.execute(("mkfifo -m 600 '%s/pipe'; ln -s loop '%s/loop'"):format(dir, dir))
    refused("is not a regular file", base.secret_from_file(dir .. "/pipe"))
    refused("is not a regular file", base.secret_from_file "/dev/null")
    refused("cannot read the API key file .*/loop: ", base.secret_from_file(dir .. "/loop"))
  end)

  it("is refused when it is empty, too long or holds more than a key, with its name", function()
    for bytes, pattern in pairs{ [""] = "/key is empty", ["\n"] = "/key is empty", [("x"):rep(5000)] = "/key is longer than 4096",
      ["canary\nb"] = "/key holds a control",
      ["\0"] = "/key holds a control", ["\xff\xfea\0"] = "/key holds a control" } do
      refused(pattern, base.secret_from_file(hostile.file("key", bytes)))
    end
  end)
end)

describe("the API key", function()
  after_each(hostile.clean)

  local function found(file, environment)
    local s, err = base.find_api_key(file, environment)
    if not s then return nil, err end
    local bytes = s:bytes()
    s:free()
    return bytes
  end

  it("is found in the file given, the file named, the credentials folder, the environment, in this order", function()
    local a, b = hostile.file("a", "from-a"), hostile.file("b", "from-b")
    local folder = a:match "^(.*)/"
    hostile.file("defendis-api-key", "from-folder")
    local all = { DEFENDIS_API_KEY_FILE = b, CREDENTIALS_DIRECTORY = folder, DEFENDIS_API_KEY = "from-env" }
    assert.are.equal("from-a", found(a, all))
    assert.are.equal("from-b", found(nil, all))
    all.DEFENDIS_API_KEY_FILE = ""
    assert.are.equal("from-folder", found(nil, all))
    os.remove(folder .. "/defendis-api-key")
    assert.are.equal("from-env", found(nil, all))
    all.DEFENDIS_API_KEY = ""
    refused("no API key; set DEFENDIS_API_KEY_FILE", base.find_api_key(nil, all))
  end)

  it("from the environment is checked like one from a file", function()
    refused("^DEFENDIS_API_KEY is empty", base.find_api_key(nil, { DEFENDIS_API_KEY = " " }))
    refused("^DEFENDIS_API_KEY holds a control character", base.find_api_key(nil, { DEFENDIS_API_KEY = "canary\nx" }))
  end)
end)

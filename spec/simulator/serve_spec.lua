-- serve_spec.lua: the simulator as a process.
local cjson = require "cjson"
local raw = require("defendis_internals").raw

-- Starts a simulator; the shell's pid becomes the simulator's. Closing it kills the process.
local function start(options)
  local script = ([[assert(require("defendis.simulator").serve{%s})]]):format(options)
  local pipe = assert(io.popen("echo $$; exec lua5.4 -e '" .. script .. "' 2>&1", "r"))
  local process = { pid = pipe:read("l"), line = pipe:read("l") }
  local ok, where = pcall(cjson.decode, process.line)
  if ok then
    process.port, process.key = math.tointeger(where.base_url:match("^http://127%.0%.0%.1:(%d+)$")), where.api_key
  end

  -- Sends the signal and waits: what the process still wrote, and whether it ended with success.
  function process.stop(signal)
    os.execute("kill -" .. signal .. " " .. process.pid .. " 2>/dev/null")
    local rest = pipe:read("a")
    local success = pipe:close()
    pipe = nil
    return rest, success
  end
  return setmetatable(process, { __close = function() if pipe then process.stop("KILL") end end })
end

local function get(process, path, more)
  return raw.exchange(process.port, "GET " .. path .. " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " .. process.key ..
    "\r\n" .. (more or "") .. "\r\n")
end

describe("simulator.serve", function()
  it("says where it is in its first line, serves, and ends with success on SIGTERM and SIGINT", function()
    for _, signal in ipairs{ "TERM", "INT" } do
      local process <close> = start "records=50"
      local text = get(process, "/api/v1/dataleaks/credentials?domain=acme.example", "Connection: close\r\n")
      assert.matches("^HTTP/1.1 200 ", text)
      assert.matches("\r\nx%-request%-id: sim%-", text)
      assert.equal(35, #cjson.decode(text:match("\r\n\r\n(.*)$")).data)
      local rest, success = process.stop(signal)
      assert.equal("", rest)
      assert.is_true(success)
    end
  end)

  it("sends what truncate and slow ask for", function()
    local process <close> = start [[records=50,faults="truncate=1,slow=1"]]
    local text, why = get(process, "/api/v1/watchlists")
    local announced = math.tointeger(text:match("Content%-Length: (%d+)"))
    assert.equal("closed", why)
    assert.equal(announced // 2, #text:match("\r\n\r\n(.*)$"))
  end)

  it("fails with the reason when the port is taken", function()
    local process <close> = start ""
    local other <close> = start("port=" .. process.port)
    assert.matches("cannot listen on 127.0.0.1", other.line, 1, true)
  end)
end)

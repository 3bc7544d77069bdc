-- canary_spec.lua: the key in no byte that leaves the program: many commands at the highest verbosity, and all that they write.
local hostile = require "support.hostile"
local process = require "support.process"
local run = require "support.run"
local scratch = require "support.scratch"

local KEY <const> = 'canary"7Qm3/xKey+Of%This&Test\\9-0123456789'

local function base64(text) return (hostile.output(("printf %%s %s | base64 -w0"):format(run.quote(text)))) end

-- The key as it could stand anywhere: plain, percent-encoded, hex, JSON's escapes, base64 in each of its three phases.
local function forms()
  local function each(format, pattern) return (KEY:gsub(pattern or ".", function(c) return format:format(c:byte()) end)) end
  local out = { KEY, each "%02x", each "%02X", each("%%%02X", "[^%w]"), each("%%%02x", "[^%w]"), each("\\u%04x", "[^%w]"), each "\\u%04x",
    (KEY:gsub('["\\]', "\\%0")), (KEY:gsub('["\\/]', "\\%0")), KEY:sub(1, 12), KEY:sub(-12) }
  for skip = 0, 2 do out[#out + 1] = base64(KEY:sub(1 + skip)):sub(1, -5) end
  return out
end

local FORMS <const> = forms()
local COPIES <const> = 2 -- while a request is under way: its header line, and libcurl's request

local function clean(what, text)
  for i, form in ipairs(FORMS) do assert.is_nil(text:find(form, 1, true), ("%s holds form %d of the key"):format(what, i)) end
end

describe("the key", function()
  after_each(function()
    hostile.clean()
    run.clean()
  end)

  it("is found in each of these forms, when it is there", function()
    for _, form in ipairs(FORMS) do assert.is_false((pcall(clean, "text", "a" .. form .. "b"))) end
  end)

  -- A server that says the key back in whatever way, after one good page.
  local function echoing()
    local escaped = KEY:gsub('["\\]', "\\%0")
    local answers = {}
    for i, status in ipairs{ 200, 400, 401, 403, 404, 409, 429, 500, 503, 302, 204 } do
      local body = ('{"error":"%s","message":"%s","metric":"%s","reason":"%s","used":1,"limit":1}'):format(escaped, base64(KEY),
        KEY:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end), escaped)
      answers[i] = hostile.answer(status, i == 1 and '{"data":[' or body, { "x-request-id: " .. KEY, "Location: https://x/" .. KEY,
        "Retry-After: 0", "Content-Type: " .. KEY })
    end
    return hostile.serve(table.unpack(answers))
  end

  it("is in no output and no file of any command at the highest verbosity, whatever the server says back", function()
    local folder = run.folder()
    local file = hostile.file("key", KEY)
    local pipeline = run.write(folder .. "/pipeline.lua", ([[return pipeline{ scope = { domain = { "acme.example" } },
      datasets = { "dataleaks.credentials" }, since = "2026-01-01", ["until"] = "2026-01-03", window = "1d", rules = {},
      sinks = { jsonl{ path = "%s/out/" } }, store = "%s/state.db" }]]):format(folder, folder))
    local script = run.write(folder .. "/s.lua", [[
      local client = require("defendis").client{}
      print(client, client:get("/x", { q = args.q }))
      local _, err = client:get "/y"
      error(err)]])
    local commands = { "health -vv", "health --json -vv", "call GET /api/v1/x q=" .. run.quote(KEY) .. " -vv", "call POST /api/v1/x -vv",
      "call GET /api/v1/x --paginate -vv", "fetch dataleaks.credentials domain=a.example -vv", "ingest -vv " .. pipeline,
      "run -vv " .. script .. " --arg q=" .. run.quote(KEY), "state show -vv " .. pipeline, "state export -vv " .. pipeline,
      "ledger show -vv " .. pipeline, "ledger verify -vv " .. pipeline, "catalog -vv", "call GET " .. run.quote("/" .. KEY) .. " -vv" }
    local sent
    for _, how in ipairs{ { DEFENDIS_API_KEY = KEY }, { DEFENDIS_API_KEY_FILE = file } } do
      for _, line in ipairs(commands) do
        local server = echoing()
        local env = { DEFENDIS_BASE_URL = "http://127.0.0.1:" .. server:port() }
        for k, v in pairs(how) do env[k] = v end
        local r = run.defendis(line, { env = env })
        clean(line .. " (stdout)", r.out)
        clean(line .. " (stderr)", r.err)
        sent = sent or server:requests()[1] ~= nil and server:requests()[1]:find("Bearer " .. KEY, 1, true)
      end
    end
    assert.is_truthy(sent, "the key was never sent at all")
    for path in hostile.output("find " .. folder .. " -type f"):gmatch "[^\n]+" do clean(path, scratch.read(path)) end
  end)

  it("is not in what /proc shows of a program that holds it, and lies in pages that no dump has", function()
    if run.under ~= "" then return pending "what it runs under has it too" end
    local server = hostile.serve{ bytes = "" }
    local p = process.start("call GET /x -vv --base-url http://127.0.0.1:" .. server:port(), { DEFENDIS_API_KEY = KEY })
    finally(function() p:clean() end)
    process.eventually("a request", function() return server:count() == 1 end)
    for _, name in ipairs{ "environ", "cmdline", "comm", "maps", "status" } do
      clean(name, scratch.read("/proc/" .. p.pid .. "/" .. name))
    end
    -- as a debugger of root's would dump it: all that is not marked "don't dump"
    local memory, found, marked = io.open("/proc/" .. p.pid .. "/mem", "rb"), 0, 0
    local sanitized = (os.getenv("LD_PRELOAD") or ""):find "asan"
    if not memory or sanitized then
      p:stop "KILL"
      return pending(sanitized and "a sanitizer keeps what was freed" or "no leave to read another process's memory")
    end
    memory:setvbuf "no"
    local from, to
    for line in scratch.read("/proc/" .. p.pid .. "/smaps"):gmatch "[^\n]+" do
      local a, b = line:match "^(%x+)%-(%x+) rw"
      if line:find "^%x+%-%x+ " then from, to = a and tonumber(a, 16), b and tonumber(b, 16) end
      if from and line:find "^VmFlags:" then
        memory:seek("set", from)
        local bytes = memory:read(to - from) or ""
        local n = select(2, bytes:gsub(KEY:gsub("%p", "%%%0"), ""))
        if line:find " dd" then marked = marked + n else found = found + n end
      end
    end
    memory:close()
    p:stop "KILL"
    assert.is_true(marked >= 1, "it is not where it should be")
    assert.is_true(found <= COPIES, ("%d copies outside of the pages that no dump has"):format(found))
  end)
end)

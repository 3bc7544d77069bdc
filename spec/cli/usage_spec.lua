local run = require "support.run"

-- One line on stderr, nothing on stdout.
local function says(line, options)
  local r = run.defendis(line, options)
  assert.equal("", r.out)
  local text = r.err:match("^defendis: ([^\n]*)\n$")
  assert.is_truthy(text, "not one line: " .. r.err)
  assert.is_nil(text:find("%.lua:%d") or text:find("defendis%.[%w.]+:%d") or text:find("traceback"), text)
  return text, r.code
end

local function refuses(expected, line, options)
  local text, code = says(line, options)
  assert.equal(expected, text)
  assert.equal(2, code)
end

describe("the command line", function()
  after_each(run.clean)

  it("prints its help without a command, and the help and version that are asked for", function()
    local r = run.defendis("")
    assert.same({ 2, "" }, { r.code, r.out })
    assert.matches("^Usage: defendis", r.err)
    r = run.defendis("--help")
    assert.same({ 0, "" }, { r.code, r.err })
    for _, name in ipairs{ "health", "call", "catalog", "fetch", "ingest", "import", "run", "test", "state", "ledger", "simulate" } do
      assert.matches("\n   " .. name .. " ", r.out)
    end
    assert.matches("Exit codes: 0 done, 1 ", r.out)
    assert.matches("^defendis %d+%.%d+%.%d+\n$", run.defendis("--version").out)
  end)

  it("has a help for each command that names its options", function()
    local expected = { health = "%-%-api%-key%-file", call = "%-%-paginate", catalog = "%-%-json", fetch = "%-%-limit",
      ingest = "pipeline", import = "sigma",
      run = "%-%-timeout", test = "%-%-junit", state = "reset", ledger = "verify", simulate = "%-%-fault" }
    for name, option in pairs(expected) do
      local r = run.defendis(name .. " --help")
      assert.same({ 0, "" }, { r.code, r.err }, name)
      assert.matches("^Usage: defendis " .. name, r.out)
      assert.matches(option, r.out)
    end
  end)

  it("names the unknown word, what was probably meant, and where help is", function()
    refuses('unknown command "helth", nearest command "health"; see defendis --help', "helth")
    refuses('unknown command "frobnicate", known: call, catalog, convert, explain, fetch, health, help, import, ingest, ledger, lint, '
      .. "replay, run, simulate, state, test, validate, watchlist; see defendis --help", "frobnicate")
    refuses("unknown option '--jsn'; Did you mean '--json'?; see defendis catalog --help", "catalog --jsn")
    refuses("missing argument 'dataset'; see defendis fetch --help", "fetch")
    refuses("too many arguments; see defendis health --help", "health now")
    refuses("a command is required; see defendis ledger --help", "ledger")
    refuses("unknown command 'frob'; see defendis state --help", "state frob")
    refuses("--base-url is empty; see defendis health --help", "health --base-url ''")
    refuses("--api-key-file is empty; see defendis health --help", "health --api-key-file ''")
  end)

  it("refuses to send the key where others could read it", function()
    local env = { DEFENDIS_API_KEY = "key-1234567890" }
    local message = "base URL: http would send the key unencrypted to \"api.example\"; use https (http is for loopback: localhost, "
      .. "127.0.0.1, [::1])"
    refuses(message, "health --base-url http://api.example", { env = env })
    refuses(message, "health", { env = { DEFENDIS_API_KEY = "key-1234567890", DEFENDIS_BASE_URL = "http://api.example" } })
    refuses("base URL: must start with https://, such as https://api.defendis.ai", "health --base-url ftp://api.example", { env = env })
  end)

  it("names an unknown dataset, a missing input and a bad date before anything is sent", function()
    refuses('unknown dataset "dataleaks.credentals", nearest dataset "dataleaks.credentials"',
      "fetch dataleaks.credentals domain=x.example")
    refuses('dataleaks.credentials needs the input "domain"; give domain=...', "fetch dataleaks.credentials")
    refuses("watchlists.stats is not a list of records; request it with GET /api/v1/watchlists/stats", "fetch watchlists.stats")
    refuses('"domain" is not of the form name=value', "fetch dataleaks.credentials domain")
    local fetch = "fetch dataleaks.credentials domain=acme.example "
    refuses('from = "2026-02-30" is not a date; write YYYY-MM-DD', fetch .. "--from 2026-02-30")
    refuses('to = "yesterday" is not a date; write YYYY-MM-DD', fetch .. "--to yesterday")
    refuses("from = 2026-02-01 is after to = 2026-01-01", fetch .. "--from 2026-02-01 --to 2026-01-01")
    refuses('--limit "x" is not a whole number of at least 1; see defendis fetch --help', fetch .. "--limit x")
    refuses('--limit "0" is not a whole number of at least 1; see defendis fetch --help', fetch .. "--limit 0")
    refuses('--page-size "1.5" is not a whole number of at least 1; see defendis fetch --help', fetch .. "--page-size 1.5")
  end)

  it("refuses a request that cannot be one", function()
    local options = { env = { DEFENDIS_API_KEY = "key-1234567890" } }
    refuses('method "FROB": must be GET, POST, PUT, DELETE or PATCH, in capitals', "call FROB /x", options)
    refuses("path \"http://evil.example/x\": must start with '/'", "call GET http://evil.example/x", options)
    refuses("--paginate goes with GET", "call POST /api/v1/watchlists --paginate", options)
    refuses("cannot read nowhere.json: No such file or directory", "call POST /api/v1/watchlists/domain --json-body nowhere.json", options)
    local text, code = says("call POST /api/v1/watchlists/domain --json-body -", { input = "{oops", env = options.env })
    assert.matches("^%-: JSON, byte 2", text)
    assert.equal(2, code)
  end)
end)

describe("the API key", function()
  local sim
  setup(function() sim = run.simulator("--records 100") end)
  teardown(function() sim.stop() end)
  after_each(run.clean)

  local function with(env)
    env.DEFENDIS_BASE_URL = sim.base_url
    return { env = env }
  end

  local function key_file(text, mode)
    local path = run.write(run.folder() .. "/key", text)
    os.execute(("chmod %s %s"):format(mode, path))
    return path
  end

  it("that is missing is said with the remedy", function()
    refuses("no API key; set DEFENDIS_API_KEY_FILE to a file of mode 0600 that holds it (or DEFENDIS_API_KEY)", "health", with{})
  end)

  it("that is wrong is said with the status, the remedy and the request id, and exit code 3", function()
    local text, code = says("health", with{ DEFENDIS_API_KEY = "canary-0123456789" })
    assert.matches("the API refused the key %(401%): Invalid or revoked API key; make a new key in the web app", text)
    assert.matches("%(request id sim%-[%x%-]+%)$", text)
    assert.equal(3, code)
  end)

  it("file that others can read is refused with the command that repairs it", function()
    local path = key_file(sim.api_key, 644)
    refuses(("the API key file %s can be read by others (mode 0644); run: chmod 600 %s"):format(path, path), "health",
      with{ DEFENDIS_API_KEY_FILE = path })
  end)

  it("file that is not there, or is a folder, is named", function()
    refuses("cannot read the API key file nowhere: No such file or directory", "health --api-key-file nowhere", with{})
    refuses("the API key file /tmp is not a regular file", "health --api-key-file /tmp", with{})
  end)

  it("is taken from the option, the file of the environment, and the environment", function()
    local path = key_file(sim.api_key .. "\n", 600)
    assert.equal(0, run.defendis("health --api-key-file " .. path, with{ DEFENDIS_API_KEY = "wrong-0123456789" }).code)
    assert.equal(0, run.defendis("health", with{ DEFENDIS_API_KEY_FILE = path }).code)
    assert.equal(0, run.defendis("health", with{ DEFENDIS_API_KEY = sim.api_key }).code)
  end)

  it("is in no output at -v -v, right or wrong", function()
    for _, key in ipairs{ sim.api_key, "canary-0123456789" } do
      for _, line in ipairs{ "health -v -v", "fetch dataleaks.credentials domain=acme.example -v -v --limit 1",
        "call GET /api/v1/watchlists/stats -v -v" } do
        local r = run.defendis(line, with{ DEFENDIS_API_KEY = key })
        assert.matches('"event":"request"', r.err)
        assert.is_nil((r.out .. r.err):find(key, 1, true))
      end
    end
  end)
end)

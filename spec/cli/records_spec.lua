local cjson = require "cjson"
local run = require "support.run"

local function lines(text)
  local out = {}
  for line in text:gmatch("([^\n]*)\n") do out[#out + 1] = cjson.decode(line) end
  return out
end

describe("health, catalog, call and fetch", function()
  local sim
  setup(function() sim = run.simulator("--records 2000") end)
  teardown(function() sim.stop() end)
  after_each(run.clean)

  local function good(line, options)
    options = options or {}
    options.env = options.env or sim.env
    local r = run.defendis(line, options)
    assert.equal("", r.err)
    assert.equal(0, r.code)
    return r.out
  end

  local function fails(code, pattern, line, options)
    options = options or {}
    options.env = sim.env
    local r = run.defendis(line, options)
    assert.equal(code, r.code)
    assert.matches(pattern, r.err)
    return r
  end

  it("health says that the API answers, the key is good, and what it may see, as text and as JSON", function()
    assert.equal("API  ok\nkey  accepted\nwatchlist  items\ndomain         3\nbin            2\nexecutive      2\nkeyword        2\n"
      .. "ransom         1\nassets         2\n", good "health")
    assert.same({ api = "ok", key = "ok", scope = { domain = 3, bin = 2, executive = 2, keyword = 2, ransom = 1, assets = 2 } },
      cjson.decode(good "health --json"))
  end)

  it("health fails fast, with exit code 4, where nothing listens", function()
    local r = run.defendis("health --base-url http://127.0.0.1:1", { env = sim.env })
    assert.equal(4, r.code)
    assert.matches("could not be reached.*gave up after 2 attempts; check the URL", r.err)
  end)

  it("catalog lists every endpoint, those that are guesses too, as text and as JSON", function()
    local text, list = good "catalog", cjson.decode(good "catalog --json")
    assert.matches("dataleaks%.credentials +GET +/api/v1/dataleaks/credentials +domain +paged +documented\n", text)
    assert.matches("ransomware .* assumed\n", text)
    assert.equal(#list + 1, select(2, text:gsub("\n", "")))
  end)

  it("no command colours what does not go to a terminal", function()
    local r = run.defendis("health", { env = sim.env, prefix = "env -u NO_COLOR" })
    assert.is_nil(r.out:find("\27", 1, true))
  end)

  it("on a terminal there are colours, unless NO_COLOR is set", function()
    local function on_terminal(prefix)
      return run.defendis("catalog", { env = sim.env, prefix = prefix .. " TERM=xterm sh -c 'script -qec \"$*\" /dev/null' sh" }).out
    end
    assert.is_truthy(on_terminal("env -u NO_COLOR"):find("\27[1m", 1, true))
    assert.is_nil(on_terminal("env NO_COLOR=1"):find("\27[1m", 1, true))
  end)

  it("fetch prints the records of a window as JSON lines, all pages of it", function()
    local records = lines(good "fetch dataleaks.credentials domain=acme.example --from 2026-01-05 --to 2026-01-12 --page-size 10")
    local announced = cjson.decode(good("call GET /api/v1/dataleaks/credentials domain=acme.example fromDate=2026-01-05 "
      .. "toDate=2026-01-12 pageSize=1")).paging.totalRecords
    assert.is_true(announced > 20)
    assert.equal(announced, #records)
    local seen = {}
    for _, r in ipairs(records) do
      assert.is_true(r.leakedAt >= "2026-01-05" and r.leakedAt < "2026-01-12")
      assert.is_nil(seen[r.id])
      seen[r.id] = true
    end
  end)

  it("fetch stops at the limit, also in the middle of a page", function()
    assert.equal(7, #lines(good "fetch dataleaks.credentials domain=acme.example --limit 7 --page-size 5"))
    assert.equal(5, #lines(good "fetch dataleaks.credentials domain=acme.example --limit 5 --page-size 5"))
  end)

  it("fetch of an empty window prints nothing and succeeds", function()
    assert.equal("", good "fetch dataleaks.credentials domain=acme.example --from 2020-01-01 --to 2020-01-02")
  end)

  it("fetch out of scope is exit code 3, with the remedy", function()
    fails(3, "%(403%).*add the domain, e%-mail or bin to a watchlist of the key's workspace %(request id ",
      "fetch dataleaks.credentials domain=elsewhere.example")
  end)

  it("call sends a query, a path and a body as given, and prints the answer", function()
    assert.equal("acme.example", cjson.decode(good "call GET /api/v1/dataleaks/stats domain=acme.example").data.domain)
    assert.equal("ok", cjson.decode(good "call get /health").status)
    local added = cjson.decode(good("call POST /api/v1/watchlists/keyword --json-body -", { input = '{"keyword": "zürich"}' }))
    assert.equal("zürich", added.data.keyword)
    local ids = run.write(run.folder() .. "/ids.json", cjson.encode{ ids = { added.data.id } })
    assert.equal(1, cjson.decode(good("call POST /api/v1/watchlists/keyword/delete --json-body " .. ids)).data.count)
  end)

  it("call --paginate prints each element of a list once", function()
    local domains = {}
    for _, item in ipairs(lines(good "call GET /api/v1/watchlists/domain --paginate pageSize=2")) do domains[#domains + 1] = item.domain end
    assert.same({ "acme.example", "acme-labs.example", "globex.example" }, domains)
  end)

  it("call says what the API refused: a missing input, an unknown path, a body that is not valid", function()
    fails(3, "refused the request %(400%): Missing required parameter: domain", "call GET /api/v1/dataleaks/credentials")
    fails(3, "no such endpoint or resource %(404%)", "call GET /nowhere")
    fails(3, "refused the request %(400%)", "call POST /api/v1/watchlists/domain --json-body -", { input = "{}" })
  end)

  it("call says that a quota is reached, and how far", function()
    local last
    for i = 1, 12 do
      last = run.defendis("call POST /api/v1/watchlists/bin --json-body -", { env = sim.env, input = ('{"bin": "4%05d"}'):format(i) })
      if last.code ~= 0 then break end
    end
    assert.equal(3, last.code)
    assert.matches("quota of bins reached, 10 of 10 used, 1 more asked for %(409%)", last.err)
  end)

  -- The line with its output redirected, and its exit code on stderr.
  local function redirected(how, line, before)
    local prefix = ([[sh -c '%s { "$@"; echo $? >&2; } %s' sh]]):format(before or "", how)
    return run.defendis(line, { env = sim.env, prefix = prefix })
  end
  local LONG <const> = "fetch dataleaks.credentials domain=acme.example"

  it("a reader that leaves early ends the program without a complaint", function()
    local r = redirected("| head -1", LONG)
    assert.equal("141\n", r.err)
    assert.equal(1, select(2, r.out:gsub("\n", "")))
    assert.equal("defendis: the output could not be written: Broken pipe\n1\n", redirected("| head -1", LONG, 'trap "" PIPE;').err)
  end)

  it("a full disk is said, and is not a success", function()
    for _, line in ipairs{ "catalog", "catalog --json", LONG, "call GET /health", "call GET /api/v1/watchlists/domain --paginate" } do
      assert.matches("^defendis: the output could not be written[^\n]*\n1\n$", redirected(">/dev/full", line).err)
    end
  end)
end)

-- simulator_spec.lua: the API's rules: keys, scope, required input, paging, windows, and the simulator's own paths.
local cjson = require "cjson"
local simulated = require "support.simulated"
local simulator = require "defendis.simulator"

local CREDENTIALS = "/api/v1/dataleaks/credentials"

describe("simulator", function()
  local ask, sim

  before_each(function() ask, sim = simulated.new{ records = 2000 } end)

  local function refused(status, text, ...)
    local body, answer = ask(...)
    assert.equal(status, answer.status)
    assert.equal(text, body.error)
  end

  it("answers health without a key", function()
    local body, answer = ask("GET", "/health", nil, nil, {})
    assert.equal(200, answer.status)
    assert.same({ status = "ok" }, body)
  end)

  it("tells a missing key from a wrong one", function()
    refused(401, "Missing API key", "GET", CREDENTIALS, { domain = "acme.example" }, nil, {})
    for _, value in ipairs{ "Bearer wrong", "Bearer", "Basic " .. sim.key, sim.key } do
      refused(401, "Invalid or revoked API key", "GET", CREDENTIALS, { domain = "acme.example" }, nil,
        { authorization = value })
    end
    local headers = { authorization = "bearer " .. sim.key }
    local _, answer = ask("GET", CREDENTIALS, { domain = "acme.example" }, nil, headers)
    assert.equal(200, answer.status)
  end)

  it("gives every answer an x-request-id of its own, the same in the next run", function()
    local again = simulated.new{ records = 2000 }
    local seen = {}
    for _, path in ipairs{ "/health", "/nowhere", "/api/v1/watchlists", CREDENTIALS, "/simulator/log" } do
      local _, answer = ask("GET", path)
      local id = answer.headers["x-request-id"]
      assert.is_nil(seen[id])
      seen[id] = true
      local _, other = again("GET", path)
      assert.equal(id, other.headers["x-request-id"])
    end
  end)

  it("refuses a request without its required input", function()
    for path, input in pairs{ [CREDENTIALS] = "domain", [CREDENTIALS .. "/email"] = "email",
      ["/api/v1/dataleaks/documents"] = "domain", ["/api/v1/dataleaks/paymentcards/bins"] = "bin",
      ["/api/v1/dataleaks/stats"] = "domain", ["/api/v1/dataleaks/user"] = "id", ["/api/v1/exposure"] = "domain",
      ["/api/v1/ransomware"] = "domain" } do
      refused(400, "Missing required parameter: " .. input, "GET", path)
      refused(400, "Missing required parameter: " .. input, "GET", path, { [input] = "" })
    end
  end)

  it("refuses inputs outside the watchlists", function()
    local no = "You don't have permission to view this"
    refused(403, no, "GET", CREDENTIALS, { domain = "other.example" })
    refused(403, no, "GET", CREDENTIALS .. "/email", { email = "a.b@other.example" })
    refused(403, no, "GET", "/api/v1/dataleaks/paymentcards/bins", { bin = "400000" })
  end)

  it("refuses pages, sizes, dates and orders that are none", function()
    for _, case in ipairs{ { "page", "0" }, { "page", "x" }, { "page", "1.5" }, { "page", "-1" }, { "pageSize", "0" },
      { "pageSize", "many" }, { "fromDate", "2026-02-30" }, { "fromDate", "2026-1-1" }, { "toDate", "yesterday" },
      { "toDate", "2026-01-01T00:00:00Z" }, { "sortOrder", "up" } } do
      refused(400, "Invalid " .. case[1], "GET", CREDENTIALS, { domain = "acme.example", [case[1]] = case[2] })
    end
    refused(400, "fromDate is after toDate", "GET", CREDENTIALS,
      { domain = "acme.example", fromDate = "2026-02-02", toDate = "2026-02-01" })
  end)

  it("answers unknown paths and methods with 404", function()
    for _, case in ipairs{ { "GET", "/" }, { "GET", "/api/v1/nothing" }, { "DELETE", CREDENTIALS },
      { "POST", "/health" }, { "GET", "/api/v1/watchlistsx" }, { "GET", "/simulator/x" } } do
      refused(404, "Not found", case[1], case[2])
    end
  end)

  it("wraps lists in data and paging, and lowers pageSize to 1000", function()
    local body, answer = ask("GET", CREDENTIALS, { domain = "acme.example", pageSize = "5000" })
    assert.equal("application/json", answer.headers["content-type"])
    assert.equal(1000, #body.data)
    assert.same({ currentPage = 1, pageSize = 1000, totalRecords = 1400, totalPages = 2, hasMore = true, nextPage = 2 },
      body.paging)
    body = ask("GET", CREDENTIALS, { domain = "acme.example", pageSize = "5000", page = "2" })
    assert.equal(400, #body.data)
    assert.same({ currentPage = 2, pageSize = 1000, totalRecords = 1400, totalPages = 2, hasMore = false,
      nextPage = cjson.null }, body.paging)
  end)

  it("answers a page beyond the end with an empty list", function()
    local body, answer = ask("GET", CREDENTIALS, { domain = "acme.example", page = "99" })
    assert.equal(200, answer.status)
    assert.matches('"data":%[%],', answer.body)
    assert.is_false(body.paging.hasMore)
  end)

  it("gives each record once when all pages are read, as many as announced", function()
    for _, size in ipairs{ "7", "100", "1000" } do
      local ids = simulated.ids(ask, CREDENTIALS, { domain = "acme.example", pageSize = size })
      local seen = {}
      for _, id in ipairs(ids) do
        assert.is_nil(seen[id])
        seen[id] = true
      end
      assert.equal(1400, #ids)
    end
  end)

  it("lists backwards with sortOrder=desc", function()
    local up = simulated.ids(ask, CREDENTIALS, { domain = "globex.example" })
    local down = simulated.ids(ask, CREDENTIALS, { domain = "globex.example", sortOrder = "desc" })
    for i = 1, #up do assert.equal(up[i], down[#up - i + 1]) end
  end)

  it("puts a record on a window's border into the later window only", function()
    local body = ask("GET", CREDENTIALS, { domain = "acme.example", fromDate = "2026-01-15", toDate = "2026-01-16" })
    assert.equal("2026-01-15T00:00:00Z", body.data[1].leakedAt)
    local before = ask("GET", CREDENTIALS, { domain = "acme.example", fromDate = "2026-01-14", toDate = "2026-01-15" })
    for _, record in ipairs(before.data) do
      assert.not_equal(body.data[1].id, record.id)
      assert.equal("2026-01-14", record.leakedAt:sub(1, 10))
    end
    local days = 0
    for day = 1, 31 do
      days = days + ask("GET", CREDENTIALS, { domain = "acme.example", fromDate = ("2026-01-%02d"):format(day),
        toDate = day < 31 and ("2026-01-%02d"):format(day + 1) or "2026-02-01" }).paging.totalRecords
    end
    local month = ask("GET", CREDENTIALS, { domain = "acme.example", fromDate = "2026-01-01", toDate = "2026-02-01" })
    assert.equal(month.paging.totalRecords, days)
    local empty = ask("GET", CREDENTIALS, { domain = "acme.example", fromDate = "2026-01-15", toDate = "2026-01-15" })
    assert.equal(0, empty.paging.totalRecords)
    assert.equal(0, empty.paging.totalPages)
  end)

  it("finds the records of one e-mail address, whatever its case", function()
    local body = ask("GET", CREDENTIALS, { domain = "acme.example", pageSize = "1000" })
    local email, expected = body.data[1].email:lower(), {}
    for _, id in ipairs(simulated.ids(ask, CREDENTIALS, { domain = "acme.example" })) do
      local record = ask("GET", "/api/v1/dataleaks/user", { id = id }).data
      if record.email:lower() == email then expected[#expected + 1] = id end
    end
    assert.same(expected, simulated.ids(ask, CREDENTIALS .. "/email", { email = email:upper(), pageSize = "2" }))
    assert.equal(0, ask("GET", CREDENTIALS .. "/email", { email = "nobody@acme.example" }).paging.totalRecords)
  end)

  it("answers stats and one credential by id", function()
    local stats = ask("GET", "/api/v1/dataleaks/stats", { domain = "acme.example" }).data
    assert.same({ domain = "acme.example", credentials = 1400, documents = 28 }, stats)
    refused(404, "Not found", "GET", "/api/v1/dataleaks/user", { id = "00000000-0000-4000-8000-000000000000" })
    refused(404, "Not found", "GET", "/api/v1/dataleaks/user", { id = "x" })
  end)

  it("tells which ids exist, in a period too", function()
    local expected = simulated.ids(ask, CREDENTIALS, { domain = "acme.example", fromDate = "2026-02-01" })
    local body, answer = ask("GET", "/simulator/ids", { dataset = "dataleaks.credentials", input = "acme.example",
      from = "2026-02-01" }, nil, {})
    assert.equal(tostring(#expected), answer.headers["x-total"])
    assert.equal(table.concat(expected, "\n") .. "\n", body)
    refused(400, 'unknown dataset "dataleaks.document", nearest dataset "dataleaks.documents"', "GET", "/simulator/ids",
      { dataset = "dataleaks.document", input = "x" })
  end)

  it("keeps a log of the last requests to the API", function()
    ask("GET", CREDENTIALS, { domain = "acme.example", page = "2" })
    local _, answer = ask("GET", "/api/v1/nothing")
    for _ = 1, 999 do ask("GET", "/api/v1/nothing") end
    local log = ask("GET", "/simulator/log", nil, nil, {})
    assert.equal(1001, log.total)
    assert.equal(1000, #log.requests)
    assert.same({ n = 2, method = "GET", path = "/api/v1/nothing", query = "", status = 404,
      request_id = answer.headers["x-request-id"] }, log.requests[1])
  end)

  it("serves the same pages with and without a cache, and in any order of requests", function()
    local cached = simulated.new{ records = 2000, cache_bytes = 300000 }
    local pages = {}
    for page = 1, 14 do
      local _, answer = ask("GET", CREDENTIALS, { domain = "acme.example", page = tostring(page) })
      pages[page] = answer.body
    end
    for _ = 1, 2 do
      for page = 14, 1, -1 do
        local _, answer = cached("GET", CREDENTIALS, { domain = "acme.example", page = tostring(page) })
        assert.equal(pages[page], answer.body)
      end
    end
    local query = { domain = "acme.example", pageSize = "200", page = "1" }
    assert.same((ask("GET", CREDENTIALS, query)), (cached("GET", CREDENTIALS, query)))
  end)

  it("raises on unknown options and faults, naming the nearest, and on wrong values", function()
    assert.error_matches(function() simulator.new{ record = 1 } end, '"record", nearest option "records"')
    assert.error_matches(function() simulator.new{ records = -1 } end, "option 'records' must be a whole number from 0")
    assert.error_matches(function() simulator.new{ from = "2026-13-01" } end, "option 'from' must be a date")
    assert.error_matches(function() simulator.new{ faults = "trunkate=1" } end, 'nearest fault "truncate"')
    assert.error_matches(function() simulator.new{ faults = "429=2" } end, "probability from 0 to 1")
  end)
end)

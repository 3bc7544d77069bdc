-- watchlists_spec.lua: the workspace's scope: groups, items, quotas and billing.
local simulated = require "support.simulated"

local ROOT = "/api/v1/watchlists"
local FIELDS = { assets = "asset", domain = "domain", bin = "bin", executive = "email", keyword = "keyword",
  ransom = "keyword" }
local FRESH = { assets = "198.51.100.7", domain = "new.example", bin = "424242", executive = "new.person@acme.example",
  keyword = "falcon", ransom = "falcon" }

describe("simulated watchlists", function()
  local ask

  before_each(function() ask = simulated.new{ records = 100 } end)

  it("add, list, change and delete items of every kind", function()
    for kind, field in pairs(FIELDS) do
      local path = ROOT .. "/" .. kind
      local before = ask("GET", path).paging.totalRecords
      local body, answer = ask("POST", path, nil, { [field] = FRESH[kind], note = "first" })
      assert.equal(201, answer.status)
      assert.equal(FRESH[kind], body.data[field])
      local found = ask("GET", path, { search = FRESH[kind]:upper() })
      assert.equal(1, found.paging.totalRecords)
      body, answer = ask("PUT", path .. "/" .. body.data.id, nil, { note = "second" })
      assert.equal(200, answer.status)
      assert.equal("second", body.data.note)
      assert.equal(FRESH[kind], body.data[field])
      body = ask("POST", path .. "/delete", nil, { ids = { body.data.id, "unknown" } })
      assert.same({ data = { count = 1 } }, body)
      assert.equal(before, ask("GET", path).paging.totalRecords)
    end
  end)

  it("create, list, change and delete groups with their items", function()
    local group = ask("POST", ROOT .. "/create", nil, { name = "Subsidiaries" }).data
    ask("POST", ROOT .. "/domain", nil, { domain = "sub.example", watchlistid = group.id })
    assert.equal(1, ask("GET", ROOT .. "/domain", { watchlistid = group.id }).paging.totalRecords)
    assert.equal("Daughters", ask("PUT", ROOT .. "/" .. group.id, nil, { name = "Daughters" }).data.name)
    assert.equal(2, ask("GET", ROOT).paging.totalRecords)
    assert.same({ count = 1 }, ask("POST", ROOT .. "/delete", nil, { ids = { group.id } }).data)
    assert.equal(1, ask("GET", ROOT).paging.totalRecords)
    assert.equal(0, ask("GET", ROOT .. "/domain", { search = "sub.example" }).paging.totalRecords)
  end)

  it("decide what may be queried, from the next request on", function()
    local function status(domain)
      local _, answer = ask("GET", "/api/v1/dataleaks/credentials", { domain = domain })
      return answer.status
    end
    assert.equal(403, status("new.example"))
    local item = ask("POST", ROOT .. "/domain", nil, { domain = "New.Example" }).data
    assert.equal(200, status("new.example"))
    ask("POST", ROOT .. "/domain/delete", nil, { ids = { item.id } })
    assert.equal(403, status("new.example"))
  end)

  it("answer 409 with the documented body when a quota is reached, and count in stats", function()
    ask = simulated.new{ records = 100, limits = { keywords = 3 } }
    for i = 1, 7 do
      local _, answer = ask("POST", ROOT .. "/domain", nil, { domain = ("d%d.example"):format(i) })
      assert.equal(201, answer.status)
    end
    local body, answer = ask("POST", ROOT .. "/domain", nil, { domain = "d8.example" })
    assert.equal(409, answer.status)
    assert.same({ error = "quota_domains_reached", metric = "domains", used = 10, limit = 10, requestedIncrement = 1 },
      body)
    ask("POST", ROOT .. "/keyword", nil, { keyword = "one more" })
    body = ask("POST", ROOT .. "/keyword", nil, { keyword = "too many" })
    assert.equal("quota_keywords_reached", body.error)
    for i = 1, 9 do body = ask("POST", ROOT .. "/bin", nil, { bin = "40000" .. i }) end
    assert.equal("quota_bins_reached", body.error)
    local stats = ask("GET", ROOT .. "/stats").data
    assert.equal(10, stats.items.domain)
    assert.same({ domains = 10, keywords = 3, bins = 10 }, stats.limits)
  end)

  it("answer 403 with the documented body when the bill is unpaid, on the three billed kinds only", function()
    ask = simulated.new{ records = 100, unpaid = "unpaid" }
    for _, kind in ipairs{ "domain", "keyword", "bin" } do
      local body, answer = ask("POST", ROOT .. "/" .. kind, nil, { [FIELDS[kind]] = FRESH[kind] })
      assert.equal(403, answer.status)
      assert.same({ error = "Enterprise billing access denied", reason = "payment_unpaid", status = "unpaid" }, body)
    end
    local _, answer = ask("POST", ROOT .. "/assets", nil, { asset = "x.example" })
    assert.equal(201, answer.status)
  end)

  it("refuse bodies that are not what they should be", function()
    local item = ask("GET", ROOT .. "/domain").data[1]
    for _, case in ipairs{
      { "POST", "/domain", "{", "Invalid JSON" }, { "POST", "/domain", '"text"', "Invalid JSON" },
      { "POST", "/domain", '{"domain":"\xff.example"}', "Invalid JSON" },
      { "POST", "/domain", "{}", "Missing required field: domain" },
      { "POST", "/domain", '{"domain":5}', "Missing required field: domain" },
      { "POST", "/domain", '{"domain":"no dots"}', "Invalid domain" },
      { "POST", "/bin", '{"bin":"41"}', "Invalid bin" },
      { "POST", "/domain", '{"domain":"ACME.example"}', "Already in the watchlist: domain" },
      { "POST", "/domain", '{"domain":"n.example","watchlistid":"none"}', "Unknown watchlistid" },
      { "PUT", "/domain/" .. item.id, '{"domain":"globex.example"}', "Already in the watchlist: domain" },
      { "POST", "/domain/delete", "{}", "Missing required field: ids" },
      { "POST", "/delete", '{"ids":"x"}', "Missing required field: ids" },
      { "POST", "/create", '{"name":""}', "Missing required field: name" } } do
      local body, answer = ask(case[1], ROOT .. case[2], nil, case[3])
      assert.equal(400, answer.status)
      assert.equal(case[4], body.error)
    end
    for _, case in ipairs{ { "PUT", "/domain/none", "{}" }, { "PUT", "/none", "{}" }, { "POST", "/nokind", "{}" },
      { "DELETE", "/domain", "" }, { "GET", "/domain/" .. item.id, "" } } do
      local _, answer = ask(case[1], ROOT .. case[2], nil, case[3])
      assert.equal(404, answer.status)
    end
  end)

  it("page, sort and keep plain values of unknown fields", function()
    ask("POST", ROOT .. "/domain", nil, { domain = "aaa.example", priority = 5, muted = true })
    local body = ask("GET", ROOT .. "/domain", { sortBy = "domain", pageSize = "2" })
    assert.equal("aaa.example", body.data[1].domain)
    assert.equal(5, body.data[1].priority)
    assert.is_true(body.data[1].muted)
    assert.equal(2, body.paging.totalPages)
    body = ask("GET", ROOT .. "/domain", { sortBy = "domain", sortOrder = "desc" })
    assert.equal("globex.example", body.data[1].domain)
  end)
end)

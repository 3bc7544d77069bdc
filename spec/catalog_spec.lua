-- catalog_spec.lua: the endpoint table.
local catalog = require "defendis.catalog"

describe("catalog", function()
  it("knows every documented endpoint by method and path", function()
    local known = {}
    for _, e in ipairs(catalog.list()) do known[e.method .. " " .. e.path] = e.status end
    local documented = { "GET /health", "GET /api/v1/watchlists", "POST /api/v1/watchlists/create",
      "PUT /api/v1/watchlists/{id}", "POST /api/v1/watchlists/delete", "GET /api/v1/watchlists/stats",
      "GET /api/v1/dataleaks/credentials", "GET /api/v1/dataleaks/credentials/email", "GET /api/v1/dataleaks/documents",
      "GET /api/v1/dataleaks/paymentcards/bins", "GET /api/v1/dataleaks/stats", "GET /api/v1/dataleaks/user" }
    for _, kind in ipairs{ "assets", "domain", "bin", "executive", "keyword", "ransom" } do
      local path = "/api/v1/watchlists/" .. kind
      for _, e in ipairs{ "GET " .. path, "POST " .. path, "PUT " .. path .. "/{id}", "POST " .. path .. "/delete" } do
        documented[#documented + 1] = e
      end
    end
    for _, endpoint in ipairs(documented) do assert.equal("documented", known[endpoint], endpoint) end
    assert.equal(#documented + 2, #catalog.list())
  end)

  it("calls the two paths that nobody documented assumed", function()
    assert.equal("assumed", catalog.find("exposure").status)
    assert.equal("assumed", catalog.find("ransomware").status)
  end)

  it("finds a dataset with its input, id field, time field and watchlist kind", function()
    local cards = catalog.dataset("dataleaks.paymentcards")
    assert.equal("/api/v1/dataleaks/paymentcards/bins", cards.path)
    assert.equal("bin", cards.input)
    assert.equal("id", cards.id_field)
    assert.equal("leakedAt", cards.time)
    assert.equal("bin", cards.watchlist)
  end)

  it("names the nearest endpoint, and for a dataset the nearest dataset", function()
    local _, err = catalog.find("dataleaks.credential")
    assert.equal("config", err.kind)
    assert.equal('unknown endpoint "dataleaks.credential", nearest endpoint "dataleaks.credentials"', tostring(err))
    _, err = catalog.dataset("watchlists.stats")
    assert.matches('unknown dataset "watchlists.stats"', tostring(err), 1, true)
    _, err = catalog.dataset("dataleaks.stat")
    assert.is_not.matches("dataleaks.stats", tostring(err), 1, true)
    assert.is_nil((catalog.dataset(nil)))
  end)

  it("hands out a list that can be changed without changing the catalog", function()
    local n = #catalog.list()
    table.remove(catalog.list())
    assert.equal(n, #catalog.list())
  end)

  it("needs nothing but plain Lua", function()
    local script = [[print((require "defendis.catalog").find("health").path)]]
    local pipe <close> = assert(io.popen("LUA_CPATH=none lua5.4 -e '" .. script .. "'"))
    assert.equal("/health\n", pipe:read("a"))
  end)
end)

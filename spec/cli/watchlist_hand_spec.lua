local cjson = require "cjson"
local run = require "support.run"
local scripted = require "support.scripted"
local watched = require "support.watched"

local HOSTILE = [[
local items = sim.workspace.items
table.insert(items.keyword, { id = "evil-\27[2J", keyword = "red \27[31m\r\nnext\9\0", watchlistid = "watchlist-000001" })
table.insert(items.keyword, { id = "k ?y=1#&", keyword = "query" })
table.insert(items.keyword, { id = "k/../../domain", keyword = "path" })
table.insert(sim.workspace.groups, { id = "g-evil", name = "Group\27]0;title\7" })
]]

describe("defendis watchlist", function()
  local api

  local function start(...) api = watched.start(...) end

  local function refused(code, pattern, line)
    local r = api:run(line)
    assert.equal(code, r.code, r.err)
    assert.matches(pattern, r.err)
    assert.equal(1, select(2, r.err:gsub("\n", "")))
    assert.is_nil(r.err:find "[%z\1-\9\11-\31]")
  end

  after_each(function()
    if api then (api.stop)(api) end
    api = nil
    run.clean()
  end)

  it("lists kinds, groups, and what is in a group", function()
    start()
    local r = api:run "list bin group"
    assert.same({ 0, "" }, { r.code, r.err })
    assert.equal("kind   value    group    id\nbin    411111   Default  bin-000005\nbin    555555   Default  bin-000006\n"
      .. "group  Default           watchlist-000001\n", r.out)
    local first = cjson.decode(api:run("list keyword --group Default --json").out:match "^[^\n]+")
    assert.same({ "keyword", "acme confidential", "Default", "keyword-000009", "2026-01-01T00:00:00Z" },
      { first.kind, first.value, first.group, first.id, first.item.createdAt })
    refused(3, 'there is no group "Nope"', "list --group Nope")
    refused(2, 'unknown kind "domian", nearest kind "domain"', "list domian")
  end)

  it("prints the statistics, and as the API gave them with --json", function()
    start()
    local r = api:run "stats"
    assert.matches("^watchlist  items  limit\ndomain         3  10\n", r.out)
    assert.same({ 3, 10 }, { api:json("stats").items.domain, api:json("stats").limits.domains })
  end)

  it("adds what is not there, into a group that is, and is content with what is there", function()
    start()
    assert.equal("1 added, 0 updated, 0 removed\n", api:run("add group Brands").out)
    local d, r = api:json "add domain New.example ACME.example new.example --group Brands"
    assert.equal(0, r.code)
    assert.same({ 1, 1, 0 }, { d.add, d.update, d.remove }) -- acme.example moves
    assert.same({ 0, 0, 0 }, { api:json("add domain new.example").add, api:json("add group Brands").add, 0 })
    refused(3, 'there is no group "Brnads"', "add domain more.example --group Brnads")
    refused(2, 'domain%[1%].*a domain such as "acme.example" expected', "add domain 'no domain'")
    assert.equal(3, #api:writes())
  end)

  it("removes by value or id, and not a group that is not empty unless it is told twice", function()
    start()
    local audit = api.folder .. "/audit"
    local d = api:json("rm domain ACME.example domain-000004 --audit " .. audit)
    assert.equal(2, d.remove)
    assert.same({ "before", "after" }, { watched.audit(audit)[1].event, watched.audit(audit)[2].event })
    refused(3, 'there is no domain "acme.example"', "rm domain acme.example")
    refused(2, 'the group "Default" is not empty, and what is in it may go with it; add %-%-yes', "rm group Default")
    assert.equal(1, #api:writes())
    assert.equal(0, api:run("rm group Default --yes").code)
    assert.same({}, api:list())
  end)

  it("updates a value, a group and other fields", function()
    start()
    assert.equal(0, api:run("add group Brands").code)
    assert.equal(0, api:run("update group Brands --value Names --set description=all").code)
    local d = api:json "update keyword 'project atlas' --value 'project zeus' --group Names --set note=moved"
    assert.equal(1, d.update)
    local item = cjson.decode(api:run("list keyword --group Names --json").out)
    assert.same({ "project zeus", "moved" }, { item.value, item.item.note })
    refused(2, "nothing to change; give %-%-value, %-%-group or %-%-set", "update keyword 'project zeus'")
    refused(3, 'there is no keyword "atlas"', "update keyword atlas --value x")
    -- lost, and done all the same; lost, and not done
    api:fault("lost", 1)
    assert.equal(1, api:json("update keyword 'project zeus' --set note=twice").found)
    api:fault("failed", 1)
    refused(4, "it was read again and is not done", "update keyword 'project zeus' --set note=never")
  end)

  it("tells what the API says of billing, quotas and scope apart, with the figures", function()
    start "{ limits = { keywords = 2 }, unpaid = 'overdue' }"
    refused(3, "blocked by billing %(403%): Enterprise billing access denied: payment_overdue", "add domain new.example")
    api:stop()
    -- another took the last place after the limits were read
    start("{ limits = { keywords = 3 } }", [[local add = sim.workspace.add_item
      function sim.workspace:add_item(kind, fields) self.limits.keywords = 2 return add(self, kind, fields) end]])
    local d, r = api:json "add keyword another"
    assert.equal(3, r.code)
    assert.matches("quota of keywords reached, 2 of 2 used, 1 more asked for %(409%)", r.err)
    assert.same({ "quota", "keywords", 2, 2, 1, 409 }, { d.error.kind, d.error.metric, d.error.used, d.error.limit,
      d.error.requestedIncrement, d.error.status })
    api:stop()
    api = scripted.start [[return function(req)
      if req.method == "POST" then return { status = 403, body = '{"error":"You don\'t have permission to view this"}' } end
      if req.path:find "stats$" then return fail(404) end
      return list(req, {})
    end]]
    r = run.defendis("watchlist add domain new.example --json", { env = api.env })
    assert.same({ 3, "scope" }, { r.code, cjson.decode(r.out).error.kind })
  end)

  it("prints names from outside escaped, and removes the entries that have them", function()
    start("{}", HOSTILE)
    local file = api:file("w.lua", 'return watchlists{ keyword = {}, groups = { "Default" } }')
    for _, line in ipairs{ "list keyword group", "plan --prune " .. file } do
      local r = api:run(line)
      assert.is_nil((r.out .. r.err):find "[%z\1-\9\11-\31\127]")
      assert.is_truthy(r.out:find("red \\x1B[31m\\x0D\\x0Anext", 1, true))
      assert.is_truthy(r.out:find("Group\\x1B]0;title\\x07", 1, true))
    end
    local r = api:run("apply --prune --yes " .. api.folder .. "/w.lua")
    assert.same({ 0, "" }, { r.code, r.err })
    assert.equal("", (api:run("list keyword").out:gsub("^[^\n]*\n", "")))
  end)

  it("puts an id into a path so that it stays one segment of it, or sends nothing", function()
    start("{}", HOSTILE)
    assert.equal(0, api:run("update keyword query --value other").code)
    assert.matches("PUT /api/v1/watchlists/keyword/k ?y=1#& {", api:writes()[1], 1, true)
    refused(2, "must not have an encoded slash", "update keyword path --value other")
    assert.equal(1, #api:writes())
  end)

  it("refuses a file with line, field and what was probably meant, before anything is asked", function()
    start()
    for text, expected in pairs{
      ['return watchlists{\n  domian = {},\n}'] = 'w.lua:2: unknown key "domian", nearest key "domain"',
      ['return watchlists{\n  domain = {\n    "a.example",\n    "b",\n  },\n}'] = 'w.lua:4: field "domain%[2%]": a domain such as',
      ['return watchlists{ bin = { { value = "41x" } } }'] = 'w.lua:1: field "bin%[1%].value": the first digits of a card number',
      ['return watchlists{ domain = { { value = "a.example", gruop = "x" } } }'] = 'unknown key "gruop", nearest key "group"',
      ['return watchlists{ groups = { "Brands" }, domain = { { value = "a.example", group = "Brnads" } } }'] =
        '"Brnads" is not among its groups, nearest "Brands"',
      ['return watchlists{ domain = { "a.example", { value = "A.example", group = "x" } } }'] =
        'domain "A.example" is in domain%[1%] with another group',
      ['return watchlists{ keyword = { "a\\27[31m" } }'] = "a text with a control character",
      ['return {}'] = "w.lua:1: a watchlist file returns watchlists{ ... }",
      ['return os.exit(0)'] = 'w.lua:1: unknown name "os", known: watchlists',
      ['return watchlists{'] = "w.lua:1: ",
    } do
      refused(2, expected, "plan " .. api:file("w.lua", text))
    end
    for text, expected in pairs{
      ["domain,a.example\n"] = "w.csv:1: the first line of a CSV file is kind,value,group",
      [""] = "w.csv:1: the first line of a CSV file is kind,value,group",
      ["kind,value,group\ndomain,a.example\ndomian,b.example\n"] = 'w.csv:3: unknown kind "domian", nearest kind "domain"',
      ["kind,value,group\nbin,4a\n"] = "w.csv:2: the first digits",
      ["kind,value,group\ngroup,A\ndomain,a.example,B\n"] = 'w.csv:3: "B" is not among its groups',
      ["kind,value\ndomain,a.example,x,y\n"] = "w.csv:2: 4 fields, expected kind,value,group",
      ['kind,value\ndomain,"a.example\n'] = "w.csv:2: a quote that is not closed",
    } do
      refused(2, expected, "plan " .. api:file("w.csv", text))
    end
    refused(2, "ends in .lua or .csv", "plan " .. api:file("w.txt", "x"))
    refused(2, '%-%-rate "0" is not a number of requests per second', "stats --rate 0")
    refused(2, "cannot read", "plan " .. api.folder .. "/nowhere.lua")
    assert.same({}, api:writes())
  end)
end)

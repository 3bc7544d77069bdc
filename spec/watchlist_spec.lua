local run = require "support.run"
local scratch = require "support.scratch"
local scripted = require "support.scripted"
local watched = require "support.watched"
local defendis = require "defendis"

describe("watchlists as code", function()
  local api, client

  local function connect(env)
    local key = run.write(run.folder() .. "/key", env.DEFENDIS_API_KEY)
    client = defendis.client{ base_url = env.DEFENDIS_BASE_URL, api_key_file = key, timeout = 60 * scratch.slowness }
    return client.watchlists
  end

  after_each(function()
    if client then client:close() end
    if api then (api.stop)(api) end
    client, api = nil, nil
    run.clean()
  end)

  it("are planned and applied from Lua, and nothing differs then", function()
    api = watched.start()
    local w = connect(api.env)
    local want = { groups = { "Brands" }, domain = { { value = "new.example", group = "Brands" } }, keyword = {} }
    local p = assert(w:plan(want, { prune = true }))
    assert.same({ add = 2, update = 0, remove = 5 }, p.counts)
    assert.same({ "group", "Brands" }, { p.changes[1].kind, p.changes[1].value })
    local lines, seen = {}, {}
    local done = assert(w:apply(want, { prune = true, audit = function(line)
      lines[#lines + 1] = line
      return true
    end, progress = function(n, of) seen[#seen + 1] = n .. "/" .. of end }))
    assert.same({ 2, 5, 0 }, { done.add, done.remove, done.found })
    assert.same({ 8, "1/4 2/4 3/4 4/4" }, { #lines, table.concat(seen, " ") })
    assert.same({}, assert(w:plan(want, { prune = true })).changes)
  end)

  it("are planned and applied from a script in the sandbox too", function()
    api = watched.start()
    local script = api:file("s.lua", [[
      local client <close> = require("defendis").client{}
      local want = { groups = { "Brands" }, domain = { "ACME.example", "new.example" }, bin = {} }
      local done = assert(client.watchlists:apply(want, { prune = true }))
      return { done.add, done.remove, #client.watchlists:plan(want, { prune = true }).changes }]])
    assert.equal("[2,4,0]\n", run.defendis("run " .. script, { env = api.env }).out)
  end)

  it("have groups, statistics and each kind by hand", function()
    api = watched.start()
    local w = connect(api.env)
    local group = assert(w.groups:add{ name = "Brands" })
    local item = assert(w.domain:add{ domain = "new.example", watchlistid = group.id })
    assert.equal("Names", assert(w.groups:update(group.id, { name = "Names" })).name)
    assert.equal(4, assert(w:stats()).items.domain)
    local n = 0
    for g in w.groups:each() do n = n + (g.id == group.id and 1 or 0) end
    assert.equal(1, n)
    assert.equal(1, assert(w.domain:delete{ item.id }).count)
    assert.equal(1, assert(w.groups:delete{ group.id }).count)
  end)

  it("raise when what is wanted is wrong, in the caller's line", function()
    api = watched.start()
    local w = connect(api.env)
    local ok, err = pcall(function() w:plan{ domian = {} } end)
    assert.is_false(ok)
    assert.matches('^spec/watchlist_spec.lua:%d+: watchlists: unknown key "domian", nearest key "domain"', err)
    ok, err = pcall(function() w:apply({}, { purne = true }) end)
    assert.is_false(ok)
    assert.matches('^spec/watchlist_spec.lua:%d+: watchlists:apply: unknown key "purne", nearest key "prune"', err)
  end)

  it("stop before the call whose audit fails", function()
    api = watched.start()
    local w = connect(api.env)
    local none, err, sofar = w:apply({ domain = { "a.example", "b.example" } }, { audit = function(line)
      if line.call == 2 then return nil, { kind = "store", message = "disk full" } end
      return true
    end })
    assert.is_nil(none)
    assert.same({ "disk full", 1 }, { err.message, sofar.add })
    assert.equal(1, #api:writes())
  end)

  it("keep a group that the file does not list while something is in it, wherever that came from", function()
    -- items without a group go to the API's first one, which the plan saw empty
    api = watched.start("{}", [[for kind in pairs(sim.workspace.items) do sim.workspace.items[kind] = {} end]])
    local w = connect(api.env)
    local done = assert(w:apply({ groups = { "Brands" }, domain = { "new.example" } }, { prune = true }))
    assert.same({ 1, "Default" }, { #done.kept, done.kept[1].value })
    local p = assert(w:plan({ groups = { "Brands" }, domain = { "new.example" } }, { prune = true }))
    assert.same({ 0, "Default" }, { #p.changes, p.extra[1].value })
  end)

  it("need no limits and no ids in answers, which are not documented", function()
    api = scripted.start [[
      local items, groups = {}, {}
      return function(req)
        local body = req.body
        if req.path:find "stats$" then return { status = 200, body = '{"data":{"anything":[]}}' } end
        if req.path:find "create$" then
          groups[#groups + 1] = ('{"id":%d,"name":"%s"}'):format(#groups + 7, body:match '"name":"([^"]*)"')
          return { status = 201, body = '{"data":{"ok":true}}' }
        end
        if req.method == "POST" then
          items[#items + 1] = ('{"id":%d,"domain":"%s","watchlistid":%s}'):format(#items + 1, body:match '"domain":"([^"]*)"',
            body:match '"watchlistid":(%d+)')
          return { status = 201, body = "{}" }
        end
        return list(req, req.path:find "domain" and items or groups)
      end]]
    local w = connect(api.env)
    local want = { domain = { { value = "a.example", group = "G" } } }
    assert.equal(2, assert(w:apply(want)).add)
    assert.same({}, assert(w:plan(want)).changes)
    assert.is_nil(assert(w:plan(want)).quotas[1].limit)
  end)

  it("are not compared with a list that contradicts itself", function()
    for _, lie in ipairs{ "totalRecords = 150 + page", 'currentPage = 1', "data = { record('x') }, hasMore = false, nextPage = 'null'",
      "data = { record('same') , table.unpack(all, 2, 100) }" } do
      api = scripted.start(([[
        local all = {}
        for i = 1, 150 do all[i] = ('{"id":"i%%d","domain":"d%%d.example"}'):format(i, i) end
        return function(req)
          if req.path:find "stats$" or not req.path:find "domain" then return list(req, {}) end
          local page = tonumber(req.query.page)
          if req.method ~= "GET" then return fail(500) end
          return list(req, all, { %s })
        end]]):format(lie))
      local w = connect(api.env)
      local none, err = w:apply({ domain = {} }, { prune = true, max_removals = 1000 })
      assert.is_nil(none)
      assert.is_true(err.kind == "incomplete" or err.kind == "decode", err.kind .. err.message)
      for _, line in ipairs(api.log()) do assert.is_nil(line:find "delete") end
      client:close()
      api.stop()
    end
    client, api = nil, nil
  end)

  it("are read again when an entry moved from page to page meanwhile", function()
    api = scripted.start [[
      local all, asked = {}, 0
      for i = 1, 150 do all[i] = ('{"id":"i%d","domain":"d%d.example"}'):format(i, i) end
      return function(req)
        if req.path:find "stats$" or not req.path:find "domain" then return list(req, {}) end
        asked = asked + 1
        local page = tonumber(req.query.page)
        if asked == 2 then return list(req, all, { data = table.move(all, 100, 149, 1, {}) }) end -- one came in front
        return list(req, all)
      end]]
    local p = assert(connect(api.env):plan{ domain = { "d150.example" } })
    assert.same({ 0, 149 }, { #p.changes, #p.extra })
  end)

  it("are 10,000: half of them are there, the others are added once each", function()
    api = scripted.start [[
      local all = {}
      for i = 1, 5000 do all[i] = ('{"id":"i%d","domain":"D%d.example"}'):format(i, i * 2) end
      return function(req)
        if req.path:find "stats$" or not req.path:find "domain" then return list(req, {}) end
        if req.method == "POST" then
          all[#all + 1] = ('{"id":"i%d",%s'):format(#all + 1, req.body:sub(2))
          return { status = 201, body = '{"data":' .. all[#all] .. "}" }
        end
        return list(req, all)
      end]]
    local w, want = connect(api.env), { domain = {} }
    for i = 1, 10000 do want.domain[i] = ("d%d.example"):format(i) end
    assert.equal(5000, assert(w:apply(want)).add)
    local p = assert(w:plan(want, { prune = true }))
    assert.same({ 0, 0, 10000 }, { #p.changes, #p.extra, p.same })
  end)
end)

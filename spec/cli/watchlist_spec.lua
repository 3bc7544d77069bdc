local run = require "support.run"
local watched = require "support.watched"
local scratch = require "support.scratch"

local WANTED = [[
return watchlists{
  groups = { { name = "Brands", description = "what we sell" }, "Default" },
  domain = { "ACME.example", { value = "new.example", group = "Brands" }, { value = "globex.example", group = "Brands" } },
  bin = { "411111", "422222" },
  executive = { "Anna.Keller@acme.example" },
}
]]
local AFTER = { "assets 203.0.113.10 Default", "assets vpn.acme.example Default", "bin 411111 Default", "bin 422222 Default",
  "domain acme.example Default", "domain globex.example Brands", "domain new.example Brands",
  "executive anna.keller@acme.example Default", "group Brands -", "group Default -", "keyword acme confidential Default",
  "keyword project atlas Default", "ransom acme Default" }
local WRITES <const> = 7 -- a group, a change, two new ones, three requests that remove

describe("defendis watchlist", function()
  local api

  local function start(...) api = watched.start(...) end

  local function refused(code, pattern, line)
    local r = api:run(line)
    assert.equal(code, r.code, r.err)
    assert.matches(pattern, r.err)
    assert.equal(1, select(2, r.err:gsub("\n", "")))
    return r
  end

  after_each(function()
    if api then api:stop() end
    api = nil
    run.clean()
  end)

  describe("plan", function()
    it("tells what differs, what it takes and what the quota has, changes nothing, and exits 6", function()
      start()
      local before = api:list()
      local file = api:file("w.lua", WANTED)
      local r = api:run("plan --prune " .. file)
      assert.same({ 6, "" }, { r.code, r.err })
      for _, line in ipairs{ "+  group      Brands", "~  domain     globex.example +Brands  Default", "%-  domain     acme%-labs.example",
        "3 to add, 1 to update, 3 to remove; 3 as they are, 0 not in the file", "quota of domains: 3 used, 10 allowed, 3 after this\n",
        "1 x PUT /api/v1/watchlists/domain/{id}\n", "1 x POST /api/v1/watchlists/bin/delete\n" } do
        assert.matches(line, r.out)
      end
      assert.same({}, api:writes())
      assert.same(before, api:list())
    end)

    it("is one JSON document with --json", function()
      start()
      local d, r = api:json("plan --prune " .. api:file("w.lua", WANTED))
      assert.equal(6, r.code)
      assert.same({ true, 3, 1, 3, 3, 7 }, { d.differs, d.add, d.update, d.remove, d.same, #d.changes })
      assert.same({ metric = "domains", used = 3, limit = 10, add = 1, remove = 1, after = 3, enough = true }, d.quotas[1])
      assert.same({ action = "update", kind = "domain", id = "domain-000004", value = "globex.example", group = "Brands", was = "Default" },
        d.changes[2])
    end)

    it("exits 0 when nothing differs, whatever the case of domains and e-mails, and as CSV too", function()
      start()
      local file = api:file("w.csv", "kind,value,group\r\ndomain,Acme.EXAMPLE.,Default\r\n"
        .. "executive,\"ANNA.keller@ACME.example\"\r\n")
      local r = api:run("plan " .. file)
      assert.same({ 0, "" }, { r.code, r.err })
      assert.matches("2 as they are, 3 not in the file and left alone", r.out)
      assert.equal(6, api:run("plan --prune " .. file).code)
    end)

    it("exits 3 when a quota is too small, with the figures", function()
      start "{ limits = { domains = 4 } }"
      local lines = { "kind,value" }
      for i = 1, 3 do lines[i + 1] = ("domain,d%d.example"):format(i) end
      local file = api:file("w.csv", table.concat(lines, "\n"))
      refused(3, "quota of domains: 3 of 4 used, 3 more needed; nothing was changed", "plan " .. file)
      local d, r = api:json("apply --yes " .. file)
      assert.equal(3, r.code)
      local e = d.error
      assert.same({ "quota", "domains", 3, 4, 3 }, { e.kind, e.metric, e.used, e.limit, e.requestedIncrement })
      assert.same({}, api:writes())
    end)

    it("removes first only where that makes room under a quota", function()
      start "{ limits = { domains = 3 } }"
      local file = api:file("w.csv", "kind,value\ndomain,acme.example\ndomain,n1.example\ndomain,n2.example\n")
      assert.equal(0, api:run("apply --prune --yes " .. file).code)
      assert.matches("^POST /api/v1/watchlists/domain/delete", api:writes()[1])
      assert.equal(0, api:run("plan --prune " .. file).code)
    end)
  end)

  describe("apply", function()
    -- Somebody who types an answer to `apply FILE`. Returns the exit code and what the terminal showed.
    local function typed(file, answer)
      local words = { "env NO_COLOR=1" }
      for k, v in pairs(api.env) do words[#words + 1] = k .. "=" .. v end
      local line = ("%s %s watchlist apply %s"):format(table.concat(words, " "), run.bin, file)
      local _, _, code = os.execute(("echo '%s' | script -qec '%s' /dev/null >%s/typed"):format(answer, line, api.folder))
      local text = scratch.read(api.folder .. "/typed")
      assert.matches("make these %d changes%? %[y/N%]", text)
      return code, text
    end

    it("does what plan says and nothing when run again, and writes each change down before and after", function()
      start()
      local file = api:file("w.lua", WANTED)
      local r = api:run("apply --prune --yes " .. file)
      assert.same({ 0, "3 added, 1 updated, 3 removed\n", "" }, { r.code, r.out, r.err })
      assert.same(AFTER, api:list())
      local lines = watched.audit(file .. ".audit.jsonl")
      assert.equal("600", scratch.mode(file .. ".audit.jsonl"))
      assert.equal(2 * WRITES, #lines)
      for i = 1, #lines, 2 do
        assert.same({ "before", "after", "done" }, { lines[i].event, lines[i + 1].event, lines[i + 1].outcome })
        assert.same(lines[i].changes, lines[i + 1].changes)
        assert.is_truthy(lines[i + 1].request_id and lines[i + 1].status and lines[i].time)
      end
      r = api:run("apply --prune --yes " .. file)
      assert.same({ 0, "0 added, 0 updated, 0 removed\n" }, { r.code, r.out })
      assert.equal(WRITES, #api:writes())
      assert.equal(0, api:run("plan --prune " .. file).code)
    end)

    it("asks when nobody said --yes: without a terminal it does nothing", function()
      start()
      refused(2, "nobody is there to ask; look at the plan, and add %-%-yes", "apply " .. api:file("w.lua", WANTED))
      assert.same({}, api:writes())
    end)

    it("asks on a terminal, and takes nothing but y for yes", function()
      if not os.execute "command -v script >/dev/null" then return pending "there is no script(1)" end
      start()
      local file = api:file("w.lua", WANTED)
      for _, answer in ipairs{ "n", "", "nonsense" } do
        local code, text = typed(file, answer)
        assert.equal(2, code)
        assert.matches("nothing was changed", text)
      end
      assert.same({}, api:writes())
      local code, text = typed(file, "y")
      assert.equal(0, code)
      assert.matches("3 added, 1 updated, 0 removed", text)
    end)

    it("does nothing when the watchlists changed while it waited for the answer", function()
      if not os.execute "command -v script >/dev/null" then return pending "there is no script(1)" end
      start("{}", [[local handle, n = sim.handle, 0
        function sim:handle(req)
          n = n + (req.path == "/api/v1/watchlists/domain" and 1 or 0)
          if n == 2 then sim.workspace:add_item("domain", { domain = "new.example" }) end
          return handle(self, req)
        end]])
      local code, text = typed(api:file("w.lua", WANTED), "y")
      assert.equal(6, code)
      assert.matches("the watchlists changed meanwhile, and nothing was done; look at the plan again", text)
      assert.same({}, api:writes())
    end)

    it("is resumed after a kill at any of its calls, before or after the API did it: nothing doubled, nothing missing", function()
      for _, when in ipairs{ "kill_before", "kill_after" } do
        for at = 1, WRITES do
          start()
          local file = api:file("w.lua", WANTED)
          api:fault(when, at)
          assert.equal(137, api:run("apply --prune --yes " .. file).code)
          local lines = watched.audit(file .. ".audit.jsonl")
          assert.same({ 2 * at - 1, "before" }, { #lines, lines[#lines].event })
          api:fault()
          local r = api:run("apply --prune --yes " .. file)
          assert.same({ 0, "" }, { r.code, r.err }, when .. at)
          assert.same(AFTER, api:list(), when .. at)
          assert.equal(when == "kill_after" and WRITES or WRITES + 1, #api:writes())
          api:stop()
        end
      end
      api = nil
    end)

    it("ends after the call under way on SIGINT, with 6, and goes on when it is run again", function()
      start()
      local file = api:file("w.lua", WANTED)
      api:fault("int", 2)
      local r = api:run("apply --prune --yes " .. file)
      assert.equal(6, r.code, r.err)
      assert.matches("stopped by SIGINT after 2 of 7 calls; run it again to go on", r.err)
      assert.equal(4, #watched.audit(file .. ".audit.jsonl"))
      assert.equal(0, api:run("apply --prune --yes " .. file).code)
      assert.same(AFTER, api:list())
      assert.equal(WRITES, #api:writes())
    end)

    it("never sends a write again whose answer was lost: it looks whether it is done, and goes on", function()
      for _, how in ipairs{ "lost", "reset", "html" } do
        for at = 1, WRITES do
          start()
          local file = api:file("w.lua", WANTED)
          api:fault(how, at)
          local d, r = api:json("apply --prune --yes " .. file)
          assert.same({ 0, "", 1 }, { r.code, r.err, d.found }, how .. at)
          assert.same(AFTER, api:list())
          assert.equal(WRITES, #api:writes())
          assert.equal("found", watched.audit(file .. ".audit.jsonl")[2 * at].outcome)
          api:stop()
        end
      end
      api = nil
    end)

    it("ends with 4 when the lost write is not done, sent once, and goes on when it is run again", function()
      for at = 1, WRITES do
        start()
        local file = api:file("w.lua", WANTED)
        api:fault("failed", at)
        refused(4, "it was read again and is not done; run it again", "apply --prune --yes " .. file)
        assert.equal(at, #api:writes())
        assert.equal("failed", watched.audit(file .. ".audit.jsonl")[2 * at].outcome)
        assert.equal(0, api:run("apply --prune --yes " .. file).code)
        assert.same(AFTER, api:list())
        api:stop()
      end
      api = nil
    end)

    it("sends a write again after 429, which says that it was not done", function()
      start()
      api:fault("unsent", 1)
      assert.equal(0, api:run("apply --prune --yes " .. api:file("w.lua", WANTED)).code)
      assert.same(AFTER, api:list())
      assert.equal(WRITES + 1, #api:writes())
    end)

    it("checks the count of a removal: what is gone all the same is done, what is not is an error", function()
      start()
      local file = api:file("w.csv", "kind,value\ndomain,globex.example\n")
      api:fault("miscount", 1)
      local d, r = api:json("apply --prune --yes " .. file)
      assert.same({ 0, 2, 1 }, { r.code, d.remove, d.found })
      api:stop()
      start()
      file = api:file("w.csv", "kind,value\ndomain,globex.example\n")
      api:fault("partial", 1)
      refused(6, "the API says that it removed 1 of 2, and some are there still; run it again", "apply --prune --yes " .. file)
      assert.equal(0, api:run("apply --prune --yes " .. file).code)
      assert.equal(0, api:run("plan --prune " .. file).code)
    end)

    it("stops at billing before anything was removed, and tells it from scope", function()
      start "{ unpaid = 'unpaid' }"
      local file = api:file("w.csv", "kind,value\ndomain,acme.example\ndomain,new.example\n")
      local d, r = api:json("apply --prune --yes " .. file)
      assert.equal(3, r.code)
      assert.same({ "billing", "payment_unpaid", 403 }, { d.error.kind, d.error.reason, d.error.status })
      assert.matches("blocked by billing", r.err)
      assert.equal(1, #api:writes())
    end)

    it("does not remove more than it is allowed to, and nothing at all without --prune", function()
      start("{}", [[for i = 1, 12 do sim.workspace:add_item("ransom", { keyword = "r" .. i }) end]])
      local file = api:file("w.lua", "return watchlists{ ransom = {} }")
      assert.equal(0, api:run("plan " .. file).code)
      local r = refused(6, "13 removals, and 10 are allowed; if the file is right, add %-%-max%-removals 13", "plan --prune " .. file)
      assert.matches("0 to add, 0 to update, 13 to remove", r.out)
      refused(2, "13 removals, and 10 are allowed", "apply --prune --yes " .. file)
      assert.same({}, api:writes())
      assert.equal(0, api:run("apply --prune --yes --max-removals 13 " .. file).code)
      assert.equal(1, #api:writes())
      assert.same({}, (select(1, api:run("list ransom").out:gsub("^kind[^\n]*\n", "")) == "" and {} or { "left" }))
    end)
  end)
end)

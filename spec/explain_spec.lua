-- explain_spec.lua: why a finding is there, and why none is.
local cjson = require "cjson"
local explain = require "defendis.explain"
local file = require "defendis.pipeline.file"
local pipelined = require "support.pipelined"
local rules = require "defendis.rules"
local run = require "support.run"
local scripted = require "support.scripted"
local store_module = require "defendis.store"
local fields = require "defendis.normalize.fields"

local RULES = [[
return {
  normalizer{ id = "n", dataset = "dataleaks.credentials", time = "leakedAt", map = function(r) return r end },
  rule{ id = "every", name = "every", title = "Every one", dataset = "dataleaks.credentials", level = "low", generate = true, version = 3,
    match = function() return true end, level_for = function(r) return r.severity == "critical" and "critical" or nil end },
  rule{ id = "rare", name = "rare", title = "Rare", dataset = "dataleaks.credentials", level = "low", match = function() return false end },
  rule{ id = "quiet", title = "Quiet", dataset = "dataleaks.credentials", level = "medium", suppress = "36h",
    dedup = function(r) return r.domain end, match = function() return true end },
  correlation{ id = "many", name = "many", title = "Many", type = "event_count", rules = { "every" }, group_by = { "email" },
    timespan = "24h", condition = { gte = 3 }, level = "high" },
  correlation{ id = "both", title = "Both", type = "temporal", rules = { "every", "rare" }, group_by = { "email", "domain" },
    timespan = "24h", level = "high" },
}]]
local HOUR <const>, DAY <const> = 3600000, 86400000

describe("explain", function()
  local sim
  setup(function() sim = run.simulator("--records 900") end)
  teardown(function() sim.stop() end)
  after_each(run.clean)

  describe("a finding", function()
    local p
    before_each(function()
      p = pipelined.new(sim, { scope = '{ domain = { "acme.example", "globex.example" } }', ["until"] = '"2026-02-01"', window = '"1w"' },
        RULES)
      assert.equal(0, p:ingest().code)
    end)

    local function first(id, level)
      for _, line in ipairs(p:lines "findings") do
        local f = cjson.decode(line)
        if f.rule.id == id and (not level or f.level == level) then return f end
      end
    end

    local function explained(words)
      local got = p:command("explain --state PIPELINE " .. words)
      assert.same({ 0, "" }, { got.code, got.err })
      return got.out
    end

    it("says rule, version, file and line, window, count and condition", function()
      local f = first "many"
      local out = explained(f.id)
      assert.matches("rule +Many  many\n", out)
      assert.matches("file +" .. p.folder:gsub("%p", "%%%0") .. "/rules%.lua:8\n", out)
      assert.matches("condition +gte 3\ntimespan +24h\n", out)
      assert.matches("level +high: the correlation's level\n", out)
      assert.matches("count +3\ngroup +email=" .. f.group.email:gsub("%p", "%%%0") .. "\n", out)
      assert.matches("rule +Every one  every  version 3\n", explained(first "every".id))
    end)

    it("says for each record when it was, which input and window of the ledger it came with, and its request", function()
      for _, input in ipairs{ "acme.example", "globex.example" } do
        local record = cjson.decode((run.defendis("fetch dataleaks.credentials --from 2026-01-08 --to 2026-01-15 --limit 1 domain="
          .. input, { env = p.env }).out))
        local f
        for _, line in ipairs(p:lines "findings") do
          local candidate = cjson.decode(line)
          if candidate.rule.id == "every" and candidate.evidence[1].id == record.id then f = candidate end
        end
        local why = cjson.decode(explained("--json " .. f.id))
        local e = why.evidence[1]
        local s = e.sources[1]
        assert.same({ record.id, input, 1, input, "2026-01-08", "2026-01-15" }, { e.id, e.input, #e.sources, s.input, s.from, s.to })
        local row
        for _, r in ipairs(p:ledger()) do if r.input == input and r.from == "2026-01-08" then row = r end end
        assert.same({ row.request_id, row.total_pages, row.pages }, { s.request_id, s.pages, s.read })
        assert.matches((record.id .. " .* " .. input):gsub("[.-]", { ["."] = "%.", ["-"] = "%-" }):gsub(" %%%.%*", " .*")
          .. (" +2026%%-01%%-08%%.%%.2026%%-01%%-15 +1%%.%%.%d +%%S+\n"):format(row.total_pages), explained(f.id))
      end
    end)

    it("names every input and window that gave a record, and how many answers their walks read", function()
      p.server = scripted.start [[return function(req)
        return list(req, { '{"id":"a","leakedAt":"2026-01-01T05:00:00Z"}', '{"id":"b","leakedAt":"2026-01-01T06:00:00Z"}' })
      end]]
      p.env = p.server.env
      p:edit{ ["until"] = '"2026-01-02"', window = '"1d"', page_size = "1", store = '"two.db"', sinks = '{ jsonl{ path = "two" } }' }
      assert.equal(0, p:ingest().code)
      p.server.stop()
      local f
      for _, line in ipairs(p:lines("findings", "two")) do
        local candidate = cjson.decode(line)
        if candidate.rule.id == "every" and candidate.evidence[1].id == "b" then f = candidate end
      end
      local inputs = {}
      local why = cjson.decode(explained("--json " .. f.id))
      for i, s in ipairs(why.evidence[1].sources) do inputs[i] = ("%s %d"):format(s.input, s.pages) end
      assert.same({ "acme.example 2", "globex.example 2" }, inputs)
      assert.matches("b +2026%-01%-01T06:00:00Z +dataleaks.credentials +acme.example +2026%-01%-01%.%.2026%-01%-02 +1%.%.2\n"
        .. "b +2026%-01%-01T06:00:00Z +dataleaks.credentials +globex.example +2026%-01%-01%.%.2026%-01%-02 +1%.%.2\n", explained(f.id))
    end)

    it("says where its level is from", function()
      assert.matches("level +critical: level_for chose it; the rule's own level is low\n", explained(first("every", "critical").id))
      assert.matches("level +low: the rule's level; level_for chose no other", explained(first("every", "low").id))
      assert.matches("level +medium: the rule's level\n", explained(first "quiet".id))
      p:rules((RULES:gsub('level = "medium"', 'level = "low"')))
      assert.matches("level +medium: the rule's level was so then; it is low now\n", explained(first "quiet".id))
      local got = p:command("explain " .. first "quiet".id .. " --state " .. p.folder .. "/state.db")
      assert.matches("level +medium: its rule is not in the rule files: name the pipeline file, or %-%-rules\n", got.out)
      got = p:command("explain " .. first "quiet".id .. " --state " .. p.folder .. "/state.db --rules " .. p.folder .. "/rules.lua")
      assert.matches("rules%.lua:6\n", got.out)
    end)

    it("takes the beginning of an id when it says which, and refuses what is none", function()
      local f = first "many"
      assert.equal(explained(f.id), explained(f.id:sub(1, 13)))
      for words, message in pairs{ ["0"] = "more than one finding begins with 0", ["00000000-0000-0000-0000-000000000000"] = "no finding",
        ["\"x' OR 1\""] = "is not the id", [""] = "give the id of a finding",
        [f.id .. " --why-not many x"] = "give the id of a finding" } do
        local got = p:command("explain --state PIPELINE " .. words)
        assert.same({ 2, "" }, { got.code, got.out })
        assert.matches(message, got.err, 1, true)
      end
    end)

    it("why-not works on what ingest has left, and names the nearest rule and group", function()
      local f = first "many"
      assert.matches("there is a finding of this group: %x[%x-]+ at 2026%-01%-", explained("--why-not many " .. f.group.email))
      assert.matches("no event of this group is kept, of %d+ groups", explained("--why-not many nobody"))
      local got = p:command("explain --state PIPELINE --why-not mani x")
      assert.same({ 2, 'defendis: unknown rule "mani", nearest rule "many"\n' }, { got.code, got.err })
      got = p:command("explain --why-not many x --state " .. p.folder .. "/state.db")
      assert.same({ 2, "defendis: --why-not needs the rules: give --state PIPELINE.lua, or --rules PATH\n" }, { got.code, got.err })
    end)
  end)

  describe("why there is none", function()
    local store, set, start
    before_each(function()
      store = assert(store_module.open(":memory:"))
      set = assert(rules.load({ { name = "r.lua", text = RULES } }, file.host()))
      start = 20454 * DAY
    end)
    after_each(function() store:close() end)

    -- events: array of {hours, id, member or "every"}
    local function keep(rule, group, events)
      local list = {}
      for _, e in ipairs(events) do
        for _, v in ipairs{ rule, start + e[1] * HOUR, group, e[2], e[3] or "every" } do list[#list + 1] = v end
        list[#list + 1] = "-"
      end
      assert.equal(0, store:add_events(list, #list, {}, 0))
      assert(store:flush_events())
    end

    local function lines(rule, key)
      local why = assert(explain.why_not(store, set, rule, key))
      return table.concat(why.lines, "\n"), why
    end

    it("counts in the fullest window, each record once", function()
      keep("many", fields.tuple "a@x.example", { { 0, "1" }, { 30, "2" }, { 31, "3" }, { 31, "3" }, { 60, "4" } })
      local text, why = lines("many", "a@x.example")
      assert.matches("the condition is gte 3, the fullest window of 24h has 2", text, 1, true)
      assert.same({ start + 30 * HOUR, start + 31 * HOUR, 2 }, { why.window.from, why.window.to, why.window.count })
      assert.equal(4, #why.events)
    end)

    it("an event as old as the timespan is in no window with the new one", function()
      keep("many", fields.tuple "a", { { 0, "1" }, { 1, "2" }, { 24, "3" } })
      assert.matches("has 2", (lines("many", "a")), 1, true)
      keep("many", fields.tuple "b", { { 0, "1" }, { 1, "2" }, { 23, "3" } })
      assert.matches("the condition holds in the fullest window", (lines("many", "b")), 1, true)
    end)

    it("names the rules of which nothing came", function()
      keep("both", fields.tuple("a", "x.example"), { { 0, "1" }, { 1, "2" } })
      assert.matches("missing in the window: rule rare", (lines("both", "a x.example")), 1, true)
      keep("both", fields.tuple("b", "x.example"), { { 0, "1" }, { 1, "2", "rare" } })
      assert.is_nil((lines("both", "b x.example")):find("missing", 1, true))
    end)

    it("says until when a group is quiet, and what is not decided yet and why", function()
      keep("quiet", fields.tuple "x.example", { { 0, "1" }, { 30, "2" } })
      assert(store:set_fired("quiet", fields.tuple "x.example", tostring(start), start))
      assert(store:set_watermark("quiet", start + DAY))
      assert(store:put_window{ dataset = "dataleaks.credentials", input = "x.example", from = 20455, to = 20456,
        reason = "it kept changing" })
      local text, why = lines("quiet", "x.example")
      assert.matches("it fired at 2026-01-01T00:00:00Z and is quiet until 2026-01-02T12:00:00Z", text, 1, true)
      assert.equal(start + 36 * HOUR, why.suppressed_until)
      assert.matches("1 of its events are not decided yet: decided is what was before 2026-01-02T00:00:00Z", text, 1, true)
      assert.matches("open: dataleaks.credentials x.example 2026-01-02..2026-01-03: it kept changing", text, 1, true)
    end)

    it("refuses rules that keep nothing", function()
      local _, err = explain.why_not(store, set, "rare", "x")
      assert.matches("rare looks at one record at a time and keeps nothing; run `defendis replay` on the record", err.message, 1, true)
    end)
  end)
end)

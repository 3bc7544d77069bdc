-- model.lua: what ingestion must come to: lists of records that change at the API, and what each sink was given of them.
local cjson = require "cjson"
local ledger = require "defendis.ledger"
local observe = require "support.observe"
local world = require "support.world"

local model = {}
local methods = {}
methods.__index = methods

--- w: a world; sinks: names of those that are served from the outbox. windows: array of {input, day, ids = there now, always = there
-- all the time, inserted, deleted, moved = how often}, kept by the one who changes lists; excused: documents that may come again;
-- wide: a window may hold more than a day.
function model.new(w, sinks)
  local self = setmetatable({ w = w, windows = {}, names = sinks, took = {}, again = {}, excused = 0, of = {}, lines = {} }, methods)
  for _, name in ipairs(sinks) do self.took[name], self.again[name] = {}, 0 end
  return self
end

--- A sink took a document: one id is one text for ever and everywhere, and one record has one id.
function methods:take(name, d)
  local record = d.kind .. (d.kind == "findings" and d.id or cjson.decode(d.json).id)
  assert((self.lines[d.id] or d.json) == d.json, "one id, two documents")
  assert((self.of[record] or d.id) == d.id, "one record, two ids")
  self.lines[d.id], self.of[record] = d.json, d.id
  if self.took[name][d.json] then self.again[name] = self.again[name] + 1 end
  self.took[name][d.json] = true
end

local function contains(set, list, what)
  for _, v in ipairs(list) do assert(set[v], what .. ": " .. v) end
end

-- With insertions and deletions, or several moves, in balance only a walk after the last of them is sure to see all.
local function is_sure(self, v)
  local moved, inserted, deleted = 0, false, false
  for _, o in ipairs(self.windows) do
    if o == v or self.wide and o.input == v.input then
      moved, inserted, deleted = moved + o.moved, inserted or o.inserted, deleted or o.deleted
    end
  end
  return moved <= 1 and not (inserted and deleted)
end

--- Between two runs, also after a crash: what was noted as seen is lost to no sink, and no checkpoint is ahead of what was read.
function methods:audit(s)
  local records, ids = observe.committed(self.w, s, world.DATASET, self[world.DATASET])
  local findings = observe.committed(self.w, s, "findings", self.findings)
  self[world.DATASET], self.findings = records, findings
  for _, name in ipairs(self.names) do
    local set = observe.accounted(s, name, self.took[name])
    contains(set, records, name .. " will never get")
    contains(set, findings, name .. " will never get")
  end
  for _, v in ipairs(self.windows) do
    local read = is_sure(self, v) and s:checkpoint(world.DATASET, v.input, self.w.plan.since) > v.day
    if read then contains(ids, v.always, "the checkpoint passed by") end
  end
  return ids
end

-- The rules are the spec's: a finding for each record, and one for the first three of one `who`, by time and id. What a finding stands
-- on is what its id is made of.
local function check_findings(self)
  local records, of, wanted = {}, {}, {}
  for i, line in ipairs(self[world.DATASET]) do records[i] = cjson.decode(line) end
  table.sort(records, function(a, b) return a.leakedAt .. a.id < b.leakedAt .. b.id end)
  for _, r in ipairs(records) do
    of[r.who] = (of[r.who] or "many") .. " " .. r.id
    wanted["any " .. r.id] = true
    if of[r.who]:find "^many %S+ %S+ %S+$" then wanted[of[r.who]] = true end
  end
  for _, line in ipairs(self.findings) do
    local f = cjson.decode(line)
    local basis = f.rule.id
    for _, e in ipairs(f.evidence) do basis = basis .. " " .. e.id end
    assert(wanted[basis], "a finding too many: " .. basis)
    wanted[basis] = nil
  end
  assert(not next(wanted), "no finding: " .. tostring(next(wanted)))
end

--- When all is quiet and the last run has ended.
function methods:finish(s)
  local ids = self:audit(s)
  check_findings(self)
  for _, v in ipairs(self.windows) do contains(ids, v.ids, "never came") end
  local problem = ledger.verify(s, { from = self.w.plan.since, to = self.w.plan.until_day }).problems[1]
  assert(not problem, problem and "ledger: " .. problem.message)
  assert(s.db:row "SELECT count(*) FROM outbox" == 0, "something is left in the outbox")
  for name, n in pairs(self.again) do assert(n <= self.excused, name .. " got more again than crashes excuse") end
end

return model

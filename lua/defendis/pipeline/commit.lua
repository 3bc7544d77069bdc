-- commit.lua: one page, or one decision of the correlations, as one transaction: state, findings, files and ledger together.
local core = require "defendis.core"
local backfill = require "defendis.pipeline.backfill"
local decide = require "defendis.pipeline.decide"
local metrics = require "defendis.pipeline.metrics"
local outbox = require "defendis.pipeline.outbox"
local page_work = require "defendis.pipeline.page"

local DAY_MS <const> = 86400000
local RULE_LETTERS <const> = 1000 -- of each rule in a run: one that always fails must not fill the disk
local PORTION <const> = 25 -- records between two visits of the store

local commit = {}

local Commit = {}
Commit.__index = Commit

--- store: an open store; sinks: array of sinks; set: rules; since: Unix ms where the pipeline begins; limits: of the outbox, see
-- outbox.open; limits.counts: what a daemon counts (pipeline/metrics.lua), or nil; limits.backfill: {name, as_of}, or nil.
function commit.new(store, sinks, set, since, limits)
  local transactional, served = {}, {}
  for _, sink in ipairs(sinks) do
    local list = sink.send and served or transactional
    list[#list + 1] = sink
  end
  local past, out = limits and limits.backfill, page_work.new()
  if past then out.label = function(doc) backfill.label(past, doc) end end
  return setmetatable({ past = past, store = store, all = sinks, sinks = transactional, served = served, limits = limits, set = set,
    out = out, fresh = {}, keys = {}, news = {}, watermarks = {}, steps = {},
    since = since, counts = limits and limits.counts,
    totals = { late = 0, late_by = {}, findings = 0, dead = 0, faults = {}, kept = {} } }, Commit)
end

--- Opens the sinks where the last transaction left them. datasets: names. Returns true, or nil, err.
function Commit:open(datasets)
  local kinds = table.move(datasets, 1, #datasets, 2, { "findings" })
  for _, sink in ipairs(self.sinks) do
    local ok, err = sink:open(self.store:sink_state(sink.name), kinds)
    if not ok then return nil, err end
  end
  for _, c in ipairs(self.set:correlations()) do self.watermarks[c.key] = self.store:watermark(c.key) end
  local names = {}
  for i, sink in ipairs(self.all) do names[i] = sink.name end
  return self:transaction(function()
    local box, err = outbox.open(self.store, self.served, kinds, self.limits or {})
    if not box then return nil, err end
    self.notices = box.notices
    if self.served[1] then self.outbox = box end
    return self.store:set_meta("sinks", table.concat(names, "\n"))
  end)
end

-- Runs work inside a transaction. Any failure rolls everything back; the sinks' files are then ahead of what was committed,
-- which their next open cuts off: after a failure this object must not be used again.
function Commit:transaction(work)
  local ok, err = self.store:begin()
  if not ok then return nil, err end
  ok, err = work()
  if ok then
    for _, sink in ipairs(self.sinks) do
      local state
      state, err = sink:prepare()
      ok = state and self.store:set_sink_state(sink.name, state)
      if not ok then break end
    end
  end
  if ok then
    ok, err = self.store:commit()
    if ok then return true end
  else
    self.store:rollback()
  end
  return nil, err
end

-- A record without an id counts by its text.
function Commit:note_unusable(walk, page, i, fault)
  local row, raw = walk.row, page:raw(i)
  self.out.dead[#self.out.dead + 1] = { index = i, reason = fault, where = "id" }
  if self.store:pass_new(row, core.hash.key16(row.dataset, row.input, "raw", raw)) then row.pass_unique = row.pass_unique + 1 end
end

-- What identifies each record of the page: fills self.fresh and self.keys (day, key, day, key). Returns how many have an id.
function Commit:identify(walk, page)
  local fresh, keys, fields, from, n = self.fresh, self.keys, walk.stream.fields, walk.origin, 0
  -- short enough, with the usual id, for one block of the hash
  local source = core.hash.key16(walk.stream.dataset, walk.stream.value)
  for i = 1, page:len() do
    local key, id, time, fault = page_work.identify(page, i, source, fields)
    if key then
      n = n + 1
      local f = fresh[n]
      if f then
        f.index, f.id, f.time = i, id, time
      else
        fresh[n] = { index = i, id = id, time = time }
      end
      keys[2 * n - 1], keys[2 * n] = time and time // DAY_MS or from, key
    else
      self:note_unusable(walk, page, i, fault)
    end
  end
  return n
end

-- Which records of the page are not known yet: fills self.fresh. Returns how many, or nil, err. Counts the distinct ones of this pass:
-- in the first pass over a window these are the new ones, later passes keep their own set.
function Commit:sort_out(walk, page)
  local row, fresh, keys, news, n = walk.row, self.fresh, self.keys, self.news, 0
  local candidates = self:identify(walk, page)
  local ok, err = self.store:seen_all(keys, 2 * candidates, news)
  if not ok then return nil, err end
  local distinct = walk.exact and ok or 0
  for i = 1, candidates do
    if not walk.exact and self.store:pass_new(row, keys[2 * i]) then distinct = distinct + 1 end
    if news[i] then
      n = n + 1
      fresh[n], fresh[i] = fresh[i], fresh[n]
    end
  end
  row.pass_unique = row.pass_unique + distinct
  return n
end

function Commit:keep_dead(walk, page)
  local row, dead = walk.row, 0
  for _, d in ipairs(self.out.dead) do
    if self.store:add_dead{ dataset = row.dataset, input = row.input, from = row.from, origin = walk.origin,
      reason = d.reason, where = d.where, time_ms = core.sys.wall_ms(), raw = page:raw(d.index) } then dead = dead + 1 end
  end
  self.totals.dead = self.totals.dead + dead
  return dead
end

-- Records that a rule failed on have their documents; what the rule had to say is lost unless they are kept, as rules may see them: with
-- HMACs for what is sensitive.
function Commit:keep_failed(walk, page)
  local row, kept = walk.row, self.totals.kept
  local hidden = self.set.hidden and self.set.hidden[row.dataset]
  for _, f in ipairs(self.out.failed) do
    local n = kept[f.rule] or 0
    local raw = n < RULE_LETTERS and core.json.encode(page:record(f.index, hidden), { sort_keys = true })
    if raw and self.store:add_dead{ dataset = row.dataset, input = row.input, from = row.from, origin = walk.origin,
      reason = f.reason, where = "rule " .. f.rule, rule = f.rule, time_ms = core.sys.wall_ms(), raw = raw } then
      kept[f.rule] = n + 1
    end
  end
end

-- A finding that is known (its page came again after a crash elsewhere, its rule fired for the same records) is not sent twice.
function Commit:keep_findings()
  local buffer, new = self.out.findings, {}
  buffer:reset()
  for _, f in ipairs(self.out.found) do
    if self.past then backfill.label_finding(self.past, f) end
    local text, err = core.json.encode(f, { sort_keys = true })
    if not text then return nil, err end
    if self.store:add_finding(f.id, f.rule.id, f.time or 0, f.level, text) then
      buffer:add(text):add("\n")
      new[#new + 1] = f
      if self.counts then self.counts.findings[f.level] = (self.counts.findings[f.level] or 0) + 1 end
    end
  end
  self.totals.findings = self.totals.findings + #new
  local ok, err = self:write("findings", buffer)
  if ok and self.outbox then ok, err = self.outbox:findings(new, buffer) end
  return ok, err
end

function Commit:write(kind, buffer)
  for _, sink in ipairs(self.sinks) do
    local ok, err = sink:write(kind, buffer)
    if not ok then return nil, err end
  end
  return true
end

--- Adds events as page_work.run gives them, to be written by store:flush_events; what is late is left out and counted by correlation.
function Commit:add_events(events)
  local totals = self.totals
  local late, by = self.store:add_events(events, events.n, self.watermarks, self.since)
  totals.late = totals.late + late
  for rule, n in pairs(by) do totals.late_by[rule] = (totals.late_by[rule] or 0) + n end
end

-- What rules failed with, by message, for the summary.
function Commit:keep_faults()
  local faults = self.totals.faults
  for message, f in pairs(self.out.faults) do
    local known = faults[message]
    if known then known.count = known.count + f.count else faults[message] = f end
  end
end

-- Adds this page's figures to the ledger's row.
function Commit:count(walk, answer, dead)
  local row, out, page = walk.row, self.out, answer.page
  row.pages, row.pass_pages = row.pages + 1, row.pass_pages + 1
  row.received, row.pass_received = row.received + page:len(), row.pass_received + page:len()
  row.unique, row.normalized = row.unique + out.normalized, row.normalized + out.normalized
  row.dead, row.replaced = row.dead + dead, row.replaced + page:replaced()
  row.duplicate = row.received - row.unique - row.dead
  row.request_id = answer.request_id
  for _, sink in ipairs(self.sinks) do
    local before = row.emitted[sink.name]
    -- a sink that joined when this window had documents already owes nothing for it
    if before or row.unique == out.normalized then row.emitted[sink.name] = (before or 0) + out.normalized end
  end
end

--- Commits one page of a walk. walk: {row = ledger row, stream, exact = first pass over this window}; answer: {page, request_id};
-- after: function that brings the row to where the walk stands after this page. Returns true, or nil, err.
function Commit:page(walk, answer, after)
  local out = self.out
  return self:transaction(function()
    page_work.clear(out)
    if walk.row.pass_pages == 0 then self.store:pass_clear(walk.row) end
    local n, err = self:sort_out(walk, answer.page)
    if not n then return nil, err end
    -- in portions: what a record leaves behind is garbage while the collector still holds it for young, and transfers go on
    for first = 1, n, PORTION do
      self:add_events(page_work.run(self.set, walk.row.dataset, answer.page, self.fresh, first, math.min(n, first + PORTION - 1), out))
      if first % 50 == 1 then core.client.poll() end
    end
    local ok
    ok, err = self:write(walk.row.dataset, out.documents)
    if ok then ok, err = self.store:flush_events() end
    if not ok then return nil, err end
    self:count(walk, answer, self:keep_dead(walk, answer.page))
    self:keep_faults()
    self:keep_failed(walk, answer.page)
    after(walk.row)
    if walk.row.state == "closed" then self.store:pass_clear(walk.row) end
    ok, err = self.store:put_window(walk.row)
    if ok and self.outbox then ok, err = self.outbox:page(walk.row, self.fresh, n, out) end
    if ok then ok, err = self:keep_findings() end
    if ok and self.counts then metrics.note_lateness(self.counts, walk.row.dataset, self.fresh, n) end
    return ok, err
  end)
end

--- Commits the row of a window that stands elsewhere without a page of its own. Returns true, or nil, err.
function Commit:window(row)
  return self:transaction(function() return self.store:put_window(row) end)
end

Commit.correlate = decide.correlate

--- What was counted since the last run is told, and counts no more.
function Commit:forget_counts()
  self.totals, self.notices = { late = 0, late_by = {}, findings = 0, dead = 0, faults = {}, kept = {} }, {}
  for name in pairs(self.set.counters) do self.set.counters[name] = 0 end
  if self.outbox then self.outbox:forget_counts() end
end

--- Closes the sinks and the store.
function Commit:close()
  for _, sink in ipairs(self.all) do sink:close() end
  self.store:close()
end

return commit

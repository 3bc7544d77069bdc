-- decide.lua: decides correlations over what is kept for them, each step with its findings and state in one transaction. Of commit.lua.
local page_work = require "defendis.pipeline.page"

local DAY_MS <const> = 86400000
local EVENTS <const> = 20000 -- of a correlation, decided at once

local decide = {}

-- Decides one group; what it means for outer correlations is kept for them. known: its state; keep: takes its new one.
local function decide_group(self, c, group, events, from, to, known, keep)
  local findings, state, time, handed, faults = self.set:evaluate(c.key, group, events, from, known, to, self.since)
  if c.alerts then table.move(findings, 1, #findings, #self.out.found + 1, self.out.found) end
  page_work.take_faults(self.out, faults)
  if handed.n > 0 then self:add_events(handed) end
  if state and state ~= known then keep(state, time) end
end

-- The groups of a correlation that can have something to say in [from, to), one by one. Returns true, or nil, err.
local function decide_groups(self, c, from, to)
  local left, counters = {}, self.set.counters
  local limits = { skim = c.skim, most = c.max_groups, evicted = function(n) counters.evicted = counters.evicted + n end }
  for _, group in ipairs(c.entities or {}) do left[group] = true end
  for group, events, known, keep in self.store:each_group(c.key, c.back_ms, from, to, c.least, c.silent, limits) do
    left[group] = nil
    decide_group(self, c, group, events, from, to, known, keep)
  end
  for _, group in ipairs(c.entities or {}) do
    if left[group] then
      left[group] = nil
      decide_group(self, c, group, {}, from, to) -- of type absence, which has no state
    end
  end
  return self.store:flush_events()
end

-- The end of a step that begins on a day: a day later, or as much later as EVENTS allow. More groups than max_groups, which are more than
-- EVENTS, are thus met on single days only, and which ones are left out does not depend on the steps.
local function step_end(self, c, day, upto)
  local before = c.silent and c.back_ms or 0
  while upto - day > DAY_MS and self.store:count_events(c.key, day - before, upto) > EVENTS do
    upto = day + math.max(DAY_MS, (upto - day) // 2 // DAY_MS * DAY_MS)
  end
  return upto
end

--- Decides a correlation up to `to` (Unix ms, a day's begin): every window before it is whole, and no late record is expected.
-- What is decided at once is held in memory: so many days as have about EVENTS events. c: one of set:correlations().
-- Returns true, or nil, err.
function decide.correlate(self, c, to)
  local day = self.watermarks[c.key] or self.since
  if to <= day then return true end
  local ok, err = self:transaction(function()
    local step = self.steps[c.key] or DAY_MS
    while day < to do
      local upto = step_end(self, c, day, math.min(to, day + step))
      page_work.clear(self.out)
      local kept, problem = decide_groups(self, c, day, upto)
      if kept then kept, problem = self:keep_findings() end
      if not kept then return nil, problem end
      self:keep_faults()
      local events = self.store:count_events(c.key, day, upto)
      if events > EVENTS then
        step = math.max(DAY_MS, step // DAY_MS // 2 * DAY_MS)
      elseif events < EVENTS // 2 then
        step = math.min(64 * DAY_MS, step * 2)
      end
      day = upto
    end
    self.steps[c.key] = step
    self.store:drop_events(c.key, to - c.back_ms)
    self.store:drop_fired(c.key, to - c.keep_ms)
    return self.store:set_watermark(c.key, to)
  end)
  if ok then self.watermarks[c.key] = to end
  return ok, err
end

return decide

-- revive.lua: dead letters that `state dead retry` marked go through normalizer and rules again, each in a transaction of its own.
local core = require "defendis.core"
local page_work = require "defendis.pipeline.page"

local revive = {}

local DAY_MS <const> = 86400000

local function window_of(store, letter)
  for row in store:windows{ dataset = letter.dataset, input = letter.input, from = letter.from, to = letter.from + 1 } do
    if row.from == letter.from then return row end
  end
end

-- Works on the one record of a page. Returns what it is now: "new" and its events, or "duplicate"; or nil, reason, where.
local function work(commit, letter, page, fields)
  local out = commit.out
  page_work.clear(out)
  local key, id, time, fault = page_work.identify(page, 1, core.hash.key16(letter.dataset, letter.input), fields)
  if not key then return nil, fault, "id" end
  local new = commit.store:seen_new(time and time // DAY_MS or letter.from, key)
  -- what had an id was noted as seen when it failed
  if not new and letter.where == "id" then return "duplicate" end
  commit.fresh[1] = { index = 1, id = id, time = time }
  local events = page_work.run(commit.set, letter.dataset, page, commit.fresh, 1, 1, out)
  if out.normalized == 0 then return nil, out.dead[1].reason, out.dead[1].where end
  return "new", events
end

local function count(commit, row, what)
  row.dead = row.dead - 1
  if what == "duplicate" then
    row.duplicate = row.duplicate + 1
    return
  end
  row.unique, row.normalized = row.unique + 1, row.normalized + 1
  for _, sink in ipairs(commit.sinks) do
    local before = row.emitted[sink.name]
    if before then row.emitted[sink.name] = before + 1 end
  end
end

-- A record that only rules failed on: its document is out already. Findings and events that are known change nothing. What is sensitive
-- comes as {hmac, mask}, as it was kept: a rule that asks more of it fails again.
local function look_again(commit, letter, page, fields)
  local out = commit.out
  page_work.clear(out)
  local _, id, time = page_work.identify(page, 1, "", fields)
  local events = page_work.look(commit.set, letter.dataset, page:record(1), { id = id, time = time }, out)
  commit:keep_faults()
  commit:add_events(events)
  local ok, err = commit.store:flush_events()
  if ok then ok, err = commit:keep_findings() end
  if not ok then return nil, err end
  local failed = out.failed[1]
  if failed then return commit.store:keep_dead(letter.id, failed.reason, "rule " .. failed.rule) end
  return commit.store:drop_dead(letter.id)
end

-- One letter, within a transaction. Returns true, or nil, err.
local function try(commit, letter, row, page, fields)
  local store = commit.store
  local what, detail, where = work(commit, letter, page, fields)
  if not what then
    commit.totals.dead = commit.totals.dead + 1
    return store:keep_dead(letter.id, detail, where)
  end
  count(commit, row, what)
  local ok, err = store:put_window(row)
  if ok and what == "new" then
    commit:keep_faults()
    commit:add_events(detail)
    ok, err = store:flush_events()
    if ok then ok, err = commit:write(row.dataset, commit.out.documents) end
    if ok and commit.outbox then ok, err = commit.outbox:page(row, commit.fresh, 1, commit.out) end
    if ok then ok, err = commit:keep_findings() end
  end
  if not ok then return nil, err end
  return store:drop_dead(letter.id)
end

--- Tries the marked letters of these datasets. fields: {dataset = {id, time}}. Returns true, or nil, err.
function revive.run(commit, fields)
  local marked = {}
  for letter in commit.store:dead_letters{ bare = true } do
    if letter.retry and fields[letter.dataset] then marked[#marked + 1] = letter.id end
  end
  for _, id in ipairs(marked) do
    local letter = commit.store:dead_letter(id)
    local row = window_of(commit.store, letter)
    local page = core.json.page('{"data":[' .. letter.raw .. "]}")
    local ok, err = commit:transaction(function()
      if not row then return commit.store:keep_dead(id, letter.reason .. " (its window is forgotten)", letter.where) end
      if not page or page:len() ~= 1 then return commit.store:keep_dead(id, letter.reason, letter.where) end
      if letter.where:find "^rule " then return look_again(commit, letter, page, fields[letter.dataset]) end
      return try(commit, letter, row, page, fields[letter.dataset])
    end)
    if not ok then return nil, err end
  end
  return true
end

return revive

-- walker.lua: one window of one stream, page by page, in as many passes as it takes until the list is whole.
local core = require "defendis.core"
local check = require "defendis.check"

local DAY_MS <const> = 86400000
local PASSES <const> = 3  -- times a window is walked before it is given up as unstable
local TRIES <const> = 5   -- times a page is asked for before its contradictions are believed
local PAUSES <const> = 7  -- times a run waits for an API that answered before: 0.25 s, doubling, half a minute in all
local UNREADABLE <const> = 3 -- times it waits when there was an answer, but not one that can be read
local PAUSE_MAX_MS <const> = 60000 -- longest that it waits because the API asks for it

local walker = {}

--- Is a window's row closed, and was all of it read so late that no record is expected any more? lateness: ms after the window's end.
-- updated_ms is when the row's pass began: what an interrupted pass has read may have changed before it went on.
function walker.is_final(row, lateness) return row.state == "closed" and row.updated_ms >= row.to * DAY_MS + lateness end

-- A pass begins: nothing of an earlier one counts for whether this one is whole.
local function start_pass(run, walk)
  local row = walk.row
  row.state, row.page_size, row.next_page = "open", run.plan.page_size, 1
  row.pass_pages, row.pass_received, row.pass_unique = 0, 0, 0
  row.updated_ms = run.commit.past and run.commit.past.as_of or core.tape.now() or core.sys.wall_ms()
  walk.pager = core.api.pager{ page_size = run.plan.page_size }
end

-- A pass ended without closing the window. From here on the row says that the list is to be walked from its first page, now
-- ("again"), or by the next run, or in halves (nil, err). helps: would a smaller window help?
local function end_pass(run, walk, kind, reason, helps)
  local row = walk.row
  local last = kind == "fail" or row.pass >= PASSES
  row.reason = reason
  if not last then row.pass = row.pass + 1 end
  start_pass(run, walk)
  walk.exact = false
  if not last then return "again" end
  return nil, check.error("incomplete", kind == "fail" and reason
    or ("the list kept changing during %d passes: %s"):format(PASSES, reason), { request_id = row.request_id,
      splits = helps and row.to - row.from > 1 })
end

-- Page numbers mean something else with another page size.
local function note_page_size(run, row)
  if row.state ~= "open" or (row.pass_pages or 0) == 0 or row.page_size == run.plan.page_size then return end
  local notices = run.commit.notices
  notices[#notices + 1] = ("%s %s %s..%s: begun anew, because page_size was changed from %d to %d"):format(row.dataset, row.input,
    core.api.date(row.from), core.api.date(row.to), row.page_size, run.plan.page_size)
end

--- The walk over one window of one stream, or nil when there is nothing to do. row: the ledger's, or a new one; origin: first day of
-- the window as it was planned, which may have been split; run: {plan, store, commit, prefetch, tick, give_way, halt}.
-- A walk: {row, stream, origin, path, query, first = page, last = page or nil, pager, exact = every record that is new in this
-- pass is so because this window was never walked}.
function walker.new(run, stream, row, origin)
  if walker.is_final(row, run.plan.lateness_ms) or stream.refused then return nil end
  -- without totals nothing could show that the page numbers still mean what they did
  local resumed = row.state == "open" and row.pass_pages > 0 and row.page_size == run.plan.page_size and row.announced
    and row.total_pages
  local walk = { row = row, stream = stream, origin = origin, path = stream.entry.path, first = 1, query = {
    [stream.input] = stream.value, fromDate = core.api.date(row.from), toDate = core.api.date(row.to), pageSize = run.plan.page_size } }
  if resumed then
    walk.first, walk.last = row.next_page, row.total_pages
    -- page_size 0: the server may give less than was asked; the totals have to fit whatever it gives now
    walk.pager = core.api.pager{ page_size = 0, next_page = row.next_page, total_records = row.announced,
      total_pages = row.total_pages, items = row.pass_received, pages = row.pass_pages }
    walk.exact = row.walks == 1 and row.pass == 1
  else
    note_page_size(run, row)
    walk.exact = row.walks == 0
    row.walks, row.pass, row.pass_before = row.walks + 1, 1, nil
    start_pass(run, walk)
  end
  return walk
end

-- An answer for page n. An API that answered a moment ago is waited for: its client gives up on a call, and has a budget for
-- retries, so that no storm comes of them; a run slows down instead.
local function ask(run, walk, n, again)
  for pause = 0, PAUSES do
    local answer, err = run.prefetch:page(walk, n, again or pause > 0)
    if answer then
      run.answered = true
      return answer
    end
    local ms = math.max(250 << pause, err.retry_at and err.retry_at - core.sys.wall_ms() or 0)
    local most = err.kind == "decode" and UNREADABLE or PAUSES
    if not err.retryable or not run.answered or pause >= most or ms > PAUSE_MAX_MS then return nil, err end
    run.halt:wait(ms / 1000)
    if run.halt.asked then return nil, run.halt:error() end
  end
end

-- Does the window announce what cannot be walked to its end? A single day is walked as far as it goes.
local function is_too_long(walk)
  return walk.pager:state().total_pages > core.api.PAGES_MAX and walk.row.to - walk.row.from > 1
end

-- The page that the walk needs next, asked for again while it contradicts what came before.
-- Returns answer, step ("next", "done", "rewalk", "fail"), detail; or nil, err.
local function next_page(run, walk, n)
  local answer, err, step, detail, pager
  for try = 1, TRIES do
    if answer then answer.page:close() end
    answer, err = ask(run, walk, n, try > 1)
    if not answer then return nil, err end
    pager = walk.pager:copy()
    step, detail = pager:feed(answer.page)
    if step == "next" or step == "done" then break end
  end
  walk.pager = pager
  if step == "next" and is_too_long(walk) then
    step, detail = "fail", check.error("incomplete", ("it has %d pages, more than are followed"):format(pager:state().total_pages))
  end
  return answer, step, detail
end

-- What the last page of a pass decides: closed, or the reason for another pass. Records that only seem to be missing (the list
-- counts some twice) are shown by a second pass that has as many and none that is new.
local function settle(row)
  local announced = row.announced or row.pass_received
  if row.pass_unique >= announced or (row.pass >= 2 and row.pass_before == row.pass_unique) then
    row.state, row.pass_before, row.reason = "closed", nil, nil
    return true
  end
  row.pass_before = row.pass_unique
  return false, ("%d records announced, %d distinct ones came"):format(announced, row.pass_unique)
end

-- Takes one page in. Returns "next", the next page; "closed"; "again"; or nil, err.
local function take_page(run, walk, answer, step, detail)
  local row, outcome, more = walk.row, nil, nil
  local known = row.unique + row.dead
  local ok, err = run.commit:page(walk, answer, function()
    local state = walk.pager:state()
    row.announced = state.total_records >= 0 and state.total_records or nil
    row.total_pages = state.total_pages >= 0 and state.total_pages or nil
    if row.unique + row.dead > known then row.pass_before = nil end
    if step == "next" then
      row.next_page, outcome, more = detail, "next", detail
      return
    end
    local closed, reason
    if step == "done" then closed, reason = settle(row) end
    if closed then
      outcome = "closed"
    else
      outcome, more = end_pass(run, walk, step, reason or detail.message, reason or detail.kind == "incomplete")
    end
  end)
  if not ok then return nil, err end
  return outcome, more
end

-- A page that was announced and is not there: what was before it moved.
local function is_gone(err, n) return n > 1 and (err.kind == "not_found" or err.kind == "invalid") end

-- One pass over a window. Returns "closed", or "again", or nil, err.
local function walk_pass(run, walk)
  local n = walk.first
  while true do
    local free, full = run:give_way()
    if not free then return nil, full end
    local answer, step, detail = next_page(run, walk, n)
    if not answer then
      if not is_gone(step, n) then return nil, step end
      local outcome, err = end_pass(run, walk, "rewalk", ("page %d: %s"):format(n, step.message), true)
      local ok, fault = run.commit:window(walk.row)
      if not ok then return nil, fault end
      return outcome, err
    end
    local page <close> = answer.page
    local outcome, more = take_page(run, walk, answer, step, detail)
    if not outcome then return nil, more end
    run:tick(page:len())
    if outcome ~= "next" then return outcome end
    n = more
  end
end

--- Walks the window. Returns true when it is closed, or nil, err.
function walker.run(run, walk)
  while true do
    local outcome, err = walk_pass(run, walk)
    if outcome == "closed" then return true end
    if not outcome then return nil, err end
    run.prefetch:restart(walk, 1)
  end
end

return walker

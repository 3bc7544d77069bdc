-- split.lua: a window that cannot be read whole gives way to its halves, each a window of its own, down to single days.
local split = {}

local function middle(from, to) return from + (to - from + 1) // 2 end

local function new_row(store, stream, from, to) return store.new_window(stream.dataset, stream.value, from, to) end

-- Adds the rows of [from, to) to the list: its own, or those of its halves when all of it is there. Returns whether it is.
local function collect(store, stream, from, to, rows)
  local row = store:window(stream.dataset, stream.value, from, to)
  if row then
    rows[#rows + 1] = row
    return true
  end
  if to - from < 2 then return false end
  local mid = middle(from, to)
  return collect(store, stream, from, mid, rows) and collect(store, stream, mid, to, rows)
end

--- The windows in which [from, to) is to be walked: itself, or what a split has made of it. Returns an array of ledger rows in the
-- order of time, and whether they are in the ledger.
function split.rows(store, stream, from, to)
  local rows = {}
  if collect(store, stream, from, to, rows) then return rows, true end
  return { new_row(store, stream, from, to) }, false
end

--- Puts its halves in the place of a window. What was counted so far passes to the first one, so that the ledger counts it once; both
-- are noted as walked, for their records may be known. commit: the pipeline's; row: the window's. Returns the rows of both, or nil, err.
function split.halve(commit, stream, row)
  local store, mid = commit.store, middle(row.from, row.to)
  local first, second = new_row(store, stream, row.from, mid), new_row(store, stream, mid, row.to)
  for _, name in ipairs{ "pages", "received", "unique", "duplicate", "dead", "normalized", "replaced", "walks", "emitted" } do
    first[name] = row[name]
  end
  second.walks, first.reason, second.reason = 1, row.reason, row.reason
  local ok, err = commit:transaction(function() return store:split_window(row, first, second) end)
  if not ok then return nil, err end
  local rows = {}
  collect(store, stream, row.from, row.to, rows)
  return rows
end

return split

-- lists.lua: paging, date windows and the list envelope, with the ways a list can lie.
local calendar = require "defendis.simulator.calendar"
local data = require "defendis.simulator.data"

local lists = {}

local function whole(text, fallback)
  if text == nil then return fallback end
  return text:find("^%d+$") and #text < 10 and math.tointeger(text) or nil
end

--- page and pageSize of a query; nil, reason. Sizes over `cap` are lowered without a word, as real services do.
function lists.paging(query, cap)
  local page, size = whole(query.page, 1), whole(query.pageSize, math.min(100, cap))
  if not page or page < 1 then return nil, "Invalid page" end
  if not size or size < 1 then return nil, "Invalid pageSize" end
  return { page = page, size = math.min(size, cap) }
end

--- The index range [low, high) of a view that fromDate (inclusive) and toDate (exclusive) select; nil, reason.
function lists.window(view, query)
  local low, high, from, to = 0, view.n, nil, nil
  if query.fromDate then
    from = calendar.parse(query.fromDate)
    if not from then return nil, "Invalid fromDate" end
    low = data.lower_bound(view, from)
  end
  if query.toDate then
    to = calendar.parse(query.toDate)
    if not to then return nil, "Invalid toDate" end
    high = data.lower_bound(view, to)
  end
  if from and to and from > to then return nil, "fromDate is after toDate" end
  return low, math.max(low, high)
end

--- asc (the default) or desc: false or true; nil, reason.
function lists.descending(query)
  local order = query.sortOrder
  if order == nil or order == "asc" then return false end
  if order == "desc" then return true end
  return nil, "Invalid sortOrder"
end

local ENVELOPE = '{"data":[%s],"paging":{"currentPage":%d,"pageSize":%d,"totalRecords":%d,"totalPages":%d,' ..
  '"hasMore":%s,"nextPage":%s}}'

--- One page as an answer. total: how many there are; draw(first, last): JSON text of elements first to last, from 0.
function lists.answer(total, paging, hit, draw)
  local page, size = paging.page, paging.size
  if hit["repeat"] and page > 1 then page = page - 1 end
  local pages = (total + size - 1) // size
  local first = (page - 1) * size
  local last = math.min(total, first + size) - 1
  local body, more = first <= last and draw(first, last) or "", page < pages
  if hit.emptymore then body, more = "", true end
  if hit.totals then
    local change = (hit.coin or total == 0) and 1 or -1
    total, pages = total + change, math.max(0, pages + change)
  end
  return { status = 200, headers = {}, body = ENVELOPE:format(body, page, size, total, pages, tostring(more),
    more and tostring(page + 1) or "null") }
end

return lists

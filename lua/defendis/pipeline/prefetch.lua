-- prefetch.lua: keeps the next pages on the wire while this one is worked on.
local core = require "defendis.core"
local task = require "defendis.task"

local prefetch = {}

local Prefetch = {}
Prefetch.__index = Prefetch

local BYTES <const> = 4 << 20 -- text of pages that may wait to be worked on; parsed, each takes twice its text

--- client: a client; next_walk: function that returns the next walk {path, query, first = page} or nil; in_flight: requests that
-- the client has on the wire at once; halt: when it is asked, nothing is asked for any more. Up to four times as many pages are asked
-- for and not yet handed out, if they are small.
function prefetch.new(client, next_walk, in_flight, halt)
  return setmetatable({ client = client, halt = halt, next_walk = next_walk, in_flight = in_flight, ahead = in_flight + 4,
    outstanding = 0, largest = 1, walks = {} }, Prefetch)
end

function Prefetch:submit(walk, n)
  local query = {}
  for k, v in pairs(walk.query) do query[k] = v end
  query.page = n
  local id, err
  if self.halt.asked then
    err = self.halt:error()
  else
    id, err = self.client:submit{ method = "GET", path = walk.path, query = query, decode = "page", bulk = true }
  end
  walk.pages[n] = { id = id, err = err }
  self.outstanding = self.outstanding + 1
  walk.following = math.max(walk.following, n + 1)
end

-- The first answer of a walk says how many pages there are to ask for.
local function learn_last(walk)
  local page = walk.pages[walk.first]
  if walk.last or not page or not page.id or page.answer then return end
  local done, answer, err = task.try(page.id)
  if not done then return end
  page.answer, page.err, page.id = answer, err, nil
  walk.last = answer and core.api.last_page(answer.page)
end

--- Asks for as many pages as may be asked for, in the order in which they will be wanted.
function Prefetch:fill()
  core.client.poll()
  for _, walk in ipairs(self.walks) do
    learn_last(walk)
    while self.outstanding < self.ahead and walk.last and walk.following <= walk.last do self:submit(walk, walk.following) end
  end
  while self.outstanding < self.ahead and self.next_walk do
    if not self:open() then break end
  end
end

--- Opens the next walk and asks for its first page. Returns it, or nil when there is none.
function Prefetch:open()
  local walk = self.next_walk and self.next_walk()
  if not walk then
    self.next_walk = nil
    return nil
  end
  return self:begin(walk, #self.walks + 1)
end

function Prefetch:begin(walk, place)
  walk.pages = {}
  self:restart(walk, walk.first, walk.last)
  table.insert(self.walks, place, walk)
  return walk
end

--- Puts walks before all others.
function Prefetch:put_first(walks)
  for i, w in ipairs(walks) do self:begin(w, i) end
end

--- The walk that is worked on now: the oldest that is not finished, or nil when all are.
function Prefetch:current() return self.walks[1] or self:open() end

function Prefetch:drop(walk, n)
  local page = walk.pages[n]
  if not page then return end
  if page.id then task.forget(page.id) end
  if page.answer then page.answer.page:close() end
  walk.pages[n] = nil
  self.outstanding = self.outstanding - 1
end

--- Forgets what was asked for and begins at page `first` again.
function Prefetch:restart(walk, first, last)
  for n in pairs(walk.pages) do self:drop(walk, n) end
  walk.first, walk.last, walk.following = first, last, first
  self:submit(walk, first)
end

--- Page n of a walk. again: ask anew, the former answer was not to be believed. Returns answer, or nil, err.
function Prefetch:page(walk, n, again)
  if again then self:drop(walk, n) end
  if not walk.pages[n] then self:submit(walk, n) end
  self:fill()
  local page = walk.pages[n]
  local answer, err = page.answer, page.err
  if page.id then answer, err = task.await(page.id) end
  if n == walk.first and answer and not walk.last then walk.last = core.api.last_page(answer.page) end
  walk.pages[n] = nil
  self.outstanding = self.outstanding - 1
  if answer then
    self.largest = math.max(self.largest, answer.page:bytes())
    self.ahead = math.max(self.in_flight, math.min(4 * self.in_flight, BYTES // self.largest))
  end
  self:fill()
  return answer, err
end

--- The oldest walk is over, well or not.
function Prefetch:finish(walk)
  for n in pairs(walk.pages) do self:drop(walk, n) end
  for i, w in ipairs(self.walks) do
    if w == walk then table.remove(self.walks, i) break end
  end
end

--- Forgets all that was asked for: what came meanwhile would stay in memory.
function Prefetch:close()
  while self.walks[1] do self:finish(self.walks[1]) end
end

return prefetch

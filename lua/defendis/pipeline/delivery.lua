-- delivery.lua: one sink's way through the outbox: batches from its cursor on, one under way at a time, each settled in one transaction.
local core = require "defendis.core"
local answer = require "defendis.pipeline.answer"
local check = require "defendis.check"
local cursor = require "defendis.store.cursor"
local task = require "defendis.task"

local DAY_MS <const> = 86400000
local LINGER_MS <const> = 1000 -- longest that a batch waits to be full while pages come in

local delivery = {}

local Delivery = {}
Delivery.__index = Delivery

--- A sink's delivery; call it within a transaction. box: the outbox; kinds: array of all kinds. Returns it, or nil, err.
function delivery.open(box, sink, kinds)
  local store, self = box.store, setmetatable({ box = box, sink = sink, name = sink.name, wanted = {}, most = sink.batch.documents,
    delivered = 0, dead = 0, attempts = 0, failures = 0, sent_ms = 0 }, Delivery)
  for _, kind in ipairs(kinds) do self.wanted[kind] = not sink.wants or sink.wants(kind) or nil end
  local names = {}
  for kind in pairs(self.wanted) do names[#names + 1] = kind end
  table.sort(names)
  self.kinds = "\n" .. table.concat(names, "\n") .. "\n"
  local d = store:delivery(self.name) or { seq = box.next_seq, position = 0, settled = "" }
  self.seq, self.position = d.seq, d.position
  self.settled = cursor.parse(d.settled)
  -- what its options no longer want is passed by
  local seq = store:next_outbox(d.seq, self.name, self.kinds)
  if seq ~= d.seq then
    self.position, self.settled[d.seq] = 0, nil
  end
  local ok, err = self:save()
  if not ok then return nil, err end
  self.behind = cursor.behind(store, store:delivery(self.name))
  return self
end

function Delivery:save()
  return self.box.store:put_delivery{ sink = self.name, kinds = self.kinds, seq = self.seq, position = self.position,
    settled = cursor.text(self.settled) }
end

--- With nothing left to take, the cursor goes to `seq`; within a transaction. Returns true, or nil, err.
function Delivery:pass_to(seq)
  if self.behind > 0 or self.seq == seq then return true end
  self.seq, self.position, self.settled = seq, 0, {}
  return self:save()
end

-- The next row that is wanted, from `seq` on, with its lines apart. The last one is kept: the next batch begins in it.
function Delivery:row(seq)
  if self.last_row and self.last_row.seq == seq then return self.last_row end
  local row = {}
  row.seq, row.kind, row.input, row.from, row.to, row.count, row.ids, row.body = self.box.store:next_outbox(seq, self.name, self.kinds)
  if not row.seq then return nil end
  for line in row.body:gmatch("[^\n]+") do row[#row + 1] = line end
  row.body = nil
  self.last_row = row
  return row
end

local function is_behind(seq, position, place) return seq > place.seq or seq == place.seq and position > place.position end

-- Takes up to a batch from the cursor on: {items, places = where each came from, seq, position = where the next one begins}, or nil.
-- While documents are put off, only these.
function Delivery:take()
  local batch, bytes, most, upto = { items = {}, places = {} }, 0, self.most, self.upto
  local seq, position = self.seq, self.position
  while true do
    local row = self:row(seq)
    if not row then break end
    if row.seq ~= seq then seq, position = row.seq, 0 end
    local settled = self.settled[seq]
    while position < row.count do
      if upto and is_behind(seq, position, upto) then goto full end
      if not (settled and settled[position]) then
        local n, size = #batch.items, #row[position + 1]
        if n == most or n > 0 and bytes + size > self.sink.batch.bytes then goto full end
        bytes = bytes + size
        batch.items[n + 1] = cursor.item(row, position)
        batch.places[n + 1] = { seq = seq, position = position, row = row }
      end
      position = position + 1
    end
    seq, position = seq + 1, 0
  end
  ::full::
  batch.seq, batch.position = seq, position
  return batch.items[1] and batch
end

local function letter(self, place, reason)
  local row, position = place.row, place.position
  self.dead, self.dead_reason = self.dead + 1, self.dead_reason or reason
  return { dataset = row.kind, input = row.input or "", from = row.from or 0, to = row.to, sink = self.name,
    doc = row.ids:sub(position * 24 + 1, position * 24 + 24), reason = reason, time_ms = core.sys.wall_ms(), raw = row[position + 1] }
end

-- Writes down what became of each document of a batch, in the ledger and among the dead letters.
function Delivery:account(batch, results)
  local windows, store = {}, self.box.store
  for i, place in ipairs(batch.places) do
    local r, row = results[i], place.row
    if r == true or r.dead then
      local set = self.settled[place.seq] or {}
      self.settled[place.seq], set[place.position] = set, true
      local counts = windows[row.seq] or { row = row, documents = 0, dead = 0 }
      windows[row.seq] = counts
      local what = r == true and "documents" or "dead"
      counts[what] = counts[what] + 1
      if r ~= true then
        local ok, err = store:add_dead(letter(self, place, r.dead))
        if ok == nil then return nil, err end
      end
    end
  end
  for _, w in pairs(windows) do
    if w.row.input then
      local ok, err = store:add_delivered({ dataset = w.row.kind, input = w.row.input, from = w.row.from, to = w.row.to }, self.name,
        w.documents, w.dead)
      if not ok then return nil, err end
    end
  end
  return true
end

-- The cursor stands at the first document that is put off, or behind the batch.
function Delivery:move(batch, results)
  local first
  for i, place in ipairs(batch.places) do
    if results[i] ~= true and results[i].again then
      first = first or place
      if not self.upto or is_behind(place.seq, place.position, self.upto) then self.upto = place end
    end
  end
  self.seq, self.position = (first or batch).seq, (first or batch).position
  if self.upto and is_behind(self.seq, self.position, self.upto) then self.upto = nil end
  for seq, set in pairs(self.settled) do
    for p in pairs(set) do
      if seq < self.seq or seq == self.seq and p < self.position then set[p] = nil end
    end
    if not next(set) then self.settled[seq] = nil end
  end
end

-- Settles what was acknowledged or refused for good, as one transaction. Returns how many, and the reason of the first that was
-- put off; or nil when the state cannot be written.
function Delivery:settle(batch, results)
  local settled, delivered, again = 0, 0, nil
  for i = 1, #batch.items do
    local r = results[i]
    if r == true then delivered = delivered + 1 end
    if r == true or r.dead then settled = settled + 1 else again = again or r.again end
  end
  local ok = settled == 0 or self.box:transaction(function()
    self.behind = self.behind - settled
    local done, err = self:account(batch, results)
    if not done then return nil, err end
    self:move(batch, results)
    done, err = self:save()
    if not done then return nil, err end
    return self.box:make_room()
  end)
  if not ok then return nil end
  if settled == 0 then self:move(batch, results) end
  self.delivered = self.delivered + delivered
  return settled, again
end

-- Takes nothing more in this run. how: "given up" or "stopped".
function Delivery:stop(how, message)
  self.stopped, self.error = how, message
  self.box.room:notify()
end

-- Waits before the next attempt, or gives up when nothing was taken for too long.
function Delivery:back_off(err)
  local box, now = self.box, core.sys.mono_ms()
  self.failing_since, self.failures = self.failing_since or now, self.failures + 1
  local left = box.persistent and math.huge or self.failing_since + box.give_up_ms - now
  local wait = core.api.backoff(self.attempts, math.random(0))
  local least = err.retry_at and math.min(err.retry_at - core.sys.wall_ms(), DAY_MS) or 0
  self.attempts, self.error = self.attempts + 1, err.message
  if left <= 0 or least > left then return self:stop("given up", err.message) end
  if not box.deadline then box.halt:wait(math.max(math.min(wait, left), least) / 1000) end
end

-- Nobody can end a send from outside: one that does not return is left where it is, and its sink gets nothing more.
function Delivery:send(items)
  local outcome, ended = nil, task.signal()
  task.spawn(function()
    outcome = table.pack(pcall(self.sink.send, self.sink, items))
    ended:notify()
  end)
  ended:wait(self.sink.deadline)
  if outcome then return answer.judge(#items, table.unpack(outcome, 1, outcome.n)) end
  self.hung, self.failing_since = true, self.failing_since or self.sent_ms
  return nil, check.error("timeout", ("send has not returned for %g s, so it gets no more until the program is started again"):format(
    self.sink.deadline))
end

function Delivery:attempt(batch)
  self.sent_ms = core.sys.mono_ms()
  local n = #batch.items
  local results, err = self:send(batch.items)
  if not results and err.kind == "too_big" then
    if n > 1 then
      self.most = (n + 1) // 2
      return
    end
    results = { { dead = err.message } }
  end
  if self.box.failure or self.box.over then return end
  if not results then
    if not self.hung and (err.retryable or self.box.persistent) then return self:back_off(err) end
    return self:stop("stopped", err.message)
  end
  local settled, again = self:settle(batch, results)
  if not settled then return end
  if settled > 0 then
    self.attempts, self.failing_since = 0, nil
    self.most = math.min(self.sink.batch.documents, self.most + self.most // 4 + 1)
  end
  if again then self:back_off{ message = again } end
end

-- Small batches are worth it only when nothing more will come, somebody waits for room, or time has passed.
function Delivery:is_ready()
  local box = self.box
  return self.behind >= self.most or self.behind > 0 and (box.draining or box.resting or box.blocked or self.upto or self.attempts > 0
    or core.sys.mono_ms() - self.sent_ms >= LINGER_MS)
end

--- The task: delivers while pages come in, and then until nothing is left or the sink is given up.
function Delivery:run()
  local box = self.box
  while not self.stopped and not box.failure and not box.deadline do
    local batch = self:is_ready() and self:take()
    if batch then
      self:attempt(batch)
    elseif box.draining then
      return
    else
      box.changed:wait()
    end
  end
end

return delivery

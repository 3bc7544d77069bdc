-- outbox.lua: documents on their way to sinks: written with the page, and room made again when every sink has passed them.
local core = require "defendis.core"
local check = require "defendis.check"
local cursor = require "defendis.store.cursor"
local delivery = require "defendis.pipeline.delivery"
local task = require "defendis.task"

local PORTION <const> = 262144 -- bytes of a row: what a delivery reads at once

local outbox = {}

local Outbox = {}
Outbox.__index = Outbox

-- The kinds that there are now, or still are in the outbox.
local function all_kinds(store, kinds)
  local seen, all = {}, {}
  local function add(kind)
    if not seen[kind] then all[#all + 1] = kind end
    seen[kind] = true
  end
  for _, kind in ipairs(kinds) do add(kind) end
  for kind in store:outbox_kinds() do add(kind) end
  return all
end

-- A sink that is not in the pipeline any more holds nothing back.
local function drop_removed(self, names)
  for _, d in ipairs(self.store:deliveries()) do
    if not names[d.sink] then
      local behind = cursor.behind(self.store, d)
      self.notices[#self.notices + 1] = ("the sink %s is not in the pipeline any more%s"):format(d.sink,
        behind > 0 and ("; %d documents that it did not take are given up"):format(behind) or "")
      local ok, err = self.store:drop_delivery(d.sink)
      if not ok then return nil, err end
    end
  end
  return true
end

--- The outbox of a store, for the sinks that are served from it; call it within a transaction. sinks: array, may be empty;
-- kinds: names; options: {outbox = bytes, give_up_ms; persistent = true: no sink is given up}. A sink that is new begins
-- behind what is there. Returns it, or nil, err.
function outbox.open(store, sinks, kinds, options)
  local self = setmetatable({ store = store, cap = options.outbox, give_up_ms = options.give_up_ms, deliveries = {}, notices = {},
    changed = task.signal(), room = task.signal(), halt = task.signal(), ended = task.signal(),
    persistent = options.persistent, draining = false, blocked = false }, Outbox)
  local names = {}
  for _, sink in ipairs(sinks) do names[sink.name] = true end
  local ok, err = drop_removed(self, names)
  if not ok then return nil, err end
  self.next_seq, self.bytes = store:outbox_end(), store:outbox_bytes()
  kinds = all_kinds(store, kinds)
  for i, sink in ipairs(sinks) do
    self.deliveries[i], err = delivery.open(self, sink, kinds)
    if not self.deliveries[i] then return nil, err end
  end
  ok, err = self:make_room()
  if not ok then return nil, err end
  return self
end

-- Sinks that have nothing to take stand at the end, and rows before the last of all are dropped; within a transaction.
function Outbox:make_room()
  local least = self.next_seq
  for _, d in ipairs(self.deliveries) do
    local ok, err = d:pass_to(self.next_seq)
    if not ok then return nil, err end
    least = math.min(least, d.seq)
  end
  local freed = self.store:outbox_bytes(least)
  if freed == 0 then return true end
  self.bytes = self.bytes - freed
  return self.store:drop_outbox(least)
end

function Outbox:put_row(kind, window, body, docs, first, last)
  local row = { seq = self.next_seq, kind = kind, input = window and window.input, from = window and window.from, to = window and window.to,
    count = last - first + 1, ids = table.concat(docs, "", first, last), body = body }
  self.next_seq, self.bytes = self.next_seq + 1, self.bytes + #body
  for _, d in ipairs(self.deliveries) do
    if d.wanted[kind] then d.behind = d.behind + row.count end
  end
  return self.store:put_outbox(row)
end

-- Lines and what identifies each, as rows of about PORTION bytes.
function Outbox:put(kind, window, body, docs)
  local at, first, n = 1, 1, #docs
  while first <= n do
    local last, stop = n, #body
    if stop - at >= PORTION then
      last, stop = first - 1, at - 1
      repeat last, stop = last + 1, body:find("\n", stop + 1, true) until last == n or stop - at >= PORTION
    end
    local ok, err = self:put_row(kind, window, body:sub(at, stop), docs, first, last)
    if not ok then return nil, err end
    at, first = stop + 1, last + 1
  end
  return true
end

function Outbox:is_wanted(kind)
  for _, d in ipairs(self.deliveries) do
    if d.wanted[kind] then return true end
  end
  return false
end

--- Puts a page's documents in. row: the ledger's, counted already; fresh: array of {index, id, time} of which the first n were
-- worked on; out: what came of them: a line in out.documents for each, or an entry in out.dead. Returns true, or nil, err.
function Outbox:page(row, fresh, n, out)
  local kind = row.dataset
  for _, d in ipairs(self.deliveries) do
    -- a sink that joined when this window had documents already answers for none of it
    if d.wanted[kind] and row.unique == out.normalized then
      local ok, err = self.store:owe(row, d.name)
      if not ok then return nil, err end
    end
  end
  if out.normalized == 0 or not self:is_wanted(kind) then return true end
  local failed, docs, key16 = {}, {}, core.hash.key16
  for _, d in ipairs(out.dead) do failed[d.index] = true end
  local source = key16(kind, row.input)
  for i = 1, n do
    local f = fresh[i]
    if not failed[f.index] then docs[#docs + 1] = cursor.pack(key16(source, f.id), f.time) end
  end
  return self:put(kind, row, out.documents:text(), docs)
end

local function bytes_of_uuid(id) return (id:gsub("-", ""):gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)) end

--- Puts findings in. found: array of findings; buffer: a line for each. Returns true, or nil, err.
function Outbox:findings(found, buffer)
  if #found == 0 or not self:is_wanted "findings" then return true end
  local docs = {}
  for i, f in ipairs(found) do docs[i] = cursor.pack(bytes_of_uuid(f.id), f.time) end
  return self:put("findings", nil, buffer:text(), docs)
end

--- A transaction of a delivery. What fails here ends the run: the state cannot be written. Returns true, or nil, err.
function Outbox:transaction(work)
  local ok, err = self.store:begin()
  if ok then
    ok, err = work()
    if ok then
      ok, err = self.store:commit()
    else
      self.store:rollback()
    end
  end
  if not ok then self:fail(err) end
  self.room:notify()
  return ok, err
end

--- Nothing more is delivered.
function Outbox:fail(err)
  self.failure = self.failure or err
  self.halt:notify()
  self.room:notify()
  self.ended:notify()
  if self.on_failure then self.on_failure() end
end

--- Ends soon: no batch is begun any more, and those under way have so many ms left to be acknowledged.
function Outbox:halt_within(ms)
  self.deadline = core.sys.mono_ms() + ms
  self.halt:notify()
  self.room:notify()
  self.changed:notify()
  self.ended:notify()
end

--- Between two runs nothing waits for more of its kind.
function Outbox:rest(is_resting)
  self.resting = is_resting
  self.changed:notify()
end

local function can_make_room(self)
  for _, d in ipairs(self.deliveries) do
    if not d.stopped and d.behind > 0 then return true end
  end
  return false
end

local function is_full(self)
  local why = {}
  for _, d in ipairs(self.deliveries) do
    if d.stopped then why[#why + 1] = ("%s: %s"):format(d.name, d.error) end
  end
  return check.error("incomplete", ("the outbox is full (%d bytes of %d), so nothing more is fetched; %s"):format(self.bytes, self.cap,
    table.concat(why, "; ")), { fatal = true })
end

--- Between two pages: lets the deliveries go on, and waits while the outbox is full. Returns true, or nil, err when nobody can
-- make room.
function Outbox:give_way()
  self.blocked = self.bytes > self.cap
  self.changed:notify()
  task.pass()
  while self.bytes > self.cap and not self.failure and not self.deadline do
    if not can_make_room(self) then return nil, is_full(self) end
    self.blocked = true
    self.changed:notify()
    self.room:wait()
  end
  self.blocked = false
  return not self.failure, self.failure
end

--- Runs work() with the deliveries beside it; when it has ended they go on until each has nothing left or is given up.
-- Returns what work returned, or nil, err when the state cannot be written.
function Outbox:beside(work)
  local result, fault
  local left = #self.deliveries
  local function deliver(d)
    local ok, err = pcall(d.run, d)
    left = left - 1
    if not ok then fault = fault or { err } end
    self.ended:notify()
  end
  local function all()
    for _, d in ipairs(self.deliveries) do task.spawn(function() deliver(d) end) end
    result = table.pack(pcall(work))
    self.draining = true
    local err = result[3]
    if not result[1] or type(err) == "table" and err.kind == "store" then self:fail(result[1] and err or result[2]) end
    self.changed:notify()
    while left > 0 do
      local seconds = self.deadline and (self.deadline - core.sys.mono_ms()) / 1000
      if seconds and seconds <= 0 then break end
      self.ended:wait(seconds)
    end
    self.over = true
  end
  local outcome = task.parallel({ all })[1]
  if not outcome.ok then error(outcome[1], 0) end
  if fault then error(fault[1], 0) end
  if not result[1] then error(result[2], 0) end
  if result[2] and self.failure then return nil, self.failure end
  return table.unpack(result, 2, result.n)
end

--- What was counted since the last run is told, and counts no more.
function Outbox:forget_counts()
  for _, d in ipairs(self.deliveries) do d.delivered, d.dead, d.dead_reason = 0, 0, nil end
end

--- Was there anything to deliver in this run?
function Outbox:has_news()
  for _, d in ipairs(self.deliveries) do
    if d.delivered + d.dead + d.behind > 0 then return true end
  end
  return false
end

--- What came of each sink in this run: array of {sink, guarantee, delivered, dead, dead_reason = of the first, behind}, and of one that
-- took nothing more, or fails now, stopped = "given up", "stopped" or "failing", error = text.
function Outbox:summary()
  local out = {}
  for i, d in ipairs(self.deliveries) do
    local state = d.stopped or d.failing_since and "failing" or nil
    out[i] = { sink = d.name, guarantee = d.sink.guarantee, delivered = d.delivered, dead = d.dead, dead_reason = d.dead_reason,
      behind = d.behind, stopped = state, error = state and d.error }
  end
  return out
end

return outbox

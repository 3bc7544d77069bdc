-- model_spec.lua: random sequences of what an API, sinks, clocks and crashes may do, against a model of what must come of it.
-- SEED=n repeats one sequence; SEQUENCES=n runs so many.
local core = require "defendis.core"
local model = require "support.model"
local scratch = require "support.scratch"
local task = require "defendis.task"
local world = require "support.world"

local ONE = math.tointeger(tonumber(os.getenv "SEED"))
local SEQUENCES = math.tointeger(tonumber(os.getenv "SEQUENCES")) or scratch.slowness > 1 and 50
  or os.getenv "ASAN_OPTIONS" and 200 or 2000
local MOST <const> = 64
local BATCH <const> = 4
local HOUR <const> = 3600000

-- Two rules, one of them over the records of several days; support/model.lua knows what they find.
local RULES = [[return {
  rule{ id = "any", title = "Any", level = "low", dataset = "dataleaks.credentials", generate = true, match = function() return true end,
    tests = { { name = "a", record = {}, match = true } } },
  correlation{ id = "many", title = "Many", type = "event_count", rules = { "any" }, group_by = { "who" }, timespan = "2d",
    condition = { gte = 3 }, level = "high", tests = { { name = "a", events = {}, findings = 0 } } },
}]]

local SET = world.rules(RULES)

-- Where an action has its moment: a request to be answered, a batch handed to a sink, or the next of both or of a run's begin.
local PLACE = { page = "request", busy = "request", limited = "request", refused = "request", capped = "request", gone = "request",
  shallow = "request", ack = "sink", nack = "sink", poison = "sink", down = "sink", mute = "sink", broken = "sink", too_big = "sink",
  insert = "any", delete = "any", update = "any", move = "any", crash = "any", restart = "any", forward = "any", back = "any",
  resize = "any", widen = "any" }
local NAMES = {}
for name in pairs(PLACE) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

local act = {} -- what actions of the place "any" do: function(self, x)

-- A window of the model that may still change: late records are promised until lateness after its end, by the latest clock.
local function changeable(self, x)
  local v = self.model.windows[x % #self.model.windows + 1]
  self.latest = math.max(self.latest, self.w:wall())
  return self.latest < (v.day + 1) * world.DAY + self.w.plan.lateness_ms and v or nil
end

local function drop(list, id)
  for i, other in ipairs(list) do
    if other == id then table.remove(list, i) break end
  end
end

function act.insert(self, x)
  local v = changeable(self, x)
  if not v then return end
  self.made = self.made + 1
  table.insert(v.ids, x // 8 % (#v.ids + 1) + 1, ("%s-%d-%d"):format(v.input, v.day, self.made))
  v.inserted = true
end

function act.delete(self, x)
  local v = changeable(self, x)
  if not v or #v.ids == 0 then return end
  drop(v.always, table.remove(v.ids, x // 8 % #v.ids + 1))
  v.deleted = true
end

function act.update(self) self.version = self.version + 1 end

function act.move(self, x)
  local v = changeable(self, x)
  if not v or #v.ids == 0 then return end
  table.insert(v.ids, x // 64 % #v.ids + 1, table.remove(v.ids, x // 8 % #v.ids + 1))
  v.moved = v.moved + 1
end

function act.crash(self, x)
  self.w:crash(x % 6)
  self.model.excused = self.model.excused + BATCH
end

function act.restart(self) self.away = true end

-- Edits of the pipeline file, for the next run.
function act.resize(self, x) self.edits.page_size = x % 4 + 1 end
function act.widen(self, x) self.edits.step, self.model.wide = x % 2 + 1, true end

local function turn(self, ms)
  self.w.offset = self.w.offset + ms
  self.latest = math.max(self.latest, self.w:wall())
end
function act.forward(self, x) turn(self, (x % 50 + 1) * HOUR) end
function act.back(self, x) turn(self, -(x % 50 + 1) * HOUR) end

-- The next action that fits here, after those that fit anywhere and come before it; without a place only these.
local function take(self, place)
  local i = 1
  while self.actions[i] do
    local a = self.actions[i]
    if PLACE[a.name] == "any" then
      table.remove(self.actions, i)
      act[a.name](self, a.x)
      if self.w.dead then return nil end
    elseif PLACE[a.name] == place then
      return table.remove(self.actions, i)
    elseif not place then
      return nil
    else
      i = i + 1
    end
  end
end

local function records_of(self, query)
  local from, to, texts = core.api.days(query.fromDate), core.api.days(query.toDate), {}
  for _, v in ipairs(self.model.windows) do
    for _, id in ipairs(v.input == query.domain and v.day >= from and v.day < to and v.ids or {}) do
      texts[#texts + 1] = world.record(id, v.day, ('"who":"%d","version":%d'):format(tonumber(id:match "%d$") % 2, self.version))
    end
  end
  return texts
end

-- For some requests, what covers several days has more records than pages: only its halves can be read.
local function is_refused_depth(self, query)
  if (self.shallow or 0) == 0 or core.api.days(query.toDate) - core.api.days(query.fromDate) == 1 then return false end
  self.shallow = self.shallow - 1
  return true
end

local function answer(self, request)
  local a = take(self, "request")
  if self.w.dead then return world.error "network" end
  if self.away then return world.error "network" end
  local name = a and a.name
  if name == "busy" then return world.error("unavailable", { status = 500, retryable = true }) end
  if name == "limited" then
    return world.error("rate_limit", { status = 429, retryable = true, retry_at = self.w:wall() + a.x % 90 * 1000 })
  end
  if name == "refused" then return world.error("invalid", { status = 400 }) end
  if name == "gone" then return world.error("not_found", { status = 404 }) end
  if name == "capped" then self.cap = a.x % 3 + 1 end
  if name == "shallow" then self.shallow = a.x % 40 end
  local body = world.page(request, records_of(self, request.query), self.cap and math.min(self.cap, request.query.pageSize))
  return is_refused_depth(self, request.query) and body:gsub('"totalRecords":', "%09") or body
end

local SEND = {}
function SEND.nack(_, batch, x)
  local results = {}
  for i = 1, #batch do results[i] = (x >> i) % 2 == 0 or { again = "busy" } end
  return results
end
function SEND.poison(_, batch, x)
  local results = {}
  for i = 1, #batch do results[i] = i ~= x % #batch + 1 or { dead = "poison" } end
  return results
end
function SEND.down() return world.error("network", { retryable = true }) end
function SEND.broken() return world.error "config" end
function SEND.too_big() return world.error "too_big" end

local function sink(self, name)
  return { name = name, batch = { documents = BATCH, bytes = 1 << 20 }, send = function(_, batch)
    local a = take(self, "sink")
    if self.w.dead then return nil, { kind = "network", message = "gone" } end
    local result, err = true, nil
    if a and SEND[a.name] then result, err = SEND[a.name](self, batch, a.x) end
    for i, d in ipairs(batch) do
      if result == true or result and result[i] == true or a and a.name == "mute" then self.model:take(name, d) end
    end
    if a and a.name == "mute" then
      self.model.excused = self.model.excused + BATCH
      return world.error("network", { retryable = true })
    end
    -- what was taken and not yet answered when the process ends comes again
    task.sleep((a and a.x % 40 or 0) / 1000)
    take(self)
    return result, err
  end }
end

local function start(seed)
  math.randomseed(seed)
  local self = { made = 0, version = 1, edits = {} }
  local inputs, days = { "a", "b" }, 2
  local plan = { scope = { domain = inputs }, page_size = math.random(3), concurrency = math.random(3),
    outbox = math.random(3) == 1 and 2000 or 1 << 28 }
  plan.until_day = core.api.days "2026-01-01" + days
  self.w = world.new(plan, SET, function(request) return answer(self, request) end)
  self.w.offset = self.w.offset - world.DAY // 2
  self.latest = self.w:wall()
  self.model = model.new(self.w, { "one", "two" })
  for _, input in ipairs(inputs) do
    for day = plan.until_day - days, plan.until_day - 1 do
      local v = { input = input, day = day, ids = {}, always = {}, moved = 0 }
      for i = 1, math.random(0, 6) do v.ids[i] = ("%s-%d-o%d"):format(input, day, i) end
      table.move(v.ids, 1, #v.ids, 1, v.always)
      table.insert(self.model.windows, v)
    end
  end
  return self
end

local function draw()
  local actions = {}
  for i = 1, math.random(0, MOST) do actions[i] = { name = NAMES[math.random(#NAMES)], x = math.random(0, 1 << 20) } end
  return actions
end

local function look(self, what)
  local s <close> = self.w:open()
  what(self.model, s)
end

-- Runs the pipeline until nothing is left to happen, then in quiet until it is done.
local function play(self)
  while self.actions[1] do
    take(self)
    table.remove(self.actions, 1)
    self.away = nil
    for name, value in pairs(self.edits) do self.w.plan[name] = value end
    self.w:run{ sink(self, "one"), sink(self, "two") }
    look(self, self.model.audit)
  end
  self.away, self.cap, self.shallow = nil, nil, nil
  turn(self, math.max(0, self.latest - self.w:wall()) + 10 * world.DAY)
  for _ = 1, 3 do self.w:run{ sink(self, "one"), sink(self, "two") } end
  look(self, self.model.finish)
end

-- What is wrong with a sequence, or nil. actions: or nil: those of the seed.
local function problem(seed, actions)
  local self = start(seed)
  local drawn = draw()
  self.actions = table.move(actions or drawn, 1, #(actions or drawn), 1, {})
  local ok, err = xpcall(play, debug.traceback, self)
  self.w:close()
  return not ok and err or nil, drawn
end

local function without(actions, first, n)
  local out = table.move(actions, 1, first - 1, 1, {})
  return table.move(actions, first + n, #actions, #out + 1, out)
end

-- The sequence with as much left out as it fails without.
local function shrink(seed, actions)
  local n = #actions
  while n >= 1 do
    local i = 1
    while i <= #actions do
      local less = without(actions, i, n)
      if problem(seed, less) then actions = less else i = i + n end
    end
    n = n // 2
  end
  return actions
end

describe("ingestion", function()
  teardown(world.clean)

  it("keeps its promises in every sequence of changes, answers, failures, crashes and clocks", function()
    for seed = ONE or 1, ONE or SEQUENCES do
      local failed, actions = problem(seed)
      if failed then
        local words = {}
        for i, a in ipairs(shrink(seed, actions)) do words[i] = a.name .. " " .. a.x end
        error(("%s\nSEED=%d make test SPECS=spec/pipeline/model_spec.lua repeats it; it takes no more than: %s"):format(failed, seed,
          table.concat(words, ", ")), 0)
      end
    end
  end)
end)

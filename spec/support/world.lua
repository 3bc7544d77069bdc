-- world.lua: a whole pipeline in this process, in a world of the test's own: API, sinks and clocks are Lua, the state is a real file.
--
-- Time stands still but for waiting, which turns the clock. A crash leaves what was in the files at that moment, and nothing of what
-- the process does while it winds down. One world at a time.
local check = require "defendis.check"
local core = require "defendis.core"
local file = require "defendis.pipeline.file"
local jsonl = require "defendis.sinks.jsonl"
local pipeline = require "defendis.pipeline"
local rules = require "defendis.rules"
local scratch = require "support.scratch"
local store = require "defendis.store"

local world = {}
local methods = {}
methods.__index = methods

world.DATASET = "dataleaks.credentials"
world.DAY = 86400000
local FILES <const> = { "state.db", "state.db-wal", "out/.defendis", "out/dataleaks.credentials.jsonl", "out/findings.jsonl" }
local LEFT <const> = { "state.db-shm", "state.db.lock", "out", "" }
local REAL <const> = { client = {}, open = store.open, wall_ms = core.sys.wall_ms, mono_ms = core.sys.mono_ms }
for name, f in pairs(core.client) do REAL.client[name] = f end

local base
local last_id = 1 << 40

local function base_folder(dir)
  base = base or dir
  if not base then
    local pipe <close> = assert(io.popen("mktemp -d -p /dev/shm 2>/dev/null || mktemp -d"))
    base = assert(pipe:read "l")
  end
  return base
end

--- A set of rules from text.
function world.rules(text) return assert(rules.load(text and { { name = "rules.lua", text = text } } or {}, file.host())) end

local PLAN <const> = { scope = { domain = { "a" } }, datasets = { world.DATASET }, since = core.api.days "2026-01-01",
  until_day = core.api.days "2026-01-02", step = 1, settle_ms = 3600000, lateness_ms = 2 * world.DAY, page_size = 3, concurrency = 1,
  outbox = 1 << 28, give_up_ms = 60000 }

local function remove(folder)
  for _, list in ipairs{ FILES, LEFT } do
    for _, name in ipairs(list) do os.remove(folder .. "/" .. name) end
  end
end

-- A folder for the state, with what another one holds.
function methods:new_folder(from)
  self.folders = self.folders + 1
  local folder = ("%s/%d"):format(base, self.folders)
  assert(core.stream.mkdir(folder .. "/out"))
  for _, name in ipairs(from and FILES or {}) do
    local f = io.open(from .. "/" .. name, "rb")
    if f then
      local copy <close> = assert(core.stream.open(folder .. "/" .. name, 0)) -- of mode 0600, without which a state is refused
      assert(copy:write(f:read "a"))
      f:close()
    end
  end
  return folder
end

-- Completes what is due by then, in the order of time.
function methods:turn(to)
  while true do
    local first
    for _, p in ipairs(self.pending) do
      if p.due <= to and (not first or p.due < first.due) then first = p end
    end
    if not first then break end
    self.mono = math.max(self.mono, first.due)
    for i, p in ipairs(self.pending) do
      if p == first then table.remove(self.pending, i) break end
    end
    self.done[#self.done + 1] = table.pack(first.id, self:complete(first))
  end
  self.mono = math.max(self.mono, to)
end

function methods:complete(p)
  if not p.request then return {} end
  if self.dead then return nil, check.error("network", "the process is gone") end
  self.requests[#self.requests + 1] = p.request
  local body, err = self.api(p.request)
  if not body then return nil, err end
  local page = assert(core.json.page(body))
  return { page = page, status = 200, request_id = "r" .. p.id, attempts = 1, elapsed_ms = 0 }
end

function methods:put(request, due)
  last_id = last_id + 1 -- never one again, whatever a crash left behind in this process
  self.pending[#self.pending + 1] = { id = last_id, due = due, request = request }
  return last_id
end

function methods:find(id)
  for i, d in ipairs(self.done) do
    if not id or d[1] == id then return i end
  end
end

function methods:wait(id)
  while not self:find(id) do
    local due = math.maxinteger
    for _, p in ipairs(self.pending) do due = math.min(due, p.due) end
    assert(due < math.maxinteger, "nothing is under way that could be waited for")
    self:turn(due)
  end
  local d = table.remove(self.done, self:find(id))
  return table.unpack(d, 1, d.n)
end

function methods:cancel(id)
  for i, p in ipairs(self.pending) do
    if p.id == id then table.remove(self.pending, i) return end
  end
  local i = self:find(id)
  if i then table.remove(self.done, i) end
end

-- In the place of the port to the network, and of the clocks.
local function install(self)
  local c = core.client
  c.open = function()
    return { submit = function(_, request) return self:put(request, self.mono + self.latency) end, close = function() end }
  end
  c.timer = function(seconds) return self:put(nil, self.mono + math.ceil(seconds * 1000)) end
  c.wait = function(id) return self:wait(id) end
  c.poll = function() self:turn(self.mono) end
  c.cancel = function(id) self:cancel(id) end
  c.ready = function(id)
    self:turn(self.mono)
    return self:find(id) ~= nil
  end
  store.open = function(...)
    local s, err = REAL.open(...)
    if not s then return nil, err end
    local begin, commit = s.begin, s.commit
    s.begin = function(...)
      self:at_store()
      return begin(...)
    end
    s.commit = function(...)
      self:at_store()
      local ok, problem = commit(...)
      self:at_store()
      return ok, problem
    end
    return s
  end
  core.sys.mono_ms = function() return self.mono end
  core.sys.wall_ms = function() return self.mono + self.offset end
end

--- A world. plan: fields of a plan as file.load gives it, over defaults: input "a", one day, pages of 3; set: rules;
-- api = function(request) -> body, or nil, err: asked when the answer is due; dir: where its files are, else in memory.
function world.new(plan, set, api, dir)
  local self = setmetatable({ plan = setmetatable(plan, { __index = PLAN }), api = api, mono = 1000, latency = 10,
    pending = {}, done = {}, requests = {}, folders = 0 }, methods)
  self.offset = (self.plan.until_day + 1) * world.DAY - self.mono
  self.set = set or world.rules()
  base_folder(dir)
  self.folder = self:new_folder()
  install(self)
  return self
end

--- For after_each.
function methods:close()
  for name, f in pairs(REAL.client) do core.client[name] = f end
  core.sys.wall_ms, core.sys.mono_ms, store.open = REAL.wall_ms, REAL.mono_ms, REAL.open
  for i = 1, self.folders do remove(("%s/%d"):format(base, i)) end
end

--- For teardown.
function world.clean()
  if base then os.remove(base) end
  base = nil
end

function methods:wall() return self.mono + self.offset end

--- Runs the pipeline. sinks: those that have `send`, beside a file sink unless bare. Returns what pipeline.run returns, or "crashed".
function methods:run(sinks, bare)
  local plan = setmetatable({ store = self.folder .. "/state.db", set = self.set, sinks = {} }, { __index = self.plan })
  plan.sinks[1] = not bare and assert(jsonl.new({ path = "out" }, { folder = self.folder .. "/" })) or nil
  for _, sink in ipairs(sinks or {}) do
    local send = sink.send
    plan.sinks[#plan.sinks + 1] = setmetatable({ close = function() end, batch = sink.batch or { documents = 500, bytes = 1 << 20 },
      send = function(_, batch)
        if self.dead then return nil, check.error("network", "the process is gone") end
        return send(sink, batch)
      end }, { __index = sink })
  end
  self.dead, self.fuse, self.pending, self.done = nil, nil, {}, {}
  local summary, err = pipeline.run(plan, {})
  if not self.dead then return summary, err end
  remove(self.folder)
  self.folder = self.dead
  return "crashed"
end

--- The process ends here and now, or at the n-th moment from now at which a transaction begins, is to be committed, or was committed.
function methods:crash(n)
  self.fuse = n
  if self.dead or n and n > 0 then return end
  self.dead = self:new_folder(self.folder)
end

function methods:at_store()
  if self.fuse then self:crash(self.fuse - 1) end
end

--- The state, between two runs; close it.
function methods:open() return assert(REAL.open(self.folder .. "/state.db", { exclusive = true })) end

--- The committed lines of an output file, by the state `s`.
function methods:lines(s, kind)
  local state, lines = s:sink_state "jsonl:out", {}
  local size = state and tonumber(state:match(('"%s":(%%d+)'):format(kind:gsub("%.", "%%."))))
  if not size then return lines end
  for line in scratch.read(("%s/out/%s.jsonl"):format(self.folder, kind)):sub(1, size):gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local LIST <const> = '{"data":[%s],"paging":{"currentPage":%d,"pageSize":%d,"totalRecords":%d,"totalPages":%d,"hasMore":%s,"nextPage":%s}}'

--- An honest page of a list of records' texts. size: of a page, or nil: as asked.
function world.page(request, texts, size)
  local n = tonumber(request.query.page)
  size = size or tonumber(request.query.pageSize)
  local pages = (#texts + size - 1) // size
  local more = n < pages
  return LIST:format(table.concat(table.move(texts, (n - 1) * size + 1, math.min(#texts, n * size), 1, {}), ","), n, size, #texts, pages,
    more, more and n + 1 or "null")
end

--- A record's text. day: since 1970; more: fields as JSON, or nil.
function world.record(id, day, more)
  return ('{"id":"%s","leakedAt":"%sT12:00:00Z"%s}'):format(id, core.api.date(day), more and "," .. more or "")
end

--- An error as the client returns it. more: its fields.
function world.error(kind, more) return nil, check.error(kind, "scripted " .. kind, more) end

return world

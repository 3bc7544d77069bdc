-- replay.lua: rules over recorded records, by the code of ingest, with a state of their own in memory: no network, no sink.
--
-- Every record is taken in first, then every correlation is decided up to one day: what comes out does not depend on any clock.
local core = require "defendis.core"
local catalog = require "defendis.catalog"
local check = require "defendis.check"
local commit = require "defendis.pipeline.commit"
local fields = require "defendis.normalize.fields"
local split = require "defendis.pipeline.split"
local store = require "defendis.store"
local time = require "defendis.time"

local json = core.json
local DAY_MS <const> = 86400000
local LAST_DAY <const> = 2932896 -- 9999-12-31
local RECORDS <const>, BYTES <const> = 200, 1 << 20 -- of a page

local replay = {}

local function config(...) return nil, check.error("config", string.format(...)) end

-- The dataset that a file's name begins with, as the jsonl sink names its files: NAME.jsonl, NAME.000001.jsonl, NAME-2026-01-31.jsonl.
local function dataset_of(name)
  local stem = name:match("([^/]+)%.jsonl$") or ""
  for _, form in ipairs{ "", "%.%d+", "%-%d%d%d%d%-%d%d%-%d%d" } do
    local found = stem:match("^(.-)" .. form .. "$")
    if found and catalog.dataset(found) then return found end
  end
end

--- The files to read: each path a file, or a folder whose *.jsonl are taken. dataset: of all their records, or nil: then a line says it
-- itself, or the file's name in a folder does. Returns an array of {path, dataset}, or nil, err.
function replay.files(paths, dataset)
  local out = {}
  if dataset then
    local entry, err = catalog.dataset(dataset)
    if not entry then return nil, err end
  end
  for _, path in ipairs(paths) do
    local names = core.stream.list(path, ".jsonl")
    if not names then
      out[#out + 1] = { path = path, dataset = dataset }
    elseif #names == 0 then
      return config("there is no file of records (*.jsonl) in %s", path)
    end
    for _, name in ipairs(names or {}) do
      if name ~= "findings.jsonl" then out[#out + 1] = { path = path:gsub("/*$", "/") .. name, dataset = dataset or dataset_of(name) } end
    end
  end
  return out
end

local Replay = {}
Replay.__index = Replay

-- Where records of a dataset and input are collected until they make a page.
local function group_of(self, dataset, input)
  local key = dataset .. "\0" .. input
  local group = self.groups[key]
  if group then return group end
  local entry, err = catalog.dataset(dataset)
  if not entry then return nil, err end
  local normalizer = self.set:normalizer(dataset)
  local place = { id = normalizer.id_field or entry.id_field, time = normalizer.time or entry.time }
  local stream = { dataset = dataset, value = input, fields = place }
  local row = split.rows(self.store, stream, self.since, self.since + 1)[1]
  row.state, row.pass_pages, row.pass_received, row.pass_unique = "open", 0, 0, 0
  group = { n = 0, bytes = 0, lines = {}, time = place.time and fields.path(place.time),
    walk = { row = row, stream = stream, origin = self.since, exact = true } }
  self.groups[key] = group
  self.order[#self.order + 1] = group
  return group
end

local function flush(self, group)
  if group.n == 0 then return true end
  local page <close>, err = json.page('{"data":[' .. table.concat(group.lines, ",", 1, group.n) .. "]}")
  if not page then return nil, err end
  group.n, group.bytes = 0, 0
  return self.commit:page(group.walk, { page = page }, function() end)
end

-- Is the record's time within the days that were asked for? Notes how late records get.
local function is_wanted(self, group, record)
  local raw = group.time and fields.get(record, group.time, json.null)
  local ms = raw ~= nil and (core.api.time(raw) or time.of(raw)) or nil
  if not ms then return true end
  if self.from and ms < self.from * DAY_MS or self.to and ms >= self.to * DAY_MS then return false end
  self.last = math.max(self.last or ms, ms)
  return true
end

-- Takes in one line of a file. Returns true, or nil, err.
local function take(self, file, line)
  local record, err = json.decode(line)
  if record == nil then return nil, err end
  if type(record) ~= "table" or json.is_array(record) then return config "a record is a JSON object" end
  local dataset, input = file.dataset, file.path
  if not dataset then
    if type(record.dataset) ~= "string" or type(record.record) ~= "table" then
      return config 'which dataset? name it by --dataset, or write {"dataset":..., "record":...}'
    end
    dataset, input, record = record.dataset, type(record.input) == "string" and record.input or input, record.record
    line = assert(json.encode(record))
  end
  local group
  group, err = group_of(self, dataset, input)
  if not group then return nil, err end
  if not is_wanted(self, group, record) then
    self.outside = self.outside + 1
    return true
  end
  group.n, group.bytes = group.n + 1, group.bytes + #line
  group.lines[group.n] = line
  return group.n < RECORDS and group.bytes < BYTES or flush(self, group)
end

local function read(self, file)
  local f, problem = (file.open or io.open)(file.path, "rb")
  if not f then return config("cannot read %s", problem) end
  local n, ok, err = 0, true, nil
  local read_all, fault = pcall(function()
    for line in f:lines() do
      n = n + 1
      if ok and line:find("%S") then ok, err = take(self, file, line) end
      if not ok then break end
    end
  end)
  f:close()
  if not read_all then return config("cannot read %s", tostring(fault)) end
  if not ok then return nil, check.error(err.kind == "store" and "store" or "config", ("%s:%d: %s"):format(file.path, n, err.message)) end
  return true
end

-- Inner correlations stand before outer ones.
local function decide(self)
  local last = self.last and self.last // DAY_MS + 1 or self.since + 1
  self.upto = math.min(self.to or math.max(self.until_day or 0, last), LAST_DAY)
  for _, c in ipairs(self.set:correlations()) do
    local ok, err = self.commit:correlate(c, self.upto * DAY_MS)
    if not ok then return nil, err end
  end
  return true
end

--- Runs rules over recorded records. set: rules; files: from replay.files; o: {since = day where correlations begin, until_day = or 0,
-- from, to = days, or nil: only records of these, then correlations begin with `from`}. Returns {received, unique, duplicate, dead,
-- outside, late, faults, counters, since, upto = days, findings = function() -> for f in ..., close}, or nil, err.
function replay.run(set, files, o)
  local state, err = store.open(":memory:")
  if not state then return nil, err end
  local since = o.from or o.since
  local self = setmetatable({ set = set, store = state, since = since, from = o.from, to = o.to, until_day = o.until_day, groups = {},
    order = {}, outside = 0, commit = commit.new(state, {}, set, since * DAY_MS) }, Replay)
  local ok
  ok, err = self.commit:open{}
  for _, file in ipairs(files) do
    if ok then ok, err = read(self, file) end
  end
  for _, group in ipairs(self.order) do
    if ok then ok, err = flush(self, group) end
  end
  if ok then ok, err = decide(self) end
  if not ok then
    self:close()
    return nil, err
  end
  local totals = self.commit.totals
  self.late, self.dead, self.faults, self.counters = totals.late, totals.dead, totals.faults, set.counters
  self.received, self.unique, self.duplicate = 0, 0, 0
  for _, group in ipairs(self.order) do
    for _, name in ipairs{ "received", "unique", "duplicate" } do self[name] = self[name] + group.walk.row[name] end
  end
  return self
end

--- for f in ...: {id, rule, time_ms, level, doc = JSON} by time and id.
function Replay:findings() return self.store:findings() end

--- Why the first record that could not be used was refused, or nil.
function Replay:first_dead()
  local reason
  for letter in self.store:dead_letters{ bare = true } do reason = reason or letter.reason end
  return reason
end

function Replay:close() self.commit:close() end
Replay.__close = Replay.close

-- Names of the fields in which two findings differ.
local function differing(before, after)
  local names, seen = {}, {}
  for _, doc in ipairs{ before, after } do
    for name in pairs(doc) do
      local a, b = before[name], after[name]
      if not seen[name] and (a == nil or b == nil or json.encode(a, { sort_keys = true }) ~= json.encode(b, { sort_keys = true })) then
        names[#names + 1] = name
      end
      seen[name] = true
    end
  end
  table.sort(names)
  return json.array(names)
end

local function by_time(a, b)
  a, b = a.after or a, b.after or b
  if (a.time or 0) ~= (b.time or 0) then return (a.time or 0) < (b.time or 0) end
  return a.id < b.id
end

--- What became of findings. before, after: iterators as store:findings() gives. Returns {added = documents, removed = documents,
-- changed = array of {before, after, fields = names of those that differ}}, each by time.
function replay.changes(before, after)
  local old, out = {}, { added = json.array{}, removed = json.array{}, changed = json.array{} }
  for f in before do old[f.id] = f.doc end
  for f in after do
    local was = old[f.id]
    old[f.id] = nil
    if not was then
      table.insert(out.added, json.decode(f.doc))
    elseif was ~= f.doc then
      local a, b = json.decode(was), json.decode(f.doc)
      table.insert(out.changed, { before = a, after = b, fields = differing(a, b) })
    end
  end
  for _, doc in pairs(old) do table.insert(out.removed, json.decode(doc)) end
  table.sort(out.removed, by_time)
  return out
end

--- What a finding is about: the values of its group, sorted by name, or the record's id.
function replay.about(doc)
  local out = {}
  for i, name in ipairs(check.sorted_keys(doc.group or {})) do
    local v = doc.group[name]
    local list = type(v) == "table" and v or { v }
    local texts = {}
    for k, part in ipairs(list) do texts[k] = tostring(part) end
    out[i] = table.concat(texts, " ")
  end
  return out[1] and table.concat(out, " ") or doc.evidence and doc.evidence[1] and doc.evidence[1].id or ""
end

return replay

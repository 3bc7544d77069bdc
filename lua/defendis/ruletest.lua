-- ruletest.lua: runs the tests that rule files carry.
--
--   local report = ruletest.run(set, { filter = "text" })
--     -> { passed, failed, tests = { { file, line, rule, name, ok, message } } }
--   local xml = ruletest.junit(report)
--   local lost = ruletest.loss(set)
--
-- normalizer   input -> expect: every field of `expect` is in the document with that value, lists are compared whole;
--              null stands for null or not there
-- rule         record -> match (and level, title, context of its finding; of context the fields that are named)
-- filter       record -> match: whether it is taken away
-- correlation  events, in any order: each goes through the rules that the correlation names, with id and time read by
--              its dataset's normalizer (a record without an id gets its place as one). Over several datasets an
--              event says which: { dataset = "...", record = {...} }. `findings` is how many come out when all time has
--              passed, or by `until = "2026-01-31T12:00:00Z"`; `since` is where the pipeline begins; level, title, context: of the first.
-- A rule or correlation without a positive and a negative test, or a normalizer without a test, fails as well; of Sigma files only
-- those that have tests.
local check = require "defendis.check"
local fault = require "defendis.rules.fault"
local declared = require "defendis.normalize.map"
local dynamic = require "defendis.rules.dynamic"
local filters = require "defendis.rules.filters"
local junit = require "defendis.junit"
local memory = require "defendis.rules.memory"
local times = require "defendis.time"

local ruletest = { junit = junit }

local function show(v, null)
  if v == null then return v == nil and "nil" or "null" end
  if type(v) == "string" then return ("%q"):format(v) end
  if type(v) == "table" then return next(v) == nil and "{}" or #v > 0 and "a list" or "a table" end
  return tostring(v)
end

-- Lines "path: expected X, got Y" for what of `expect` is not in `got`.
local function difference(expect, got, path, null, out)
  if expect == null and got == nil then return out end
  if type(expect) == "table" and type(got) == "table" then
    for _, k in ipairs(check.sorted_keys(expect)) do
      local step = math.type(k) == "integer" and ("[%d]"):format(k) or (path == "" and "" or ".") .. tostring(k)
      difference(expect[k], got[k], path .. step, null, out)
    end
    -- a list is compared whole, so that `{}` or a shorter list means something
    if #expect ~= #got and (#expect > 0 or next(got) ~= nil and #got > 0) then
      out[#out + 1] = ("%s: expected a list of %d, got %d"):format(path, #expect, #got)
    end
  elseif expect ~= got and not (type(got) == "userdata" and got ~= null and expect == tostring(got)) then
    out[#out + 1] = ("%s: expected %s, got %s"):format(path, show(expect, null), show(got, null))
  end
  return out
end

-- Each runs one test of a definition: (set, def, test) -> nothing when it holds, else what does not.
local kinds = {}

local function example(set, dataset, record)
  local as_host = set.host.example
  return as_host and as_host(dataset, record) or record
end

-- The document has what `expect` says.
function kinds.normalizer(set, def, test)
  local map = def.compiled.map
  local ok, doc = set.call(map, def.compiled.program and test.input or example(set, def.compiled.dataset, test.input))
  if not ok then return fault.text(doc, def.compiled.where or fault.where(map)) end
  if type(doc) ~= "table" then return ("map returned %s, a table expected"):format(type(doc)) end
  local lines = difference(test.expect, doc, "", set.host.null, {})
  if #lines > 0 then return table.concat(lines, "\n") end
end

-- What of a finding { level, title, context } is not as a test expects it, or nil.
local function unlike(set, test, got)
  if test.level and test.level ~= got.level then return ("level: expected %s, got %s"):format(test.level, tostring(got.level)) end
  local want, have = { title = test.title, context = test.context }, { title = got.title, context = got.context }
  local lines = difference(want, have, "", set.host.null, {})
  if #lines > 0 then return table.concat(lines, "\n") end
end

-- The record is taken away, or not.
function kinds.filter(set, def, test)
  local compiled = def.compiled
  local ok, hit = set.call(compiled.takes, example(set, compiled.dataset or next(def.datasets), test.record))
  if not ok then return fault.text(hit, compiled.where) end
  if (hit and true or false) ~= test.match then
    return ("match: expected %s, got %s"):format(tostring(test.match), tostring(hit and true or false))
  end
end

-- The record matches, or not, with the level, title and context that are expected.
function kinds.rule(set, def, test)
  local rule = def.compiled
  local record = example(set, rule.dataset, test.record)
  local ok, hit = set.call(rule.match, record)
  if not ok then return fault.text(hit, rule.where) end
  hit = hit and not filters.take(set, rule, record, {}) or false
  if hit ~= test.match then return ("match: expected %s, got %s"):format(tostring(test.match), tostring(hit)) end
  if not (test.level or test.title or test.context) then return end
  local faults = {}
  local level, title, context = dynamic.choose(set, rule, record, faults)
  if faults[1] then return faults[1].message end
  return unlike(set, test, { level = level, title = title or rule.title, context = context })
end

-- Everything that a correlation stands on: ids of rules and correlations, datasets.
local function reach(c, into)
  for _, base in ipairs(c.bases or {}) do reach(base, into) end
  into.ids[c.id] = true
  if c.dataset and not into.datasets[c.dataset] then
    into.datasets[c.dataset] = true
    into.count, into.dataset = into.count + 1, c.dataset
  end
  return into
end

-- The dataset and the record of one entry of `events`.
local function entry_of(reached, entry)
  if type(entry.dataset) == "string" and type(entry.record) == "table" then return entry.dataset, entry.record end
  return reached.count == 1 and reached.dataset or nil, entry
end

-- What the events of a test become for the correlations that `reached` says; or nil, message.
local function events_of(set, reached, test)
  local out = {}
  for i, entry in ipairs(test.events) do
    local dataset, record = entry_of(reached, entry)
    if not dataset then
      return nil, ("events[%d]: which dataset? write { dataset = ..., record = {...} }"):format(i)
    end
    local id, time, _, what = set:normalizer(dataset).meta(record)
    record = example(set, dataset, record)
    if not time then
      what = what or ('no normalizer says which field of "%s" is the time'):format(dataset)
      return nil, ("events[%d]: %s"):format(i, what)
    end
    local result = set:apply(dataset, record, { id = id or ("#%d"):format(i), time = time })
    for _, f in ipairs(result.faults) do
      if reached.ids[f.rule] then return nil, ("events[%d]: %s"):format(i, f.message) end
    end
    for _, event in ipairs(set:events()) do
      if reached.ids[event.rule] then out[#out + 1] = event end
    end
  end
  return out
end

-- A time that a test gives, in ms, or the default; or nil, message.
local function time_of(set, test, key, default)
  if not test[key] then return default end
  local ms = (set.host.parse_time or times.parse)(test[key])
  if not ms then return nil, ('%s: "%s" is not a time such as 2026-01-31T12:00:00Z'):format(key, test[key]) end
  return ms
end

-- As many findings come out of the events as are expected.
function kinds.correlation(set, def, test)
  local origin, to, problem
  to, problem = time_of(set, test, "until", math.maxinteger)
  if not to then return problem end
  origin, problem = time_of(set, test, "since")
  if problem then return problem end
  local events
  events, problem = events_of(set, reach(def.compiled, { ids = {}, datasets = {}, count = 0 }), test)
  if not events then return problem end
  local found, faults = memory.run(set, events, { from = origin, cuts = { to }, origin = origin })
  for _, f in ipairs(faults) do
    if f.rule == def.id then return f.message end
  end
  local count = #found[def.id]
  if count ~= test.findings then return ("findings: expected %d, got %d"):format(test.findings, count) end
  return unlike(set, test, found[def.id][1] or {})
end

--- What kinds of test a definition lacks, or nil.
function ruletest.gap(def)
  if def.sigma and not def.options.tests then return end
  local positive, negative = false, false
  for _, test in ipairs(def.options.tests or {}) do
    local yes = def.kind == "normalizer" or test.match == true or (test.findings or 0) > 0
    positive, negative = positive or yes, negative or not yes
  end
  if def.kind == "normalizer" then return not positive and "the normalizer has no test" or nil end
  local lacks = {}
  if not positive then lacks[1] = "positive" end
  if not negative then lacks[#lacks + 1] = "negative" end
  if #lacks > 0 then return ("the %s has no %s test"):format(def.kind, table.concat(lacks, " and no ")) end
end

local function selected(filter, ...)
  if not filter then return true end
  for i = 1, select("#", ...) do
    local text = select(i, ...)
    if text ~= nil and tostring(text):find(filter, 1, true) then return true end
  end
  return false
end

--- Runs the tests of a set.
-- @param options { filter = text that file, rule id, title or test name contains }, or nil
function ruletest.run(set, options)
  local filter = options and options.filter
  local report = { passed = 0, failed = 0, tests = {} }
  local function record(def, name, message)
    report.tests[#report.tests + 1] = { file = def.file, line = def.line, rule = def.id, name = name,
      ok = message == nil, message = message }
    local outcome = message and "failed" or "passed"
    report[outcome] = report[outcome] + 1
  end
  local defs = table.move(set.definitions, 1, #set.definitions, 1, {})
  for _, def in ipairs(set.filters) do defs[#defs + 1] = not def.sigma and def or nil end
  for _, def in ipairs(defs) do
    local whole = selected(filter, def.file, def.id, def.options.title, def.options.name)
    for _, test in ipairs(def.options.tests or {}) do
      if whole or selected(filter, test.name) then record(def, test.name, kinds[def.kind](set, def, test)) end
    end
    local missing = whole and ruletest.gap(def)
    if missing then record(def, "has tests", ("%s:%d: %s"):format(def.file, def.line, missing)) end
  end
  return report
end

local function add_paths(value, path, out)
  if type(value) ~= "table" or #value > 0 or next(value) == nil then
    out[path] = true
    return
  end
  for name, inner in pairs(value) do add_paths(inner, path == "" and name or path .. "." .. name, out) end
end

-- The records of tests of rules and correlations, by dataset.
local function records_of(set)
  local out = {}
  local function add(dataset, record)
    out[dataset] = out[dataset] or {}
    table.insert(out[dataset], record)
  end
  for _, def in ipairs(set.definitions) do
    local reached = def.kind == "correlation" and reach(def.compiled, { ids = {}, datasets = {}, count = 0 })
    for _, test in ipairs(def.options.tests or {}) do
      if def.kind == "rule" then add(def.options.dataset, test.record) end
      for _, entry in ipairs(reached and test.events or {}) do
        local dataset, record = entry_of(reached, entry)
        if dataset then add(dataset, record) end
      end
    end
  end
  return out
end

-- What a shipped normalizer leaves in `unmapped`.
local function shipped_loss(set, dataset, records)
  local n, seen = set:normalizer(dataset), {}
  if not n.is_shipped then return nil end
  for _, record in ipairs(records) do
    local ok, doc = set.call(n.map, example(set, dataset, record))
    for name, value in pairs(ok and doc.unmapped or {}) do add_paths(value, name, seen) end
  end
  return { dataset = dataset, rule = n.id, shipped = true }, seen
end

--- What maps leave out: array of {dataset, rule, fields = sorted paths, shipped = true or nil}: of a declarative map those in its tests'
-- inputs that no expression reads, of a shipped normalizer those of the records in tests of rules that have no place in its documents.
function ruletest.loss(set)
  local out = {}
  local function add(entry, seen)
    if not entry then return end
    entry.fields = set.host.array{}
    for path in pairs(seen) do entry.fields[#entry.fields + 1] = path end
    table.sort(entry.fields)
    out[#out + 1] = entry
  end
  for _, def in ipairs(set.definitions) do
    if def.kind == "normalizer" and def.compiled.read then
      local seen = {}
      for _, test in ipairs(def.options.tests or {}) do
        for path in pairs(declared.lost(def.compiled.read, test.input)) do seen[path] = true end
      end
      add({ dataset = def.compiled.dataset, rule = def.id }, seen)
    end
  end
  local by_dataset = records_of(set)
  for _, dataset in ipairs(set:datasets()) do
    if by_dataset[dataset] then add(shipped_loss(set, dataset, by_dataset[dataset])) end
  end
  return out
end

return ruletest

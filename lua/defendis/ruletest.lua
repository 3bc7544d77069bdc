-- ruletest.lua: runs the tests that rule files carry.
--
--   local report = ruletest.run(set, { filter = "text" })
--     -> { passed, failed, tests = { { file, line, rule, name, ok, message } } }
--   local xml = ruletest.junit(report)
--
-- normalizer   input -> expect: every field of `expect` is in the document with that value, lists are compared whole;
--              null stands for null or not there
-- rule         record -> match (and level)
-- correlation  events, in any order: each goes through the rules that the correlation names, with id and time read by
--              its dataset's normalizer (a record without an id gets its place as one). Over several datasets an
--              event says which: { dataset = "...", record = {...} }. `findings` is how many come out.
-- A rule or correlation without a positive and a negative test, or a normalizer without a test, fails as well; of Sigma files only
-- those that have tests.
local fault = require "defendis.rules.fault"

local ruletest = {}

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
    local keys = {}
    for k in pairs(expect) do keys[#keys + 1] = k end
    table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
    for _, k in ipairs(keys) do
      local step = math.type(k) == "integer" and ("[%d]"):format(k) or (path == "" and "" or ".") .. tostring(k)
      difference(expect[k], got[k], path .. step, null, out)
    end
    -- a list is compared whole, so that `{}` or a shorter list means something
    if #expect ~= #got and (#expect > 0 or next(got) ~= nil and #got > 0) then
      out[#out + 1] = ("%s: expected a list of %d, got %d"):format(path, #expect, #got)
    end
  elseif expect ~= got then
    out[#out + 1] = ("%s: expected %s, got %s"):format(path, show(expect, null), show(got, null))
  end
  return out
end

-- Each runs one test of a definition: (set, def, test) -> nothing when it holds, else what does not.
local kinds = {}
-- The document has what `expect` says.
function kinds.normalizer(set, def, test)
  local map = def.compiled.map
  local ok, doc = pcall(map, test.input)
  if not ok then return fault.text(doc, fault.where(map)) end
  if type(doc) ~= "table" then return ("map returned %s, a table expected"):format(type(doc)) end
  local lines = difference(test.expect, doc, "", set.host.null, {})
  if #lines > 0 then return table.concat(lines, "\n") end
end

-- The record matches, or not, with the level that is expected.
function kinds.rule(_, def, test)
  local rule = def.compiled
  local ok, hit = pcall(rule.match, test.record)
  if not ok then return fault.text(hit, rule.where) end
  if (hit and true or false) ~= test.match then
    return ("match: expected %s, got %s"):format(tostring(test.match), tostring(hit and true or false))
  end
  if not test.level then return end
  local level = rule.level
  if rule.level_for then
    ok, level = pcall(rule.level_for, test.record)
    if not ok then return fault.text(level, rule.level_where) end
    level = level or rule.level
  end
  if level ~= test.level then return ("level: expected %s, got %s"):format(test.level, tostring(level)) end
end

local function only_dataset(c)
  for _, base in ipairs(c.bases) do
    if base.dataset ~= c.bases[1].dataset then return nil end
  end
  return c.bases[1].dataset
end

-- The dataset and the record of one entry of `events`.
local function entry_of(c, entry)
  if type(entry.dataset) == "string" and type(entry.record) == "table" then return entry.dataset, entry.record end
  return only_dataset(c), entry
end

-- What the events of a test become for correlation `c`: by group, in order.
local function grouped(set, c, test)
  local groups, names = {}, {}
  for i, entry in ipairs(test.events) do
    local dataset, record = entry_of(c, entry)
    if not dataset then
      return nil, ("events[%d]: which dataset? write { dataset = ..., record = {...} }"):format(i)
    end
    local id, time, _, what = set:normalizer(dataset).meta(record)
    if not time then
      what = what or ('no normalizer says which field of "%s" is the time'):format(dataset)
      return nil, ("events[%d]: %s"):format(i, what)
    end
    local result = set:apply(dataset, record, { id = id or ("#%d"):format(i), time = time })
    for _, f in ipairs(result.faults) do
      if c.order[f.rule] then return nil, ("events[%d]: %s"):format(i, f.message) end
    end
    for _, event in ipairs(set:events()) do
      if event.rule == c.id then
        if not groups[event.group] then
          groups[event.group] = {}
          names[#names + 1] = event.group
        end
        table.insert(groups[event.group], event)
      end
    end
  end
  return groups, names
end

local function earlier(a, b)
  if a.time ~= b.time then return a.time < b.time end
  if a.id ~= b.id then return a.id < b.id end
  return a.member < b.member
end

-- As many findings come out of the events as are expected.
function kinds.correlation(set, def, test)
  local groups, names = grouped(set, def.compiled, test)
  if not groups then return names end
  local count = 0
  for _, group in ipairs(names) do
    table.sort(groups[group], earlier)
    count = count + #set:evaluate(def.id, group, groups[group], math.mininteger, nil)
  end
  if count ~= test.findings then return ("findings: expected %d, got %d"):format(test.findings, count) end
end

-- What kinds of test a definition lacks, or nil.
local function gap(def)
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
    if tostring((select(i, ...))):find(filter, 1, true) then return true end
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
  for _, def in ipairs(set.definitions) do
    local whole = selected(filter, def.file, def.id, def.options.title)
    for _, test in ipairs(def.options.tests or {}) do
      if whole or selected(filter, test.name) then record(def, test.name, kinds[def.kind](set, def, test)) end
    end
    local missing = whole and gap(def)
    if missing then record(def, "has tests", ("%s:%d: %s"):format(def.file, def.line, missing)) end
  end
  return report
end

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["\n"] = "&#10;" }

-- XML 1.0 has no way to write most control characters.
local function xml(text)
  return (tostring(text):gsub("[%z\1-\8\11-\31\127]", "?"):gsub('[&<>"\n]', ESCAPES))
end

--- A report as JUnit XML, one suite per file.
function ruletest.junit(report)
  local files, suites = {}, {}
  for _, t in ipairs(report.tests) do
    local suite = suites[t.file]
    if not suite then
      suite = { failures = 0 }
      suites[t.file], files[#files + 1] = suite, t.file
    end
    local open = ('    <testcase classname="%s" name="%s"'):format(xml(t.rule), xml(t.name))
    if t.ok then
      suite[#suite + 1] = open .. "/>"
    else
      suite.failures = suite.failures + 1
      suite[#suite + 1] = ('%s>\n      <failure message="%s"/>\n    </testcase>'):format(open, xml(t.message))
    end
  end
  local out = { '<?xml version="1.0" encoding="UTF-8"?>',
    ('<testsuites tests="%d" failures="%d">'):format(#report.tests, report.failed) }
  for _, file in ipairs(files) do
    local suite = suites[file]
    out[#out + 1] = ('  <testsuite name="%s" tests="%d" failures="%d">'):format(xml(file), #suite, suite.failures)
    table.move(suite, 1, #suite, #out + 1, out)
    out[#out + 1] = "  </testsuite>"
  end
  out[#out + 1] = "</testsuites>\n"
  return table.concat(out, "\n")
end

return ruletest

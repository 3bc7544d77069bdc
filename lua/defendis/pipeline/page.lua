-- page.lua: the work on one page, as a function: records in, documents, findings and events out. Touches no store, sink or client,
-- so that it can run in a process of its own.
local core = require "defendis.core"
local time = require "defendis.time"
local json = core.json
local fast_time, time_of = core.api.time, time.of

local page_work = {}

--- Empty results, to be reused from page to page, and label = function(document) or nil: documents (buffer of JSON
-- lines), found (findings), dead, failed (records that a normalizer or a rule failed on), faults (message -> {rule, count}),
-- readers (by dataset: what rules read of records).
function page_work.new()
  return { documents = json.buffer(), unlabelled = json.buffer(), findings = json.buffer(), found = {}, dead = {}, failed = {},
    faults = {}, readers = {}, normalized = 0 }
end

function page_work.clear(out)
  out.documents:reset()
  out.findings:reset()
  out.found, out.dead, out.failed, out.faults, out.normalized = {}, {}, {}, {}, 0
end

--- What identifies a record: reads id and event time without building tables.
-- source: bytes that stand for where it is from; fields: {id = path, time = path or nil}.
-- Returns the key of source and id, id (text), ms or nil; or nil, nil, nil, and why there is no id.
function page_work.identify(page, i, source, fields)
  local key, id, ms = page:identify(i, source, fields.id, fields.time)
  if key then return key, id, ms end
  id = page:field(i, fields.id)
  if id == nil then
    local record, err = page:record(i)
    if record == nil then return nil, nil, nil, err.message end
    return nil, nil, nil, ('no text or integer in the id field "%s"'):format(fields.id)
  end
  if type(id) ~= "string" then
    id = (math.type(id) == "integer" or type(id) == "userdata" and id ~= json.null) and tostring(id) or nil
    if not id then return nil, nil, nil, ('no text or integer in the id field "%s"'):format(fields.id) end
  elseif id == "" then
    return nil, nil, nil, ('the id field "%s" is empty'):format(fields.id)
  end
  local raw = fields.time and page:field(i, fields.time)
  return core.hash.key16(source, id), id, raw and (fast_time(raw) or time_of(raw)) or nil
end

--- Counts faults by what they say.
function page_work.take_faults(out, faults)
  for i = 1, #faults do
    local f = faults[i]
    local known = out.faults[f.message]
    out.faults[f.message] = { rule = f.rule, count = known and known.count + 1 or 1 }
  end
end

-- What the rules made of a record.
local function collect(out, result, index)
  for i = 1, #result.findings do out.found[#out.found + 1] = result.findings[i] end
  local first = result.faults[1]
  if not first then return end
  page_work.take_faults(out, result.faults)
  out.failed[#out.failed + 1] = { index = index, reason = first.message, rule = first.rule }
end

-- Moves the document in out.unlabelled, with its label, behind the others.
local function relabel(out)
  local doc = assert(json.decode(out.unlabelled:text()))
  out.unlabelled:reset()
  out.label(doc)
  assert(out.documents:encode(doc, nil, "\n"))
end

-- What rules read of the records of a dataset, learned as they are read.
local function reader_of(out, set, dataset)
  local reader = out.readers[dataset]
  if not reader then
    reader = json.reader(set.hidden and set.hidden[dataset])
    out.readers[dataset] = reader
  end
  return reader
end

--- Applies the rules to the records that are new.
-- fresh: array of {index, id, time}, reused by the caller; first, last: which of them. Results are added to `out`.
-- Returns their events in one list, as set:apply gives those of one record; it is good until the next call.
function page_work.run(set, dataset, page, fresh, first, last, out)
  local documents, meta, label, events = out.documents, {}, out.label, set:forget_events()
  local program, looked = set:program(dataset)
  local hidden, reader = set.hidden and set.hidden[dataset], reader_of(out, set, dataset)
  for k = first, last do
    local f = fresh[k]
    local result, ok, err
    meta.id, meta.time = f.id, f.time
    if program then
      if looked then result = set:look(dataset, page:read(f.index, reader), meta) end
      ok, err = program:run(page, f.index, label and out.unlabelled or documents, hidden, not label and "\n" or nil)
      if ok and label then relabel(out) end
      if not ok then err.rule = set:normalizer(dataset).id end
    else
      result = set:document(dataset, page:read(f.index, reader), meta)
      ok, err = result.doc ~= nil, result.fault
      if ok and label then label(result.doc) end
      if ok then ok, err = documents:encode(result.doc, nil, "\n") end
    end
    if ok then
      out.normalized = out.normalized + 1
    else
      out.dead[#out.dead + 1] = { index = f.index, reason = err.message, where = err.rule }
    end
    if result then collect(out, result, f.index) end
  end
  return events
end

--- As run for one record (a table), without its document. meta: {id, time}.
function page_work.look(set, dataset, record, meta, out)
  local events = set:forget_events()
  collect(out, set:look(dataset, record, meta), 1)
  return events
end

return page_work

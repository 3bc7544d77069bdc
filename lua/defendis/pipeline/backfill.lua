-- backfill.lua: a pipeline over days of the past, beside the live one: a state of its own, and a label on all that comes of it.
local core = require "defendis.core"
local check = require "defendis.check"
local time = require "defendis.time"
local json = core.json

local backfill = {}

--- The state of a backfill. store: path of the live one. Returns a path, or nil, err.
function backfill.store(store, name)
  if not name:find("^%w[%w._-]*$") or #name > 64 then
    return nil, check.error("config", ('--backfill "%s" is not a name of letters, digits, "-", "_" and "."'):format(name))
  end
  return store .. ".backfill-" .. name
end

--- Turns a plan into that of a backfill. b: {name, from, to = days, as_of = Unix ms or nil: as at its first run, alert = boolean}.
-- Returns the plan, or nil, err.
function backfill.apply(plan, b)
  local store, err = backfill.store(plan.store, b.name)
  if not store then return nil, err end
  plan.store, plan.since, plan.until_day, plan.backfill = store, b.from, b.to, b
  return plan
end

--- Settles the time that a backfill stands at: what its first run began with, so that the labels of all runs are the same.
-- store: its open state. Returns true, or nil, err.
function backfill.pin(b, store)
  local pinned = store:meta "as_of"
  if pinned and b.as_of and pinned ~= b.as_of then
    return nil, check.error("config", ("the backfill %s was begun with --as-of %s; leave it out, or choose another name"):format(b.name,
      time.format(pinned)))
  end
  b.as_of = pinned or b.as_of or core.tape.now() or core.sys.wall_ms()
  if pinned then return true end
  local ok, err = store:begin()
  if ok then ok, err = store:set_meta("as_of", b.as_of) end
  if ok then return store:commit() end
  store:rollback()
  return nil, err
end

local function copy(t) return table.move(t, 1, #t, 1, {}) end

-- A rule file may give the same table to many documents, so it is not changed.
local function with_labels(metadata, ...)
  local out, labels = {}, metadata.labels
  for k, v in pairs(metadata) do out[k] = v end
  labels = type(labels) == "table" and copy(labels) or {}
  for _, label in ipairs{ ... } do labels[#labels + 1] = label end
  out.labels = json.array(labels)
  return out
end

--- Labels a document: in metadata.labels when it is an OCSF event, else in a field `defendis` of its own.
function backfill.label(b, doc)
  if doc.class_uid ~= nil and type(doc.metadata) == "table" then
    doc.metadata = with_labels(doc.metadata, "backfill:" .. b.name, "as_of:" .. time.format(b.as_of))
  else
    doc.defendis = { backfill = b.name, as_of = time.format(b.as_of) }
  end
end

--- Labels a finding.
function backfill.label_finding(b, finding) finding.backfill, finding.as_of = b.name, time.format(b.as_of) end

--- The wants of a sink that alerts somebody: findings of the past are held back.
function backfill.quiet(wants)
  return function(kind) return kind ~= "findings" and (not wants or wants(kind)) end
end

return backfill

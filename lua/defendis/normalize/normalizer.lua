-- normalizer.lua: one dataset's way from record to document, and where its records keep id and event time.
--
--   normalizer.validate(options) -> nil | message, path
--   normalizer.compile(options, null, host) -> { id, dataset, map = function or nil, meta, program, read } | nil, message, path
--     program, read: of a declarative map, see map.lua; program:run(page, i, buffer) is map without tables; source: what it was made
--     of, when it needs a key
--     meta(record) -> id or nil, Unix ms or nil, what is wrong with the id, what is wrong with the time
--   normalizer.shipped(dataset, target, host) -> one that comes with the program (shipped.lua), or nil
--   normalizer.default(dataset, null) -> for datasets without one: passes records through, id in "id", no time
local check = require "defendis.check"
local expressions = require "defendis.normalize.expressions"
local fields = require "defendis.normalize.fields"
local map = require "defendis.normalize.map"
local shipped = require "defendis.normalize.shipped"
local time = require "defendis.time"

local normalizer = {}

local function map_or_function(v)
  if type(v) == "function" or type(v) == "table" and not expressions.is(v) then return end
  return "a function(record) or a table of fields expected"
end

--- The fields.
normalizer.SPEC = {
  id = check.required(check.text, "tells it apart"),
  dataset = check.required(check.text, "the dataset whose records it takes; one normalizer for each"),
  description = check.field(check.string, "for people"),
  version = check.field(check.any, "for people"),
  time = check.field(check.text, "the field of the record with the event time; without it nothing is correlated"),
  id_field = check.field(check.text, "the field of the record that tells it apart", "id"),
  map = check.required(check.typed("function or table", map_or_function),
    "function(record) that returns the document, or a table from path to expression"),
  target = check.field(check.text, 'a table is checked against this target, such as "ocsf:2004"'),
  unmapped = check.field(check.boolean, "true: keep in `unmapped` what no expression writes (for ocsf targets it is)"),
  tests = check.field(check.list(check.shape{
    name = check.required(check.text, "what the test shows"),
    input = check.required(check.table, "a record"),
    expect = check.required(check.table, "what its document has; fields that are not named may be anything, null is not there"),
  }), "its tests; one is needed"),
}

function normalizer.validate(options)
  local message, path = check.options(options, normalizer.SPEC)
  if message or type(options.map) == "table" then return message, path end
  for _, key in ipairs{ "target", "unmapped" } do
    if options[key] ~= nil then return "this is for declarative maps, and map is a function", { key } end
  end
end

local function id_text(v)
  if type(v) == "string" and v ~= "" then return v end
  local n = math.type(v) and math.tointeger(v)
  return n and tostring(n)
end

local function meta_reader(id_field, time_field, null)
  local id_path, time_path = fields.path(id_field), time_field and fields.path(time_field)
  return function(record)
    local id = id_text(fields.get(record, id_path, null))
    local id_fault = not id and ('no id in the field "%s"'):format(id_field) or nil
    if not time_path then return id, nil, id_fault end
    local raw = fields.get(record, time_path, null)
    if raw == nil then return id, nil, id_fault, ('no time in the field "%s"'):format(time_field) end
    local ms, what = time.of(raw)
    return id, ms, id_fault, not ms and ('no time in the field "%s": %s'):format(time_field, what) or nil
  end
end

function normalizer.compile(options, null, host)
  local id_field = check.given(options, normalizer.SPEC, "id_field")
  local out = { id = options.id, dataset = options.dataset, time = options.time, id_field = id_field,
    map = options.map, meta = meta_reader(id_field, options.time, null) }
  if type(options.map) == "function" then return out end
  if not (host and host.map) then return nil, "declarative maps run in the program only: use defendis test", { "map" } end
  local made, message, path = map.compile(options, host)
  if not made then return nil, message, path end
  if made.program.keyed then out.source = made.program end
  out.program, out.map = host.map(made.program)
  out.read = made.read
  return out
end

function normalizer.shipped(dataset, target, host)
  local options = shipped.get(dataset, target, host)
  local made = options and normalizer.compile(options, host.null)
  if made then made.is_shipped = true end
  return made
end

function normalizer.default(dataset, null)
  return { id = "default", dataset = dataset, id_field = "id", meta = meta_reader("id", nil, null) }
end

return normalizer

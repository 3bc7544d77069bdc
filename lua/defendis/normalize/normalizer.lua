-- normalizer.lua: one dataset's way from record to document, and where its records keep id and event time.
--
--   normalizer.validate(options) -> nil | message, path
--   normalizer.compile(options, null) -> { id, dataset, map = function or nil, meta }
--     meta(record) -> id or nil, Unix ms or nil, what is wrong with the id, what is wrong with the time
--   normalizer.shipped(dataset, target, host) -> one that comes with the program (shipped.lua), or nil
--   normalizer.default(dataset, null) -> for datasets without one: passes records through, id in "id", no time
local check = require "defendis.check"
local fields = require "defendis.normalize.fields"
local shipped = require "defendis.normalize.shipped"
local time = require "defendis.time"

local normalizer = {}

local SPEC = {
  id = check.required(check.text),
  dataset = check.required(check.text),
  description = check.string,
  version = check.any,
  time = check.text,
  id_field = check.text,
  map = check.required(check.func),
  target = check.any,
  tests = check.list(check.shape{
    name = check.required(check.text), input = check.required(check.table), expect = check.required(check.table),
  }),
}

function normalizer.validate(options)
  for _, key in ipairs{ "target", "map" } do
    if options[key] ~= nil and (key == "target" or type(options[key]) == "table") then
      return "declarative maps are not available in this version, write map = function(r) ... end", { key }
    end
  end
  return check.options(options, SPEC)
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

function normalizer.compile(options, null)
  return { id = options.id, dataset = options.dataset, time = options.time, id_field = options.id_field or "id",
    map = options.map, meta = meta_reader(options.id_field or "id", options.time, null) }
end

function normalizer.shipped(dataset, target, host)
  local options = shipped.get(dataset, target, host)
  return options and normalizer.compile(options, host.null)
end

function normalizer.default(dataset, null)
  return { id = "default", dataset = dataset, id_field = "id", meta = meta_reader("id", nil, null) }
end

return normalizer

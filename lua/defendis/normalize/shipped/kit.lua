-- kit.lua: how shipped normalizers read a record: what is not of the type expected is not there.
local clean = require "defendis.normalize.clean"
local fields = require "defendis.normalize.fields"
local ocsf = require("defendis.normalize.ocsf").new()
local time = require "defendis.time"

local kit = {}

local LEVELS = { info = "informational", informational = "informational", low = "low", moderate = "medium", medium = "medium",
  high = "high",
  severe = "critical", critical = "critical" }
local NAMES = { [0] = "Unknown", "Informational", "Low", "Medium", "High", "Critical" }
local CLASSES = {
  [2004] = { "Detection Finding", 2, "Findings", 1, "Create" }, [2006] = { "Data Security Finding", 2, "Findings", 1, "Create" },
  [5021] = { "OSINT Inventory Info", 5, "Discovery", 2, "Collect" },
}

local Kit = {}
Kit.__index = Kit

-- What is of a type that was not expected stays in `unmapped`.
local function use(self, path, value)
  if value ~= nil then self.used[path:match "^[^.]+"] = true end
  return value
end

--- The value at a dotted path, or nil when it is missing or null.
function Kit:get(record, path)
  self.paths[path] = self.paths[path] or fields.path(path)
  return fields.get(record, self.paths[path], self.host.null)
end

--- A text, or a whole number as text, without card numbers.
function Kit:text(record, path)
  local v = self:get(record, path)
  if math.type(v) == "integer" then v = tostring(v) end
  return use(self, path, type(v) == "string" and v:find "%S" and clean.text(v) or nil)
end

--- A URL without password and tokens.
function Kit:url(record, path)
  local v = self:get(record, path)
  return use(self, path, type(v) == "string" and v:find "%S" and clean.url(v) or nil)
end

function Kit:integer(record, path)
  local v = self:get(record, path)
  return use(self, path, math.type(v) and math.tointeger(v) or nil)
end

--- A list of nothing but texts, or nil.
function Kit:texts(record, path)
  local v, out = self:get(record, path), {}
  for _, element in ipairs(type(v) == "table" and v or {}) do
    if type(element) ~= "string" then return nil end
    out[#out + 1] = clean.text(element)
  end
  return use(self, path, out[1] and out or nil)
end

--- {hmac, last4} of a secret, as the host tells it.
function Kit:secret(record, path)
  local v, protect = self:get(record, path), self.host.protect
  return v ~= nil and protect and protect(v) or {}
end

--- A list of what is given and not nil, marked as one, or nil when nothing is.
function Kit:list(...)
  local out = {}
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    if v ~= nil then out[#out + 1] = v end
  end
  return out[1] ~= nil and self.host.array(out) or nil
end

function Kit:array(list) return self.host.array(list) end

function Kit:severity_id(record)
  local level = self:get(record, "severity")
  return ocsf.severity_id(type(level) == "string" and LEVELS[level:lower()] or nil)
end

-- An API that grows may move from texts to numbers.
local function time_of(self, record)
  local v = self:get(record, self.time_field)
  if type(v) == "string" then return (self.host.parse_time or time.parse)(v) end
  return type(v) == "number" and time.of(v) or nil
end

local function id_of(self, record)
  local id = self:get(record, "id")
  return (type(id) == "string" or math.type(id) == "integer" or type(id) == "userdata") and tostring(id) or nil
end

-- What of the record has found no place, and what its map puts there itself.
local function unmapped(self, record, gone, taken, more)
  for name in pairs(taken) do gone[name] = self.used[name] end
  local out = clean.copy(self.host, record, gone) or {}
  for name, value in pairs(more or {}) do out[name] = clean.copy(self.host, value) end
  for name in pairs(self.used) do self.used[name] = nil end
  return next(out) ~= nil and out or nil
end

local function metadata(self, record, id, labels)
  local original = self:get(record, self.time_field)
  return { version = ocsf.version, product = { name = "defendis", vendor_name = "Defendis" }, original_event_uid = id,
    original_time = type(original) == "string" and clean.text(original) or nil, labels = labels[1] and self.host.array(labels) or nil }
end

--- A document of the class with what all have; the last that a map does. taken: fields of the record that have a place in it when they are
-- of the type expected, a set; more: what goes into `unmapped` beside what is left.
function Kit:document(class_uid, record, doc, taken, more)
  local class, at, id, severity = CLASSES[class_uid], time_of(self, record), id_of(self, record), self:severity_id(record)
  local labels = self:texts(record, "tags") or {}
  if not at then labels[#labels + 1] = "time:unknown" end
  doc.time, doc.class_uid, doc.class_name, doc.category_uid, doc.category_name = at or 0, class_uid, class[1], class[2], class[3]
  doc.activity_id, doc.activity_name, doc.type_uid, doc.type_name = class[4], class[5], class_uid * 100 + class[4],
    class[1] .. ": " .. class[5]
  doc.severity_id, doc.severity, doc.metadata = severity, NAMES[severity], metadata(self, record, id, labels)
  if doc.finding_info then
    doc.finding_info.uid, doc.finding_info.created_time, doc.start_time = id or "unknown", at, at
  end
  doc.unmapped = unmapped(self, record, { id = id ~= nil, severity = severity ~= 0, tags = self.used.tags, [self.time_field] = at ~= nil },
    taken, more)
  return doc
end

--- What the maps of one dataset use. host: see shipped.lua; time_field: where its records have their time.
function kit.new(host, time_field) return setmetatable({ host = host, time_field = time_field, paths = {}, used = {} }, Kit) end

return kit

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

--- What the maps of one dataset use. host: see shipped.lua; time_field: where its records have their time.
function kit.new(host, time_field)
  local k, paths, used = {}, {}, {}

  --- The value at a dotted path, or nil when it is missing or null.
  function k.get(record, path)
    paths[path] = paths[path] or fields.path(path)
    return fields.get(record, paths[path], host.null)
  end

  -- What is of a type that was not expected stays in `unmapped`.
  local function use(path, value)
    if value ~= nil then used[path:match "^[^.]+"] = true end
    return value
  end

  --- A text or a whole number as text, without card numbers.
  function k.text(record, path)
    local v = k.get(record, path)
    if math.type(v) == "integer" then v = tostring(v) end
    return use(path, type(v) == "string" and v:find "%S" and clean.text(v) or nil)
  end

  function k.url(record, path)
    local v = k.get(record, path)
    return use(path, type(v) == "string" and v:find "%S" and clean.url(v) or nil)
  end

  function k.integer(record, path)
    local v = k.get(record, path)
    return use(path, math.type(v) and math.tointeger(v) or nil)
  end

  --- A list of texts, or nil when there is none.
  function k.texts(record, path)
    local v, out = k.get(record, path), {}
    for _, element in ipairs(type(v) == "table" and v or {}) do
      if type(element) == "string" then out[#out + 1] = clean.text(element) end
    end
    return use(path, out[1] and out or nil)
  end

  --- {hmac, last4} of a secret, as the host tells it.
  function k.secret(record, path)
    local v = k.get(record, path)
    return v ~= nil and host.protect and host.protect(v) or {}
  end

  --- A list of the tables given that have something in them, or nil.
  function k.list(...)
    local out = {}
    for i = 1, select("#", ...) do
      local v = select(i, ...)
      if v ~= nil then out[#out + 1] = v end
    end
    return out[1] ~= nil and host.array(out) or nil
  end

  --- Lists are marked as such by the host.
  k.array = host.array

  function k.severity_id(record)
    local level = k.get(record, "severity")
    return ocsf.severity_id(type(level) == "string" and LEVELS[level:lower()] or nil)
  end

  -- An API that grows may move from texts to numbers.
  local function time_of(record)
    local v = k.get(record, time_field)
    if type(v) == "string" then return (host.parse_time or time.parse)(v) end
    return type(v) == "number" and time.of(v) or nil
  end

  --- A document of the class with what all have. `taken`: fields of the record that its own map has used, a set; `more`: what it puts into
  -- `unmapped` itself.
  function k.document(class_uid, record, doc, taken, more)
    local class, at, id = CLASSES[class_uid], time_of(record), k.get(record, "id")
    local severity, labels = k.severity_id(record), k.texts(record, "tags") or {}
    if not at then labels[#labels + 1] = "time:unknown" end
    doc.time, doc.class_uid, doc.class_name, doc.category_uid, doc.category_name = at or 0, class_uid, class[1], class[2], class[3]
    doc.activity_id, doc.activity_name, doc.type_uid, doc.type_name = class[4], class[5], class_uid * 100 + class[4],
      class[1] .. ": " .. class[5]
    doc.severity_id, doc.severity = severity, NAMES[severity]
    local original = k.get(record, time_field)
    id = (type(id) == "string" or math.type(id) == "integer" or type(id) == "userdata") and tostring(id) or nil
    doc.metadata = { version = ocsf.version, product = { name = "defendis", vendor_name = "Defendis" }, original_event_uid = id,
      original_time = type(original) == "string" and original or nil, labels = labels[1] and host.array(labels) or nil }
    if doc.finding_info then
      doc.finding_info.uid, doc.finding_info.created_time = id or "unknown", at
      doc.start_time = at
    end
    local gone = { id = id ~= nil, severity = severity ~= 0, tags = used.tags, [time_field] = at ~= nil }
    for name in pairs(taken) do gone[name] = used[name] end
    local unmapped = clean.copy(host, record, gone) or {}
    for name, value in pairs(more or {}) do unmapped[name] = clean.copy(host, value) end
    doc.unmapped = next(unmapped) ~= nil and unmapped or nil
    for name in pairs(used) do used[name] = nil end
    return doc
  end

  return k
end

return kit

-- ocsf.lua: OCSF 1.8.0 documents out of the fields that differ; constants are filled in, required ones are checked.
--
--   local ocsf = require("defendis.normalize.ocsf").new()
--   ocsf.detection_finding{ time = ms, severity_id = 4, finding_info = { uid = ... }, ... } -> the same table, filled
--   ocsf.severity_id("high") -> 4, and 0 (Unknown) for anything that is no level
--
-- Faults raise in the caller's name, so that a rule's line is in the message.
local check = require "defendis.check"
local classes = require "defendis.normalize.targets.ocsf_classes"

local VERSION <const> = classes.VERSION
local UID <const>, CLASS_NAME <const>, CATEGORY <const>, CATEGORY_NAME <const>, ATTRIBUTES <const>, ACTIVITY <const> =
  table.unpack(classes["ocsf:2004"])
local DETECTION_FINDING = {}
for name in ATTRIBUTES:gmatch "([%w_]+)%S*" do DETECTION_FINDING[name] = true end

local SEVERITY = { [0] = "Unknown", "Informational", "Low", "Medium", "High", "Critical", "Fatal", [99] = "Other" }
local LEVEL = { informational = 1, low = 2, medium = 3, high = 4, critical = 5, fatal = 6 }

local function fail(message) error("detection_finding: " .. message, 3) end

local function set_constant(doc, key, value)
  local given = doc[key]
  if given ~= nil and given ~= value then
    error(("detection_finding: %s is %s for this class, got %s"):format(key, value, tostring(given)), 4)
  end
  doc[key] = value
end

local function fill_metadata(doc)
  local metadata = doc.metadata
  if metadata == nil then
    metadata = {}
    doc.metadata = metadata
  elseif type(metadata) ~= "table" then
    error("detection_finding: metadata is a table", 4)
  end
  metadata.version = metadata.version or VERSION
  metadata.product = metadata.product or { name = "defendis", vendor_name = "Defendis" }
end

local function detection_finding(doc)
  if type(doc) ~= "table" then fail("a table expected, got " .. type(doc)) end
  for key in next, doc do
    if not DETECTION_FINDING[key] then fail(check.unknown(key, DETECTION_FINDING, "attribute")) end
  end
  if math.type(doc.time) ~= "integer" then fail("time is required, an integer of milliseconds") end
  local severity = SEVERITY[doc.severity_id]
  if not severity then fail("severity_id is required, one of 0 to 6 or 99") end
  local info = doc.finding_info
  if type(info) ~= "table" or type(info.uid) ~= "string" then fail("finding_info.uid is required, a string") end
  local activity = doc.activity_id or 1
  if not ACTIVITY[activity] then fail("activity_id is one of 1, 2, 3") end
  doc.activity_id, doc.activity_name = activity, doc.activity_name or ACTIVITY[activity]
  doc.severity = doc.severity or severity
  set_constant(doc, "category_uid", CATEGORY)
  set_constant(doc, "class_uid", UID)
  set_constant(doc, "type_uid", UID * 100 + activity)
  doc.category_name, doc.class_name = CATEGORY_NAME, CLASS_NAME
  fill_metadata(doc)
  return doc
end

local function severity_id(level) return LEVEL[level] or 0 end

--- A fresh table of the functions, so that one user's change of it reaches nobody else.
return {
  new = function() return { version = VERSION, detection_finding = detection_finding, severity_id = severity_id } end,
}

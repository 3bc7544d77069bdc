-- ocsf.lua: OCSF 1.8.0: Detection Finding (2004), Data Security Finding (2006), OSINT Inventory Info (5021), with the profiles incident,
-- host, osint and security_control. Not verified: whether 1.8.0 lets 5021 have `osint` as a list of one only.
local classes = require "defendis.normalize.targets.ocsf_classes"
local objects = require "defendis.normalize.targets.ocsf_objects"
local schema = require "defendis.normalize.targets.schema"

local set = schema.set

local ENUMS = {
  severity_id = set "0 1 2 3 4 5 6 99", confidence_id = set "0 1 2 3 99", status_id = set "0 1 2 3 4 5 6 99",
    risk_level_id = set "0 1 2 3 4 99",
  impact_id = set "0 1 2 3 4 99", priority_id = set "0 1 2 3 4 99", verdict_id = set "0 1 2 3 4 5 6 7 8 9 10 99",
  action_id = set "0 1 2 3 4 99",
}

local function more(uid)
  return function(document, fault)
    local activity, type_uid = document.activity_id, document.type_uid
    if math.type(activity) and math.type(type_uid) and type_uid ~= uid * 100 + activity then
      fault("type_uid", "%s expected: class_uid * 100 + activity_id", uid * 100 + math.tointeger(activity))
    end
    if uid == 5021 and type(document.osint) == "table" and document.osint[1] == nil then fault("osint", "at least one element expected") end
    if type(document.start_time) == "number" and type(document.end_time) == "number" and document.start_time > document.end_time then
      fault("end_time", "lies before start_time")
    end
  end
end

local function with(map, name, value)
  local out = {}
  for k, v in pairs(map) do out[k] = v end
  out[name] = value
  return out
end

return function(name)
  local uid, caption, category, category_name, attributes, activities, activity = table.unpack(classes[name])
  local ids = { 0, 99 }
  for id in ipairs(activities) do ids[#ids + 1] = id end
  local enums = with(with(with(ENUMS, "activity_id", set(ids)), "class_uid", set{ uid }), "category_uid", set{ category })
  if uid == 5021 then enums.status_id = set "0 1 2 99" end
  return schema.target{ name = name, version = classes.VERSION, root = "event", timestamps = "ms",
    objects = with(objects, "event", { attributes, enums = enums }), more = more(uid),
    defaults = { activity_id = activity, activity_name = activities[activity], category_uid = category, category_name = category_name,
      class_uid = uid, class_name = caption, type_uid = uid * 100 + activity, type_name = caption .. ": " .. activities[activity],
      ["metadata.version"] = classes.VERSION, ["metadata.product.name"] = "defendis", ["metadata.product.vendor_name"] = "Defendis" } }
end

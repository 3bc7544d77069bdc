-- cim.lua: Splunk's Common Information Model: the data models Alerts and DLP. What is required but not known is the text "unknown".
-- Not verified: fields beyond the required ones and those named optional here.
local schema = require "defendis.normalize.targets.schema"

local set = schema.set
local SEVERITY = set "critical high medium low informational"

local MODELS = {
  ["cim:alerts"] = { { "app* description* dest* id* severity* signature* signature_id* src* type* user* tag:string[] _time:number "
    .. "mitre_technique_id:string[] severity_id subject user_name vendor_account vendor_region vendor_product body dest_type src_type "
    .. "defendis:object",
    enums = { severity = SEVERITY, type = set "alarm alert event task warning" } },
    { app = "defendis", type = "alert", vendor_product = "Defendis defendis" } },
  ["cim:dlp"] = { { "action* app* category* dest* dlp_type* dvc* object* object_category* object_path* severity* signature* src_user* "
    .. "vendor_product* tag:string[] _time:number severity_id signature_id src user dest_zone src_zone dvc_zone user_category "
    .. "defendis:object",
    enums = { severity = SEVERITY } },
    { app = "defendis", vendor_product = "Defendis defendis" } },
}

local function blanks(document, fault)
  for name, value in pairs(document) do
    if value == "" then fault(name, 'is empty; "unknown" stands for what is not known') end
  end
end

return function(name)
  local model = MODELS[name]
  return schema.target{ name = name, version = "6", root = "event", objects = { event = model[1] }, timestamps = "iso", defaults = model[2],
    more = blanks }
end

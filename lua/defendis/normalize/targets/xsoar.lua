-- xsoar.lua: an incident as Cortex XSOAR's fetch-incidents takes it: the finding itself is text in rawJSON.
-- Not verified: the numbers of `severity` (0 unknown, 0.5 informational, 1 to 4 low to critical) and fields beyond name, occurred, rawJSON.
local schema = require "defendis.normalize.targets.schema"

local INCIDENT = { "name* occurred*:timestamp rawJSON* severity:number type details dbotMirrorId labels:label[] CustomFields:object",
  enums = { severity = { [0] = true, [0.5] = true, true, true, true, true } } }

return function(name)
  return schema.target{ name = name, version = "1", root = "incident", timestamps = "iso",
    objects = { incident = INCIDENT, label = { "type* value*" } },
    more = function(document, fault)
      if type(document.rawJSON) == "string" and not document.rawJSON:find "^%s*{.*}%s*$" then fault("rawJSON",
        "the text of an object expected") end
      if document.name == "" then fault("name", "is empty") end
    end }
end

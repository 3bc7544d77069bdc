-- xsoar.lua: an alert as an incident of Cortex XSOAR. rawJSON is what was read, without what clean.lua leaves out.
local alert = require "defendis.normalize.convert.alert"
local clean = require "defendis.normalize.clean"
local time = require "defendis.time"

local SEVERITY = { 0.5, 1, 2, 3, 4 }

return function(a, host, doc)
  return { name = a.title, occurred = time.format(a.time), severity = SEVERITY[alert.severity(a.level)] or 0, dbotMirrorId = a.id,
    rawJSON = host.encode(clean.copy(host, doc)) }
end

-- defendis: `require "defendis"`, for stock lua5.4 (calls block) and inside the host (calls yield).
local core = require "defendis.core"
local client = require "defendis.client"
local task = require "defendis.task"
local time = require "defendis.time"

local defendis = {
  version = core.version,
  client = client.new,
  parallel = task.parallel,
  sleep = task.sleep,
  json = core.json,
  time = time,
}

-- The helpers of rule files (email, domain, url, ...) are made when the first one is asked for.
local made
local function helper(_, name)
  made = made or require("defendis.helpers").new{ ascii = core.names.ascii, registrable = core.names.registrable, regex = core.regex.new }
  return made[name]
end

return setmetatable(defendis, { __index = helper, __metatable = false })

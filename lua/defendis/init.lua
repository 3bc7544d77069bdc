-- defendis: `require "defendis"`, for stock lua5.4 (calls block) and inside the host (calls yield).
local core = require "defendis.core"
local client = require "defendis.client"
local task = require "defendis.task"

return {
  version = core.version,
  client = client.new,
  parallel = task.parallel,
  sleep = task.sleep,
  json = core.json,
}

-- simulate.lua: `defendis simulate`: the built-in API on loopback.
local check = require "defendis.check"
local time = require "defendis.time"

local simulate = {}

function simulate.options(command)
  command:option("--port", "Port on 127.0.0.1; 0 picks a free one.", "0"):convert(math.tointeger)
  command:option("--records", "Credential records in all; other datasets have fewer.", "20000"):convert(math.tointeger)
  command:option("--seed", "The same seed gives the same data.", "1"):convert(math.tointeger)
  command:option("--latency", "Time until each answer, such as 50ms.", "0ms")
  command:option("--fault", "Faults and their probability, such as 429=0.1,500=0.05,truncate=0.02.", "")
  command:option("--cache", "Bytes of rendered pages to keep, for measurements.", "0"):convert(math.tointeger)
end

function simulate.run(args)
  local latency = time.span(args.latency)
  if not latency then return nil, check.error("config", ('--latency "%s" is not a time such as 50ms or 2s'):format(args.latency)) end
  local ok, code, err = pcall(require("defendis.simulator").serve, { port = args.port, records = args.records, seed = args.seed,
    latency_ms = latency, faults = args.fault, cache_bytes = args.cache })
  if not ok then return nil, check.error("config", (tostring(code):gsub("^[^:]+:%d+: ", ""))) end
  return code, err
end

return simulate

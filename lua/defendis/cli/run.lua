-- run.lua: `defendis run`: a script in the sandbox, JSON in, one JSON document out.
local core = require "defendis.core"
local check = require "defendis.check"
local common = require "defendis.cli.common"
local ui = require "defendis.cli.ui"

local run = {}

function run.options(command)
  command:argument("script", "Lua file.")
  command:option("--input", "File with the input as JSON; - for stdin. Default: stdin unless it is a terminal."):argname "FILE"
  command:option("--arg", "A named argument for the script."):argname "NAME=VALUE":count "*"
  command:option("--timeout", "Wall-clock budget.", "30s"):argname "SPAN"
  command:option("--memory", "Memory budget.", "64M"):argname "SIZE"
  command:option("--instructions", "Budget of Lua instructions.", "1000000000"):argname "N":convert(common.integer("--instructions", 1))
  common.client_options(command)
  require("defendis.cli.tape").options(command)
end

local UNITS = { [""] = 1, K = 1 << 10, M = 1 << 20, G = 1 << 30 }

local function size(text)
  local n, unit = text:match("^(%d+)([KMG]?)$")
  n = n and math.tointeger(tonumber(n))
  return n and n > 0 and n < 1 << 32 and n * UNITS[unit] or nil
end

local function config(...) return nil, check.error("config", string.format(...)) end

local function prepare(args)
  local timeout, memory = require("defendis.time").span(args.timeout), size(args.memory)
  if not timeout or timeout <= 0 then return config('--timeout "%s" is not a time such as 30s', args.timeout) end
  if not memory then return config('--memory "%s" is not a size such as 64M', args.memory) end
  local text, err = common.read_file(args.script)
  if not text then return nil, err end
  local named
  named, err = common.pairs(args.arg)
  if not named then return nil, err end
  local input = "null"
  if args.input or not core.sys.isatty(0) then
    input, err = common.read_file(args.input or "-")
    if not input then return nil, err end
    if not input:find("%S") then input = "null" end
  end
  return { name = args.script, text = text, input = input, args = assert(core.json.encode(core.json.object(named))),
    timeout_ms = timeout, memory = memory, instructions = args.instructions }
end

local RAISED_BY = { time = "--timeout", memory = "--memory", instructions = "--instructions" }

local function with_remedy(err)
  local option = err.kind == "limit" and RAISED_BY[err.message:match("^the script is over its budget of (%l+)")]
  return option and err.message .. "; raise it with " .. option or err.message
end

--- Prints the script's document, or {"error": {...}}, on stdout: a caller always gets one.
function run.run(args)
  if args.base_url then core.sys.setenv("DEFENDIS_BASE_URL", args.base_url) end
  if args.api_key_file then core.sys.setenv("DEFENDIS_API_KEY_FILE", args.api_key_file) end
  local text
  local script, err = prepare(args)
  if script then text, err = core.sys.run(script) end
  if text then
    print(text)
    return 0
  end
  err.message = with_remedy(err)
  ui.document{ error = { kind = err.kind, message = err.message, status = err.status, request_id = err.request_id,
    retryable = err.retryable or nil, retry_at = err.retry_at } }
  return nil, err
end

return run

-- runner.lua: what runs inside a script's sandbox: input in, the script, one JSON document out.
local json = require("defendis.core").json
local load_text = require("defendis.core").load_text

local runner = {}

--- Called by the host. name, source: the script; input, args: JSON text. Returns the JSON text of what the script returns:
-- the value itself, or that of the function it returns, called with (input, args).
function runner.main(name, source, input_text, args_text)
  local input, problem = json.decode(input_text)
  if problem then error({ kind = "config", message = "the input is not JSON: " .. problem.message }) end
  local args = assert(json.decode(args_text))
  _G.input, _G.args = input, args
  local chunk, fault = load_text(source, name)
  if not chunk then error({ kind = "script", message = fault }) end
  local value = chunk(input, args)
  if type(value) == "function" then value = value(input, args) end
  if value == nil then value = json.null end
  local text, err = json.encode(value, { sort_keys = true })
  if not text then error({ kind = "script", message = name .. ": the result cannot be written as JSON: " .. err.message }) end
  return text
end

return runner

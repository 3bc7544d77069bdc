-- lines.lua: JSON lines in, one by one, for commands that work on each and go on after a bad one.
local core = require "defendis.core"
local check = require "defendis.check"
local ui = require "defendis.cli.ui"

local lines = {}

--- Calls work(text, number) -> true, or nil and what is wrong, for each line of a file (nil or "-": stdin) that is not empty. A fault is a
-- line on stderr. Returns the exit code: 0, or 1 when there was any; or nil, err.
function lines.each(path, work)
  path = path or "-"
  local f, problem = io.stdin, nil
  if path ~= "-" then f, problem = io.open(path, "rb") end
  if not f then return nil, check.error("config", "cannot read " .. problem) end
  local bad, number = 0, 0
  for text in f:lines() do
    number = number + 1
    if text:find "%S" then
      local ok, fault = work(text, number)
      if not ok then
        bad = bad + 1
        io.stderr:write(("defendis: %s:%d: %s\n"):format(path == "-" and "stdin" or path, number, ui.plain(fault)))
      end
    end
  end
  if f ~= io.stdin then f:close() end
  if bad > 0 then io.stderr:write(("defendis: %d of %d lines failed\n"):format(bad, number)) end
  return bad > 0 and 1 or 0
end

--- The JSON object of a line, or nil and what is wrong.
function lines.object(text)
  local value, err = core.json.decode(text)
  if err then return nil, err.message end
  if type(value) ~= "table" then return nil, "not a JSON object" end
  return value
end

return lines

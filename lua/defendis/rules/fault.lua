-- fault.lua: what a rule's own function raised, as one line that begins with file and line.
local fault = {}

-- A message may carry part of a record; a page of 1,000 such faults must stay small.
local MESSAGE_MAX = 500

--- @param where "file:line" of the function, for errors that carry no position (a table, an error behind a tail call)
function fault.text(raised, where)
  if type(raised) == "table" and type(raised.message) == "string" then raised = raised.message end
  local text = type(raised) == "string" and raised or ("error object (%s)"):format(type(raised))
  text = text:sub(1, MESSAGE_MAX):gsub("%s*\n%s*", " ")
  -- the commonest fault of all: records have holes, and JSON's null is a userdata
  local kind, hole = text:match "attempt to index a (%l+) value %(field '(.-)'%)$"
  if kind == "nil" or kind == "userdata" then
    text = ('%s: "%s" is missing or null; get(record, "path") gives nil then'):format(text, hole)
  end
  local file = where:match("^(.*):%d+$")
  if file and text:sub(1, #file + 1) == file .. ":" then return text end
  -- a position in another file is one of ours, and says nothing to the author of the rule
  return where .. ": " .. text:gsub("^[^%s:]+%.lua:%d+: ", "")
end

--- "file:line" of where a Lua function begins.
function fault.where(f)
  local info = debug.getinfo(f, "S")
  return ("%s:%d"):format(info.source:gsub("^@", ""), info.linedefined)
end

return fault

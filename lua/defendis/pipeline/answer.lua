-- answer.lua: what a sink's send returned, held against what it may return (defendis/sinks/README.md).
local check = require "defendis.check"

local answer = {}

local function breach(text, ...) return nil, check.error("script", text:format(...)) end

--- n: documents sent; ok, result, err: of pcall. Returns an array of results by position, or nil, err.
function answer.judge(n, ok, result, err)
  if not ok then
    if type(result) == "table" and result.message then return nil, result end
    return breach("it raised: %s", tostring(result))
  end
  if result == true then
    local all = {}
    for i = 1, n do all[i] = true end
    return all
  end
  if type(result) ~= "table" then
    if not result and type(err) == "table" and err.message then return nil, err end
    if not result and type(err) == "string" then return nil, check.error("script", err) end
    return breach("send returned %s, not true, an array of results or nil and an error", tostring(result))
  end
  if #result ~= n then return breach("send returned %d results for %d documents", #result, n) end
  for i = 1, n do
    local r = result[i]
    if r ~= true and not (type(r) == "table" and (type(r.dead) == "string" or type(r.again) == "string")) then
      return breach("result %d of send is neither true nor { dead = text } nor { again = text }", i)
    end
  end
  return result
end

return answer

-- simulated.lua: asks a simulation without sockets.
local cjson = require "cjson"
local simulator = require "defendis.simulator"

local simulated = {}

--- A function ask(method, path, query, body, headers) -> decoded body or text, answer; with the key
-- unless headers are given.
function simulated.new(options)
  local sim = simulator.new(options)
  local default = { authorization = "Bearer " .. sim.key }
  local function ask(method, path, query, body, headers)
    local answer = sim:handle{ method = method, path = path, query = query or {}, headers = headers or default,
      body = type(body) == "table" and cjson.encode(body) or body or "" }
    local ok, value = pcall(cjson.decode, answer.body)
    return ok and value or answer.body, answer
  end
  return ask, sim
end

--- The ids of all pages of a list.
function simulated.ids(ask, path, query)
  local ids, page = {}, 1
  repeat
    query.page = tostring(page)
    local body = ask("GET", path, query)
    for _, record in ipairs(body.data) do ids[#ids + 1] = record.id end
    page = body.paging.nextPage
    page = page ~= cjson.null and math.tointeger(page)
  until not page
  return ids
end

return simulated

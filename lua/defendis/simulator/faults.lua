-- faults.lua: misbehaviour on request, decided per request by a generator that only the seed and a counter feed.
--
-- Each happens with its own probability: 429, 429-bare, 500, 502, 503 are answered instead of doing anything; truncate,
-- slow, badjson are done to an answer of 200; repeat, totals, emptymore are done to a list.
local check = require "defendis.check"
local json = require "defendis.simulator.json"
local random = require "defendis.simulator.random"

local faults = {}
faults.__index = faults

local ORDER = { "429", "429-bare", "500", "502", "503", "truncate", "slow", "badjson", "repeat", "totals", "emptymore" }
local KNOWN = {}
for _, name in ipairs(ORDER) do KNOWN[name] = true end

--- Reads "429=0.05,slow=0.1". "" is no fault at all.
-- @return table name -> probability; nil, message
function faults.parse(text)
  local rates = {}
  for item in text:gmatch("[^,]+") do
    local name, rate = item:match("^%s*([%w%-]+)%s*=%s*(%S+)%s*$")
    rate = tonumber(rate)
    if not name or not rate or rate < 0 or rate > 1 then
      return nil, ("fault '%s' is not name=probability with a probability from 0 to 1"):format(item)
    end
    if not KNOWN[name] then
      return nil, check.unknown(name, KNOWN, "fault")
    end
    rates[name] = rate
  end
  return rates
end

function faults.new(seed, rates) return setmetatable({ key = random.key("faults|" .. seed), rates = rates }, faults) end

--- What happens to API request number n: a set of names.
function faults:roll(n)
  local hit = {}
  if next(self.rates) == nil then return hit end
  local key = random.at(self.key, n)
  for i, name in ipairs(ORDER) do
    local rate = self.rates[name]
    if rate and random.fraction(random.at(key, i)) < rate then hit[name] = true end
  end
  hit.coin = key & 1 == 0
  return hit
end

local HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"

local function failure(status, text, message)
  return { status = status, headers = {}, body = json.object("error", text, "message", message)[1] }
end

--- The answer that replaces the real one, or nil.
function faults.instead(hit)
  if hit["429"] or hit["429-bare"] then
    local answer = failure(429, "Rate limit exceeded", "Slow down and try again")
    if hit["429"] and hit.coin then answer.headers["retry-after"] = "1" end
    return answer
  end
  if hit["500"] then return failure(500, "Internal server error", "Something went wrong") end
  if hit["502"] then return { status = 502, headers = { ["content-type"] = "text/html" }, body = HTML } end
  if hit["503"] then return failure(503, "Service unavailable", "Try again later") end
  return nil
end

--- Spoils a whole answer of 200 on its way out.
function faults.spoil(hit, answer)
  if answer.status ~= 200 then return answer end
  if hit.badjson then answer.body = answer.body:sub(1, #answer.body // 2) .. "\1}" end
  if hit.truncate then answer.truncate = #answer.body // 2 end
  if hit.slow then answer.slow = { bytes = #answer.body // 8 + 1, ms = 40 } end
  return answer
end

return faults

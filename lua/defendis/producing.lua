-- producing.lua: a batch of documents through a Kafka producer, without holding others up.
local task = require "defendis.task"

local producing = {}

local FIRST_S <const>, LONGEST_S <const> = 0.001, 0.05 -- between two looks for reports
local DEAD = { MSG_SIZE_TOO_LARGE = true, INVALID_MSG = true, INVALID_RECORD = true, INVALID_MSG_SIZE = true }

-- Takes the reports that have come; returns how many.
local function collect(producer, results)
  local n = 0
  while true do
    local i, name, why = producer:report()
    if not i then return n end
    n = n + 1
    results[i] = not name and true or DEAD[name] and { dead = why } or { again = why, name = name }
  end
end

local function pause(wait)
  task.sleep(wait)
  return math.min(wait * 2, LONGEST_S)
end

--- Hands a batch to a producer (core.kafka) and waits for all its reports, which librdkafka gives within message.timeout.ms. topic: in
-- it {kind} stands for the dataset. Returns an array of true, {dead = why} or {again = why, name = of the error}.
function producing.exchange(producer, topic, batch)
  local results, open, wait = {}, 0, FIRST_S
  for i, d in ipairs(batch) do
    local name = topic:gsub("{kind}", (d.kind:gsub("[^%w._-]", "_")))
    while true do
      local ok, fault, why = producer:produce(i, name, d.id, d.kind, d.json, d.time and math.max(d.time, 0))
      if ok then open = open + 1 break end
      if fault ~= "_QUEUE_FULL" or open == 0 then
        results[i] = DEAD[fault] and { dead = why } or { again = why, name = fault }
        break
      end
      open = open - collect(producer, results) -- its queue is full: it takes more when some of it has left
      wait = pause(wait)
    end
  end
  wait = FIRST_S
  while open > 0 do
    local n = collect(producer, results)
    open = open - n
    if open > 0 then wait = pause(n > 0 and FIRST_S or wait) end
  end
  return results
end

return producing

-- data.lua: which records exist: everything is computed from (seed, dataset, input, index), nothing is stored.
--
-- A series is the records of one dataset and input, numbered by time from 0. A view is what a list endpoint walks:
-- a series, or the records of one person in it. Both have n, time(k), id(k), record(k).
local calendar = require "defendis.simulator.calendar"
local random = require "defendis.simulator.random"
local render = require "defendis.simulator.render"
local vocabulary = require "defendis.simulator.vocabulary"

local at = random.at
local DAY = 86400
local BLOCK, BURST_FIRST, BURST_LAST = 8, 2, 5
local FIRST, LAST = vocabulary.first, vocabulary.last

local data = {}
data.__index = data

-- records in all inputs together, as a divisor of the option `records`, and how they are shared out
local DOMAINS = { ["acme.example"] = { 0, 70 }, ["acme-labs.example"] = { 70, 90 }, ["globex.example"] = { 90, 100 } }
local DATASETS = {
  ["dataleaks.credentials"] = { divisor = 1, shares = DOMAINS },
  ["dataleaks.documents"] = { divisor = 50, shares = DOMAINS },
  ["dataleaks.paymentcards"] = { divisor = 40, shares = { ["411111"] = { 0, 60 }, ["555555"] = { 60, 100 } } },
  exposure = { divisor = 100, shares = DOMAINS },
  ransomware = { divisor = 500, shares = DOMAINS },
}

--- The records of a simulation. options: seed, records, from ("YYYY-MM-DD"), days.
function data.new(options)
  local from = assert(calendar.parse(options.from))
  return setmetatable({ seed = options.seed, records = options.records, from = from, span = options.days * DAY,
    series_of = setmetatable({}, { __mode = "v" }) }, data)
end

local function count(self, dataset, input)
  local kind = DATASETS[dataset]
  local total = self.records // kind.divisor
  local share = kind.shares[input]
  if not share then return total // 100 end
  return total * share[2] // 100 - total * share[1] // 100
end

-- Burst blocks: eight records in a row, in which one person loses four different services within a few hours.
local function burst_test(key, n)
  local blocks = n // BLOCK
  return function(block) return block < blocks and (block == 1 or at(~key, block) & 31 == 0) end
end

-- The time of record i lies in its slot [i, i + 1) * span / n, so times never fall. A slot that holds a midnight puts
-- its record exactly there, because the border of a window is where records get lost.
local function clock(self, key, n, burst)
  local from, span = self.from, self.span
  return function(i)
    local block = i // BLOCK
    if burst(block) then
      local start, stop = block * BLOCK * span // n, (block + 1) * BLOCK * span // n
      return from + start + (i - block * BLOCK) * math.min(stop - start, 6 * 3600) // BLOCK
    end
    local start, stop = i * span // n, (i + 1) * span // n
    local midnight = (start + DAY - 1) // DAY * DAY
    if midnight < stop then return from + midnight end
    if stop <= start then return from + start end
    return from + start + (at(key, i) >> 1) % (stop - start)
  end
end

local function gcd(a, b)
  while b ~= 0 do a, b = b, a % b end
  return a
end

local function modular_inverse(a, n)
  local t, next_t, r, next_r = 0, 1, n, a % n
  while next_r ~= 0 do
    local q = r // next_r
    t, next_t = next_t, t - q * next_t
    r, next_r = next_r, r - q * next_r
  end
  return t % n
end

-- Who lost record i. Record i has rank i * step mod n; person p owns a run of ranks whose length falls like 1 / (p + q)
-- (Zipf with an offset). Both steps can be undone, so the records of one person are found without a search.
local function people(n, burst)
  local population = n // 4 + 1
  local q = 10 + population / 50
  local growth = math.log((population + q) / q)
  local step = math.max(1, math.floor(n * 0.6180339887))
  while gcd(step, n) ~= 1 do step = step + 1 end
  local undo = modular_inverse(step, n)

  local function owner(rank) return math.min(population - 1, math.floor(q * math.exp(growth * rank / n) - q)) end
  local function natural(i) return owner(i * step % n) end
  local function in_burst(i) return i % BLOCK >= BURST_FIRST and i % BLOCK <= BURST_LAST and burst(i // BLOCK) end

  local function person(i)
    if in_burst(i) then return natural(i // BLOCK * BLOCK + BURST_FIRST), true end
    return natural(i), false
  end

  local function first_rank(p)
    local rank = math.max(0, math.min(n, math.floor(n * math.log((p + q) / q) / growth)))
    while rank > 0 and owner(rank - 1) >= p do rank = rank - 1 end
    while rank < n and owner(rank) < p do rank = rank + 1 end
    return rank
  end

  local function records_of(p)
    local list = {}
    for rank = first_rank(p), first_rank(p + 1) - 1 do
      local i = rank * undo % n
      if not in_burst(i) then
        list[#list + 1] = i
      elseif i % BLOCK == BURST_FIRST then
        for k = 0, BURST_LAST - BURST_FIRST do list[#list + 1] = i + k end
      end
    end
    table.sort(list)
    return list
  end
  return person, records_of, population
end

local function uuid(key, i)
  local a = at(key, i)
  local b = random.mix(a)
  return ("%08x-%04x-4%03x-%04x-%012x"):format(a >> 32, a >> 16 & 0xffff, a >> 4 & 0xfff,
    0x8000 | (a & 15) << 10 | b & 0x3ff, b >> 16 & 0xffffffffffff), a, b
end

--- The records of one dataset and input, as a view.
function data:series(dataset, input)
  local name = dataset .. "|" .. input
  local series = self.series_of[name]
  if series then return series end
  local key, n = random.key(self.seed .. "|" .. name), count(self, dataset, input)
  local burst = burst_test(key, n)
  local time, person, records_of, population = clock(self, key, n, burst), nil, nil, 0
  if n > 0 then person, records_of, population = people(n, burst) end
  local draw = render[dataset](input)
  series = { n = n, key = key, name = name, time = time, person = person, records_of = records_of,
    population = population }
  function series.id(i) return (uuid(key, i)) end
  function series.record(i)
    local id, a, b = uuid(key, i)
    return draw(id, calendar.iso(time(i)), a, b, i, person)
  end
  self.series_of[name] = series
  return series
end

local first_index, last_index = {}, {}
for i, word in ipairs(FIRST) do first_index[word] = i - 1 end
for i, word in ipairs(LAST) do last_index[word] = i - 1 end

--- The records of one e-mail address in dataleaks.credentials, as a view.
function data:by_email(email)
  email = email:lower()
  local first, last, number, domain = email:match("^(%l+)%.(%l+)(%d*)@(.+)$")
  local list, series = {}, self:series("dataleaks.credentials", domain or email:match("@(.*)$") or "")
  if first_index[first] and last_index[last] and series.n > 0 then
    local p = first_index[first] + #FIRST * (last_index[last] + #LAST * (math.tointeger(number) or 0))
    if p < series.population and render.local_part(p) .. "@" .. domain == email then list = series.records_of(p) end
  end
  return { n = #list, name = "dataleaks.credentials_email|" .. email,
    time = function(k) return series.time(list[k + 1]) end,
    id = function(k) return series.id(list[k + 1]) end,
    record = function(k) return series.record(list[k + 1]) end }
end

--- A view by the names of the catalog.
function data:view(dataset, input)
  if dataset == "dataleaks.credentials_email" then return self:by_email(input) end
  return self:series(dataset, input:lower())
end

--- The credential with this id among the inputs given, as JSON, or nil.
function data:find(id, inputs)
  local a, b, c, d = id:match("^(%x%x%x%x%x%x%x%x)%-(%x%x%x%x)%-4(%x%x%x)%-(%x%x%x%x)%-%x%x%x%x%x%x%x%x%x%x%x%x$")
  if not a then return nil end
  local value = tonumber(a, 16) << 32 | tonumber(b, 16) << 16 | tonumber(c, 16) << 4 | tonumber(d, 16) >> 10 & 15
  for _, input in ipairs(inputs) do
    local series = self:series("dataleaks.credentials", input)
    local i = random.index(series.key, value)
    if i >= 0 and i < series.n and series.id(i) == id then return series.record(i) end
  end
  return nil
end

--- The first record of a view at or after a time (seconds), by bisection; view.n when there is none.
function data.lower_bound(view, seconds)
  local low, high = 0, view.n
  while low < high do
    local middle = (low + high) // 2
    if view.time(middle) < seconds then low = middle + 1 else high = middle end
  end
  return low
end

return data

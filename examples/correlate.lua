-- correlate.lua: what would these rules find? Runs rule files over records of the API, without a pipeline or a state:
--   lua5.4 correlate.lua rules/ acme.example 2026-01-01 2026-02-01
local defendis = require "defendis"
local file = require "defendis.pipeline.file"
local memory = require "defendis.rules.memory"
local rules = require "defendis.rules"

local folder, domain, from, to = table.unpack(arg)
assert(to, "usage: lua5.4 correlate.lua RULES DOMAIN FROM TO")
local set = assert(rules.load(assert(file.sources({ folder }, "")), file.host()))
local client <close> = defendis.client{ timeout = 300 }

-- What each rule asks to remember of the records.
local events = {}
for _, dataset in ipairs(set:datasets()) do
  local meta = set:normalizer(dataset).meta
  for record in client:each(dataset, { domain = domain, from = from, to = to }) do
    local id, time = meta(record)
    set:apply(dataset, record, { id = id, time = time })
    for _, event in ipairs(set:events()) do events[#events + 1] = event end
  end
end

local found, by = {}, memory.run(set, events)
for _, c in ipairs(set:correlations()) do
  if c.alerts then table.move(by[c.key], 1, #by[c.key], #found + 1, found) end
end
table.sort(found, function(a, b) return a.time < b.time or a.time == b.time and a.id < b.id end)
for _, f in ipairs(found) do
  local about = f.group.email or table.concat(f.group.dedup, " ")
  print(os.date("!%Y-%m-%d %H:%M", f.time // 1000), f.level, f.title, about, f.evidence_total)
end

-- alert.lua: a finding, or an OCSF document of a finding or of intelligence, as what every dialect asks for.
--
--   id, kind ("finding" or the OCSF class), class_uid, title, level (nil when not known), time, from, to (ms), total (records)
--   rule {id, title, version}, type, tags, techniques ({"T1078"}), email, user, domain, host, ip, url, file, hash, source, actor
--   observables    array of {kind, value}: email, user, domain, host, ip, url, file, hash; each once
--   group, evidence, count    of a finding, cleaned
local clean = require "defendis.normalize.clean"
local facts = require "defendis.normalize.facts"

local alert = {}

local LEVELS = { "informational", "low", "medium", "high", "critical", "critical" }
local KNOWN = {}
for id, level in ipairs(LEVELS) do KNOWN[level] = math.min(id, 5) end
KNOWN.fatal = 5

local function sub(v) return type(v) == "table" and v or {} end
local function text(v)
  if type(v) == "number" then return tostring(math.tointeger(v) or v) end
  return type(v) == "string" and v ~= "" and clean.text(v) or nil
end
-- Ids stay what they are, or nothing leads back to the records.
local function id_text(v) return type(v) == "string" and v ~= "" and v or text(v) end
local function ms(v) return type(v) == "number" and math.tointeger(v) or nil end

--- 1 (informational) to 5 (critical), or nil.
function alert.severity(level) return KNOWN[level] end

local function kind_of(value)
  if value:find "^[^%s@]+@[^%s@]+%.[^%s@]+$" then return "email" end
  if value:find "^%d+%.%d+%.%d+%.%d+$" or value:find "^%x*:[%x:.]*:[%x:.]*$" then return "ip" end
  if value:find "^%a[%w+.-]*://%S+$" then return "url" end
  if value:find "^[%w_-][%w._-]*%.%a[%w-]*%a$" then return "domain" end
end

local KINDS = { "email", "user", "domain", "host", "ip", "url", "file", "hash" }

local function observe(a, kind, value)
  local key = kind .. "\0" .. value
  if a.observables[key] then return end
  a.observables[key] = true
  a.observables[#a.observables + 1] = { kind = kind, value = value }
end

-- Names of osint indicators by their type_id.
local INDICATORS = { "ip", "domain", "host", "hash", "url", nil, nil, nil, "email", nil, "file" }

local function from_class(a, doc)
  local info, analytic = sub(doc.finding_info), sub(sub(doc.finding_info).analytic)
  a.kind, a.class_uid = text(doc.class_name) or "OCSF " .. tostring(math.tointeger(doc.class_uid)), math.tointeger(doc.class_uid)
  a.id = id_text(info.uid) or id_text(sub(doc.metadata).uid) or id_text(sub(doc.metadata).original_event_uid)
  a.title = text(info.title) or text(doc.message)
  a.level, a.total = LEVELS[ms(doc.severity_id)], ms(doc.count) or 1
  a.time, a.from, a.to = ms(doc.time), ms(doc.start_time), ms(doc.end_time)
  a.rule = { id = id_text(analytic.uid), title = text(analytic.name), version = text(analytic.version) }
  a.tags, a.file = sub(doc.metadata).labels, text(sub(doc.file).name)
  a.hash = text(sub(sub(sub(doc.file).hashes)[1]).value)
  local endpoint = sub(sub(sub(doc.evidences)[1]).dst_endpoint)
  a.host, a.ip = text(sub(doc.device).hostname) or text(endpoint.hostname), text(endpoint.ip)
  a.actor = text(sub(sub(sub(doc.osint)[1]).threat_actor).name)
  a.ransomware = sub(sub(sub(doc.malware)[1]).classification_ids)[1] == 10
  a.resource = text(sub(sub(doc.resources)[1]).name)
  for _, o in ipairs(a.class_uid == 5021 and sub(doc.osint) or {}) do
    local kind, value = INDICATORS[ms(sub(o).type_id) or 0], text(sub(o).value)
    if kind and value then a[kind] = a[kind] or value end
  end
end

local function evidence_of(evidence, host)
  local out = {}
  for _, e in ipairs(evidence) do
    e = sub(e)
    if id_text(e.id) then out[#out + 1] = { id = id_text(e.id), time = ms(e.time), dataset = text(e.dataset) } end
  end
  return out[1] and host.array(out) or nil
end

local function from_finding(a, doc, host)
  local rule, evidence, window = sub(doc.rule), sub(doc.evidence), sub(doc.window)
  local first, last = sub(evidence[1]), sub(evidence[#evidence])
  a.kind, a.id = "finding", id_text(doc.id)
  a.rule = { id = id_text(rule.id), title = text(rule.title), version = text(rule.version) }
  a.title, a.type, a.tags = text(doc.title) or a.rule.title, text(doc.type), doc.tags
  a.level = KNOWN[doc.level] and LEVELS[KNOWN[doc.level]]
  a.time = ms(doc.time) or ms(window.to) or ms(last.time)
  a.from, a.to = ms(window.from) or ms(first.time), ms(window.to) or ms(last.time)
  a.total, a.count = ms(doc.evidence_total) or math.max(1, #evidence), ms(doc.count)
  a.group, a.evidence = clean.copy(host, sub(doc.group)), evidence_of(evidence, host)
  a.context = type(doc.context) == "table" and clean.copy(host, doc.context) or nil
  for _, value in pairs(sub(a.group)) do
    for _, v in ipairs(type(value) == "table" and value or { value }) do
      local kind = type(v) == "string" and kind_of(v)
      if kind then
        v = (kind == "email" or kind == "domain") and v:lower() or kind == "url" and clean.url(v) or v
        observe(a, kind, v)
        a[kind] = a[kind] or v
      end
    end
  end
end

local function list(v)
  local out = {}
  for _, element in ipairs(sub(v)) do out[#out + 1] = text(element) end
  return out
end

local function techniques(tags)
  local out = {}
  for _, tag in ipairs(tags) do
    local id = tag:lower():match "^attack%.(t%d%d%d%d[%d.]*)$"
    if id then out[#out + 1] = id:upper() end
  end
  return out
end

--- What a document says. host: {null, array, now = ms}. Returns the table, or nil and what is wrong with it.
function alert.of(doc, host)
  if type(doc) ~= "table" then return nil, "not an object" end
  local a = { observables = {} }
  if ms(doc.class_uid) then from_class(a, doc)
  elseif type(doc.rule) == "table" or type(doc.evidence) == "table" then from_finding(a, doc, host)
  else return nil, "neither a finding nor an OCSF document" end
  if not a.id then return nil, a.kind == "finding" and 'a finding without "id"' or 'without "finding_info.uid" and "metadata.uid"' end
  for name, value in pairs(facts.of(doc)) do
    if name ~= "severity" and name ~= "title" and name ~= "rule" and name ~= "type" then a[name] = clean.text(value) end
  end
  if a.url then a.url = clean.url(a.url) end
  for _, kind in ipairs(KINDS) do
    if a[kind] then observe(a, kind, a[kind]) end
  end
  table.sort(a.observables, function(x, y) return (x.kind .. "\0" .. x.value) < (y.kind .. "\0" .. y.value) end)
  a.title = a.title or a.rule.id and "Finding of the rule " .. a.rule.id or "Finding " .. a.id
  a.time = a.time or host.now
  a.from = math.min(a.from or a.time, a.to or a.time)
  a.to = a.to or math.max(a.from, a.time)
  a.tags = list(a.tags)
  a.techniques = techniques(a.tags)
  return a
end

return alert

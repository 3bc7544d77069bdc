-- thehive.lua: sink that makes an alert in TheHive of each finding.
local core = require "defendis.core"
local check = require "defendis.check"
local posting = require "defendis.posting"
local secret = require "defendis.secret"

local thehive = {}
thehive.GUARANTEE = "exactly one alert per finding: type, source and sourceRef are the finding's, and a repeat is refused by TheHive"

thehive.OPTIONS = posting.options{
  token = check.required(secret.check, "an API key of TheHive"),
  type = check.field(check.text, "the alerts' type", "leak"),
  source = check.field(check.text, "the alerts' source", "defendis"),
  tlp = check.field(check.count, "the alerts' TLP (TheHive's own default)"),
  pap = check.field(check.count, "the alerts' PAP (TheHive's own default)"),
}
thehive.OPTIONS.kinds = nil -- findings, and nothing else is an alert

local Sink = {}
Sink.__index = Sink

--- options: url = "https://host:9000"; token; type ("leak") and source ("defendis") of the alerts; tlp, pap; and what posting.options has.
function thehive.new(options, context)
  local self, err = posting.new("thehive", options, context, { secret = options.token })
  if not self then return nil, err end
  self.options, self.alerting, self.batch.documents = options, true, 20 -- one request each
  self.wants = function(kind) return kind == "findings" end
  return setmetatable(self, Sink)
end

local SEVERITY = { informational = 1, low = 1, medium = 2, high = 3, critical = 4 }

local function observable(value)
  if type(value) ~= "string" then return end
  if value:find "^[^%s@]+@[^%s@]+%.[^%s@]+$" then return "mail" end
  if value:find "^%d+%.%d+%.%d+%.%d+$" or value:find "^%x*:[%x:.]*:[%x:.]*$" then return "ip" end
  if value:find "^%a[%w+.-]*://%S+$" then return "url" end
  if value:find "^[%w_-][%w._-]*%.%a[%w-]*%a$" then return "domain" end
end

local function sub(value) return type(value) == "table" and value or {} end
local function text(value) return type(value) == "string" and value ~= "" and value or nil end

-- Of what the finding is grouped by; each once, because TheHive refuses an alert that has one twice.
local function observables(group)
  local out, seen = core.json.array{}, {}
  for _, value in pairs(sub(group)) do
    for _, v in ipairs(type(value) == "table" and value or { value }) do
      local kind = observable(v)
      if kind and not seen[v] then out[#out + 1], seen[v] = { dataType = kind, data = v }, true end
    end
  end
  table.sort(out, function(x, y) return x.data < y.data end)
  return out
end

local function description(finding)
  local lines = { "Finding of defendis" }
  local function line(name, value)
    lines[#lines + 1] = (text(value) or type(value) == "number") and ("- %s: `%s`"):format(name, (tostring(value):gsub("`", "'"))) or nil
  end
  line("rule", sub(finding.rule).id)
  line("count", finding.count)
  for _, name in ipairs{ "from", "to" } do
    local ms = sub(finding.window)[name]
    line(name, math.type(ms) == "integer" and os.date("!%Y-%m-%dT%H:%M:%SZ", ms // 1000) or nil)
  end
  line("records", finding.evidence_total)
  line("context", finding.context and core.json.encode(finding.context, { sort_keys = true }))
  for i = 1, math.min(20, #sub(finding.evidence)) do line("record", sub(finding.evidence[i]).id) end
  return table.concat(lines, "\n")
end

local function alert_of(o, doc, finding)
  local rule, tags = sub(finding.rule), core.json.array{ "defendis" }
  for _, tag in ipairs(sub(finding.tags)) do tags[#tags + 1] = text(tag) end
  if text(rule.id) then tags[#tags + 1] = "rule:" .. rule.id end
  return { title = text(finding.title) or text(rule.title) or "Finding", description = description(finding),
    severity = SEVERITY[finding.level] or 2, date = doc.time, type = check.given(o, thehive.OPTIONS, "type"),
    source = check.given(o, thehive.OPTIONS, "source"),
    sourceRef = #doc.id <= 128 and doc.id or core.hash.sha256(doc.id), tags = tags, observables = observables(finding.group),
    tlp = o.tlp, pap = o.pap }
end

-- Versions differ in status and words. That an observable exists is another fault.
local function is_duplicate(status, words)
  words = (text(words) or ""):lower()
  return status == 409 or (status == 400 and words:find("already exist", 1, true) ~= nil and not words:find("observable", 1, true))
end

function Sink:deliver(doc)
  local finding = core.json.decode(doc.json)
  if type(finding) ~= "table" then return { dead = "not a finding" } end
  local alert = assert(core.json.encode(alert_of(self.options, doc, finding), { sort_keys = true }))
  local answer, err = self.endpoint:send{ path = "/api/v1/alert", body = alert }
  if not answer then return nil, err end
  local status, words = answer.status, (posting.decode(answer) or {}).message
  if status == 201 or is_duplicate(status, words) then return true end
  if status == 200 then return nil, posting.strange(self, "the answer (200) is not TheHive's") end
  if status == 400 or status == 413 or status == 422 then return { dead = posting.reason(status, words) } end
  return nil, posting.refusal(self, answer, words)
end

function Sink:send(batch) return posting.each(self, batch) end
function Sink:close() self.endpoint:close() end
return thehive

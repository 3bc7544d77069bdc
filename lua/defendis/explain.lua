-- explain.lua: why a finding is there, and why none is: what rules, state and ledger know of it.
local core = require "defendis.core"
local check = require "defendis.check"
local fields = require "defendis.normalize.fields"
local time = require "defendis.time"

local json = core.json
local DAY_MS <const> = 86400000
local FAR <const> = 1 << 53 -- further than any event's time

local explain = {}

local function config(...) return nil, check.error("config", string.format(...)) end

local function definition(set, id)
  for _, def in ipairs(set and set.definitions or {}) do
    if def.kind ~= "normalizer" and (def.id == id or def.options.name == id) then return def end
  end
end

-- Where a record came from: the windows of its day of all inputs that know it. Returns {id, time, dataset, input = the first of these or
-- nil, sources = array of {input, from, to, pages, read, request_id}}. The ledger knows of a window how many pages its list has, how
-- many answers its walks read, and the last one's request: the record was on one of these. A finding of an inner correlation, which has
-- `correlation` and no dataset, came from none.
local function origin(store, rows, e)
  local out, tried = { id = e.id, time = e.time, dataset = e.dataset, correlation = e.correlation, sources = json.array{} }, {}
  for _, row in ipairs(rows) do
    local day = e.time and e.time // DAY_MS or row.from
    local known = tried[row.input .. "\0" .. day]
    if known == nil then
      known = store:is_seen(day, core.hash.key16(core.hash.key16(e.dataset, row.input), e.id))
      tried[row.input .. "\0" .. day] = known
    end
    if known then out.input = out.input or row.input end
    if known and row.from <= day and day < row.to then
      table.insert(out.sources, { input = row.input, from = core.api.date(row.from), to = core.api.date(row.to),
        pages = row.total_pages, read = row.pages, request_id = row.request_id })
    end
  end
  return out
end

local function level_reason(def, level)
  if not def then return "its rule is not in the rule files: name the pipeline file, or --rules" end
  local own = def.options.level
  local kind = def.kind
  if not def.options.level_for then
    return own == level and ("the %s's level"):format(kind) or ("the %s's level was so then; it is %s now"):format(kind, own)
  end
  return own == level and ("the %s's level; level_for chose no other, or the same"):format(kind)
    or ("level_for chose it; the %s's own level is %s"):format(kind, own)
end

--- Why a finding is there. id: of the finding, or how it begins; set: the rules, or nil. Returns {finding = document, rule = {id, title,
-- version, file, line, condition, ...}, reason = of its level, evidence = array of {id, time, dataset, input, sources}, see origin}, or
-- nil, err.
function explain.finding(store, set, id)
  if not id:find "^[%x-]+$" then return config('"%s" is not the id of a finding', id) end
  local found, second
  for f in store:findings_like(id:lower()) do
    if found then second = true else found = f end
  end
  if not found then return config("there is no finding %s in this state", id) end
  if second and found.id ~= id:lower() then return config("more than one finding begins with %s; write more of its id", id) end
  local doc = assert(json.decode(found.doc))
  local def, rows, evidence = definition(set, doc.rule.id), {}, json.array{}
  for i, e in ipairs(doc.evidence) do
    if e.dataset and not rows[e.dataset] then
      local list = {}
      for row in store:windows{ dataset = e.dataset } do list[#list + 1] = row end
      rows[e.dataset] = list
    end
    evidence[i] = origin(store, rows[e.dataset] or {}, e)
  end
  return { finding = doc, evidence = evidence, reason = level_reason(def, doc.level),
    rule = { id = doc.rule.id, title = doc.rule.title, version = doc.rule.version, file = def and def.file, line = def and def.line,
      condition = def and def.options.condition, timespan = def and def.options.timespan, suppress = def and def.options.suppress } }
end

local HOLDS = {
  gt = function(n, v) return n > v end, gte = function(n, v) return n >= v end, lt = function(n, v) return n < v end,
  lte = function(n, v) return n <= v end, eq = function(n, v) return n == v end, neq = function(n, v) return n ~= v end,
}

-- What counts once in a window, for the types that count.
local IDENTITY = {
  event_count = function(e, dataset) return (dataset or "") .. "\0" .. e.id end,
  value_count = function(e) return e.value end,
  temporal = function(e) return e.member end,
  temporal_ordered = function(e) return e.member end,
}

-- The fullest window (t - timespan, t] over events in the order of time, the last of these: first, last index and how many count.
local function fullest(events, timespan, identity)
  local best, from, to, first, counts, n = -1, 1, 0, 1, {}, 0
  for i, e in ipairs(events) do
    while events[first].time <= e.time - timespan do
      local key = identity(events[first])
      counts[key] = counts[key] - 1
      if counts[key] == 0 then n = n - 1 end
      first = first + 1
    end
    local key = identity(e)
    counts[key] = (counts[key] or 0) + 1
    if counts[key] == 1 then n = n + 1 end
    if n >= best then best, from, to = n, first, i end
  end
  return from, to, math.max(best, 0)
end

--- A group, or a value that is counted, as the user may write it: its parts with spaces between them.
function explain.label(group)
  local out = {}
  for i, v in ipairs(type(group) == "string" and fields.untuple(group) or { group }) do out[i] = tostring(v) end
  return table.concat(out, " ")
end
local label = explain.label

-- The events of a group, and the labels of all groups.
local function gather(store, key, wanted)
  local group, events, known = nil, {}, {}
  for name, list in store:each_group(key, 0, -FAR, FAR, 1) do
    local text = label(name)
    known[#known + 1] = text
    if text == wanted then
      group, events = name, {}
      for i, e in ipairs(list) do events[i] = e end
    end
  end
  return group or (wanted == "" and "" or fields.tuple(wanted)), events, known
end

local function missing_rules(set, def, events, from, to)
  local there, out = {}, {}
  for i = from, to do there[events[i].member] = true end
  for _, name in ipairs(def.options.rules) do
    local base = definition(set, name)
    if not (base and there[base.id]) then out[#out + 1] = name end
  end
  return out
end

-- What of a correlation's condition does not hold in the fullest window; adds lines.
local function judge(set, def, out, say)
  local o, events = def.options, out.events
  local identity = IDENTITY[o.type]
  if not identity then
    say("type %s: its value is not computed here; `defendis replay` decides it from records", o.type)
    return
  end
  local function of_event(e)
    local base = set.by_id[e.member]
    return identity(e, base and base.dataset)
  end
  local from, to, n = fullest(events, time.span(o.timespan), of_event)
  out.window = { from = events[from].time, to = events[to].time, first = from, last = to, count = n }
  local holds = true
  if o.type:find "^temporal" then
    local missing = missing_rules(set, def, events, from, to)
    for _, name in ipairs(missing) do say("missing in the window: rule %s", name) end
    holds = #missing == 0 or type(o.condition) == "table"
    if #missing == 0 and o.type == "temporal_ordered" then say "all rules are in the window; their order decides" end
  end
  for name, value in pairs(type(o.condition) == "table" and o.condition or {}) do
    if HOLDS[name] and not HOLDS[name](n, value) then
      holds = false
      say("the condition is %s %g, the fullest window of %s has %d", name, value, o.timespan, n)
    end
  end
  if type(o.condition) == "string" then say("the condition is: %s", o.condition) end
  if holds then say "the condition holds in the fullest window" end
end

local function silence(store, item, group, out, say)
  local last = math.tointeger(tonumber(store:fired(item.id, group) or ""))
  if not last then return end
  out.fired, out.suppressed_until = last, last + item.suppress
  say("it fired at %s and is quiet until %s", time.format(last), time.format(last + item.suppress))
end

-- Are there events that no decision has reached yet?
local function waiting(store, set, item, out, say)
  out.watermark = store:watermark(item.id)
  local n = 0
  for _, e in ipairs(out.events) do
    if not out.watermark or e.time >= out.watermark then n = n + 1 end
  end
  if n == 0 then return end
  say("%d of its events are not decided yet: decided is what was before %s", n, out.watermark and time.format(out.watermark) or "nothing")
  for _, c in ipairs(set:correlations()) do
    for _, dataset in ipairs(c.key == item.id and c.datasets or {}) do
      for row in store:windows{ dataset = dataset } do
        if row.state ~= "closed" then
          say("open: %s %s %s..%s%s", dataset, row.input, core.api.date(row.from), core.api.date(row.to),
            row.reason and ": " .. row.reason or "")
          return
        end
      end
    end
  end
  say "its windows are walked, but late records may still come: see lateness"
end

-- The newest finding of a rule for the group that was asked for, or nil. names: of the group's fields, or nil for a list of values.
local function newest(store, rule, names, wanted)
  local last
  for f in store:findings() do
    if f.rule == rule then
      local doc, texts = assert(json.decode(f.doc)), {}
      local group = doc.group and (doc.group.dedup or doc.group) or {}
      for i = 1, #(names or group) do texts[i] = tostring(group[names and names[i] or i]) end
      if table.concat(texts, " ") == wanted then last = doc end
    end
  end
  return last
end

--- Why a rule has no finding for a group. rule: id or name; key: the group's values. Returns {rule, group = key, events, window, watermark,
-- fired, suppressed_until, finding = the newest of this group or nil, lines = what to tell}, or nil, err.
function explain.why_not(store, set, rule, key)
  local def = definition(set, rule)
  if not def then
    local known = {}
    for _, d in ipairs(set.definitions) do
      if d.kind ~= "normalizer" then known[d.options.name or d.id] = true end
    end
    return config("%s", check.unknown(rule, known, "rule"))
  end
  local item, out = set.by_id[def.id], { group = key, lines = json.array{}, events = json.array{} }
  local function say(...) table.insert(out.lines, (string.format(...))) end
  out.rule = { id = def.id, title = def.options.title, file = def.file, line = def.line, condition = def.options.condition,
    timespan = def.options.timespan, suppress = def.options.suppress }
  if def.kind == "rule" and not item.suppress then
    return config("%s looks at one record at a time and keeps nothing; run `defendis replay` on the record", rule)
  end
  if def.kind == "rule" and not item.alerts then
    return config("%s does not alert, because a correlation counts its records; ask for that one, or add generate = true", rule)
  end
  local group, known
  group, out.events, known = gather(store, def.id, key)
  json.array(out.events)
  out.finding = newest(store, def.id, def.kind == "correlation" and def.options.group_by or nil, key)
  if out.finding then say("there is a finding of this group: %s at %s", out.finding.id, time.format(out.finding.time)) end
  if #out.events == 0 then
    local near = check.nearest(key, known)
    say("no event of this group is kept, of %d groups; events are dropped when no window needs them%s", #known, near and near ~= key
      and "; nearest group: " .. near or "")
  elseif def.kind == "correlation" then
    judge(set, def, out, say)
  end
  silence(store, item, group, out, say)
  waiting(store, set, item, out, say)
  return out
end

return explain

-- dynamic.lua: what functions of a rule or correlation choose of a finding: its level, title and context.
--
--   dynamic.choose(set, item, subject, faults) -> level, title or nil for the item's own, context or nil
--     subject: the record, or what a correlation's functions see (dynamic.summary); adds { rule, message } to faults
--   dynamic.compile(options, into): puts the functions and where they begin into what a rule or correlation compiles to
--   dynamic.pack(host, item, level, title, context) -> the value of a suppressing rule's event
--   dynamic.unpack(host, value) -> level, title, context
local check = require "defendis.check"
local fault = require "defendis.rules.fault"

local dynamic = {}

dynamic.LEVELS = { "informational", "low", "medium", "high", "critical" }
local CONTEXT_MAX <const> = 16 << 10
local TITLE_MAX <const> = 1 << 10

local NAMES = { "level_for", "title_for", "context" }
local known = {}
for _, level in ipairs(dynamic.LEVELS) do known[level] = true end

--- The fields of a rule's or correlation's SPEC. subject: what the functions get.
function dynamic.fields(subject)
  return {
    level_for = check.field(check.func, ("function(%s): another level for this finding, or nil"):format(subject)),
    title_for = check.field(check.func, ("function(%s): another title for this finding, or nil"):format(subject)),
    context = check.field(check.func, ("function(%s): a table that the finding carries, or nil; 16 KiB of JSON at most"):format(subject)),
  }
end

--- What a test may expect of a finding.
dynamic.TEST = {
  level = check.field(check.one_of(dynamic.LEVELS), "the level that its finding is to have"),
  title = check.field(check.text, "the title that its finding is to have"),
  context = check.field(check.table, "fields that the context of its finding is to have"),
}

function dynamic.compile(options, into)
  into.wheres = {}
  for _, name in ipairs(NAMES) do
    into[name] = options[name]
    into.wheres[name] = options[name] and fault.where(options[name])
  end
  into.chooses = options.level_for ~= nil or options.title_for ~= nil or options.context ~= nil
end

-- Each returns what counts, or nil and what is wrong with it.
local checks = {}

function checks.level_for(_, level)
  if known[level] then return level end
  return nil, ("level_for returned %s, not a level"):format(tostring(level))
end

-- As the finding will have it: a text that is cut out of another one may hold half a character.
function checks.title_for(set, title)
  if type(title) ~= "string" or title == "" then
    return nil, ("title_for returned %s, not a text"):format(title == "" and "nothing" or type(title))
  end
  if #title > TITLE_MAX then return nil, ("title_for returned %d bytes, %d at most"):format(#title, TITLE_MAX) end
  return set.host.encode and set.host.decode and set.host.decode(assert(set.host.encode{ title }))[1] or title
end

-- By way of its text, so that nothing of the record is held on to and a secret is no more than its HMAC and mask.
function checks.context(set, context)
  local host = set.host
  if type(context) ~= "table" then return nil, ("context returned %s, not a table"):format(type(context)) end
  if not (host.encode and host.decode) then return context end
  local ok, text, err = set.call(host.encode, context)
  if not ok then return nil, text end
  if not text then return nil, "context: " .. tostring(err.message or err) end
  if #text > CONTEXT_MAX then return nil, ("context is %d bytes of JSON, %d at most"):format(#text, CONTEXT_MAX) end
  return assert(host.decode(text))
end

local function run(set, item, name, subject, faults)
  if not item[name] then return nil end
  local ok, value = set.call(item[name], subject)
  if ok and (value == nil or value == set.host.null) then return nil end
  local problem = value
  if ok then value, problem = checks[name](set, value) end
  if not problem then return value end
  faults[#faults + 1] = { rule = item.id, message = fault.text(problem, item.wheres[name]) }
end

function dynamic.choose(set, item, subject, faults)
  if not item.chooses then return item.level end
  local level = run(set, item, "level_for", subject, faults) or item.level
  return level, run(set, item, "title_for", subject, faults), run(set, item, "context", subject, faults)
end

-- A copy as deep as a group or a window is.
local function copy(v)
  if type(v) ~= "table" then return v end
  local out = setmetatable({}, getmetatable(v))
  for k, inner in pairs(v) do out[k] = copy(inner) end
  return out
end

--- What the functions of a correlation see of its finding: their own, to be changed as they like.
function dynamic.summary(finding)
  local out = {}
  for _, name in ipairs{ "title", "level", "count", "value", "mean", "group", "window", "time", "evidence_total" } do
    out[name] = copy(finding[name])
  end
  return out
end

function dynamic.pack(host, item, level, title, context)
  if not (item.title_for or item.context) or not host.encode then return level end
  return assert(host.encode{ level = level, title = title, context = context })
end

--- Events of older states, and of rules without a title and context of their own, hold the bare level.
function dynamic.unpack(host, value)
  if type(value) ~= "string" or value:sub(1, 1) ~= "{" or not host.decode then return value end
  local packed = host.decode(value)
  return packed.level, packed.title, packed.context
end

return dynamic

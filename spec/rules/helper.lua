-- helper.lua: a host without the core, and shorthands of the rule specs.
local rules = require "defendis.rules"

local helper = {}

helper.null = require("cjson").null
helper.array_mt = { __name = "array" }

function helper.host()
  return {
    -- injective, so that two ids are equal exactly when what they are made of is
    uuid5 = function(namespace, name) return namespace .. "/" .. name end,
    null = helper.null,
    array = function(t) return setmetatable(t, helper.array_mt) end,
  }
end

--- Loads texts as rules/1.lua, rules/2.lua, ...
function helper.load(...)
  local sources = {}
  for i, text in ipairs{ ... } do sources[i] = { name = ("rules/%d.lua"):format(i), text = text } end
  return rules.load(sources, helper.host())
end

--- The events of one record.
function helper.events_of(set, ...)
  set:apply(...)
  return set:events()
end

function helper.must(...) return assert(helper.load(...)) end

function helper.refused(...)
  local set, err = helper.load(...)
  assert(set == nil, "these rules should have been refused")
  assert(err.kind == "config" and tostring(err) == err.message and not err.message:find("\n"))
  return err.message
end

function helper.examples()
  local sources = {}
  for i, name in ipairs{ "credentials_ocsf", "stealer_corporate", "stealer_log", "three_services" } do
    local file = assert(io.open(("examples/rules/%s.lua"):format(name)))
    sources[i] = { name = ("examples/rules/%s.lua"):format(name), text = file:read("a") }
    file:close()
  end
  return assert(rules.load(sources, helper.host()))
end

local function earlier(a, b)
  if a.time ~= b.time then return a.time < b.time end
  if a.id ~= b.id then return a.id < b.id end
  return a.member < b.member
end

function helper.sorted(events)
  table.sort(events, earlier)
  return events
end

--- The list in another order.
function helper.shuffled(list, random)
  local out = { table.unpack(list) }
  for i = #out, 2, -1 do
    local j = random(i)
    out[i], out[j] = out[j], out[i]
  end
  return out
end

--- Events of one key and group in one call, from the beginning.
function helper.all(set, key, group, events) return set:evaluate(key, group, events, math.mininteger, nil) end

return helper

-- init.lua: watchlists as code: what is wanted, compared with what is there, and carried out.
local apply = require "defendis.watchlist.apply"
local check = require "defendis.check"
local current = require "defendis.watchlist.current"
local desired = require "defendis.watchlist.desired"
local plan = require "defendis.watchlist.plan"

local watchlist = {}

--- The difference between what is wanted (from desired) and what the API has. options: {prune = boolean}. Returns what plan.make returns,
-- or nil, err.
function watchlist.plan_of(client, want, options)
  local now, err = current.read(client, plan.kinds(want, options))
  if not now then return nil, err end
  return plan.make(want, now, options)
end

local PLAN = { prune = check.boolean }
local APPLY = { prune = check.boolean, max_removals = check.count, audit = check.func, stop = check.func, progress = check.func }

local function wanted(t)
  local want, message = desired.of(t)
  if not want then error("watchlists: " .. message, 3) end
  return want
end

--- client.watchlists:plan. t: {groups = {"Brands" | {name, description}}, KIND = {"value" | {value, group}}}; options: {prune = take out
-- what is not wanted, of the kinds that t has}. Wrong arguments raise. Returns {changes = {{action, kind, value, group, id, was}}, extra,
-- quotas = {{metric, used, limit, adds, removes, after, enough}}, calls, counts = {add, update, remove}, same}, or nil, err.
function watchlist.plan(client, t, options)
  options = check.argument(options or {}, PLAN, "watchlists:plan")
  return watchlist.plan_of(client, wanted(t), options)
end

--- client.watchlists:apply. t and options as for plan, and those of apply.run. Does it, and returns {add, update, remove, found}; or
-- nil, err, the same so far. What was done stays; the same call goes on with the rest.
function watchlist.apply(client, t, options)
  options = check.argument(options or {}, APPLY, "watchlists:apply")
  local p, err = watchlist.plan_of(client, wanted(t), options)
  if not p then return nil, err end
  return apply.run(client, p, options)
end

return watchlist

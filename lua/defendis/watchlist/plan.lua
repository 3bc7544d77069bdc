-- plan.lua: the difference between what watchlists should hold and what they hold: a pure function, nothing is asked here.
local check = require "defendis.check"
local values = require "defendis.watchlist.values"

local plan = {}

plan.BATCH = 100 -- ids in one request that removes
plan.MAX_REMOVALS = 10

-- Adds go before removals, so that what is refused (billing, a quota) has not cost anything yet; where only what is removed makes room
-- under a quota, it goes first.
local ADD_GROUP, UPDATE_GROUP, EARLY, UPDATE, ADD, LATE, REMOVE_GROUP = 1, 2, 3, 4, 5, 6, 7

local function index(groups)
  local by_name, by_id, twice = {}, {}, {}
  for _, g in ipairs(groups) do
    by_id[g.id] = g
    if g.value then
      twice[g.value] = by_name[g.value] ~= nil or nil
      by_name[g.value] = by_name[g.value] or g
    end
  end
  return { by_name = by_name, by_id = by_id, twice = twice }
end

local function group_changes(p, want, have)
  for _, g in ipairs(want.groups) do
    local there = have.by_name[g.name]
    if have.twice[g.name] then
      return nil, check.error("config", ('two groups are called "%s"; rename one with defendis watchlist update group ID --value NAME')
        :format(g.name))
    end
    if not there then
      p.add{ phase = ADD_GROUP, action = "add", kind = "group", value = g.name, fields = { name = g.name, description = g.description } }
    elseif g.description and (there.description or "") ~= g.description then
      p.add{ phase = UPDATE_GROUP, action = "update", kind = "group", id = there.id, value = g.name, was = there.description,
        fields = { description = g.description } }
    end
  end
  return true
end

-- Entries by canonical value: key -> array of them.
local function by_key(kind, list)
  local out = {}
  for _, entry in ipairs(list) do
    local key = entry.value and values.canonical(kind, entry.value)
    if key then
      out[key] = out[key] or {}
      table.insert(out[key], entry)
    end
  end
  return out
end

local function group_name(have, entry)
  local g = have.by_id[entry.watchlistid]
  return g and g.value
end

-- Of several entries with one value, the one that is in the wanted group stays.
local function choose(entries, want, have)
  for _, entry in ipairs(entries) do
    if group_name(have, entry) == want.group then return entry end
  end
  return entries[1]
end

local function item_changes(p, kind, wanted, list, have)
  local there, kept = by_key(kind, list), {}
  for _, want in ipairs(wanted) do
    local entry = there[want.key] and choose(there[want.key], want, have)
    if not entry then
      p.add{ phase = ADD, action = "add", kind = kind, value = want.value, key = want.key, group = want.group,
        fields = { [values.field(kind)] = want.value } }
    else
      kept[entry.id] = true
      p.same = p.same + 1
      local now = group_name(have, entry)
      if want.group and now ~= want.group then
        p.same = p.same - 1
        p.add{ phase = UPDATE, action = "update", kind = kind, id = entry.id, value = want.value, key = want.key, group = want.group,
          was = now, was_id = entry.watchlistid, fields = {} }
      end
    end
  end
  for _, entry in ipairs(list) do
    if not kept[entry.id] then
      local change = { phase = LATE, action = "remove", kind = kind, id = entry.id, value = entry.value,
        key = entry.value and values.canonical(kind, entry.value), was = group_name(have, entry),
        was_id = entry.watchlistid }
      if p.prune and entry.value then p.add(change) else p.extra[#p.extra + 1] = change end
    end
  end
end

-- Groups that the file does not list go when nothing is left in them: what is in a group may go with it.
local function prune_groups(p, want, now)
  local left = {}
  for _, list in pairs(now.items) do
    for _, entry in ipairs(list) do
      if entry.watchlistid then left[entry.watchlistid] = (left[entry.watchlistid] or 0) + 1 end
    end
  end
  for _, c in ipairs(p.changes) do
    if c.was_id then left[c.was_id] = left[c.was_id] - 1 end
  end
  for _, g in ipairs(now.groups) do
    if g.value and not want.by_name[g.value] then
      local change = { phase = REMOVE_GROUP, action = "remove", kind = "group", id = g.id, value = g.value }
      if p.prune and (left[g.id] or 0) == 0 then p.add(change) else p.extra[#p.extra + 1] = change end
    end
  end
end

-- What each quota has and needs; where nothing else makes room, removals go first.
local function quotas(p, now)
  local by_metric = {}
  for kind, metric in pairs(values.METRICS) do
    by_metric[kind] = { metric = metric, kind = kind, used = now.items[kind] and #now.items[kind], limit = now.limits[metric],
      adds = 0, removes = 0 }
  end
  for _, c in ipairs(p.changes) do
    local q = by_metric[c.kind]
    if q and c.action ~= "update" then q[c.action .. "s"] = q[c.action .. "s"] + 1 end
  end
  for _, kind in ipairs(values.KINDS) do
    local q = by_metric[kind]
    if q and q.used then
      q.after = q.used + q.adds - q.removes
      q.enough = not q.limit or q.adds == 0 or q.after <= q.limit
      q.early = q.limit and q.used + q.adds > q.limit and q.removes > 0 or nil
      p.quotas[#p.quotas + 1] = q
    end
  end
  for _, c in ipairs(p.changes) do
    if c.phase == LATE and by_metric[c.kind] and by_metric[c.kind].early then c.phase = EARLY end
  end
end

-- The requests that the changes are, in order: {method, path, changes}.
local function calls(changes)
  local out = {}
  for _, c in ipairs(changes) do
    local last, path = out[#out], values.path(c.kind, c.action)
    if c.action == "remove" and last and last.action == "remove" and last.path == path and #last.changes < plan.BATCH then
      table.insert(last.changes, c)
    else
      out[#out + 1] = { method = c.action == "update" and "PUT" or "POST", path = path, kind = c.kind, action = c.action, changes = { c } }
    end
  end
  return out
end

local function sort(changes)
  local place = {}
  for i, kind in ipairs(values.KINDS) do place[kind] = i end
  for i, c in ipairs(changes) do c.at = i end
  table.sort(changes, function(a, b)
    if a.phase ~= b.phase then return a.phase < b.phase end
    if a.kind ~= b.kind then return (place[a.kind] or 0) < (place[b.kind] or 0) end
    return a.at < b.at
  end)
  for _, c in ipairs(changes) do c.at, c.phase = nil, nil end
end

--- The difference. want: from desired; now: from current.read, with the kinds that plan.kinds names; options: {prune = take out what
-- is not wanted}. Returns {changes, calls, quotas, extra = what is there and not wanted and stays, same = how many are as they are,
-- counts = {add, update, remove}, groups = index}, or nil, err.
function plan.make(want, now, options)
  local p = { changes = {}, extra = {}, quotas = {}, same = 0, prune = options.prune or false,
    counts = { add = 0, update = 0, remove = 0 } }
  function p.add(change)
    p.changes[#p.changes + 1] = change
    p.counts[change.action] = p.counts[change.action] + 1
  end
  local have = index(now.groups)
  local ok, err = group_changes(p, want, have)
  if not ok then return nil, err end
  for _, kind in ipairs(values.KINDS) do
    if want.items[kind] then item_changes(p, kind, want.items[kind], now.items[kind], have) end
  end
  if want.lists_groups then prune_groups(p, want, now) end
  quotas(p, now)
  sort(p.changes)
  p.add, p.groups, p.calls = nil, have, calls(p.changes)
  return p
end

--- A plan of changes that somebody chose himself: {action, kind, value, id, group, fields}. groups: the list of groups, or nil.
function plan.of(changes, groups)
  local p = { changes = changes, calls = calls(changes), extra = {}, quotas = {}, same = 0, groups = index(groups or {}),
    counts = { add = 0, update = 0, remove = 0 } }
  for _, c in ipairs(changes) do p.counts[c.action] = p.counts[c.action] + 1 end
  return p
end

--- The kinds whose items a plan for `want` has to know.
function plan.kinds(want, options)
  if options.prune and want.lists_groups then return values.KINDS end -- a group goes only when it is empty
  local out = {}
  for _, kind in ipairs(values.KINDS) do if want.items[kind] then out[#out + 1] = kind end end
  return out
end

--- Why a plan must not be carried out: nil, err (kind "quota" or "config"); or true. most: removals at most.
function plan.allowed(p, most)
  for _, q in ipairs(p.quotas) do
    if not q.enough then
      return nil, check.error("quota", ("quota of %s: %d of %d used, %d more needed%s; nothing was changed; remove items or have it raised")
        :format(q.metric, q.used, q.limit, q.adds, q.removes > 0 and (" and %d removed"):format(q.removes) or ""),
        { metric = q.metric, used = q.used, limit = q.limit, requestedIncrement = q.adds })
    end
  end
  most = most or plan.MAX_REMOVALS
  if p.counts.remove > most then
    return nil, check.error("config", ("%d removals, and %d are allowed; if the file is right, add --max-removals %d")
      :format(p.counts.remove, most, p.counts.remove))
  end
  return true
end

return plan

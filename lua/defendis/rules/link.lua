-- link.lua: resolves what correlations refer to, by id or name, and what goes from one to the next.
--
-- A member is one rule of one correlation: how a record of that rule (or a finding of that correlation) becomes an event:
--   { c, order of fields: groups, values, carry = names of fields; optional = by place of a group }
-- An outer correlation groups by its own fields. What an inner one's group does not hold, its events carry along, however deep it lies.
local check = require "defendis.check"
local condition = require "defendis.rules.condition"
local fields = require "defendis.normalize.fields"

local link = {}

local DEPTH_MAX = 10
local MEMBERS_MAX = 32 -- that gather:skim takes

local function known_names(names)
  local known = {}
  for name, def in pairs(names) do
    if def.kind ~= "normalizer" then known[name] = true end
  end
  return known
end

local function resolve(def, names, refuse)
  local c = def.compiled
  def.inner = {}
  for i, name in ipairs(c.names) do
    local base, path = names[name], def.options.rules and { "rules", i } or { "condition" }
    if not base then refuse(def, check.unknown(name, known_names(names), "rule"), path) end
    if c.order[base.id] then refuse(def, ('"%s" is listed twice'):format(name), path) end
    c.order[base.id], c.bases[i], c.source[base.id] = i, base.compiled, base.compiled.dataset or base.id
    def.inner[i] = base
  end
end

-- Puts correlations behind those that they are made of; a cycle is refused.
local function sort(defs, refuse)
  local out, state, visit = {}, {}, nil
  function visit(def, i, from)
    if def.kind ~= "correlation" then return 0 end
    if state[def] == "open" then
      refuse(from, ('"%s" leads back to this correlation'):format(from.compiled.names[i]), { "rules", i })
    end
    if not state[def] then
      state[def] = "open"
      local depth = 0
      for k, base in ipairs(def.inner) do depth = math.max(depth, visit(base, k, def)) end
      if depth >= DEPTH_MAX then refuse(def, ("more than %d correlations in a chain"):format(DEPTH_MAX), { "rules" }) end
      state[def], def.depth = "done", depth + 1
      out[#out + 1] = def
    end
    return def.depth
  end
  for _, def in ipairs(defs) do visit(def) end
  return out
end

-- Aliases speak of rules by id or name: c.alias[alias][id] = field.
local function link_aliases(def, names, refuse)
  local c = def.compiled
  c.alias = {}
  for alias, by_rule in pairs(c.aliases) do
    local resolved = {}
    for name, field in pairs(by_rule) do
      local base = names[name]
      if not base or not c.order[base.id] then
        refuse(def, check.missing(name, c.names, "is not among its rules"), { "aliases", alias, name })
      end
      resolved[base.id] = field
    end
    for i, base in ipairs(def.inner) do
      if not resolved[base.id] then refuse(def, ('it names no field of "%s"'):format(c.names[i]), { "aliases", alias }) end
    end
    c.alias[alias] = resolved
  end
end

local function has(list, name)
  for i = 1, #list do
    if list[i] == name then return true end
  end
  return false
end

local function member(c, base)
  local function named(list)
    local out = {}
    for i, name in ipairs(list or {}) do out[i] = c.alias[name] and c.alias[name][base.id] or name end
    return out
  end
  return { c = c, id = base.id, groups = named(c.group_by), values = c.value_names and named(c.value_names), carry = named(c.carry),
    optional = c.optional }
end

local function paths_of(names)
  local out = {}
  for i, name in ipairs(names) do out[i] = fields.path(name) end
  return out
end

-- A record is read by paths; an inner correlation has to carry what its group does not hold.
local function connect(m, base)
  table.insert(base.members, m)
  if base.kind == "rule" then
    m.group_paths, m.value_paths, m.carry_paths = paths_of(m.groups), m.values and paths_of(m.values), paths_of(m.carry)
    for i, path in ipairs(m.group_paths) do path.optional = m.optional[i] end
    return
  end
  for _, list in ipairs{ m.groups, m.values or {}, m.carry } do
    for _, name in ipairs(list) do
      if not has(base.group_by, name) and not has(base.carry, name) then table.insert(base.carry, name) end
    end
  end
end

-- A text's names become ids, as events have them.
local function link_text(c, names)
  if not c.affirmed then return end
  local affirmed = {}
  for name in pairs(c.affirmed) do affirmed[names[name].id] = true end
  c.affirmed, c.chain = affirmed, {}
  for _, base in ipairs(c.bases) do
    if affirmed[base.id] then table.insert(c.chain, base.id) end
  end
  local function visit(tree)
    if tree.op == "name" then tree.name = names[tree.name].id end
    for i = 1, #tree do visit(tree[i]) end
  end
  if c.expression then visit(c.expression) end
end

-- What tells without a look at values that a group has nothing to say, see engine/events.h: mostly it has too few events.
local function skim_of(c)
  local counts = c.least > 1 or c.mode == "close" and c.counts and not c.carry[1] and #c.bases <= MEMBERS_MAX
  local least = counts and math.tointeger(math.ceil(condition.smallest(c.condition)))
  if not least or least < 2 or least > c.max_events then return nil end
  local members = {}
  for i, base in ipairs(c.bases) do members[i] = base.id end
  return { mode = c.mode == "close" and "close" or "back", span = c.timespan, gap = c.gap or 0, least = least,
    members = c.mode == "close" and members or {}, types = c.value_names and "s" or "" }
end

--- Links definitions. names: of rules and correlations; refuse(def, message, path) raises. Returns the correlations, inner ones first.
function link.all(defs, names, refuse)
  local correlations = {}
  for _, def in ipairs(defs) do
    if def.kind == "correlation" then
      correlations[#correlations + 1] = def
      resolve(def, names, refuse)
    end
  end
  correlations = sort(correlations, refuse)
  -- outer ones first: by then it is known what they want of inner ones
  for i = #correlations, 1, -1 do
    local def = correlations[i]
    link_aliases(def, names, refuse)
    link_text(def.compiled, names)
    for _, base in ipairs(def.inner) do connect(member(def.compiled, base), base.compiled) end
    def.compiled.skim = skim_of(def.compiled)
  end
  return correlations
end

return link

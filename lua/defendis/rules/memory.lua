-- memory.lua: correlations over events in memory, as the pipeline decides them over events in its state.
--
--   memory.run(set, events, { from, cuts, origin }) -> { [id] = findings in order of group }, faults of all
--     events: as set:events() has them, in any order, with repeats; cuts: ends of the steps in which they are decided (default: one step
--     that closes every window); from: begin of the first; origin: where the pipeline begins
local memory = {}

local function earlier(a, b)
  if a.time ~= b.time then return a.time < b.time end
  if a.id ~= b.id then return a.id < b.id end
  return a.member < b.member
end

local function add(store, event)
  local groups = store[event.rule] or {}
  store[event.rule] = groups
  groups[event.group] = groups[event.group] or {}
  table.insert(groups[event.group], event)
end

local function names_of(groups, entities)
  local names, seen = {}, {}
  for name in pairs(groups) do
    names[#names + 1] = name
    seen[name] = true
  end
  for _, name in ipairs(entities or {}) do
    if not seen[name] then names[#names + 1] = name end
    seen[name] = true
  end
  table.sort(names)
  return names
end

local function between(events, from, to)
  local out = {}
  for _, e in ipairs(events or {}) do
    if e.time >= from and e.time < to then
      out[#out + 1] = { time = e.time, id = e.id, member = e.member, value = e.value }
    end
  end
  table.sort(out, earlier)
  return out
end

local function decide(set, c, store, from, to, origin, states, found, faults)
  local groups, begin = store[c.key] or {}, from == math.mininteger and from or from - c.back_ms
  for _, group in ipairs(names_of(groups, c.entities)) do
    local key = c.key .. "\0" .. group
    -- as in the pipeline what may be dropped is dropped
    local known = states[key] and states[key].time >= from - c.keep_ms and states[key].text or nil
    local findings, state, time, handed, raised = set:evaluate(c.key, group, between(groups[group], begin, to), from, known, to, origin)
    states[key] = state and { text = state, time = time }
    table.move(raised, 1, #raised, #faults + 1, faults)
    table.move(findings, 1, #findings, #found[c.key] + 1, found[c.key])
    for at = 1, handed.n, 6 do
      add(store, { rule = handed[at], time = handed[at + 1], group = handed[at + 2], id = handed[at + 3], member = handed[at + 4],
        value = handed[at + 5] })
    end
  end
end

function memory.run(set, events, options)
  local o = options or {}
  local store, states, found, faults, from = {}, {}, {}, {}, o.from or math.mininteger
  for _, event in ipairs(events) do add(store, event) end
  for _, c in ipairs(set:correlations()) do found[c.key] = {} end
  for _, to in ipairs(o.cuts or { math.maxinteger }) do
    for _, c in ipairs(set:correlations()) do decide(set, c, store, from, to, o.origin, states, found, faults) end
    from = to
  end
  return found, faults
end

return memory

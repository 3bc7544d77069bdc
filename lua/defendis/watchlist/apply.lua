-- apply.lua: carries a plan out, call by call, each written down before and after.
--
-- A write whose answer was lost may have been done: it is not sent again. The list is read, and what it holds decides. An apply that was
-- ended anywhere is resumed by a new plan, which has only what is left.
local check = require "defendis.check"
local client = require "defendis.client"
local current = require "defendis.watchlist.current"
local json = require("defendis.core").json
local plan = require "defendis.watchlist.plan"
local values = require "defendis.watchlist.values"

local apply = {}

-- Kinds of errors after which nobody knows whether the API did what it was asked.
local LOST = { network = true, timeout = true, unavailable = true, decode = true, limit = true }

local function ids_of(call)
  local out = json.array{}
  for i, c in ipairs(call.changes) do out[i] = c.id end
  return out
end

-- Path and body of a call; groups by name are known by now.
local function request(run, call)
  if call.action == "remove" then return call.path, { ids = ids_of(call) } end
  local c = call.changes[1]
  local fields = {}
  for k, v in pairs(c.fields) do fields[k] = v end
  if c.group then
    local id = run.groups[c.group]
    if not id then
      return nil, check.error("not_found", ('there is no group "%s"; add it with defendis watchlist add group'):format(c.group))
    end
    fields.watchlistid = id
  end
  return call.action == "update" and call.path .. "/" .. client.segment(c.id) or call.path, fields
end

local function note(run, call, at, event, more)
  if not run.audit then return true end
  local line = { event = event, call = at, calls = run.calls, action = call.action, kind = call.kind, method = call.method,
    changes = json.array{} }
  for i, c in ipairs(call.changes) do line.changes[i] = { id = c.id, value = c.value, group = c.group, was = c.was } end
  for k, v in pairs(more or {}) do line[k] = v end
  return run.audit(line)
end

-- Does an entry hold all that was sent?
local function holds(entry, sent)
  for name, value in pairs(sent) do if entry.record[name] ~= value then return false end end
  return true
end

-- Is what a call was to do done? Returns true or false, the entry that an add made; or nil, err.
local function is_done(run, call, sent)
  local list, err = current.list(run.client, call.kind)
  if not list then return nil, err end
  local gone, c = {}, call.changes[1]
  if call.action == "remove" then for _, id in ipairs(sent.ids) do gone[id] = true end end
  for _, entry in ipairs(list) do
    if gone[entry.id] then return false end
    if call.action == "update" and entry.id == c.id then return holds(entry, sent) end
    if call.action == "add" and entry.value and values.canonical(call.kind, entry.value) == values.canonical(call.kind, c.value) then
      return true, entry
    end
  end
  return call.action == "remove"
end

local function count_of(body)
  local data = type(body) == "table" and body.data
  return type(data) == "table" and data.count
end

-- What became of a call: "done" or "found" (its answer was lost, or said another count, and the list has it), or nil, err. err: where there
-- is no body.
local function judge(run, call, sent, body, err)
  local wrong = body and call.action == "remove" and count_of(body) ~= #sent.ids
  if body and not wrong then return "done" end
  if not body and not LOST[err.kind] then return nil, err end
  local done, problem = is_done(run, call, sent)
  if done then return "found" end
  if done == nil then return nil, body and problem or err end
  if wrong then
    return nil, check.error("incomplete", ("%s: the API says that it removed %s of %d, and some are there still; run it again")
      :format(call.path, tostring(count_of(body)), #sent.ids))
  end
  err.message = err.message .. "; it was read again and is not done; run it again"
  return nil, err
end

-- A new group's id, from the answer or, where that has none, from the list.
local function learn_group(run, call, body, sent)
  local name, data = call.changes[1].value, type(body) == "table" and body.data
  local id = type(data) == "table" and data.id
  if type(id) == "string" or math.type(id) == "integer" then
    run.groups[name] = id
    return true
  end
  local done, entry = is_done(run, call, sent)
  if done == nil then return nil, entry end
  if not entry then return nil, check.error("incomplete", ('the group "%s" is not there after it was made'):format(name)) end
  run.groups[name] = entry.id
  return true
end

-- What is in a group goes with it: those that are not empty after all stay. Returns the call without them, nil when none is left; or
-- nil, err.
local function empty_groups(run, call)
  if run.cascade then return call end
  local used, left = {}, {}
  local now, err = current.read(run.client, values.KINDS)
  if not now then return nil, err end
  for _, list in pairs(now.items) do
    for _, entry in ipairs(list) do if entry.watchlistid then used[entry.watchlistid] = true end end
  end
  for _, c in ipairs(call.changes) do
    if not used[c.id] then left[#left + 1] = c else run.kept[#run.kept + 1] = c end
  end
  if #left == 0 then return nil end
  local copy = {}
  for k, v in pairs(call) do copy[k] = v end
  copy.changes = left
  return copy
end

local function one(run, call, at)
  if call.kind == "group" and call.action == "remove" then
    local rest, err = empty_groups(run, call)
    if not rest then return not err or nil, err end
    call = rest
  end
  local path, sent = request(run, call)
  if not path then return nil, sent end
  local ok, err = note(run, call, at, "before", { path = path })
  if not ok then return nil, err end
  local body, answer = run.client:request(call.method, path, { body = sent })
  local outcome, fault = judge(run, call, sent, body, answer)
  if outcome and call.kind == "group" and call.action == "add" then
    ok, err = learn_group(run, call, body, sent)
    if not ok then outcome, fault = nil, err end
  end
  local said = answer or {} -- of the error, when there was one
  ok, err = note(run, call, at, "after", { path = path, outcome = outcome or "failed", status = said.status, request_id = said.request_id,
    error = fault and fault.message, kind_of_error = fault and fault.kind })
  if not outcome then return nil, fault end
  if not ok then return nil, err end
  run.done[call.action] = run.done[call.action] + #call.changes
  run.found = run.found + (outcome == "found" and 1 or 0)
  return true
end

--- Carries out what plan.make returned, and stops at the first failure. options: {audit = function(line table) -> true | nil, err, called
-- before and after each call; stop = function() -> why, or nil, asked before each call; progress = function(calls made, of how many);
-- max_removals = 10; cascade = true: groups go with what is in them}.
-- Returns {add, update, remove = changes made, found = answers that were lost and whose change was there, kept = groups that were not empty
-- after all}, or nil, err, the same so far.
function apply.run(api, p, options)
  local ok, err = plan.allowed(p, options.max_removals)
  local run = { client = api, audit = options.audit, cascade = options.cascade, calls = #p.calls, groups = {}, found = 0, kept = {},
    done = { add = 0, update = 0, remove = 0 } }
  for name, g in pairs(p.groups.by_name) do run.groups[name] = g.id end
  for at, call in ipairs(ok and p.calls or {}) do
    local why = options.stop and options.stop()
    if why then
      ok, err = nil, check.error("incomplete", ("%s after %d of %d calls; run it again to go on"):format(why, at - 1, #p.calls))
    else
      ok, err = one(run, call, at)
    end
    if not ok then break end
    if options.progress then options.progress(at, #p.calls) end
  end
  local summary = { add = run.done.add, update = run.done.update, remove = run.done.remove, found = run.found, kept = run.kept }
  if not ok then return nil, err, summary end
  return summary
end

return apply

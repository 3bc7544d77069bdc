-- scope.lua: a plan of watchlists as people and programs read it, the question before it is carried out, and the doing.
local core = require "defendis.core"
local apply = require "defendis.watchlist.apply"
local check = require "defendis.check"
local halt = require "defendis.pipeline.halt"
local json = core.json
local plan = require "defendis.watchlist.plan"
local signals = require "defendis.cli.signals"
local task = require "defendis.task"
local time = require "defendis.time"
local ui = require "defendis.cli.ui"

local scope = {}

local function shown(changes)
  local out = json.array{}
  for i, c in ipairs(changes) do
    out[i] = { action = c.action, kind = c.kind, value = c.value, group = c.group, was = c.was, id = c.id,
      description = c.fields and c.fields.description }
  end
  return out
end

-- Calls that differ in nothing but their body or id are one line: {method, path, count}.
local function requests(p)
  local out, by = json.array{}, {}
  for _, call in ipairs(p.calls) do
    local path = call.path .. (call.action == "update" and "/{id}" or "")
    local key = call.method .. path
    if not by[key] then
      by[key] = { method = call.method, path = path, count = 0 }
      out[#out + 1] = by[key]
    end
    by[key].count = by[key].count + 1
  end
  return out
end

local function document(p)
  local quotas = json.array{}
  for i, q in ipairs(p.quotas) do
    quotas[i] = { metric = q.metric, used = q.used, limit = q.limit or json.null, add = q.adds, remove = q.removes, after = q.after,
      enough = q.enough }
  end
  return { differs = #p.changes > 0, add = p.counts.add, update = p.counts.update, remove = p.counts.remove, same = p.same,
    changes = shown(p.changes), extra = shown(p.extra), quotas = quotas, calls = requests(p) }
end

local SIGN = { add = "+", update = "~", remove = "-" }

local function show(p)
  local rows = {}
  for i, c in ipairs(p.changes) do rows[i] = { SIGN[c.action], c.kind, c.value, c.group, c.was } end
  if #rows > 0 then
    ui.table({ "", "kind", "value", "group", "was" }, rows)
    print()
  end
  print(("%d to add, %d to update, %d to remove; %d as they are, %d not in the file and left alone"):format(p.counts.add, p.counts.update,
    p.counts.remove, p.same, #p.extra))
  for _, q in ipairs(p.quotas) do
    if q.adds > 0 then
      print(("quota of %s: %d used, %s, %d after this%s"):format(q.metric, q.used, q.limit and q.limit .. " allowed" or "limit not known",
        q.after, q.enough and "" or ": too many"))
    end
  end
  for _, r in ipairs(requests(p)) do print(("%d x %s %s"):format(r.count, r.method, r.path)) end
end

--- Prints a plan. args: {json, max_removals}. Returns 0 when nothing differs, 6 when something does; or nil, err when a quota is too small.
function scope.report(p, args)
  if args.json then ui.document(document(p)) else show(p) end
  local ok, err = plan.allowed(p, args.max_removals)
  if not ok and err.kind == "quota" then return nil, err end
  if not ok then io.stderr:write("defendis: ", ui.error_line(err), "\n") end
  return #p.changes > 0 and 6 or 0
end

local function picture(p) return json.encode(shown(p.changes), { sort_keys = true }) end

--- Shows a plan on the terminal and asks. again: function() -> the plan as it is when the answer came. Returns true, or nil, err.
function scope.ask(p, args, again)
  local ok, err = plan.allowed(p, args.max_removals)
  if not ok then return nil, err end
  if not args.json then show(p) end
  io.stderr:write(("make these %d changes? [y/N] "):format(#p.changes))
  local answer = io.read("l") or ""
  if not answer:lower():find "^%s*ye?s?%s*$" then return nil, check.error("config", "nothing was changed") end
  local now
  now, err = again()
  if not now then return nil, err end
  if picture(p) == picture(now) then return true end
  return nil, check.error("incomplete", "the watchlists changed meanwhile, and nothing was done; look at the plan again")
end

-- Adds a line to the audit: { ..., time, by }.
local function auditor(path)
  if not path then return nil end
  return function(line)
    line.time, line.by = time.format(core.sys.wall_ms()), os.getenv "USER"
    local ok, err = core.sensitive.append(path, assert(json.encode(line, { sort_keys = true })) .. "\n")
    if ok then return true end
    return nil, check.error("store", "the audit failed, and nothing more is changed: " .. err.message)
  end
end

local function said(summary, args, err)
  if args.json then
    ui.document{ add = summary.add, update = summary.update, remove = summary.remove, found = summary.found, kept = shown(summary.kept),
      error = err and { kind = err.kind, message = err.message, metric = err.metric, used = err.used, limit = err.limit,
        requestedIncrement = err.requestedIncrement, reason = err.reason, status = err.status, request_id = err.request_id } }
    return
  end
  for _, c in ipairs(summary.kept) do
    io.stderr:write(('defendis: the group "%s" is kept: it is not empty\n'):format(ui.plain(c.value)))
  end
  if err and summary.add + summary.update + summary.remove == 0 then return end
  print(("%d added, %d updated, %d removed"):format(summary.add, summary.update, summary.remove))
end

--- Carries a plan out, to the end or until SIGINT or SIGTERM. args: {json, audit = path}; options: {max_removals, cascade}. Returns the
-- exit code, or nil, err.
function scope.carry_out(client, p, args, options)
  local ending = halt.new()
  local update, finish = ui.progress(#p.calls)
  local outcome = task.parallel({ function()
    local ok, problem = signals.watch(ending)
    if not ok then return nil, problem end
    return apply.run(client, p, { max_removals = options.max_removals, cascade = options.cascade, audit = auditor(args.audit),
      stop = function() return ending.asked end, progress = function(n, all) update(n, ("%d of %d calls"):format(n, all)) end })
  end })[1]
  finish()
  if not outcome.ok then error(outcome[1], 0) end
  local summary, err, partial = outcome[1], outcome[2], outcome[3]
  if summary or partial then said(summary or partial, args, err) end
  if not summary then return nil, err end
  return 0
end

return scope

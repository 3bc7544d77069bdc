-- explain.lua: `defendis explain FINDING` and `explain --why-not RULE KEY`: why a finding is there, and why none is.
local core = require "defendis.core"
local check = require "defendis.check"
local common = require "defendis.cli.common"
local explain = require "defendis.explain"
local file = require "defendis.pipeline.file"
local rules = require "defendis.rules"
local time = require "defendis.time"
local ui = require "defendis.cli.ui"

local command = {}

local SHOWN <const> = 100

function command.options(c)
  c:argument("finding", "The id of a finding, or how it begins."):args "?"
  c:option("--why-not", "Instead: what this rule has for this group, whose values are written with spaces between them.")
    :args(2):argname{ "RULE", "KEY" }
  c:option("--state", "The pipeline file, or its state file; then --rules says which rules.", "pipeline.lua"):argname "STORE"
  c:option("--rules", "Rule files, or folders of them, for a state file; may be given again."):argname "PATH":count "*"
  common.backfill_option(c)
end

-- The rules that the words name, or nil when they name none; or nil, err.
local function rules_of(args)
  if #args.rules == 0 then
    if not args.state:find("%.lua$") then return nil end
    local plan, err = file.load(args.state, true)
    return plan and plan.set, err
  end
  local sources, err = file.sources(args.rules, "")
  if not sources then return nil, err end
  return rules.load(sources, file.host())
end

local function condition(rule)
  local c, out = rule.condition, {}
  if type(c) == "string" then return c end
  for name, value in pairs(c or {}) do
    out[#out + 1] = ("%s %s"):format(name, type(value) == "table" and table.concat(value, ",") or value)
  end
  table.sort(out)
  return table.concat(out, ", ")
end

local function row(name, value)
  if value and value ~= "" then print(("%-10s %s"):format(name, ui.plain(value))) end
end

local function show_rule(rule)
  row("rule", ("%s  %s%s"):format(rule.title, rule.id, rule.version and "  version " .. tostring(rule.version) or ""))
  row("file", rule.file and ("%s:%d"):format(rule.file, rule.line))
  row("condition", condition(rule))
  row("timespan", rule.timespan)
  row("suppress", rule.suppress)
end

local function group_text(group)
  local out = {}
  for i, name in ipairs(check.sorted_keys(group or {})) do
    local values = {}
    for k, v in ipairs(type(group[name]) == "table" and group[name] or { group[name] }) do values[k] = tostring(v) end
    out[i] = name .. "=" .. table.concat(values, " ")
  end
  return table.concat(out, ", ")
end

-- The pages of a window; all of its walks have read more answers than that.
local function pages_text(s)
  local text = s.pages and ("1..%d"):format(s.pages) or "-"
  return s.read ~= s.pages and ("%s, %d answers read"):format(text, s.read) or text
end

local function show_finding(why)
  local f = why.finding
  row("finding", f.id)
  show_rule(why.rule)
  row("title", f.title ~= why.rule.title and f.title)
  row("level", ("%s: %s"):format(f.level, why.reason))
  row("time", f.time and time.format(f.time) or "none")
  row("window", f.window and ("%s .. %s"):format(time.format(f.window.from), time.format(f.window.to)))
  row("count", f.count and tostring(f.count))
  row("group", group_text(f.group))
  row("context", f.context and core.json.encode(f.context, { sort_keys = true }))
  local total, shown = f.evidence_total, #why.evidence
  print(("\n%d record%s%s"):format(total, total == 1 and "" or "s", total > shown and (", the first %d:"):format(shown) or ":"))
  local rows = {}
  for _, e in ipairs(why.evidence) do
    local at = e.time and time.format(e.time) or "-"
    local dataset, input = e.dataset or "finding of " .. e.correlation, e.dataset and "not known to this state" or "explain it too"
    if #e.sources == 0 then rows[#rows + 1] = { e.id, at, dataset, input, "-", "-", "-" } end
    for _, s in ipairs(e.sources) do
      rows[#rows + 1] = { e.id, at, dataset, s.input, s.from .. ".." .. s.to, pages_text(s), s.request_id or "-" }
    end
  end
  ui.table({ "record", "time", "dataset", "input", "window", "on one of pages", "last request" }, rows)
end

local function show_why_not(why)
  show_rule(why.rule)
  row("group", why.group)
  row("decided", why.watermark and "before " .. time.format(why.watermark) or "nothing yet")
  row("window", why.window and ("%s .. %s"):format(time.format(why.window.from), time.format(why.window.to)))
  print ""
  for _, line in ipairs(why.lines) do print(ui.plain(line)) end
  if #why.events == 0 then return end
  print(("\n%d events that the state keeps of this group%s"):format(#why.events,
    #why.events > SHOWN and (", the last %d:"):format(SHOWN) or ":"))
  local rows, w = {}, why.window
  for i = math.max(1, #why.events - SHOWN + 1), #why.events do
    local e = why.events[i]
    local where = w and i >= w.first and i <= w.last and "in the window" or ""
    rows[#rows + 1] = { e.id, time.format(e.time), e.member, explain.label(e.value or "-"), where }
  end
  ui.table({ "record", "time", "rule", "value", "" }, rows)
end

function command.run(args)
  if (args.finding ~= nil) == (args.why_not ~= nil) then
    return nil, check.error("config", "give the id of a finding, or --why-not RULE KEY")
  end
  local set, err = rules_of(args)
  if err then return nil, err end
  if args.why_not and not set then
    return nil, check.error("config", "--why-not needs the rules: give --state PIPELINE.lua, or --rules PATH")
  end
  local store <close>, problem = common.store(args.state, args.backfill)
  if not store then return nil, problem end
  local why
  if args.finding then
    why, err = explain.finding(store, set, args.finding)
  else
    why, err = explain.why_not(store, set, args.why_not[1], args.why_not[2])
  end
  if not why then return nil, err end
  if args.json then
    ui.document(why)
  elseif args.finding then
    show_finding(why)
  else
    show_why_not(why)
  end
  return 0
end

return command

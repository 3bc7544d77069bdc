-- file.lua: reads a pipeline file and its rules, and checks them before anything else happens.
local core = require "defendis.core"
local catalog = require "defendis.catalog"
local backfill = require "defendis.pipeline.backfill"
local check = require "defendis.check"
local host = require "defendis.pipeline.host"
local locate = require "defendis.rules.locate"
local rules = require "defendis.rules"
local secret = require "defendis.secret"
local sensitive = require "defendis.sensitive"
local shipped = require "defendis.normalize.shipped"
local sinks = require "defendis.pipeline.sinks"
local time = require "defendis.time"

local file = { host = host.new, map = host.map }

local DAY_MS <const> = 86400000

local function span(v)
  if type(v) ~= "string" or not time.span(v) then return 'a time span such as "1d" or "2h" expected' end
end

local function days(v)
  local ms = type(v) == "string" and time.span(v)
  if not ms or ms < DAY_MS or ms % DAY_MS ~= 0 then return 'whole days such as "1d" or "1w" expected: the API takes dates' end
end

local function date(v)
  if type(v) ~= "string" or not core.api.days(v) then return 'a date such as "2026-01-31" expected' end
end

local function dataset(v)
  local entry, err = catalog.dataset(v)
  if not entry then return err.message end
end

local is_dataset_list, is_text_list = check.list(dataset, 1), check.list(check.text, 1)

local function datasets(v)
  local problem, path = is_dataset_list(v)
  if problem then return problem, path end
  local seen = {}
  for i, name in ipairs(v) do
    if seen[name] then return ('"%s" is listed twice'):format(name), { i } end
    seen[name] = true
  end
end

local function scope(v)
  if v == "watchlists" then return end
  if type(v) ~= "table" then return '"watchlists", or a table such as { domain = { "acme.example" } } expected' end
  local inputs = {}
  for _, entry in ipairs(catalog.list()) do inputs[entry.input or entry.name] = entry.dataset and entry.input and true end
  for input, values in pairs(v) do
    if type(input) ~= "string" then return "names of inputs expected", { input } end
    if not inputs[input] then return check.unknown(input, inputs, "input"), { input } end
    local problem = is_text_list(values)
    if problem then return problem, { input } end
  end
end

local function sink(v)
  if type(v) ~= "table" or not v.options then return 'a sink such as jsonl{ path = "out/" } expected' end
end

local UNITS = { [""] = 1, KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30 }

local function bytes(text)
  local n, unit = text:match("^(%d%d?%d?%d?%d?%d?%d?%d?%d?)(%a*)$")
  return n and UNITS[unit] and math.tointeger(tonumber(n)) * UNITS[unit] or nil
end

local function size(v)
  if type(v) ~= "string" or (bytes(v) or 0) == 0 then return 'a size such as "256MiB" expected' end
end

local function page_size(v)
  if math.type(v) ~= "integer" or v < 1 or v > 10000 then return "an integer from 1 to 10000 expected" end
end

check.typed('span such as "2h"', span)
check.typed('whole days such as "1d"', days)
check.typed('day such as "2026-01-31"', date)
check.typed("list of datasets", datasets)
check.typed('"watchlists", or table of inputs to lists of values', scope)
check.typed("sink", sink)
check.typed('size such as "256MiB"', size)
check.typed("whole number from 1 to 10000", page_size)

--- The fields of a pipeline file.
file.SPEC = {
  scope = check.required(scope, 'what is watched: { domain = { "acme.example" } }, or what the key\'s watchlists hold'),
  datasets = check.required(datasets, "which datasets, by their names in the catalog"),
  since = check.required(date, "the first day (UTC)"),
  ["until"] = check.field(date, "the day after the last one; without it the pipeline goes on for ever"),
  window = check.field(days, "days that are walked as one", "1d"),
  settle = check.field(span, "a window is walked first when it ended this long ago", "1h"),
  lateness = check.field(span, "and again in each run, until it ended this long ago", "2d"),
  page_size = check.field(page_size, "records in a request", 100),
  concurrency = check.field(page_size, "requests at once", 8),
  rules = check.field(check.list(check.text), "rule files, or folders of *.lua and *.yml; relative to this file"),
  sensitive = check.field(check.shape(sensitive.SPEC), "passwords, tokens, card numbers: which fields, who may read them"),
  normalize = check.field(check.one_of(shipped.TARGETS), "what datasets without a normalizer become"),
  sinks = check.required(check.list(sink, 1), "where documents and findings go"),
  store = check.required(check.text, "the file of the state (SQLite); its folder is made"),
  outbox = check.field(size, "documents that may wait for sinks; then no pages are fetched", "256MiB"),
  give_up = check.field(span, "how long a sink may fail before the run goes on without it", "60s"),
}

local function config(...) return nil, check.error("config", (...):format(select(2, ...))) end

local read = host.read

local function is_rule_file(name) return name:find("%.lua$") or name:find("%.ya?ml$") end

-- The rule files in a folder, in order, or nil, err.
local function list(folder)
  local out = {}
  for _, ending in ipairs{ ".lua", ".yml", ".yaml" } do
    local names, err = core.stream.list(folder, ending)
    if not names then return nil, check.error("config", "cannot read the rules: " .. err.message) end
    table.move(names, 1, #names, #out + 1, out)
  end
  if #out == 0 then return config("there is no rule file (*.lua, *.yml) in %s", folder) end
  return out
end

--- Rule files as rules.load wants them. paths: files, or folders whose *.lua and *.yml are taken; folder: what relative ones count from.
function file.sources(paths, folder)
  local out = {}
  for _, path in ipairs(paths) do
    local full = path:sub(1, 1) == "/" and path or folder .. path
    local names = is_rule_file(full) and { "" } or nil
    if not names then
      local err
      names, err = list(full)
      if not names then return nil, err end
      full = full:gsub("/*$", "/")
    end
    for _, name in ipairs(names) do
      local text, err = read(full .. name)
      if not text then return nil, err end
      out[#out + 1] = { name = full .. name, text = text }
    end
  end
  return out
end

-- The sandbox of a pipeline file: constructors and nothing else.
local function environment(made, folder, bare)
  local env = bare and sinks.ignored() or sinks.constructors(folder)
  env.secret = bare and { env = function() end, file = function() end } or secret.constructors(folder)
  -- Only notes what it was given: it is checked when the file has returned.
  function env.pipeline(options)
    made.line = debug.getinfo(2, "l").currentline
    made.options = options
    return options
  end
  return setmetatable(env, { __index = function(_, name) error(check.unknown(name, env, "name"), 2) end })
end

local function evaluate(path, text, folder, bare)
  local made = {}
  local chunk, problem = load(text, "@" .. path, "t", environment(made, folder, bare))
  if not chunk then return config("%s", problem) end
  local ok, fault = pcall(chunk)
  if not ok and type(fault) == "table" and fault.at then
    local line = math.max(fault.line, 1)
    return config("%s:%d: %s", path, locate.line(text, line, fault.sink, fault.at) or line, fault.message)
  end
  if not ok then return config("%s", type(fault) == "table" and fault.message or tostring(fault)) end
  if type(made.options) ~= "table" then return config("%s:1: a pipeline file returns pipeline{ ... }", path) end
  local message, at = check.options(made.options, file.SPEC)
  if message then
    local line = made.line > 0 and made.line or locate.returned(text, "pipeline")
    return config("%s:%d: %s", path, locate.line(text, line, "pipeline", at or {}) or line, check.describe(message, at))
  end
  return made.options
end

local function is_pipeline(text)
  local before
  for tok in locate.tokens(text) do
    if tok == "" then break end
    if before == "pipeline" and (tok == "{" or tok == "(") then return true end
    before = tok
  end
end

--- As file.sources, where a pipeline file stands for its rules. Returns sources and the pipeline's options or {}; or nil, err.
function file.desk(paths)
  local out, options, named = {}, {}, nil
  for _, path in ipairs(paths) do
    local names, folder = { path }, ""
    local text = path:find "%.lua$" and read(path)
    if text and is_pipeline(text) then
      if named then return config("%s and %s are both pipeline files; give one", named, path) end
      named, folder = path, path:match "^(.*/)[^/]*$" or ""
      local o, err = evaluate(path, text, folder, true)
      if not o then return nil, err end
      names, options = o.rules or {}, o
    end
    local found, problem = file.sources(names, folder)
    if not found then return nil, problem end
    table.move(found, 1, #found, #out + 1, out)
  end
  return out, options
end

--- Reads a pipeline file, and leaves its sinks to make_sinks. bare: without them, for they may need secrets; past: of a backfill, see
-- backfill.apply, or nil. Returns {path, folder, scope, datasets, since, until_day, step, settle_ms, lateness_ms, page_size, concurrency,
-- store, outbox = bytes, give_up_ms, entries = for make_sinks, set = rules} with days since 1970-01-01, or nil, err (kind "config",
-- file:line).
function file.read(path, bare, past)
  local text, err = read(path)
  if not text then return nil, err end
  local o
  local folder = path:match("^(.*/)[^/]*$") or ""
  o, err = evaluate(path, text, folder, bare)
  if not o then return nil, err end
  local sources, set
  sources, err = file.sources(o.rules or {}, folder)
  if not sources then return nil, err end
  set, err = rules.load(sources, host.new(o))
  if not set then return nil, err end
  local function given(name) return check.given(o, file.SPEC, name) end
  local plan = { path = path, folder = folder, scope = o.scope, datasets = o.datasets, set = set,
    since = core.api.days(o.since), until_day = o["until"] and core.api.days(o["until"]) or 0,
    step = time.span(given "window") // DAY_MS, settle_ms = time.span(given "settle"), lateness_ms = time.span(given "lateness"),
    page_size = given "page_size", concurrency = given "concurrency",
    store = o.store:sub(1, 1) == "/" and o.store or folder .. o.store, outbox = bytes(given "outbox"),
    give_up_ms = time.span(given "give_up"), sensitive = o.sensitive or {} }
  plan.sensitive_base = plan.store -- a backfill's too: its values are equal to the live ones
  if past then
    plan, err = backfill.apply(plan, past)
    if not plan then return nil, err end
  end
  plan.entries = o.sinks
  return plan
end

--- Makes a plan's sinks, anew when those that it has are closed. Returns the plan, or nil, err.
function file.make_sinks(plan)
  local made, err = sinks.make(plan.entries, plan.folder, plan.path, plan.backfill, plan.replay)
  if not made then return nil, err end
  plan.sinks = made
  return plan
end

--- As file.read; with its sinks unless bare.
function file.load(path, bare, past)
  local plan, err = file.read(path, bare, past)
  if not plan or bare then return plan, err end
  return file.make_sinks(plan)
end

return file

-- test.lua: `defendis test PATH...`: the tests inside rule files.
local check = require "defendis.check"
local file = require "defendis.pipeline.file"
local halt = require "defendis.pipeline.halt"
local rules = require "defendis.rules"
local ruletest = require "defendis.ruletest"
local signals = require "defendis.cli.signals"
local shipped = require "defendis.normalize.shipped"
local task = require "defendis.task"
local ui = require "defendis.cli.ui"

local command = {}

local LOOK_S <const> = 0.3 -- between two looks at the files

function command.options(c)
  c:argument("path", "Rule files, folders of them, or a pipeline file for its rules, with its settings."):args "+"
  c:option("--junit", "Also write the results as JUnit XML."):argname "FILE"
  c:flag("--loss", "Also print, for each declarative map and shipped normalizer, the fields of the tests' records that it does not read.")
  c:option("--normalize", "As in a pipeline file: datasets without a normalizer have the one that comes with the program."):argname "TARGET"
    :choices(shipped.TARGETS)
  c:option("--filter", "Only tests whose rule or name contains this text."):argname "TEXT"
  c:flag("--watch", "Run again when a file changes, until SIGINT.")
end

local function write_junit(path, report)
  local f, problem = io.open(path, "w")
  if not f then return nil, check.error("config", "cannot write " .. problem) end
  f:write(ruletest.junit(report))
  f:close()
  return true
end

-- Runs the tests once. Returns the exit code, or nil, err.
local function test(args, sources, options)
  local host = file.host(options)
  host.normalize = args.normalize or host.normalize
  host.hmac_key = host.hmac_key or "defendis test" -- what hmac gives here means nothing
  local set, err = rules.load(sources, host)
  if not set then return nil, err end
  local report = ruletest.run(set, { filter = args.filter })
  if args.filter and #report.tests == 0 then return nil, check.error("config", ('no test matches --filter "%s"'):format(args.filter)) end
  if args.junit then
    local ok, problem = write_junit(args.junit, report)
    if not ok then return nil, problem end
  end
  report.loss = args.loss and ruletest.loss(set) or nil
  if args.json then
    ui.document(report)
  else
    for _, t in ipairs(report.tests) do
      if not t.ok then print(ui.colour("red", ("FAILED  %s: %s: %s"):format(t.file, t.rule, t.name))) print("  " .. ui.plain(t.message)) end
    end
    print(("%d passed, %d failed"):format(report.passed, report.failed))
  end
  for _, l in ipairs(not args.json and report.loss or {}) do
    local fields = #l.fields > 0 and table.concat(l.fields, ", ") or "nothing"
    print(ui.plain(("%s (%s) %s: %s"):format(l.dataset, l.rule, l.shipped and "leaves in unmapped" or "does not read", fields)))
  end
  return report.failed == 0 and 0 or 1
end

-- What the files hold, as one text: it tells whether anything changed, on file systems that do not say so too.
local function picture(sources, err) -- err: the options where there are sources
  if not sources then return err.message end
  local out = { tostring(err.normalize) }
  for i, s in ipairs(sources) do out[i + 1] = ("%d:%s%d:%s"):format(#s.name, s.name, #s.text, s.text) end
  return table.concat(out)
end

-- Looks at the files again and again. Returns the exit code of the last run, or nil, err.
local function watch(args, ending)
  local ok, problem = signals.watch(ending)
  if not ok then return nil, problem end
  local seen, last, code
  while not ending.asked do
    local sources, options = file.desk(args.path)
    local now, err = picture(sources, options), not sources and options or nil
    -- what is still being written changes between two looks
    if now ~= seen and (not seen or now == last) then
      if seen and not args.json then print() end
      seen, code = now, nil
      if sources then code, err = test(args, sources, options) end
      if not code then io.stderr:write("defendis: ", ui.error_line(err), "\n") end
      io.stdout:flush()
    end
    last = now
    ending:wait(LOOK_S)
  end
  return code or 2
end

function command.run(args)
  if args.watch then
    local outcome = task.parallel({ function() return watch(args, halt.new()) end })[1]
    if not outcome.ok then error(outcome[1], 0) end
    return outcome[1], outcome[2]
  end
  local sources, options = file.desk(args.path)
  if not sources then return nil, options end
  return test(args, sources, options)
end

return command

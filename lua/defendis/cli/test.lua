-- test.lua: `defendis test PATH...`: the tests inside rule files.
local check = require "defendis.check"
local file = require "defendis.pipeline.file"
local rules = require "defendis.rules"
local ruletest = require "defendis.ruletest"
local ui = require "defendis.cli.ui"

local command = {}

function command.options(c)
  c:argument("path", "Rule files, or folders of them."):args "+"
  c:option("--junit", "Also write the results as JUnit XML."):argname "FILE"
  c:flag("--loss", "Also print, for each declarative map, the fields of its tests' inputs that it does not read.")
  c:option("--filter", "Only tests whose rule or name contains this text."):argname "TEXT"
end

local function write_junit(path, report)
  local f, problem = io.open(path, "w")
  if not f then return nil, check.error("config", "cannot write " .. problem) end
  f:write(ruletest.junit(report))
  f:close()
  return true
end

function command.run(args)
  local sources, err = file.sources(args.path, "")
  if not sources then return nil, err end
  local set
  local host = file.host()
  host.hmac_key = host.hmac_key or "defendis test" -- what hmac gives here means nothing
  set, err = rules.load(sources, host)
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
    print(ui.plain(("%s (%s) does not read: %s"):format(l.dataset, l.rule, fields)))
  end
  return report.failed == 0 and 0 or 1
end

return command

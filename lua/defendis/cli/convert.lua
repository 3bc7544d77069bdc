-- convert.lua: `defendis convert --to DIALECT [FILE]`: findings and OCSF documents in the words of other systems.
local core = require "defendis.core"
local check = require "defendis.check"
local convert = require "defendis.normalize.convert"
local lines = require "defendis.cli.lines"
local ui = require "defendis.cli.ui"

local command = {}

function command.options(c)
  c:argument("file", "JSON lines of findings or OCSF documents; without it, or as -, stdin."):args "?"
  c:option("--to", "The dialect: " .. table.concat(convert.DIALECTS, ", ") .. "."):argname "DIALECT":choices(convert.DIALECTS):count "1"
  c:flag("--bundle", "With stix: one bundle of everything.")
end

local function encode(value) return assert(core.json.encode(value, { sort_keys = true })) end

--- What converters need of this program. The time of a finding without any is when it is converted.
function command.host()
  return { uuid5 = core.hash.uuid5, null = core.json.null, array = core.json.array, encode = encode, now = core.sys.wall_ms(),
    version = core.version }
end

-- Only one bundle is kept in memory whole.
local function bundle(file, host)
  local alerts = {}
  local code, err = lines.each(file, function(text)
    local doc, problem = lines.object(text)
    if not doc then return nil, problem end
    alerts[#alerts + 1], problem = convert.alert(doc, host)
    return problem == nil, problem
  end)
  if not code then return nil, err end
  if not alerts[1] then return code end
  local out, problem = convert.bundle(alerts, host)
  if not out then return nil, check.error("script", problem) end
  ui.write(encode(out) .. "\n")
  return code
end

function command.run(args)
  local host = command.host()
  if args.bundle and args.to ~= "stix" then return nil, check.error("config", "--bundle goes with --to stix only") end
  if args.bundle then return bundle(args.file, host) end
  return lines.each(args.file, function(text)
    local doc, problem = lines.object(text)
    if not doc then return nil, problem end
    local out
    out, problem = convert.document(args.to, doc, host)
    if not out then return nil, problem end
    ui.write((type(out) == "string" and out or encode(out)) .. "\n")
    return true
  end)
end

return command

-- lint.lua: `defendis lint PATH...`: what is wrong with rule files, or may be.
local file = require "defendis.pipeline.file"
local json = require("defendis.core").json
local lintfields = require "defendis.lintfields"
local lintrules = require "defendis.lintrules"
local replay = require "defendis.replay"
local rules = require "defendis.rules"
local ui = require "defendis.cli.ui"

local command = {}

function command.options(c)
  c:argument("path", "Rule files, folders of them, or a pipeline file for its rules; together they are one set."):args "+"
  c:option("--records", "Records that say which fields there are, as for replay; may be given again."):argname "PATH":count "*"
  c:option("--dataset", "What those records are."):argname "NAME"
  c:flag("--strict", "Exit code 1 for infos too.")
end

local COLOURS = { error = "red", warning = "yellow", info = "bold" }

-- Returns what was found, or nil, err.
local function work(args)
  local sources, options = file.desk(args.path)
  if not sources then return nil, options end
  local files, known, set, err
  files, err = replay.files(args.records, args.dataset)
  if not files then return nil, err end
  known, err = lintfields.known(files)
  if not known then return nil, err end
  set, err = rules.load(sources, file.host(options))
  if not set then return { lintrules.refused(err) } end
  return lintrules.run(sources, set, known)
end

function command.run(args)
  local found, err = work(args)
  if not found then return nil, err end
  local counts = { error = 0, warning = 0, info = 0 }
  for _, f in ipairs(found) do
    counts[f.severity] = counts[f.severity] + 1
    if not args.json then
      local severity = ui.colour(COLOURS[f.severity], f.severity)
      print(("%s:%d: %s: %s (%s)"):format(ui.plain(f.file), f.line, severity, ui.plain(f.message), f.name))
    end
  end
  if args.json then
    ui.document{ findings = json.array(found), errors = counts.error, warnings = counts.warning, infos = counts.info }
  else
    print(("%d errors, %d warnings, %d infos"):format(counts.error, counts.warning, counts.info))
  end
  return counts.error + counts.warning + (args.strict and counts.info or 0) > 0 and 1 or 0
end

return command

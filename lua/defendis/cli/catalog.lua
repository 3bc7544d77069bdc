-- catalog.lua: `defendis catalog`: the endpoints known.
local catalog = require "defendis.catalog"
local ui = require "defendis.cli.ui"

local command = {}

function command.options() end

function command.run(args)
  local rows = {}
  for i, e in ipairs(catalog.list()) do
    if args.json then
      rows[i] = { name = e.name, method = e.method, path = e.path, required = e.required, paged = e.paged or false, status = e.status }
    else
      rows[i] = { e.name, e.method, e.path, table.concat(e.required or {}, " "), e.paged and "paged" or "", e.status }
    end
  end
  if args.json then
    ui.document(rows)
  else
    ui.table({ "name", "method", "path", "required", "paging", "status" }, rows)
  end
  return 0
end

return command

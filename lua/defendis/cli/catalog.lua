-- catalog.lua: `defendis catalog`: the endpoints known, or what rule files can call.
local catalog = require "defendis.catalog"
local reference = require "defendis.helpers.reference"
local ui = require "defendis.cli.ui"

local command = {}

function command.options(c)
  c:flag("--helpers", "What rule files can call, with an example each.")
end

local function print_helpers(args)
  if args.json then
    ui.document(reference.list())
    return 0
  end
  local rows = {}
  for i, e in ipairs(reference.list()) do rows[i] = { e.name, e.arguments, e.example, e.gives } end
  ui.table({ "name", "arguments", "example", "gives" }, rows)
  return 0
end

function command.run(args)
  if args.helpers then return print_helpers(args) end
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

-- fetch.lua: `defendis fetch DATASET name=value ...`: records of one dataset as JSON lines.
local json = require("defendis.core").json
local client_module = require "defendis.client"
local common = require "defendis.cli.common"
local sensitive = require "defendis.sensitive"
local ui = require "defendis.cli.ui"

local fetch = {}

function fetch.options(command)
  command:argument("dataset", "Name in the catalog, such as dataleaks.credentials.")
  command:argument("inputs", "Inputs and other parameters, such as domain=acme.example."):args "*":argname "NAME=VALUE"
  command:option("--from", "First day, YYYY-MM-DD."):argname "DATE"
  command:option("--to", "Day after the last, YYYY-MM-DD."):argname "DATE"
  command:option("--limit", "Stop after this many records."):convert(common.integer("--limit", 1)):argname "N"
  command:option("--page-size", "Records per request.", "100"):convert(common.integer("--page-size", 1)):argname "N"
  command:flag("--reveal", "Passwords, tokens and card numbers as they are; a line on stderr says that it was done.")
  command:flag("--plan", "Ask for the first page only, and print what all would take.")
  common.client_options(command)
  require("defendis.cli.tape").options(command)
end

-- Writes the pages' records until the limit; hidden: what is masked, or nil. Returns how many.
local function copy(pages, limit, hidden, update)
  local buffer, n = json.buffer(), 0
  for page in pages do
    for i = 1, page:len() do
      if n == limit then break end
      local record, err = page:record(i, hidden)
      if record == nil then error(err, 0) end
      assert(buffer:encode(record, { sort_keys = true }))
      buffer:add("\n")
      n = n + 1
    end
    page:close()
    ui.write(buffer:text())
    buffer:reset()
    update(n, n .. " records")
    if n == limit then break end
  end
  return n
end

function fetch.run(args)
  local parameters, err = common.pairs(args.inputs)
  if not parameters then return nil, err end
  parameters.from, parameters.to, parameters.pageSize = args.from, args.to, args.page_size
  local path, query = client_module.plan(args.dataset, parameters)
  if not path then return nil, query end
  local client <close>, problem = common.client(args)
  if not client then return nil, problem end
  if args.plan then return require("defendis.cli.plan").fetch(client, args, path, query) end
  local hidden
  if not args.reveal then
    hidden, problem = sensitive.list_of(args.dataset, {})
    if problem then return nil, problem end
  else
    sensitive.note("fetch --reveal", args.dataset)
  end
  local update, finish = ui.progress(args.limit)
  local ok, fault = pcall(copy, client:pages(path, query), args.limit, hidden, update)
  finish()
  if not ok then return nil, fault end
  return 0
end

return fetch

-- call.lua: `defendis call METHOD PATH [name=value ...]`: one raw request.
local json = require("defendis.core").json
local check = require "defendis.check"
local common = require "defendis.cli.common"
local ui = require "defendis.cli.ui"

local call = {}

function call.options(command)
  command:argument("method", "GET, POST, PUT or DELETE.")
  command:argument("path", "Such as /api/v1/watchlists.")
  command:argument("parameters", "Query parameters."):args "*":argname "NAME=VALUE"
  command:option("--json-body", "File with the JSON to send; - for stdin."):argname "FILE"
  command:flag("--paginate", "All pages of a list, as JSON lines.")
  common.client_options(command)
  require("defendis.cli.tape").options(command)
end

local function paginate(client, args, query)
  local buffer = json.buffer()
  return pcall(function()
    for page in client:pages(args.path, query) do
      for i = 1, page:len() do buffer:add(page:raw(i):gsub("[\r\n]", " ")):add("\n") end
      page:close()
      ui.write(buffer:text())
      buffer:reset()
    end
  end)
end

function call.run(args)
  local query, err = common.pairs(args.parameters)
  if not query then return nil, err end
  local body
  if args.json_body then
    local text
    text, err = common.read_file(args.json_body)
    if not text then return nil, err end
    body, err = json.decode(text)
    if err then return nil, check.error("config", args.json_body .. ": " .. err.message) end
  end
  local client <close>, problem = common.client(args)
  if not client then return nil, problem end
  if args.paginate then
    if args.method:upper() ~= "GET" then return nil, check.error("config", "--paginate goes with GET") end
    query.pageSize = math.tointeger(query.pageSize)
    local ok, fault = paginate(client, args, query)
    if not ok then return nil, fault end
    return 0
  end
  local value
  value, err = client:request(args.method:upper(), args.path, { query = query, body = body, key = args.path ~= "/health" })
  if value == nil then return nil, err end
  ui.document(value)
  return 0
end

return call

-- health.lua: `defendis health`: can the API be reached, is the key good, what may it see.
local common = require "defendis.cli.common"
local ui = require "defendis.cli.ui"

local health = {}

function health.options(command) common.client_options(command) end

-- Few attempts and a short deadline: somebody is waiting.
local SHORT = { timeout = 15, retry = { max_attempts = 2 } }

function health.run(args)
  local client <close>, err = common.client(args, SHORT)
  if not client then return nil, err end
  local status
  status, err = client:health()
  if not status then return nil, err end
  local kinds, scope = { "domain", "bin", "executive", "keyword", "ransom", "assets" }, {}
  for _, kind in ipairs(kinds) do
    local answer
    answer, err = client:get("/api/v1/watchlists/" .. kind, { page = 1, pageSize = 1 })
    if not answer then return nil, err end
    scope[kind] = answer.paging and answer.paging.totalRecords or #(answer.data or {})
  end
  if args.json then
    ui.document{ api = status.status, key = "ok", scope = scope }
    return 0
  end
  print("API  " .. ui.colour("green", ui.plain(status.status or "answers")))
  print("key  " .. ui.colour("green", "accepted"))
  local rows = {}
  for i, kind in ipairs(kinds) do rows[i] = { kind, scope[kind] } end
  ui.table({ "watchlist", "items" }, rows)
  return 0
end

return health

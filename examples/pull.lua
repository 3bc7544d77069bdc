-- pull.lua: records of one dataset as JSON lines, with stock Lua:
--   lua5.4 pull.lua dataleaks.credentials domain=acme.example from=2026-01-01 to=2026-01-08 > leaks.jsonl
-- Base URL and key come from the environment: DEFENDIS_BASE_URL, DEFENDIS_API_KEY_FILE or DEFENDIS_API_KEY.
local defendis = require "defendis"

local dataset, parameters = arg[1], {}
if not dataset then
  io.stderr:write("usage: lua5.4 pull.lua DATASET NAME=VALUE ...\n")
  os.exit(2)
end
for i = 2, #arg do
  local name, value = arg[i]:match("^([^=]+)=(.*)$")
  parameters[name or error(arg[i] .. " is not NAME=VALUE", 0)] = value
end

local client <close> = defendis.client{ timeout = 300, retry = { max_attempts = 8 } }
local records, passwords = 0, 0

-- A loop that ends has seen every record: whatever goes wrong on the way is raised.
for record in client:each(dataset, parameters) do
  records = records + 1
  if record.password then
    record.password = "***" -- a record is a plain table
    passwords = passwords + 1
  end
  print(assert(defendis.json.encode(record, { sort_keys = true })))
end
io.stderr:write(("%d records, %d passwords left out\n"):format(records, passwords))

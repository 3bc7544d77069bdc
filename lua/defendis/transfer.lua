-- transfer.lua: a whole state as rows of plain values, out of one store and into another.
local store = require "defendis.store"

local transfer = {}

local function is_blob(spec, column) return (" " .. (spec.blob or "") .. " "):find(" " .. column .. " ", 1, true) end

local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

local function unhex(text)
  if #text % 2 ~= 0 or text:find "%X" then return nil end
  return (text:gsub("..", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- for row in transfer.export(s): {table = name, column = value, ...}, one for each row of the state, in an order that
-- import can take. Blobs are hexadecimal text, NULL is absent. Use an exclusive store, so that nothing moves meanwhile.
function transfer.export(s)
  return coroutine.wrap(function()
    for _, spec in ipairs(store.TABLES) do
      local columns = {}
      for i = 2, #spec do columns[i - 1] = '"' .. spec[i] .. '"' end
      local next_row, state = s.db:rows(("SELECT %s FROM %s"):format(table.concat(columns, ", "), spec[1]))
      while true do
        local values = table.pack(next_row(state))
        if values[1] == nil then break end
        local row = { table = spec[1] }
        for i = 2, #spec do
          local value = values[i - 1]
          row[spec[i]] = value and is_blob(spec, spec[i]) and hex(value) or value
        end
        coroutine.yield(row)
      end
    end
  end)
end

local by_name = {}
for _, spec in ipairs(store.TABLES) do by_name[spec[1]] = spec end

-- Puts one exported row into an empty store; the caller holds the transaction. -> true, or nil, err: also when the row
-- is there already, or is none of ours.
function transfer.import(s, row)
  local spec = by_name[row.table]
  if not spec then return nil, { kind = "store", message = "not a row of a state: " .. tostring(row.table) } end
  local marks, values = {}, {}
  for i = 2, #spec do
    local value, blob = row[spec[i]], is_blob(spec, spec[i])
    if blob and type(value) == "string" then value = unhex(value) end
    marks[i - 1], values[i - 1] = blob and "CAST(? AS BLOB)" or "?", value
  end
  local columns = table.concat(table.move(spec, 2, #spec, 1, {}), '", "')
  local ok, err = s.db:exec(('INSERT INTO %s("%s") VALUES(%s)'):format(spec[1], columns, table.concat(marks, ", ")),
    table.unpack(values, 1, #spec - 1))
  if not ok then return nil, err end
  return true
end

return transfer

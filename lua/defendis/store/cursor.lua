-- cursor.lua: how far a sink is in the outbox, as the state keeps it, and the documents that it finds there.
local NO_TIME <const> = math.mininteger -- of a document that has none

local cursor = {}

--- What is settled behind a cursor: "7:0-3 8:5-5" as { [7] = { [0] = true, ... }, ... }, and how many.
function cursor.parse(text)
  local set, n = {}, 0
  for seq, first, last in text:gmatch("(%d+):(%d+)-(%d+)") do
    seq = math.tointeger(seq)
    set[seq] = set[seq] or {}
    for p = math.tointeger(first), math.tointeger(last) do set[seq][p], n = true, n + 1 end
  end
  return set, n
end

--- The same as text.
function cursor.text(set)
  local seqs, out = {}, {}
  for seq in pairs(set) do seqs[#seqs + 1] = seq end
  table.sort(seqs)
  for _, seq in ipairs(seqs) do
    local positions = {}
    for p in pairs(set[seq]) do positions[#positions + 1] = p end
    table.sort(positions)
    local first
    for i, p in ipairs(positions) do
      first = first or p
      if positions[i + 1] ~= p + 1 then out[#out + 1], first = ("%d:%d-%d"):format(seq, first, p), nil end
    end
  end
  return table.concat(out, " ")
end

--- How many documents a sink has yet to take. d: as store:delivery gives it.
function cursor.behind(store, d)
  local _, settled = cursor.parse(d.settled)
  return store:outbox_behind(d.seq, d.sink, d.kinds) - d.position - settled
end

--- What identifies a document in a row: 16 bytes and its time. key: 16 bytes; time: Unix ms or nil.
function cursor.pack(key, time) return string.pack("<c16i8", key, time and math.floor(time) or NO_TIME) end

local function hex(bytes) return (("%02x"):rep(#bytes):format(bytes:byte(1, -1))) end

--- The document at a position (from 0) of a row, as a sink gets it. row: {kind, ids, and a line of JSON for each document}.
function cursor.item(row, position)
  local key, time = string.unpack("<c16i8", row.ids, position * 24 + 1)
  local id = hex(key)
  if row.kind == "findings" then id = id:gsub("^(%x%x%x%x%x%x%x%x)(%x%x%x%x)(%x%x%x%x)(%x%x%x%x)", "%1-%2-%3-%4-") end
  return { id = id, kind = row.kind, time = time ~= NO_TIME and time or nil, json = row[position + 1] }
end

return cursor

-- outbox.lua: the part of the store that keeps documents on their way to sinks. Methods of defendis.store.
--
-- A row holds up to some hundred documents of one kind: `body` is a line of JSON for each, `ids` 24 bytes for each: 16 that
-- identify it and its time (little-endian, the smallest integer for none). One row serves all sinks, or the one it names.
-- A sink's cursor is (seq, position): all before that row and before that document in it is settled; `settled` says which
-- documents behind it are, as "seq:first-last" in order. Rows of windows have input, from and to; those of findings have none.
local outbox = {}

local COUNTED <const> = [[FROM outbox WHERE seq >= ?1 AND (sink IS NULL OR sink = ?2) AND instr(?3, char(10) || kind || char(10)) > 0]]

-- Adds a row. row: {seq, sink = name or nil, kind, input, from, to, count, ids, body}. -> rows written, or nil, err.
function outbox:put_outbox(row)
  return self.db:exec("INSERT INTO outbox VALUES(?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS BLOB), CAST(? AS BLOB))", row.seq, row.sink, row.kind,
    row.input, row.from, row.to, row.count, #row.body, row.ids, row.body)
end

-- The next row from `seq` on that a sink wants: seq, kind, input, from, to, count, ids, body; or nothing. kinds: as in a delivery.
function outbox:next_outbox(seq, sink, kinds)
  return self.db:row('SELECT seq, kind, input, "from", "to", count, ids, body ' .. COUNTED .. " ORDER BY seq LIMIT 1", seq, sink, kinds)
end

-- Documents and bytes of the rows from `seq` on that a sink wants.
function outbox:outbox_behind(seq, sink, kinds)
  return self.db:row("SELECT coalesce(sum(count), 0), coalesce(sum(bytes), 0) " .. COUNTED, seq, sink, kinds)
end

-- The seq behind the last one, used or passed.
function outbox:outbox_end()
  return (self.db:row [[SELECT max(coalesce((SELECT max(seq) + 1 FROM outbox), 1), coalesce((SELECT max(seq) FROM delivery), 1))]])
end

-- Bytes in the outbox, before a row or in all.
function outbox:outbox_bytes(before)
  return (self.db:row("SELECT coalesce(sum(bytes), 0) FROM outbox WHERE ?1 IS NULL OR seq < ?1", before))
end

-- Documents and bytes in the outbox.
function outbox:outbox_size() return self.db:row "SELECT coalesce(sum(count), 0), coalesce(sum(bytes), 0) FROM outbox" end

-- for kind in ...: kinds that are in the outbox.
function outbox:outbox_kinds() return self.db:rows "SELECT DISTINCT kind FROM outbox" end

-- Forgets the rows before one. -> rows removed, or nil, err.
function outbox:drop_outbox(before) return self.db:exec("DELETE FROM outbox WHERE seq < ?", before) end

-- How far a sink is: {sink, kinds = "\nkind\nkind\n" it wants, seq, position, settled}, or nil; all of them, by name.
local function to_delivery(sink, kinds, seq, position, settled)
  return sink and { sink = sink, kinds = kinds, seq = seq, position = position, settled = settled }
end
function outbox:delivery(sink) return to_delivery(self.db:row("SELECT * FROM delivery WHERE sink = ?", sink)) end
function outbox:deliveries()
  local all = {}
  for sink, kinds, seq, position, settled in self.db:rows "SELECT * FROM delivery ORDER BY sink" do
    all[#all + 1] = to_delivery(sink, kinds, seq, position, settled)
  end
  return all
end
function outbox:put_delivery(d)
  return self.db:exec("INSERT OR REPLACE INTO delivery VALUES(?, ?, ?, ?, ?)", d.sink, d.kinds, d.seq, d.position, d.settled)
end
function outbox:drop_delivery(sink) return self.db:exec("DELETE FROM delivery WHERE sink = ?", sink) end

-- A sink answers for the documents of a window from now on; what it took of it, and what it refused for good (may be below 0): of
-- what begins that window, when it was split while they were on their way. -> rows changed, or nil, err.
function outbox:owe(row, sink)
  return self.db:exec("INSERT INTO delivered VALUES(?, ?, ?, ?, ?, 0, 0) ON CONFLICT DO NOTHING", row.dataset, row.input, row.from,
    row.to, sink)
end
function outbox:add_delivered(row, sink, documents, dead)
  return self.db:exec([[UPDATE delivered SET documents = documents + ?1, dead = dead + ?2
    WHERE dataset = ?3 AND input = ?4 AND "from" = ?5 AND sink = ?7 AND "to" = (SELECT max("to") FROM delivered
      WHERE dataset = ?3 AND input = ?4 AND "from" = ?5 AND "to" <= ?6 AND sink = ?7)]], documents, dead, row.dataset, row.input,
    row.from, row.to, sink)
end

-- {sink = {documents, dead}} of a window.
function outbox:delivered(row)
  local out = {}
  for sink, documents, dead in self.db:rows([[SELECT sink, documents, dead FROM delivered
      WHERE dataset = ? AND input = ? AND "from" = ? AND "to" = ?]], row.dataset, row.input, row.from, row.to) do
    out[sink] = { documents = documents, dead = dead }
  end
  return out
end

return outbox

-- dead.lua: the part of the store that keeps what could not be used: records that failed, and documents that a sink refused for good.
-- Methods of defendis.store.
--
-- letter: {id, dataset, input, from, to = days, reason, where = "id" or what failed ("rule ID": only that), time_ms = when, raw = bytes,
-- retry = boolean};
-- of a sink also {sink = name, doc = id and time as the outbox keeps them, raw = the document}; then dataset is the kind, and a finding
-- has input "" and from 0.
local core = require "defendis.core"

local dead = {}

local SELECT = [[SELECT id, dataset, input, "from", "to", sink, reason, "where", time_ms, doc, retry, %s FROM dead
  WHERE (?1 IS NULL OR dataset = ?1) AND (?2 IS NULL OR input = ?2) AND (?3 IS NULL OR sink = ?3) AND (?4 IS NULL OR id = ?4)
  ORDER BY id]]
local WITH_RAW = SELECT:format "raw"
local WITHOUT_RAW = SELECT:format "length(raw)"

-- Keeps bytes that could not be used. letter.origin: first day of the window that was split into this one, or nil; letter.rule:
-- which rule failed, when that is all. -> true when new,
-- false when this window has the same bytes (of a sink: the same document) already, or the one that was split, or nil, err.
function dead:add_dead(letter)
  local hash = letter.sink and core.hash.key16(letter.sink, letter.doc) or letter.rule and core.hash.key16("rules", letter.raw)
    or core.hash.key16(letter.raw)
  return self.db:insert_new([[INSERT INTO dead(dataset, input, "from", "to", sink, doc, reason, "where", time_ms, raw, hash)
    SELECT ?1, ?2, ?3, ?4, ?5, CAST(?6 AS BLOB), ?7, ?8, ?9, CAST(?10 AS BLOB), CAST(?11 AS BLOB)
      WHERE NOT EXISTS (SELECT 1 FROM dead WHERE dataset = ?1 AND input = ?2 AND "from" >= ?12 AND "from" < ?3 AND hash = CAST(?11 AS BLOB))
    ON CONFLICT DO NOTHING]], letter.dataset, letter.input, letter.from, letter.to, letter.sink, letter.doc, letter.reason, letter.where,
    letter.time_ms, letter.raw, hash, letter.origin or letter.from)
end

local function to_letter(bare, id, dataset, input, from, to, sink, reason, where, time_ms, doc, retry, raw)
  return id and { id = id, dataset = dataset, input = input, from = from, to = to, sink = sink, reason = reason, where = where,
    time_ms = time_ms, doc = doc, retry = retry == 1, [bare and "size" or "raw"] = raw }
end

-- for letter in store:dead_letters{dataset=, input=, sink=, id=, bare=}, oldest first. bare: without raw, but with its size.
function dead:dead_letters(filter)
  filter = filter or {}
  local next_row, state, _, closing = self.db:rows(filter.bare and WITHOUT_RAW or WITH_RAW, filter.dataset, filter.input, filter.sink,
    filter.id)
  return function() return to_letter(filter.bare, next_row(state)) end, nil, nil, closing
end

-- One of them, with raw, or nil.
function dead:dead_letter(id) return to_letter(false, self.db:row(WITH_RAW, nil, nil, nil, id)) end

-- How many there are of {dataset=, input=, sink=, id=}.
function dead:dead_count(filter)
  filter = filter or {}
  return (self.db:row([[SELECT count(*) FROM dead WHERE (?1 IS NULL OR dataset = ?1) AND (?2 IS NULL OR input = ?2)
    AND (?3 IS NULL OR sink = ?3) AND (?4 IS NULL OR id = ?4)]], filter.dataset, filter.input, filter.sink, filter.id))
end

-- for sink, count in ...: letters of sinks.
function dead:dead_by_sink() return self.db:rows "SELECT sink, count(*) FROM dead WHERE sink IS NOT NULL GROUP BY sink" end

-- Forgets those of {dataset=, input=, sink=, id=}. -> rows removed, or nil, err.
function dead:drop_all_dead(filter)
  return self.db:exec([[DELETE FROM dead WHERE (?1 IS NULL OR dataset = ?1) AND (?2 IS NULL OR input = ?2)
    AND (?3 IS NULL OR sink = ?3) AND (?4 IS NULL OR id = ?4)]], filter.dataset, filter.input, filter.sink, filter.id)
end

-- Forgets one letter, or marks it for the next run. -> rows changed, or nil, err.
function dead:drop_dead(id) return self.db:exec("DELETE FROM dead WHERE id = ?", id) end
function dead:mark_dead(id, retry) return self.db:exec("UPDATE dead SET retry = ? WHERE id = ?", retry, id) end

-- What became of a letter that was tried again in vain. -> rows changed, or nil, err.
function dead:keep_dead(id, reason, where)
  return self.db:exec([[UPDATE dead SET retry = 0, reason = ?, "where" = ? WHERE id = ?]], reason, where, id)
end

return dead

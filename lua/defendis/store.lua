-- store.lua: the state of ingestion. All SQL lives here, so that another database could take SQLite's place.
--
-- Days are days since 1970-01-01, times are Unix milliseconds, both UTC. Writes return nil, err on failure; between
-- begin and commit a failure sticks, so that commit fails with it. Reads raise the error table. Rules, datasets,
-- inputs, groups, ids and sinks are strings; `raw` and keys are bytes.
local core = require "defendis.core"
local check = require "defendis.check"
local schema = require "defendis.store.schema"
local TABLES = schema.TABLES

local LEDGER = table.move(TABLES[2], 2, #TABLES[2], 1, {})
local DEFAULTS = { state = "open", pass = 1, walks = 0, pass_pages = 0, pass_received = 0, pass_unique = 0,
  pages = 0, received = 0, unique = 0, duplicate = 0, dead = 0,
  normalized = 0, replaced = 0, updated_ms = 0 }

local function quoted(columns, format)
  local out = {}
  for i, name in ipairs(columns) do out[i] = format:gsub("@", '"' .. name .. '"') end
  return table.concat(out, ", ")
end

local FINDING = { "id", "rule", "time_ms", "level", "doc" }
local IN_SCOPE <const> = "(?1 IS NULL OR dataset = ?1) AND (?2 IS NULL OR input = ?2)"
local SEE <const> = "INSERT INTO seen VALUES(?, CAST(? AS BLOB)) ON CONFLICT DO NOTHING"
local GET_WINDOW = "SELECT " .. quoted(LEDGER, "@") ..
  ' FROM ledger WHERE dataset = ? AND input = ? AND "from" = ? AND "to" = ?'
local LIST_WINDOWS = "SELECT " .. quoted(LEDGER, "@") .. " FROM ledger WHERE " .. IN_SCOPE ..
  ' AND (?3 IS NULL OR "to" > ?3) AND (?4 IS NULL OR "from" < ?4) ORDER BY dataset, input, "from", "to"'
local PUT_WINDOW = ("INSERT INTO ledger(%s) VALUES(%s) ON CONFLICT DO UPDATE SET %s"):format(quoted(LEDGER, "@"),
  quoted(LEDGER, "?"), quoted(LEDGER, "@ = excluded.@"))
local LIST_FINDINGS = "SELECT " .. quoted(FINDING, "@") ..
  " FROM finding WHERE ?1 IS NULL OR level = ?1 ORDER BY time_ms, id"

local function to_table(columns, first, ...)
  if first == nil then return nil end
  local row = { [columns[1]] = first }
  for i = 2, #columns do row[columns[i]] = (select(i - 1, ...)) end
  return row
end

-- Turns a loop over columns into one over tables; the fourth value ends the read when the loop is left early.
local function tables(columns, finish, next_row, state, _, closing)
  return function() return finish(to_table(columns, next_row(state))) end, nil, nil, closing
end

local function same(row) return row end

local Store = {}
Store.__index = Store
for _, part in ipairs{ "events", "outbox", "dead" } do
  for name, method in pairs(require("defendis.store." .. part)) do Store[name] = method end
end

-- Closes the file; an open transaction is undone.
function Store:close()
  self.packer:close()
  self.db:close()
end
Store.__close = Store.close

-- One transaction per page. begin() and commit() -> true, or nil, err; after a failed commit nothing has changed.
function Store:begin() return self.db:begin() end
function Store:commit() return self.db:commit() end
function Store:rollback() self.db:rollback() end

-- SQLite looks at the types of a table without rowid only when it writes: one that the disk has spoiled would be summed up.
local TEXTS = { dataset = true, input = true, state = true, reason = true, request_id = true }
local function check_types(path, row)
  for _, name in ipairs(LEDGER) do
    local value = row[name]
    if value ~= nil and (TEXTS[name] and type(value) or math.type(value)) ~= (TEXTS[name] and "string" or "integer") then
      error(check.error("store", ("state damaged: %s: %s of a window is not what was written; restore a backup or run "
        .. "`defendis state reset --all`"):format(path, name)))
    end
  end
end

local function with_emitted(self, row)
  if row == nil then return nil end
  check_types(self.path, row)
  row.emitted = {}
  for sink, documents in self.db:rows([[SELECT sink, documents FROM emitted
      WHERE dataset = ? AND input = ? AND "from" = ? AND "to" = ?]], row.dataset, row.input, row.from, row.to) do
    row.emitted[sink] = documents
  end
  row.delivered = self:delivered(row)
  return row
end

-- The ledger's row of the window [from, to), or nil. Keys: the columns of `ledger`, and emitted = {sink = documents}; besides, not
-- written by put_window, delivered = {sink = {documents, dead}} of sinks that are served from the outbox.
function Store:window(dataset, input, from, to)
  return with_emitted(self, to_table(LEDGER, self.db:row(GET_WINDOW, dataset, input, from, to)))
end

-- A row as window() gives it, of a window that was not walked and is not written yet.
function Store.new_window(dataset, input, from, to)
  local row = { dataset = dataset, input = input, from = from, to = to, emitted = {} }
  for name, value in pairs(DEFAULTS) do row[name] = value end
  return row
end

-- Writes a whole row as window() gives it; absent counts are 0, an absent state is "open". -> true, or nil, err.
function Store:put_window(row)
  local values = {}
  for i, name in ipairs(LEDGER) do
    values[i] = row[name]
    if values[i] == nil then values[i] = DEFAULTS[name] end
  end
  local ok, err = self.db:exec(PUT_WINDOW, table.unpack(values, 1, #LEDGER))
  for sink, documents in pairs(row.emitted or {}) do
    if not ok then break end
    ok, err = self.db:exec("INSERT OR REPLACE INTO emitted VALUES(?, ?, ?, ?, ?, ?)", row.dataset, row.input, row.from,
      row.to, sink, documents)
  end
  if not ok then return nil, err end
  return true
end

-- Puts two windows in the place of one, within a transaction. What sinks answer for passes to the first, which begins on the same day.
-- A window that is there already, of an earlier plan, is left as it is. -> true, or nil, err.
function Store:split_window(row, first, second)
  self:pass_clear(row)
  if not self:window(first.dataset, first.input, first.from, first.to) then
    self:put_window(first)
    self.db:exec([[UPDATE delivered SET "to" = ? WHERE dataset = ? AND input = ? AND "from" = ? AND "to" = ?]], first.to, row.dataset,
      row.input, row.from, row.to)
  end
  if not self:window(second.dataset, second.input, second.from, second.to) then self:put_window(second) end
  local ok, err = self:drop_window(row.dataset, row.input, row.from, row.to)
  if not ok then return nil, err end
  return true
end

-- Forgets one window. -> rows removed, or nil, err.
function Store:drop_window(dataset, input, from, to)
  return self.db:exec('DELETE FROM ledger WHERE dataset = ? AND input = ? AND "from" = ? AND "to" = ?', dataset, input,
    from, to)
end

-- for row in store:windows{dataset=, input=, from=, to=}: those that overlap [from, to), by dataset, input and day.
function Store:windows(filter)
  filter = filter or {}
  return tables(LEDGER, function(row) return with_emitted(self, row) end,
    self.db:rows(LIST_WINDOWS, filter.dataset, filter.input, filter.from, filter.to))
end

-- The day up to which, from `since` on, windows follow each other without a hole and all are closed.
function Store:checkpoint(dataset, input, since)
  local reached = since
  for from, to, state in self.db:rows([[SELECT "from", "to", state FROM ledger
      WHERE dataset = ? AND input = ? AND "to" > ? ORDER BY "from", "to"]], dataset, input, since) do
    if from > reached then break end
    if state ~= "closed" then return math.max(since, from) end
    reached = math.max(reached, to)
  end
  return reached
end

-- Forgets windows and dead letters of {dataset=, input=}: they are walked again, and records seen stay known; what is on its way to
-- sinks, or was refused by one, stays too. Without a filter everything is forgotten. Opens its own transaction. -> true, or nil, err.
function Store:reset(filter)
  local ok, err = self.db:begin()
  if not ok then return nil, err end
  for i = #TABLES, 1, -1 do
    local name = TABLES[i][1]
    if not filter then
      self.db:exec("DELETE FROM " .. name)
    elseif name == "ledger" or name == "dead" or name == "pass" then
      self.db:exec("DELETE FROM " .. name .. " WHERE " .. IN_SCOPE .. (name == "dead" and " AND sink IS NULL" or ""), filter.dataset,
        filter.input)
    end
  end
  return self.db:commit()
end

-- The same for many: keys is day, key, day, key, of n values in all; news[i] becomes whether the i-th was new. -> number of new ones,
-- or nil, err.
function Store:seen_all(keys, n, news)
  return self.db:insert_all(SEE, keys, 1, n, news)
end

-- true when the 16-byte key was not yet seen for this day, false when it was, or nil, err.
function Store:seen_new(day, key)
  return self.db:insert_new(SEE, day, key)
end

-- The records met in this pass over a window, for passes that cannot tell them apart by what is new: pass_new(row, key) -> true when
-- the key was not met yet; pass_clear(row) when a pass begins and when the window closes.
function Store:pass_new(row, key)
  return self.db:insert_new("INSERT OR IGNORE INTO pass VALUES(?, ?, ?, CAST(? AS BLOB))", row.dataset, row.input, row.from, key)
end
function Store:pass_clear(row)
  return self.db:exec('DELETE FROM pass WHERE dataset = ? AND input = ? AND "from" = ?', row.dataset, row.input, row.from)
end

-- true when the finding is new, false when its id was there (a repeat after a crash), or nil, err. doc: JSON text.
function Store:add_finding(id, rule, time_ms, level, doc)
  return self.db:insert_new("INSERT INTO finding VALUES(?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", id, rule, time_ms,
    level, doc)
end

-- true when the 16-byte key is known for this day.
function Store:is_seen(day, key) return self.db:row("SELECT 1 FROM seen WHERE day = ? AND key = CAST(? AS BLOB)", day, key) ~= nil end

-- for f in ...: those whose id begins so, hexadecimal digits and dashes, two at most.
function Store:findings_like(id)
  return tables(FINDING, same, self.db:rows("SELECT " .. quoted(FINDING, "@") ..
    " FROM finding WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT 2", id))
end

-- for f in ...: {id, rule, time_ms, level, doc} of one level or of all, by time and id.
function Store:findings(level) return tables(FINDING, same, self.db:rows(LIST_FINDINGS, level)) end

-- for f in ...: the newest of one level and rule, at most `most`.
function Store:newest_findings(level, rule, most)
  return tables(FINDING, same, self.db:rows("SELECT " .. quoted(FINDING, "@") ..
    " FROM finding WHERE level = ? AND rule = ? ORDER BY time_ms DESC, id DESC LIMIT ?", level, rule, most))
end

-- for dataset, received, unique, duplicate, dead, open, closed in ...: of all windows.
function Store:totals()
  return self.db:rows [[SELECT dataset, sum(received), sum("unique"), sum(duplicate), sum(dead), sum(state <> 'closed'),
    sum(state = 'closed') FROM ledger GROUP BY dataset ORDER BY dataset]]
end

-- for level, rule, count in ...
function Store:findings_by_rule() return self.db:rows("SELECT level, rule, count(*) FROM finding GROUP BY level, rule") end

-- meta(key), sink_state(sink), watermark(rule) -> the value kept, or nil; set_meta(key, value) and so on -> true, or
-- nil, err. A value is a string or a number; nil removes it.
for _, space in ipairs{ "meta", "sink_state", "watermark" } do
  Store[space] = function(self, key)
    return (self.db:row("SELECT value FROM setting WHERE space = ? AND key = ?", space, key))
  end
  Store["set_" .. space] = function(self, key, value)
    local ok, err
    if value == nil then
      ok, err = self.db:exec("DELETE FROM setting WHERE space = ? AND key = ?", space, key)
    else
      ok, err = self.db:exec("INSERT OR REPLACE INTO setting VALUES(?, ?, ?)", space, key, value)
    end
    if not ok then return nil, err end
    return true
  end
end

local store = { TABLES = TABLES }

-- SQLite's check passes over the text of a schema: a column of another name would only be found by the statement that asks for it.
local SCHEMA <const> = "SELECT group_concat(name || sql) FROM (SELECT name, sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY name)"
local made
local function is_as_made(db)
  if not made then
    local model <close> = assert(core.store.open(":memory:", { migrations = schema.MIGRATIONS }))
    made = model:row(SCHEMA)
  end
  return db:row(SCHEMA) == made
end

-- store.open(path [, {exclusive=, readonly=}]) -> store, or nil, err; see core.store.open.
function store.open(path, options)
  local o = { migrations = schema.MIGRATIONS }
  for key, value in pairs(options or {}) do o[key] = value end
  local db, err = core.store.open(path, o)
  if not db then return nil, err end
  local ok, sound = pcall(is_as_made, db)
  if ok and sound then
    return setmetatable({ db = db, path = path, rule_keys = {}, rule_numbers = {}, last_event = {},
      packer = core.events.packer() }, Store)
  end
  db:close()
  if not ok then return nil, sound end
  return nil, check.error("store", ("state damaged: %s: its tables are not as they were made; restore a backup or run "
    .. "`defendis state reset --all`"):format(path))
end

-- store.discard(path) -> true, or nil, err: `state reset` of a state that is damaged; it is kept as PATH.old.
store.discard = core.store.discard

return store

-- sqlite.lua: sink that keeps documents in an SQLite file for analysts: one table per dataset, and `findings`.
--
--   sqlite{ path = "leaks.db" }     SELECT email, severity FROM dataleaks_credentials WHERE time >= unixepoch('2026-01-01') * 1000
--
-- Each table has id (primary key), time (Unix ms or NULL) and doc (the whole document as JSON); the other columns repeat what analysts
-- ask for most, where doc has it.
-- A batch is one transaction and a known id is passed by, so that a document that comes again after a crash is there once.
local core = require "defendis.core"
local check = require "defendis.check"
local facts = require "defendis.normalize.facts"
local kinds = require "defendis.kinds"

local sqlite = {}

sqlite.OPTIONS = { path = check.required(check.text, "the file, made when missing with mode 0600"), kinds = kinds.option }
sqlite.GUARANTEE = "exactly once: the id is the primary key, and a batch is one transaction"

local APPLICATION_ID <const> = 0x64666462 -- "dfdb": no state and no other program's file is taken for it

local DOCUMENT = { "severity", "title", "email", "user", "domain", "host", "url", "source" } -- names of facts
local FINDING = { "level", "title", "email", "rule", "type" }

local function columns_of(kind) return kind == "findings" and FINDING or DOCUMENT end

-- Another set of columns is a new version: a migration that adds them to each table in `kind`.
local function table_of(name, columns)
  return ('CREATE TABLE "%s"(id TEXT NOT NULL PRIMARY KEY, time INTEGER, %s TEXT, doc TEXT NOT NULL) STRICT'):format(name,
    table.concat(columns, " TEXT, "))
end

local MIGRATIONS = { 'CREATE TABLE kind(name TEXT NOT NULL PRIMARY KEY, "table" TEXT NOT NULL UNIQUE) WITHOUT ROWID, STRICT' }

local Sqlite = {}
Sqlite.__index = Sqlite

--- options: {path = file, made when missing with mode 0600, kinds = datasets and "findings", all without it}.
function sqlite.new(options, context)
  local path = options.path:sub(1, 1) == "/" and options.path or context.folder .. options.path
  if path:find "/." then
    local ok, fault = core.stream.mkdir((path:gsub("[^/]*$", "")))
    if not ok then return nil, fault end
  end
  local db, err = core.store.open(path, { exclusive = true, application_id = APPLICATION_ID, migrations = MIGRATIONS })
  if not db then return nil, err end
  return setmetatable({ name = "sqlite:" .. options.path, db = db, wants = kinds.wants(options.kinds), inserts = {} }, Sqlite)
end

-- The statement for a kind, whose table is made when it is not there; within a transaction.
local function prepare(db, kind)
  local columns = columns_of(kind)
  local name = db:row([[SELECT "table" FROM kind WHERE name = ?]], kind)
  if not name then
    name = kind:gsub("[^%w]", "_"):lower()
    local taken = db:row([[SELECT 1 FROM kind WHERE "table" = ?]], name)
    if taken or name == "kind" or name:find "^sqlite_" then name = "t_" .. core.hash.sha256(kind):sub(1, 16) end
    local ok, err = db:exec(table_of(name, columns))
    if ok then ok, err = db:exec(('CREATE INDEX "%s_time" ON "%s"(time)'):format(name, name)) end
    if ok then ok, err = db:exec("INSERT INTO kind VALUES(?, ?)", kind, name) end
    if not ok then return nil, err end
  end
  return ('INSERT INTO "%s"(id, time, doc, %s) VALUES(?, ?, ?%s) ON CONFLICT DO NOTHING'):format(name, table.concat(columns, ", "),
    (", ?"):rep(#columns))
end

local function put(self, batch)
  for _, d in ipairs(batch) do
    if not self.inserts[d.kind] then
      local insert, err = prepare(self.db, d.kind)
      if not insert then return nil, err end
      self.inserts[d.kind] = insert
    end
    local columns, values, known = columns_of(d.kind), {}, facts.of(core.json.decode(d.json))
    known.level = known.severity
    for i, name in ipairs(columns) do values[i] = known[name] end
    local ok, err = self.db:exec(self.inserts[d.kind], d.id, d.time, d.json, table.unpack(values, 1, #columns))
    if not ok then return nil, err end
  end
  return true
end

--- Keeps a batch as one transaction. Returns true, or nil, err.
function Sqlite:send(batch)
  local ok, err = self.db:begin()
  if not ok then return nil, err end
  ok, err = put(self, batch)
  if ok then return self.db:commit() end
  self.db:rollback()
  self.inserts = {} -- a table of this batch's may be gone
  return nil, err
end

function Sqlite:close() self.db:close() end

return sqlite

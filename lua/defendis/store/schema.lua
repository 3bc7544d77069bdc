-- schema.lua: the tables of the state: how each version is made from the one before, and their columns.
local schema = {}

-- SQL that leads from version i - 1 to i, each in one transaction. What was released once is never changed.
schema.MIGRATIONS = { [[
CREATE TABLE setting(space TEXT NOT NULL, key TEXT NOT NULL, value ANY NOT NULL,
  PRIMARY KEY(space, key)) WITHOUT ROWID, STRICT;
CREATE TABLE ledger(dataset TEXT NOT NULL, input TEXT NOT NULL, "from" INTEGER NOT NULL, "to" INTEGER NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('open', 'walked', 'closed')), pass INTEGER NOT NULL, walks INTEGER NOT NULL,
  page_size INTEGER, next_page INTEGER, total_pages INTEGER, announced INTEGER, pass_pages INTEGER NOT NULL,
  pass_received INTEGER NOT NULL, pass_unique INTEGER NOT NULL, pass_before INTEGER, pages INTEGER NOT NULL,
  received INTEGER NOT NULL, "unique" INTEGER NOT NULL, duplicate INTEGER NOT NULL, dead INTEGER NOT NULL,
  normalized INTEGER NOT NULL, replaced INTEGER NOT NULL, reason TEXT, request_id TEXT, updated_ms INTEGER NOT NULL,
  CHECK("from" < "to"), PRIMARY KEY(dataset, input, "from", "to")) WITHOUT ROWID, STRICT;
CREATE TABLE emitted(dataset TEXT NOT NULL, input TEXT NOT NULL, "from" INTEGER NOT NULL, "to" INTEGER NOT NULL,
  sink TEXT NOT NULL, documents INTEGER NOT NULL, PRIMARY KEY(dataset, input, "from", "to", sink),
  FOREIGN KEY(dataset, input, "from", "to") REFERENCES ledger ON DELETE CASCADE) WITHOUT ROWID, STRICT;
CREATE TABLE seen(day INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY(day, key)) WITHOUT ROWID, STRICT;
CREATE TABLE pass(dataset TEXT NOT NULL, input TEXT NOT NULL, "from" INTEGER NOT NULL, key BLOB NOT NULL,
  PRIMARY KEY(dataset, input, "from", key)) WITHOUT ROWID, STRICT;
CREATE TABLE event(rule INTEGER NOT NULL, day INTEGER NOT NULL, grp TEXT NOT NULL, time_ms INTEGER NOT NULL,
  id TEXT NOT NULL, member TEXT NOT NULL, value ANY,
  PRIMARY KEY(rule, day, grp, time_ms, id, member)) WITHOUT ROWID, STRICT;
CREATE TABLE fired(rule INTEGER NOT NULL, grp TEXT NOT NULL, state TEXT NOT NULL, time_ms INTEGER NOT NULL,
  PRIMARY KEY(rule, grp)) WITHOUT ROWID, STRICT;
CREATE INDEX fired_time ON fired(rule, time_ms);
CREATE TABLE finding(id TEXT NOT NULL PRIMARY KEY, rule TEXT NOT NULL, time_ms INTEGER NOT NULL, level TEXT NOT NULL,
  doc TEXT NOT NULL) STRICT;
CREATE INDEX finding_time ON finding(time_ms, id);
CREATE TABLE dead(dataset TEXT NOT NULL, input TEXT NOT NULL, "from" INTEGER NOT NULL, hash BLOB NOT NULL,
  reason TEXT NOT NULL, "where" TEXT, time_ms INTEGER NOT NULL, raw BLOB NOT NULL,
  UNIQUE(dataset, input, "from", hash)) STRICT;
]], [[
-- documents on their way to sinks: lines of JSON, and ids and times of the same number of documents; see store/outbox.lua
CREATE TABLE outbox(seq INTEGER PRIMARY KEY, sink TEXT, kind TEXT NOT NULL, input TEXT, "from" INTEGER, "to" INTEGER,
  count INTEGER NOT NULL, bytes INTEGER NOT NULL, ids BLOB NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE delivery(sink TEXT NOT NULL PRIMARY KEY, kinds TEXT NOT NULL, seq INTEGER NOT NULL, position INTEGER NOT NULL,
  settled TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE delivered(dataset TEXT NOT NULL, input TEXT NOT NULL, "from" INTEGER NOT NULL, "to" INTEGER NOT NULL,
  sink TEXT NOT NULL, documents INTEGER NOT NULL, dead INTEGER NOT NULL, PRIMARY KEY(dataset, input, "from", "to", sink),
  FOREIGN KEY(dataset, input, "from", "to") REFERENCES ledger ON DELETE CASCADE) WITHOUT ROWID, STRICT;
CREATE TABLE letter(id INTEGER PRIMARY KEY, dataset TEXT NOT NULL, input TEXT NOT NULL, "from" INTEGER NOT NULL, "to" INTEGER,
  sink TEXT, hash BLOB NOT NULL, doc BLOB, reason TEXT NOT NULL, "where" TEXT, time_ms INTEGER NOT NULL, raw BLOB NOT NULL,
  retry INTEGER NOT NULL DEFAULT 0, UNIQUE(dataset, input, "from", hash)) STRICT;
INSERT INTO letter(dataset, input, "from", hash, reason, "where", time_ms, raw)
  SELECT dataset, input, "from", hash, reason, "where", time_ms, raw FROM dead ORDER BY rowid;
DROP TABLE dead;
ALTER TABLE letter RENAME TO dead;
]], [[
-- events one behind the other, by rule and day: `at` is rule number * 2^49 + (day + 2^18) * 2^30 + n; see store/events.lua
CREATE TABLE event_rule(no INTEGER PRIMARY KEY, rule INTEGER NOT NULL UNIQUE) STRICT;
CREATE TABLE event_row(at INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, grp TEXT NOT NULL, id TEXT NOT NULL,
  member TEXT NOT NULL, value ANY) STRICT;
INSERT INTO event_rule(rule) SELECT DISTINCT rule FROM event;
INSERT INTO event_row SELECT (no << 49) + ((max(min(day, 262143), -262144) + 262144) << 30)
    + row_number() OVER (PARTITION BY no, max(min(day, 262143), -262144)), time_ms, grp, id, member, value
  FROM event JOIN event_rule USING(rule);
DROP TABLE event;
ALTER TABLE event_row RENAME TO event;
]], [[
-- `body` holds `n` events as src/engine/events.h says; `at` is of the same form as before
CREATE TABLE event_body(at INTEGER PRIMARY KEY, n INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
INSERT INTO event_body SELECT at, 1, CAST(printf('%d %d %d %d %d %s', time_ms, length(CAST(grp AS BLOB)), length(CAST(id AS BLOB)),
    length(CAST(member AS BLOB)), coalesce(length(CAST(text AS BLOB)), 0),
    CASE typeof(value) WHEN 'null' THEN '-' WHEN 'integer' THEN 'i' WHEN 'real' THEN 'r' ELSE 's' END)
    || char(10) || grp || id || member || coalesce(text, '') AS BLOB)
  FROM (SELECT *, CASE typeof(value) WHEN 'real' THEN printf('%!.17g', value) ELSE CAST(value AS TEXT) END AS text FROM event);
DROP TABLE event;
ALTER TABLE event_body RENAME TO event;
]], [[
-- what came behind the watermark of a correlation; see store/events.lua
CREATE TABLE late(n INTEGER PRIMARY KEY, rule TEXT NOT NULL, time_ms INTEGER NOT NULL, grp TEXT NOT NULL, id TEXT NOT NULL,
  member TEXT NOT NULL) STRICT;
]], [[
-- states of groups, bodies as those of events; `at` is rule number * 2^49 + n, the last body with a group has its state
INSERT INTO event_rule SELECT (SELECT coalesce(max(no), 0) FROM event_rule) + row_number() OVER (), rule
  FROM (SELECT DISTINCT rule FROM fired WHERE rule NOT IN (SELECT rule FROM event_rule));
CREATE TABLE fired_body(at INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
INSERT INTO fired_body SELECT (no << 49) + row_number() OVER (PARTITION BY no ORDER BY time_ms), time_ms,
    CAST(printf('%d %d 0 0 %d s', time_ms, length(CAST(grp AS BLOB)), length(CAST(state AS BLOB))) || char(10) || grp || state AS BLOB)
  FROM fired JOIN event_rule USING(rule);
DROP TABLE fired;
ALTER TABLE fired_body RENAME TO fired;
]] }

-- Each table's columns, parents first; a spec compares them with the schema.
schema.TABLES = {
  { "setting", "space", "key", "value" },
  { "ledger", "dataset", "input", "from", "to", "state", "pass", "walks", "page_size", "next_page", "total_pages",
    "announced", "pass_pages", "pass_received", "pass_unique", "pass_before", "pages", "received", "unique", "duplicate",
    "dead", "normalized", "replaced", "reason", "request_id", "updated_ms" },
  { "emitted", "dataset", "input", "from", "to", "sink", "documents" },
  { "seen", "day", "key", blob = "key" },
  { "pass", "dataset", "input", "from", "key", blob = "key" },
  { "event_rule", "no", "rule" },
  { "event", "at", "n", "body", blob = "body" },
  { "late", "n", "rule", "time_ms", "grp", "id", "member" },
  { "fired", "at", "time_ms", "body", blob = "body" },
  { "finding", "id", "rule", "time_ms", "level", "doc" },
  { "dead", "id", "dataset", "input", "from", "to", "sink", "reason", "where", "time_ms", "raw", "hash", "doc", "retry",
    blob = "raw hash doc" },
  { "delivery", "sink", "kinds", "seq", "position", "settled" },
  { "delivered", "dataset", "input", "from", "to", "sink", "documents", "dead" },
  { "outbox", "seq", "sink", "kind", "input", "from", "to", "count", "bytes", "ids", "body", blob = "ids body" },
}

return schema

-- syslog.lua: sink that sends RFC 5424 messages over TCP or TLS with octet counting (RFC 6587, RFC 5425), as JSON, CEF or LEEF.
--
-- TCP tells nobody what the receiver has read. A batch counts when it was written and the receiver had not closed the connection
-- `confirm` seconds later: with 1 s at most 2000 documents or a MiB a second. What a receiver that died had not read is
-- sent again after a reconnect: the last MiB, at least a batch.
local core = require "defendis.core"
local cef = require "defendis.normalize.cef"
local check = require "defendis.check"
local connection = require "defendis.connection"
local kinds = require "defendis.kinds"
local rfc5424 = require "defendis.normalize.rfc5424"
local task = require "defendis.task"

local STEP_S <const> = 0.1
local WINDOW <const> = 1 << 20 -- bytes that are sent again

local syslog = { GUARANTEE = "at least once as far as TCP can tell: written, and not closed by the receiver within `confirm` seconds" }
syslog.OPTIONS = {
  host = check.required(check.text, "where to"),
  port = check.field(check.count, "514, with tls 6514"),
  tls = check.field(check.boolean, "true: TLS, and the peer's certificate is checked", false),
  ca_file = check.field(check.text, "PEM: who signs for the peer, instead of the system's authorities"),
  cert_file = check.field(check.text, "PEM: our own certificate"),
  key_file = check.field(check.text, "PEM: its key"),
  timeout = check.field(check.between(0.001, 3600), "seconds for connecting and for each send", 30),
  facility = check.field(rfc5424.facility, "syslog's facility", "local0"),
  hostname = check.field(rfc5424.word, "the message's host (this machine's name)"),
  app_name = check.field(rfc5424.word, "the message's program", "defendis"),
  format = check.field(cef.check, "what the message holds", "json"),
  confirm = check.field(check.between(0, 300), "a batch counts when the receiver has not closed so many seconds later", 1),
  max_bytes = check.field(check.count, "longest message; longer ones are dead letters (no limit)"),
  kinds = kinds.option,
  enterprise = check.field(check.count, "the number behind the @ of the structured data", 32473),
}

local Sink = {}
Sink.__index = Sink

local function own_name()
  local f <close> = io.open "/proc/sys/kernel/hostname"
  local name = f and f:read "l"
  return name and not rfc5424.word(name) and name or "-"
end

--- options: host, port (6514 with tls, else 514), tls, ca_file, cert_file, key_file, timeout as defendis.connection's; facility ("local0"),
-- hostname (this machine's), app_name ("defendis"), format = "json" | "cef" | "leef", confirm (1 s), max_bytes = longest message, larger
-- ones are dead letters; enterprise = number behind the @ of the structured data (32473, the one for examples); kinds.
function syslog.new(options, context)
  local o = { hostname = options.hostname or own_name() }
  for name in pairs(syslog.OPTIONS) do o[name] = o[name] or check.given(options, syslog.OPTIONS, name) end
  local to = { host = o.host, port = o.port or o.tls and 6514 or 514, tls = o.tls, timeout = o.timeout }
  for _, name in ipairs{ "ca_file", "cert_file", "key_file" } do
    local path = o[name]
    to[name] = path and (path:sub(1, 1) == "/" and path or context.folder .. path)
  end
  return setmetatable({ name = ("syslog:%s:%d"):format(to.host, to.port), o = o, to = to, wants = kinds.wants(options.kinds),
    recent = {}, recent_bytes = 0,    batch = { documents = 2000 } }, Sink)
end

-- Is the receiver still there, now and for as long as a batch needs to count?
local function stays(conn, seconds)
  local until_ms = core.sys.mono_ms() + seconds * 1000
  while conn:alive() do
    if core.sys.mono_ms() >= until_ms then return true end
    task.sleep(math.min(STEP_S, seconds))
  end
end

function Sink:keep(text)
  local recent = self.recent
  recent[#recent + 1], self.recent_bytes = text, self.recent_bytes + #text
  while recent[2] and self.recent_bytes - #recent[1] >= WINDOW do self.recent_bytes = self.recent_bytes - #table.remove(recent, 1) end
end

function Sink:deliver(text)
  local again = ""
  if self.conn and not self.conn:alive() then self:close() end
  if not self.conn then
    local conn, fault = connection.open(self.to)
    if not conn then return nil, fault end
    self.conn, again = conn, table.concat(self.recent)
  end
  local ok, err = self.conn:send(again .. text)
  if ok and stays(self.conn, self.o.confirm) then
    self:keep(text)
    return true
  end
  self:close()
  return nil, err or check.error("network", self.name .. ": the receiver closed the connection; what it may not have read is sent again",
    { retryable = true })
end

--- Sends a batch; returns as the outbox's contract says.
function Sink:send(batch)
  local frames, results = {}, {}
  for i, d in ipairs(batch) do
    local o, doc = self.o, core.json.decode(d.json)
    local text = rfc5424.message(o, d, doc, o.format == "json" and d.json or cef[o.format](d, doc, core.version))
    local fits = #text <= (o.max_bytes or #text)
    if fits then frames[#frames + 1] = rfc5424.frame(text) end
    results[i] = fits or { dead = ("the message has %d bytes, over max_bytes = %d"):format(#text, o.max_bytes) }
  end
  if not frames[1] then return results end
  local ok, err = self:deliver(table.concat(frames))
  return ok and results, err
end

function Sink:close()
  if self.conn then self.conn:close() end
  self.conn = nil
end

return syslog

-- syslogd.lua: a syslog receiver for sinks.lua that closes connections now and then: syslogd.lua FILE SHARE.
--
-- Prints its port. Writes a line for each message to FILE: id, kind, number of the record, 44 bits that stand for the document.
local raw = require("defendis_internals").raw
local number = require("support.receiver").number

local file, share = assert(io.open(arg[1], "ab")), tonumber(arg[2])
file:setvbuf "full"
local listener = raw.listen()
print(listener:port())
io.stdout:flush()
math.randomseed(1)

-- Takes the whole messages off a text; returns the rest.
local function take(text)
  local at = 1
  while true do
    local n, start = text:match("^(%d+) ()", at)
    if not n or start + n - 1 > #text then break end
    local message = text:sub(start, start + n - 1)
    local id, kind, doc = message:match '%[defendis@32473 id="(.-)" kind="(.-)"%] (.*)$'
    file:write(id, " ", kind, " ", doc:match '"id":"r(%d+)"', " ", number(doc), "\n")
    at = start + n
  end
  file:flush()
  return text:sub(at)
end

while true do
  local peer <close>, text = listener:accept(), ""
  repeat
    local came, why = peer:receive(100)
    text = take(text .. came)
  until why == "closed" or #came > 0 and math.random() < share
end

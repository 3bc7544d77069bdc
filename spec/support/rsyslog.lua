-- rsyslog.lua: Debian's rsyslog on a port of its own, for one test, and what it understood.
local cjson = require "cjson"
local run = require "support.run"
local scratch = require "support.scratch"

local rsyslog = {}

local CONFIG = [[
global(workDirectory="%s" maxMessageSize="256k" parser.escapeControlCharactersOnReceive="off" net.enableDNS="off")
module(load="imtcp")
module(load="mmpstrucdata")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="%s/port")
template(name="all" type="list") {
  property(name="pri") constant(value="\t") property(name="timestamp" dateformat="rfc3339") constant(value="\t") property(name="hostname")
  constant(value="\t") property(name="app-name") constant(value="\t") property(name="msgid") constant(value="\t") property(name="$!")
  constant(value="\t") property(name="msg") constant(value="\n")
}
action(type="mmpstrucdata")
action(type="omfile" file="%s/all" template="all" fileCreateMode="0600")
]]

--- Is it installed?
function rsyslog.there() return (os.execute "command -v rsyslogd >/dev/null || [ -x /usr/sbin/rsyslogd ]") == true end

local function wait(what) assert(os.execute(("timeout 30 sh -c 'until %s; do sleep 0.01; done'"):format(what)), what) end

--- Starts it. Returns {port, messages = function(n) -> array of what it has understood once there are n, stop}.
function rsyslog.start()
  local dir = run.folder()
  scratch.write(dir .. "/conf", CONFIG:format(dir, dir, dir))
  local pipe = assert(io.popen(("echo $$; PATH=$PATH:/usr/sbin exec rsyslogd -n -C -f %s/conf -i %s/pid 2>%s/err"):format(dir, dir, dir)))
  local self = { pid = pipe:read "l" }
  function self.stop()
    if self.pid then os.execute(("kill %s 2>/dev/null"):format(self.pid)) end
    self.pid = nil
    pipe:close()
  end
  wait(("[ -s %s/port ]"):format(dir))
  self.port = math.tointeger(tonumber(scratch.read(dir .. "/port")))
  function self.messages(n)
    wait(("[ \"$(wc -l 2>/dev/null <%s/all)\" -ge %d ]"):format(dir, n))
    local out = {}
    for line in io.lines(dir .. "/all") do
      local pri, time, host, app, msgid, data, msg = line:match "^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$"
      out[#out + 1] = { pri = pri, time = time, host = host, app = app, msgid = msgid,
        data = cjson.decode(data)["rfc5424-sd"]["defendis@32473"], msg = msg:gsub("^ ", "") }
    end
    return out
  end
  return self
end

return rsyslog

-- process.lua: a `defendis` that runs beside the test: its words so far, its signals, its end.
local cjson = require "cjson"
local run = require "support.run"
local scratch = require "support.scratch"
local scripted = require "support.scripted"
local task = require "defendis.task"

local process = {}
local methods = {}
methods.__index = methods

local DEADLINE <const> = 60 -- seconds, for what takes a moment on a machine with time to spare
local END <const> = 30 -- seconds, for what promises to end within ten

--- Looks again and again until fn returns something true, and returns that. what: said when it does not.
function process.eventually(what, fn)
  local from = scratch.uptime()
  while true do
    local got = fn()
    if got then return got end
    if scratch.uptime() - from > DEADLINE then error("it did not happen: " .. (type(what) == "function" and what() or what), 2) end
    task.sleep(0.01) -- leaves the processor to whom it waits for
  end
end

--- Starts `defendis`. line: its words; env: table.
function process.start(line, env)
  local self = setmetatable({ folder = run.folder() }, methods)
  local words = { "env NO_COLOR=1" }
  for k, v in pairs(env or {}) do words[#words + 1] = k .. "=" .. run.quote(v) end
  self.pipe = assert(io.popen(("echo $$; exec %s %s %s </dev/null >%s/out 2>%s/err"):format(table.concat(words, " "), run.bin, line,
    self.folder, self.folder)))
  self.pid = self.pipe:read("l")
  return self
end

local function text_of(path)
  local f <close> = io.open(path, "rb")
  return f and f:read("a") or ""
end

function methods:out() return text_of(self.folder .. "/out") end
function methods:err() return text_of(self.folder .. "/err") end

--- Waits until stderr has what the pattern says; returns its captures. nth: the nth time.
function methods:says(pattern, nth)
  return process.eventually(function() return ("%q in %s"):format(pattern, self:err()) end, function()
    local n = 0
    for got in self:err():gmatch(pattern) do
      n = n + 1
      if n == (nth or 1) then return got end
    end
  end)
end

function methods:signal(name) assert(os.execute("kill -" .. name .. " " .. self.pid)) end

--- Waits for its end. Returns its exit code; 128 + n when signal n ended it. One that does not end is killed: 137.
function methods:wait()
  local from = scratch.uptime()
  while text_of("/proc/" .. self.pid .. "/stat"):match("%) (%a)") ~= "Z" do
    if scratch.uptime() - from > END then self:signal "KILL" end
    task.sleep(0.01)
  end
  local _, how, code = self.pipe:close()
  self.pipe = nil
  return how == "signal" and 128 + code or code
end

function methods:stop(name)
  self:signal(name or "TERM")
  return self:wait()
end

--- Status and body of a GET to the address that it says it listens on.
function methods:get(path)
  local port = math.tointeger(tonumber(self:says "listening on 127%.0%.0%.1:(%d+)\n"))
  return process.get(port, path)
end

--- Status, body and head of a request to a port.
function process.get(port, path, method)
  local raw = require("defendis_internals").raw
  local answer = raw.exchange(port, ("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):format(method or "GET", path), 20000)
  local head, body = answer:match("^(.-)\r\n\r\n(.*)$")
  return math.tointeger(tonumber(head:match("^HTTP/1.1 (%d+)"))), body, head
end

--- What the simulator's requests were so far.
function process.requests(server) return cjson.decode(scripted.get(server.base_url, "/simulator/log")).requests end

--- For after_each: ends it when it still runs.
function methods:clean()
  if not self.pipe then return end
  os.execute("kill -9 " .. self.pid .. " 2>/dev/null")
  self.pipe:close()
end

return process

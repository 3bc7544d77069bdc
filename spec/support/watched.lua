-- watched.lua: the simulator's workspace behind a server that loses answers, lies, and kills its client, each at a given write.
local cjson = require "cjson"
local run = require "support.run"
local scratch = require "support.scratch"
local scripted = require "support.scripted"

local watched = {}
local methods = {}
methods.__index = methods

-- The server. FOLDER/fault holds "NAME WRITE"; writes are counted from the time that it was set. In %: folder, options, and the source
-- of `setup(sim)`.
local HANDLER = [[
local folder, options = %q, %s
options.key = "scripted-key-0123456789"
local sim = require("defendis.simulator").new(options)
local function setup(sim) %s end
setup(sim)
local fault, count, writes = "", 0, {}
local function read(name)
  local f <close> = io.open(folder .. "/" .. name)
  return f and f:read "a"
end
local function kill()
  local pid
  repeat pid = read "pid" until pid and pid ~= ""
  os.execute("kill -9 " .. pid)
end
local FAULTS = {
  kill_before = function() kill() return fail(500) end,
  kill_after = function(req) sim:handle(req) kill() return fail(500) end,
  lost = function(req) sim:handle(req) return fail(503) end,
  reset = function(req)
    local answer = sim:handle(req)
    answer.truncate = 3
    return answer
  end,
  html = function(req) sim:handle(req) return { status = 200, body = "<html>", headers = { ["content-type"] = "text/html" } } end,
  failed = function() return fail(503) end,
  unsent = function() return { status = 429, body = '{"error":"slow down"}' } end,
  miscount = function(req)
    sim:handle(req)
    return { status = 200, body = '{"data":{"count":0}}' }
  end,
  partial = function(req)
    local body = req.body:gsub(',"[^",]*"%%]', "]") -- all ids but the last
    return sim:handle{ method = req.method, path = req.path, query = req.query, headers = req.headers, body = body }
  end,
  int = function(req)
    local pid
    repeat pid = read "pid" until pid and pid ~= ""
    os.execute("kill -INT " .. pid)
    return sim:handle(req)
  end,
}
return function(req)
  if req.path == "/writes" then return { status = 200, body = table.concat(writes, "\n") .. "\n" } end
  if req.method == "GET" then return sim:handle(req) end
  local now = read "fault" or ""
  if now ~= fault then fault, count = now, 0 end
  count = count + 1
  writes[#writes + 1] = req.method .. " " .. req.path .. " " .. req.body
  local name, at = fault:match "(%%S+) (%%d+)"
  if name and count == tonumber(at) then return FAULTS[name](req) end
  return sim:handle(req)
end
]]

--- Starts one. options: source of a table for the simulator; setup: source that changes `sim`.
function watched.start(options, setup)
  local self = setmetatable({ folder = run.folder() }, methods)
  self.api = scripted.start(HANDLER:format(self.folder, options or "{}", setup or ""))
  self.env = self.api.env
  return self
end

function methods:stop() self.api.stop() end

--- The write of that number, counted from now, meets a fault of HANDLER's; nil: none does.
function methods:fault(name, at)
  self.faults = (self.faults or 0) + 1
  os.remove(self.folder .. "/pid")
  run.write(self.folder .. "/fault", name and ("%s %d %d"):format(name, at, self.faults) or "")
end

--- A file beside it.
function methods:file(name, text) return run.write(self.folder .. "/" .. name, text) end

--- Runs `defendis watchlist` to its end; its pid is where kill looks.
function methods:run(line, prefix)
  return run.defendis("watchlist " .. line, { env = self.env, prefix = prefix or
    ("sh -c 'echo $$ >%s/pid.new; mv %s/pid.new %s/pid; exec \"$@\"' -"):format(self.folder, self.folder, self.folder) })
end

--- The document that a command printed, with --json.
function methods:json(line)
  local r = self:run(line .. " --json")
  return cjson.decode(r.out), r
end

--- The writes that the server met: array of "METHOD path body".
function methods:writes()
  local out = {}
  for line in scripted.get(self.api.base_url, "/writes"):gmatch "[^\n]+" do out[#out + 1] = line end
  return out
end

--- What is watched: array of "kind value group", in order.
function methods:list()
  local out = {}
  local r = self:run "list group domain bin executive keyword ransom assets --json"
  for line in r.out:gmatch "[^\n]+" do
    local d = cjson.decode(line)
    out[#out + 1] = ("%s %s %s"):format(d.kind, d.value, d.group or "-")
  end
  table.sort(out)
  return out
end

--- The lines of an audit.
function watched.audit(path)
  local out = {}
  for line in scratch.read(path):gmatch "[^\n]+" do out[#out + 1] = cjson.decode(line) end
  return out
end

return watched

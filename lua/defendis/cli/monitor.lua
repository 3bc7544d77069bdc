-- monitor.lua: /metrics and /healthz of a daemon, on loopback.
local core = require "defendis.core"
local httpd, json, sys = core.httpd, core.json, core.sys
local metrics = require "defendis.pipeline.metrics"
local task = require "defendis.task"
local time = require "defendis.time"

local HOUR_MS <const> = 3600000

local monitor = {}

local Monitor = {}
Monitor.__index = Monitor

--- What is known of the runs of this process. monitor.pipeline: the open one, set by the daemon, or nil.
function monitor.new() return setmetatable({ counts = metrics.new(), last = nil }, Monitor) end

--- Takes in what a run came to. err: why it ended early, or nil.
function Monitor:note_run(summary, err, took_ms)
  local now = sys.wall_ms()
  self.last = { at = now, took_ms = took_ms, kind = type(err) == "table" and err.kind or err and "script" or nil, open = #summary.problems,
    ended_well = not err and #summary.problems == 0 }
  if self.last.ended_well then self.success_at = now end
  metrics.note_run(self.counts, summary)
end

-- Why the daemon is not well: array of texts. No input of a dataset is named: who asks need not be who may know it.
function Monitor:problems()
  local out, last, now = {}, self.last, sys.mono_ms()
  if not last then
    out[1] = "no run has ended yet"
  elseif last.kind then
    out[1] = ("the last run ended early (%s)"):format(last.kind)
  elseif last.open > 0 then
    out[1] = ("the last run left %d windows open"):format(last.open)
  end
  local box = self.pipeline and self.pipeline.commit.outbox
  for _, d in ipairs(box and box.deliveries or {}) do
    local since = d.failing_since and now - d.failing_since or 0
    if since > HOUR_MS then out[#out + 1] = ("the sink %s has been failing for %d minutes"):format(d.name, since // 60000) end
  end
  return out
end

function Monitor:health()
  local problems = self:problems()
  local body = { status = problems[1] and "failing" or "ok", problems = json.array(problems),
    last_run = self.last and time.format(self.last.at) or json.null,
    last_success = self.success_at and time.format(self.success_at) or json.null }
  return { status = problems[1] and 503 or 200, headers = { ["content-type"] = "application/json" },
    body = assert(json.encode(body, { sort_keys = true })) .. "\n" }
end

local TEXT <const> = { ["content-type"] = "text/plain; version=0.0.4; charset=utf-8" }

function Monitor:answer(req)
  if req.method ~= "GET" and req.method ~= "HEAD" then return { status = 405, headers = { allow = "GET, HEAD" }, body = "" } end
  if req.path == "/healthz" then return self:health() end
  if req.path ~= "/metrics" then return { status = 404, headers = TEXT, body = "try /metrics or /healthz\n" } end
  local ok, text = pcall(metrics.text, self.counts, self)
  if ok then return { status = 200, headers = TEXT, body = text } end
  return { status = 500, headers = TEXT, body = "the state cannot be read\n" }
end

--- Serves on 127.0.0.1 (port 0: any free one) as long as parallel runs. Returns true, or nil, err.
function Monitor:listen(port)
  local server, err = httpd.listen{ port = port }
  if not server then return nil, err end
  self.server = server
  io.stderr:write(("defendis: listening on 127.0.0.1:%d\n"):format(server:port()))
  task.spawn(function()
    while true do
      local req = server:next(0)
      if req then
        req:answer(self:answer(req))
      else
        local fd, ms = server:wants()
        task.readable(fd, ms / 1000)
      end
    end
  end)
  return true
end

--- Ends it.
function Monitor:close()
  if self.server then self.server:close() end
end

return monitor

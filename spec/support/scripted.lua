-- scripted.lua: an API that a test writes itself: a handler in a process of its own.
--
-- The handler is Lua source, run with these globals; it returns function(req, n) -> answer, n being how often this path was asked:
--   list(req, records, more)  an honest page of `records` (array of JSON texts), its `paging` changed by the table `more`
--   fail(status)              an error
--   record(id, day, fields)   JSON text of a record that leaked on that day of January 2026
-- Requests are kept, see api.log().
local run = require "support.run"

local scripted = {}

local LIST = '{"data":[%s],"paging":{"currentPage":%s,"pageSize":%s,"totalRecords":%s,"totalPages":%s,"hasMore":%s,"nextPage":%s}}'

local function list(req, records, more)
  local page, size = tonumber(req.query.page or 1), tonumber(req.query.pageSize or 100)
  more = more or {}
  local pages = (#records + size - 1) // size
  local slice = table.move(records, (page - 1) * size + 1, math.min(#records, page * size), 1, {})
  local function figure(name, value)
    if more[name] ~= nil then value = more[name] end
    return tostring(value)
  end
  return { status = 200, body = LIST:format(table.concat(more.data or slice, ","), figure("currentPage", page), figure("pageSize", size),
    figure("totalRecords", #records), figure("totalPages", pages), figure("hasMore", page < pages),
    figure("nextPage", page < pages and page + 1 or "null")) }
end

local function record(id, day, fields)
  return ('{"id":"%s","leakedAt":"2026-01-%02dT12:00:00Z"%s}'):format(id, day or 1, fields and "," .. fields or "")
end

local function fail(status) return { status = status, body = '{"error":"scripted"}' } end

--- The child: answers until it is killed.
function scripted.serve(path)
  local httpd = require("defendis.core").httpd
  local env = setmetatable({ list = list, fail = fail, record = record }, { __index = _G })
  local handler = assert(loadfile(path, "t", env))()
  local server <close> = assert(httpd.listen{ port = 0 })
  io.stdout:write(server:port(), "\n")
  io.stdout:flush()
  local count, log = {}, {}
  while true do
    local req = server:next(60000)
    local answer
    if req and req.path == "/scripted/log" then
      answer = { status = 200, body = table.concat(log, "\n") .. "\n" }
    elseif req then
      local keys = {}
      for key in pairs(req.query) do keys[#keys + 1] = key end
      table.sort(keys)
      for i, key in ipairs(keys) do keys[i] = key .. "=" .. req.query[key] end
      log[#log + 1] = req.path .. "?" .. table.concat(keys, "&")
      count[req.path] = (count[req.path] or 0) + 1
      answer = handler(req, count[req.path])
    end
    if req then
      answer.headers = answer.headers or { ["content-type"] = "application/json" }
      req:answer(answer)
    end
  end
end

--- Body of GET path at a base URL.
function scripted.get(base_url, path, method)
  local raw = require("defendis_internals").raw
  local answer = raw.exchange(math.tointeger(base_url:match(":(%d+)$")),
    ("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):format(method or "GET", path), 20000)
  return (answer:gsub("^.-\r\n\r\n", "", 1))
end

--- Starts an API. handler: source of a chunk, see above. Returns {base_url, env, log = function() -> array of "path?query", stop}.
function scripted.start(handler)
  local path = run.write(run.folder() .. "/handler.lua", handler)
  local p = assert(io.popen(("echo $$; exec lua5.4 -e 'require(\"support.scripted\").serve(\"%s\")' </dev/null"):format(path)))
  local pid, port = p:read("l"), p:read("l")
  local api = { base_url = "http://127.0.0.1:" .. assert(port, "the scripted API did not start") }
  api.env = { DEFENDIS_BASE_URL = api.base_url, DEFENDIS_API_KEY = "scripted-key-0123456789" }
  function api.log()
    local lines = {}
    for line in scripted.get(api.base_url, "/scripted/log"):gmatch("[^\n]+") do lines[#lines + 1] = line end
    return lines
  end
  function api.stop()
    if pid then os.execute("kill " .. pid .. " 2>/dev/null") end
    pid = nil
    p:close()
  end
  return api
end

return scripted

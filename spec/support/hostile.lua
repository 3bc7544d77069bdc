-- hostile.lua: the misbehaving server, clients of it, and their keys, each for one test.
local internals = require("defendis_internals").hostile
local client = require "defendis.client"
local scratch = require "support.scratch"

local hostile = {}

hostile.KEY = "canary-7Qm3/xKey+OfThisTest9"

local opened, dir = {}, nil

local function keep(x)
  opened[#opened + 1] = x
  return x
end

--- Ends what a test has opened. For after_each.
function hostile.clean()
  for i = #opened, 1, -1 do opened[i]:close() end
  opened = {}
  if dir then scratch.remove(dir) end
  dir = nil
end

--- A file with these bytes, for as long as the test lasts.
function hostile.file(name, bytes, mode)
  dir = dir or scratch.dir()
  scratch.write(dir .. "/" .. name, bytes, mode)
  return dir .. "/" .. name
end

local REASONS = { [200] = "OK", [204] = "No Content", [429] = "Too Many Requests" }

--- An answer for serve. body: text; headers: array of lines; more: further fields of the answer, and length = false for none.
function hostile.answer(status, body, headers, more)
  more = more or {}
  local lines = { ("HTTP/1.1 %d %s"):format(status, REASONS[status] or "Status") }
  table.move(headers or {}, 1, #(headers or {}), 2, lines)
  if not (headers and table.concat(headers):find "[Cc]ontent%-[Tt]ype") then lines[#lines + 1] = "Content-Type: application/json" end
  if more.length ~= false then lines[#lines + 1] = "Content-Length: " .. (more.length or #body) end
  local answer = { bytes = table.concat(lines, "\r\n") .. "\r\n\r\n" .. body }
  for k, v in pairs(more) do if k ~= "length" then answer[k] = v end end
  return answer
end

--- A body in chunks. last: with the final one.
function hostile.chunked(body, last)
  local half = #body // 2
  local text = ("%x\r\n%s\r\n%x\r\n%s\r\n"):format(half, body:sub(1, half), #body - half, body:sub(half + 1))
  return last and text .. "0\r\n\r\n" or text
end

--- Starts a server. Each argument is an answer as above, or a table of the C module's.
function hostile.serve(...) return keep(internals.serve{ ... }) end

--- A client of a server. options: as defendis.client's; one attempt, 5 s and a key of its own unless they say otherwise.
function hostile.client(server, options)
  local o = { base_url = "http://127.0.0.1:" .. server:port(), timeout = 5 * scratch.slowness, retry = { max_attempts = 1 } }
  for k, v in pairs(options or {}) do o[k] = v end
  o.api_key_file = o.api_key_file or hostile.file("key", hostile.KEY)
  return keep(client.new(o))
end

--- One GET of an answer, or of a table of them. Returns what the client said and the server.
function hostile.get(given, options)
  local server = hostile.serve(given)
  local value, err = hostile.client(server, options):get "/api/v1/x"
  return value, err, server
end

--- The same; it has to fail, with one line that holds nothing of the key. Returns the error and the server.
function hostile.refused(kind, given, options)
  local value, err, server = hostile.get(given, options)
  assert(value == nil, "it was taken")
  assert(err.kind == kind and #err.message < 512 and not err.message:find "%c", err.kind .. ": " .. err.message)
  assert(not err.message:find("canary", 1, true), "the key is in the message")
  return err, server
end

--- What a function raises.
function hostile.raised(f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok, "it raised nothing")
  return err
end

--- What a process printed on stdout, as bytes.
function hostile.output(command)
  local pipe <close> = assert(io.popen(command, "r"))
  return pipe:read "a"
end

--- Runs functions at once, and each must succeed.
function hostile.together(functions)
  for _, r in ipairs(require("defendis.task").parallel(functions, { concurrency = 64 })) do
    if not r.ok then error(r[1], 0) end
  end
end

return hostile

-- sinks.lua: the sinks that a pipeline file can name; what a sink is stands in defendis/sinks/README.md.
local core = require "defendis.core"
local backfill = require "defendis.pipeline.backfill"
local check = require "defendis.check"

local DEADLINE_S <const> = 3600 -- for a send, and room for as many requests, each with all of its time
local REQUESTS <const> = 40

local sinks = {}

--- Names of the files in defendis/sinks: the program carries a list; from the disk they are looked up.
function sinks.names()
  local carried, list = pcall(require, "defendis.sinks.names")
  if carried then return list end
  local folder = assert(package.searchpath("defendis.sinks.jsonl", package.path)):match("^(.*)jsonl%.lua$")
  list = assert(core.stream.list(folder, ".lua"))
  for i, name in ipairs(list) do list[i] = name:gsub("%.lua$", "") end
  return list
end

local function problem_of(kind)
  if type(kind) ~= "table" then return "it returns no table" end
  if type(kind.new) ~= "function" or type(kind.OPTIONS) ~= "table" or type(kind.GUARANTEE) ~= "string" then
    return "it must return { OPTIONS = {...}, GUARANTEE = text, new = function }"
  end
end

-- A user's own sink: a chunk of text, trusted like the pipeline file, which names it.
local function load_own(path, folder)
  local full = path:sub(1, 1) == "/" and path or folder .. path
  local f, problem = io.open(full, "rb")
  local text = f and f:read("a")
  if f then f:close() end
  if not text then return nil, "cannot read " .. (problem or full .. ": not a file") end
  local chunk, ok, kind
  chunk, problem = load(text, "@" .. full, "t")
  if not chunk then return nil, problem end
  ok, kind = pcall(chunk)
  if not ok then return nil, tostring(kind) end
  problem = problem_of(kind)
  if problem then return nil, ("the sink %s: %s; see sinks/README.md"):format(full, problem) end
  return kind
end

-- Notes what the pipeline file says; the sink itself is made when all of the file was checked.
local function entry(name, kind, options)
  local message, path = check.options(options, kind.OPTIONS)
  if message then -- its callers end with a tail call
    local line = debug.getinfo(2, "l").currentline
    error(check.error("config", ("%s: %s"):format(name, check.describe(message, path)), { sink = name, at = path, line = line }), 0)
  end
  return { kind = kind, options = options, name = name }
end

--- The constructors for the environment of a pipeline file. folder: of that file.
function sinks.constructors(folder)
  local env = {}
  for _, name in ipairs(sinks.names()) do
    env[name] = function(options) return entry(name, require("defendis.sinks." .. name), options) end
  end
  env.sink = function(path)
    if type(path) ~= "string" then error('sink: sink "path/to/file.lua" { options } expected', 2) end
    local kind, problem = load_own(path, folder)
    if not kind then error(problem, 0) end
    return function(options) return entry(path, kind, options) end
  end
  return env
end

--- The same names for who only wants to know the rest of the file: what they are given, secrets among it, does not matter.
function sinks.ignored()
  local env, none = {}, function() return { options = {} } end
  for _, name in ipairs(sinks.names()) do env[name] = none end
  env.sink = function() return none end
  return env
end

local function text(v) return type(v) == "string" and v ~= "" and not v:find "%c" end

local function limit(v, otherwise)
  if v == nil then return otherwise end
  return math.type(v) == "integer" and v > 0 and v or nil
end

-- What is missing from a sink that was made, or nil. timeout: its option, or nil.
local function fault(sink, timeout)
  if type(sink) ~= "table" then return "new returned no sink" end
  if not text(sink.name) then return "sink.name is not a line of text" end
  if type(sink.close) ~= "function" then return "sink:close is missing" end
  if not sink.send then
    if not (sink.open and sink.write and sink.prepare) then return "sink:send is missing" end
    return
  end
  if sink.alerting ~= nil and type(sink.alerting) ~= "boolean" then return "sink.alerting is neither true nor false" end
  local batch = sink.batch or {}
  sink.batch = { documents = limit(batch.documents, 500), bytes = limit(batch.bytes, 1 << 20) }
  if not sink.batch.documents or not sink.batch.bytes then return "sink.batch holds numbers of documents and bytes" end
  sink.deadline = sink.deadline or DEADLINE_S + REQUESTS * (tonumber(timeout) or 0)
  if type(sink.deadline) ~= "number" or sink.deadline <= 0 then return "sink.deadline is not a number of seconds" end
  if sink.wants and type(sink.wants) ~= "function" then return "sink.wants is not a function" end
end

--- Makes the sinks of a plan. entries: what the constructors returned; folder: of the pipeline file; past: {name, alert} of a backfill,
-- or nil; replay: on a tape. Returns an array, or nil, err; then none is left open.
function sinks.make(entries, folder, path, past, replay)
  local made, seen = {}, {}
  local function refuse(sink, err)
    made[#made + 1] = type(sink) == "table" and sink or nil
    sinks.close(made)
    return nil, err
  end
  for i, e in ipairs(entries) do
    local ran, sink, err = pcall(e.kind.new, e.options, { name = e.name, folder = folder, backfill = past and past.name, replay = replay })
    if not ran then sink, err = nil, sink end
    if not sink and err then
      return refuse(nil, type(err) == "table" and err or check.error("config", ("%s: %s: %s"):format(path, e.name, tostring(err))))
    end
    local problem = fault(sink, e.options.timeout)
    problem = problem and ("%s: %s; see sinks/README.md"):format(e.name, problem)
      or seen[sink.name] and ("%s is listed twice"):format(sink.name)
    if problem then return refuse(sink, check.error("config", ("%s: the sink %s"):format(path, problem))) end
    sink.guarantee = e.kind.GUARANTEE
    if past and sink.alerting and not past.alert then sink.wants = backfill.quiet(sink.wants) end
    made[i], seen[sink.name] = sink, true
  end
  return made
end

--- Closes sinks, also one that was refused and may lack what closes it.
function sinks.close(made)
  for _, sink in ipairs(made) do
    if type(sink.close) == "function" then sink:close() end
  end
end

return sinks

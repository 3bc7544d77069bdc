-- pipelined.lua: a pipeline in a folder of its own, run by the program, and what came of it.
local cjson = require "cjson"
local run = require "support.run"
local scripted = require "support.scripted"

local pipelined = {}
local methods = {}
methods.__index = methods

-- Written one a line, so that a test can say only what differs.
local DEFAULTS = {
  scope = '{ domain = { "acme.example" } }', datasets = '{ "dataleaks.credentials" }', since = '"2026-01-01"', ["until"] = '"2026-01-02"',
  window = '"1d"', page_size = "10", sinks = '{ jsonl{ path = "out" } }', store = '"state.db"',
}

--- options: fields of the pipeline as Lua source, over defaults: one domain, one day, pages of 10. server: a simulator or scripted API.
function pipelined.new(server, options, rules)
  local self = setmetatable({ folder = run.folder(), env = server.env, server = server }, methods)
  self.path = self.folder .. "/pipeline.lua"
  self.options = {}
  for name, text in pairs(DEFAULTS) do self.options[name] = text end
  if rules then self:rules(rules) end
  self:edit(options or {})
  return self
end

--- Changes fields of the pipeline.
function methods:edit(options)
  local lines = {}
  for name, text in pairs(options) do self.options[name] = text end
  for name, text in pairs(self.options) do lines[#lines + 1] = ('  ["%s"] = %s,'):format(name, text) end
  run.write(self.path, "return pipeline{\n" .. table.concat(lines, "\n") .. "\n}\n")
end

--- Writes the rule file and makes the pipeline use it.
function methods:rules(text)
  run.write(self.folder .. "/rules.lua", text)
  self.options.rules = '{ "rules.lua" }'
end

function methods:ingest(options)
  options = options or {}
  options.env = options.env or self.env
  return run.defendis("ingest " .. (options.json and "--json " or "") .. self.path, options)
end

function methods:command(line) return run.defendis(line:gsub("PIPELINE", self.path), { env = self.env }) end

--- The exit code of `ledger verify`, and what it prints.
function methods:verify()
  local got = self:command("ledger verify PIPELINE")
  return got.code, got.out .. got.err
end

--- The ledger's rows.
function methods:ledger()
  local rows = {}
  for line in self:command("ledger show PIPELINE --json").out:gmatch("[^\n]+") do rows[#rows + 1] = cjson.decode(line) end
  return rows
end

--- The lines of an output file.
function methods:lines(kind, folder)
  local lines = {}
  local f = io.open(("%s/%s/%s.jsonl"):format(self.folder, folder or "out", kind or "dataleaks.credentials"), "rb")
  if not f then return lines end
  for line in f:lines() do lines[#lines + 1] = line end
  f:close()
  return lines
end

--- The ids in an output file, sorted.
function methods:ids(kind, folder)
  local ids = {}
  for i, line in ipairs(self:lines(kind, folder)) do ids[i] = cjson.decode(line).id end
  table.sort(ids)
  return ids
end

--- The ids that a simulator announces, sorted. from, to: dates or nil.
function pipelined.announced(server, dataset, input, from, to)
  local ids = {}
  local text = scripted.get(server.base_url, ("/simulator/ids?dataset=%s&input=%s%s%s"):format(dataset, input,
    from and "&from=" .. from or "", to and "&to=" .. to or ""))
  for id in text:gmatch("[^\r\n]+") do if #id == 36 then ids[#ids + 1] = id end end
  table.sort(ids)
  return ids
end

return pipelined

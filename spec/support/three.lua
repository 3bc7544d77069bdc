-- three.lua: a pipeline with three sinks, a file, a database and a webhook with its receiver, and whether the last two have it all too.
local core = require "defendis.core"
local run = require "support.run"
local scripted = require "support.scripted"

local three = {}
local methods = {}
methods.__index = methods

local BATCH <const> = 20 -- of the webhook sink
local LEAKS <const> = 0x64666462 -- application id of the database sink's files

-- Each POST that came whole is a line, id and body; a GET takes them away. A path for each pipeline.
local RECEIVER = [[
  local took = {}
  return function(req)
    local lines = took[req.path] or {}
    took[req.path] = req.method == "POST" and lines or nil
    if req.method == "GET" then return { status = 200, body = table.concat(lines) } end
    lines[#lines + 1] = ("%s\t%s\n"):format(req.headers["webhook-id"], req.body)
    return { status = 204, body = "" }
  end]]

--- Starts a receiver; stop it with the result's receiver.stop(). Its field again: how many documents it got again, in all.
function three.new() return setmetatable({ receiver = scripted.start(RECEIVER), pipelines = 0, again = 0 }, methods) end

--- Gives a pipeline the sinks.
function methods:equip(p)
  self.pipelines = self.pipelines + 1
  p.hook = "/" .. self.pipelines
  run.write(p.folder .. "/hook.key", "a secret of this test's own")
  p:edit{ sinks = ('{ jsonl{ path = "out" }, sqlite{ path = "leaks.db" }, webhook{ url = "%s%s", secrets = { secret.file "hook.key" } } }')
    :format(self.receiver.base_url, p.hook) }
end

local function text(lines)
  table.sort(lines)
  return table.concat(lines, "\n")
end

-- Lines of id and document; those of id and record, which are the same in every process while the order of fields is not; documents.
local function in_database(p)
  local db <close> = assert(core.store.open(p.folder .. "/leaks.db", { readonly = true, application_id = LEAKS, migrations = { "" } }))
  local rows, ids, docs = {}, {}, {}
  for _, name in ipairs{ "dataleaks_credentials", "findings" } do
    for id, doc in db:rows(("SELECT id, doc FROM %s"):format(name)) do
      local i = #rows + 1
      rows[i], ids[i], docs[i] = id .. "\t" .. doc, id .. "\t" .. (doc:match '"original_event_uid":"([%x-]+)"' or doc), doc
    end
  end
  return text(rows), text(ids), text(docs)
end

local function in_files(p)
  local lines = p:lines()
  for _, line in ipairs(p:lines "findings") do lines[#lines + 1] = line end
  return text(lines)
end

-- What the receiver got, each once; and how much of it came again.
local function received(self, p)
  local seen, rows, again = {}, {}, 0
  for line in scripted.get(self.receiver.base_url, p.hook):gmatch "[^\n]+" do
    if seen[line] then again = again + 1 else rows[#rows + 1] = line end
    seen[line] = true
  end
  return text(rows), again
end

--- What is wrong with that which the sinks have, or nil; a pipeline that was not disturbed is asked first. p.kills: how often it
-- was killed, or nil.
function methods:problem(p)
  local rows, ids, docs = in_database(p)
  local got, again = received(self, p)
  self.again, self.ids = self.again + again, self.ids or ids
  if ids ~= self.ids then return "the database differs" end
  if docs ~= in_files(p) then return "the database and the files differ" end
  if got ~= rows then return "the receiver and the database differ" end
  if again > BATCH * (p.kills or 0) then return ("%d documents came again after %d kills"):format(again, p.kills or 0) end
end

return three

-- jsonl.lua: sink that appends JSON lines to files in a folder: one file per dataset, and findings.jsonl.
-- Guarantee: exactly once. The sizes of the files are part of the page's transaction; what a crash left behind them is cut off.
--
-- A sink: new(options, folder) -> sink; sink.name; sink:open(state, kinds) -> true | nil, err; sink:write(kind, buffer) -> true | nil, err,
-- where kind is one of kinds (datasets and "findings") and buffer holds whole lines; sink:prepare() -> state to be committed | nil, err:
-- makes durable what it was given; sink:close(). The state is text, and what sink:open gets after a restart. After open it is
-- committed once before anything is written.
local core = require "defendis.core"
local check = require "defendis.check"
local stream, json = core.stream, core.json

local jsonl = {}

local Jsonl = {}
Jsonl.__index = Jsonl

jsonl.OPTIONS = { path = check.required(check.text) }

--- options: {path = folder, made when missing}; folder: what a relative path counts from.
function jsonl.new(options, folder)
  local path = options.path
  if path:sub(1, 1) ~= "/" then path = folder .. path end
  return setmetatable({ name = "jsonl:" .. options.path, path = (path:gsub("/+$", "")), files = {}, offsets = {}, dirty = {} }, Jsonl)
end

-- A file that the state does not know is appended to from where it ends: it may hold what somebody still needs.
function Jsonl:open(state, kinds)
  self.offsets = state and assert(json.decode(state)) or {}
  local ok, err = stream.mkdir(self.path)
  if not ok then return nil, err end
  for _, kind in ipairs(kinds) do
    self.files[kind], err = stream.open(self.path .. "/" .. kind .. ".jsonl", self.offsets[kind])
    if not self.files[kind] then return nil, err end
    self.dirty[kind] = true
  end
  return true
end

function Jsonl:write(kind, buffer)
  if buffer:len() == 0 then return true end
  self.dirty[kind] = true
  return self.files[kind]:write(buffer)
end

function Jsonl:prepare()
  for kind in pairs(self.dirty) do
    local ok, err = self.files[kind]:sync()
    if not ok then return nil, err end
    self.offsets[kind], self.dirty[kind] = self.files[kind]:offset(), nil
  end
  return assert(json.encode(json.object(self.offsets), { sort_keys = true }))
end

function Jsonl:close()
  for _, file in pairs(self.files) do file:close() end
  self.files = {}
end

return jsonl

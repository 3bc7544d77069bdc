-- jsonl.lua: sink that appends JSON lines to files in a folder: one file per dataset, and findings.jsonl.
-- Guarantee: exactly once. The sizes of the files are part of the page's transaction; what a crash left behind them is cut off.
--
-- A sink: new(options, folder) -> sink; sink.name; sink:open(state) -> true | nil, err; sink:write(kind, buffer) -> true | nil, err,
-- where kind is a dataset or "findings" and buffer holds whole lines; sink:prepare() -> state to be committed | nil, err, called
-- when all it was given is durable; sink:close(). The state is text, and what sink:open gets after a restart.
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

function Jsonl:open(state)
  self.offsets = state and assert(json.decode(state)) or {}
  local ok, err = stream.mkdir(self.path)
  if not ok then return nil, err end
  -- every known file at once: one that was cut short or is gone must be known before anything new is fetched
  for kind in pairs(self.offsets) do
    ok, err = self:file(kind)
    if not ok then return nil, err end
  end
  return true
end

function Jsonl:file(kind)
  local file = self.files[kind]
  if file then return file end
  local err
  file, err = stream.open(self.path .. "/" .. kind .. ".jsonl", self.offsets[kind] or 0)
  if not file then return nil, err end
  self.files[kind] = file
  return file
end

function Jsonl:write(kind, buffer)
  if buffer:len() == 0 then return true end
  local file, err = self:file(kind)
  if not file then return nil, err end
  self.dirty[kind] = true
  return file:write(buffer)
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

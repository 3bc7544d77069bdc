-- jsonl.lua: sink that appends JSON lines to files in a folder: one file per dataset, and findings.jsonl; or one after another of each.
-- Guarantee: exactly once. The sizes of the files are part of the page's transaction; what a crash left behind them is cut off.
-- Transactional; what that means stands in README.md. After open its state is committed once before anything is written.
local core = require "defendis.core"
local check = require "defendis.check"
local rotation = require "defendis.rotation"
local stream, json = core.stream, core.json

local jsonl = {}

local Jsonl = {}
Jsonl.__index = Jsonl

local OWNER <const> = ".defendis"
local LARGE <const> = 65536 -- bytes that are worth a thread of their own to sync

local function new_owner()
  local f <close> = assert(io.open("/dev/urandom", "rb"))
  return core.hash.sha256(f:read(32)):sub(1, 32)
end

jsonl.OPTIONS = {
  path = check.required(check.text, "the folder, made when missing"),
  rotate = check.field(rotation.check, "another file each day, or at this size"),
  compress = check.field(check.one_of{ "zstd" }, "packs what is complete; needs rotate and the program zstd"),
}
jsonl.GUARANTEE = "exactly once: the sizes of the files are committed with each page"

--- options: {path = folder, made when missing; rotate = "1d" or a size such as "100MiB": then KIND-2026-01-31.jsonl or
-- KIND.000001.jsonl; compress = "zstd": what is complete}; context: {folder = what a relative path counts from, backfill = its name or
-- nil: it writes into a folder of its own below, replay = the same, on a tape}.
function jsonl.new(options, context)
  local path = options.path
  if path:sub(1, 1) ~= "/" then path = context.folder .. path end
  path = path:gsub("/+$", "")
  if context.backfill then path = path .. "/backfill-" .. context.backfill end
  if context.replay then path = path .. "/replay" end
  local fault = options.compress and (not options.rotate and 'compress needs rotate = "1d" or a size: only complete files are compressed'
    or not rotation.can_compress() and "compress needs the program zstd; install the package zstd")
  if fault then return nil, check.error("config", "jsonl: " .. fault) end
  return setmetatable({ name = "jsonl:" .. options.path, path = path, rotation = rotation.new(options.rotate, path),
    compress = options.compress, files = {}, offsets = {}, names = {}, dirty = {} }, Jsonl)
end

-- What is behind the committed size is cut off, so a second state that writes here would lose lines: the folder says whose it is.
-- A state that has written nothing yet may take it over, because it only appends.
function Jsonl:check_owner(state)
  local path = self.path .. "/" .. OWNER
  local f = io.open(path, "rb")
  local owner = f and f:read("l")
  if f then f:close() end
  if owner and not owner:find("^" .. ("%x"):rep(32) .. "$") then owner = nil end -- a power loss was while it was written
  self.owner = state and state.owner or new_owner()
  self.owns = owner == self.owner
  if not state or not owner or owner == self.owner then return true end
  return nil, check.error("store", ("%s: another pipeline's state has written here since; give each pipeline a folder of its own, "
    .. "or remove %s when that state is gone"):format(self.path, path))
end

-- Durable before the first commit, and then left alone: a power loss must not leave the name of nobody there.
function Jsonl:write_owner()
  if self.owns then return true end
  local f <close>, err = stream.open(self.path .. "/" .. OWNER, 0)
  if not f then return nil, err end
  local ok
  ok, err = f:write(self.owner .. "\n")
  if not ok then return nil, err end
  return f:sync()
end

-- Half a line that a lost state left would swallow the next one.
local function ends_within_line(path)
  local f = io.open(path, "rb")
  if not f then return false end
  local size = f:seek("end")
  local last = size > 0 and f:seek("end", -1) and f:read(1)
  f:close()
  return size > 0 and last ~= "\n"
end

-- Files are cut at the sizes that the state gives, so a size that the disk has spoiled must not be believed: the text carries its hash.
local function pack(text) return text .. core.hash.sha256(text):sub(1, 16) end

local function unpack(state)
  if state:sub(-1) == "}" then return json.decode(state) end -- from before there was a hash
  local text, sum = state:sub(1, -17), state:sub(-16)
  if core.hash.sha256(text):sub(1, 16) == sum then return json.decode(text) end
end

-- A file that the state does not know is appended to from where it ends: it may hold what somebody still needs.
function Jsonl:begin(kind, name)
  local path = self.path .. "/" .. name
  local file, err = stream.open(path)
  if not file then return nil, err end
  self.files[kind], self.names[kind], self.dirty[kind] = file, name, true
  if ends_within_line(path) then return file:write("\n") end
  return true
end

-- Opens the file that was written last, and goes on to the next where it is time for that.
function Jsonl:open_kind(kind)
  local committed, name = self.offsets[kind], self.names[kind] or kind .. ".jsonl"
  if committed then
    local file, err = stream.open(self.path .. "/" .. name, committed)
    if not file then return nil, err end
    self.files[kind], self.names[kind], self.dirty[kind] = file, name, true
  end
  local next_name = self.rotation:name(kind, committed and name, committed)
  if committed and next_name == name then return true end
  if committed then self.files[kind]:close() end
  return self:begin(kind, next_name)
end

function Jsonl:open(state, kinds)
  local known = state and unpack(state)
  if state and not known then
    return nil, check.error("store", ("state damaged: what it says of the files in %s is spoiled; restore a backup or run "
      .. "`defendis state reset --all`"):format(self.path))
  end
  state = known
  self.offsets, self.names = state and state.files or {}, state and state.names or {}
  local ok, err = stream.mkdir(self.path)
  if ok then ok, err = self:check_owner(state) end
  for _, kind in ipairs(kinds) do
    if ok then ok, err = self:open_kind(kind) end
  end
  if not ok then return nil, err end
  self.unpacked = self.compress
  return self:write_owner() -- not before the files are locked
end

function Jsonl:write(kind, buffer)
  if buffer:len() == 0 then return true end
  if self.unpacked then -- the files that are written now were committed, so those before them are complete
    if self.packing then self.packing:close() end
    self.unpacked, self.packing = nil, self.rotation:compress(self.names)
  end
  self.dirty[kind] = true
  local file = self.files[kind]
  local ok, err = file:write(buffer)
  if ok and buffer:len() > LARGE then file:sync_begin() end
  return ok, err
end

-- Makes a file durable, and begins the next one when this one is complete: what is written to it comes after the commit that names it.
function Jsonl:settle(kind)
  local file = self.files[kind]
  local ok, err = file:sync()
  if not ok then return nil, err end
  local name = self.rotation:name(kind, self.names[kind], file:offset())
  if name ~= self.names[kind] then
    file:close()
    ok, err = self:begin(kind, name)
    if ok then ok, err = self.files[kind]:sync() end
    if not ok then return nil, err end
    self.unpacked = self.compress
  end
  self.offsets[kind], self.dirty[kind] = self.files[kind]:offset(), nil
  return true
end

function Jsonl:prepare()
  for kind in pairs(self.dirty) do
    local ok, err = self:settle(kind)
    if not ok then return nil, err end
  end
  local names = {}
  for kind, name in pairs(self.names) do
    if name ~= kind .. ".jsonl" then names[kind] = name end
  end
  return pack(assert(json.encode({ owner = self.owner, files = json.object(self.offsets), names = next(names) and names },
    { sort_keys = true })))
end

function Jsonl:close()
  for _, file in pairs(self.files) do file:close() end
  self.files = {}
  if self.packing then self.packing:close() end
  self.packing = nil
end

return jsonl

-- replayed.lua: a pipeline on a tape: a new state each time, files in folders of their own, and no sink that others see.
local core = require "defendis.core"
local check = require "defendis.check"
local store = require "defendis.store"

local replayed = {}

local FOLDER <const> = "/replay" -- below the folder of each file sink

-- Of an earlier replay, and of nothing else: the folder is ours by its name and by the mark that file sinks leave.
local function clear(folder)
  local mark = folder .. "/.defendis"
  local f = io.open(mark, "rb")
  if not f then return true end
  f:close()
  for _, ending in ipairs{ ".jsonl", ".jsonl.zst" } do
    local names, err = core.stream.list(folder, ending)
    if not names then return nil, err end
    for _, name in ipairs(names) do os.remove(folder .. "/" .. name) end
  end
  os.remove(mark)
  return true
end

-- Not while another replay is at work on it.
local function forget(path)
  local f = io.open(path, "rb")
  if not f then return true end
  f:close()
  local state, err = store.open(path, { exclusive = true })
  if not state then return nil, err end
  state:close()
  for _, ending in ipairs{ "", "-wal", "-shm", "-journal" } do os.remove(path .. ending) end
  return true
end

--- Turns a plan, without sinks yet, into that of a replay. Returns it, and the names of the sinks that are left out; or nil, err.
function replayed.apply(plan)
  local kept, out = {}, {}
  for _, e in ipairs(plan.entries) do
    if e.name == "jsonl" then kept[#kept + 1] = e else out[#out + 1] = e.name end
  end
  if #kept == 0 then
    return nil, check.error("config", ("%s: a replay delivers to jsonl only; add jsonl{ path = \"out\" } to its sinks"):format(plan.path))
  end
  for _, e in ipairs(kept) do
    local path = e.options.path:sub(1, 1) == "/" and e.options.path or plan.folder .. e.options.path
    local ok, err = clear(path:gsub("/+$", "") .. (plan.backfill and "/backfill-" .. plan.backfill.name or "") .. FOLDER)
    if not ok then return nil, err end
  end
  plan.store = plan.store .. ".replay"
  local ok, err = forget(plan.store)
  if not ok then return nil, err end
  plan.entries, plan.replay = kept, true
  return plan, out
end

return replayed

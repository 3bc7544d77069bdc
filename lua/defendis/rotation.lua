-- rotation.lua: how the files of jsonl are called when one follows another, and their compression.
--
-- No file is ever renamed while it is written: the one that follows has another name, which is committed before it is written to.
local core = require "defendis.core"
local check = require "defendis.check"
local time = require "defendis.time"

local rotation = {}

local UNITS = { KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30 }

local function bytes(v)
  local n, unit = v:match "^([1-9]%d?%d?%d?%d?%d?)(%a+)$"
  return n and UNITS[unit] and math.tointeger(tonumber(n)) * UNITS[unit]
end

--- A validator: a size or "1d".
function rotation.check(v)
  if type(v) ~= "string" or v ~= "1d" and not bytes(v) then return '"1d", or a size such as "100MiB" expected' end
end
check.typed('"1d", or size such as "100MiB"', rotation.check)

local Rotation = {}
Rotation.__index = Rotation

rotation.now = core.sys.wall_ms

--- rotate: what passed rotation.check, or nil for one file for ever; folder: where the files are.
function rotation.new(rotate, folder)
  return setmetatable({ daily = rotate == "1d", bytes = rotate and bytes(rotate), folder = folder }, Rotation)
end

-- What stands in a name between the kind and the suffix; in byte order the later is the greater.
local function mark_of(kind, name, suffix)
  local mark = name:sub(1, #kind) == kind and name:sub(#kind + 1):match("^([.-][%d-]+)" .. suffix .. "$")
  return mark and (mark:find "^%.%d%d%d%d%d%d+$" or mark:find "^%-%d%d%d%d%-%d%d%-%d%d$") and mark
end

local function numbered(kind, n) return ("%s.%06d.jsonl"):format(kind, n) end

-- Goes on behind what is there, packed or not.
local function by_number(self, kind)
  local last = 1
  for _, name in ipairs(core.stream.list(self.folder) or {}) do
    for suffix, step in pairs{ ["%.jsonl"] = 0, ["%.jsonl%.zst"] = 1 } do
      local mark = mark_of(kind, name, suffix)
      if mark and mark:find "^%." then last = math.max(last, math.tointeger(tonumber(mark:sub(2))) + step) end
    end
  end
  return numbered(kind, last)
end

--- The name of the file to write. name: of the one before, or nil; size: its bytes.
function Rotation:name(kind, name, size)
  local mark = name and mark_of(kind, name, "%.jsonl")
  if self.daily then
    local today = "-" .. time.date(rotation.now())
    if mark and mark:find "^%-" and mark >= today then return name end -- also when the clock went back
    return kind .. today .. ".jsonl"
  elseif self.bytes then
    local n = mark and math.tointeger(tonumber(mark:match "^%.(%d+)$"))
    if not n then return by_number(self, kind) end
    return size < self.bytes and name or numbered(kind, n + 1)
  end
  return kind .. ".jsonl"
end

--- Is there a program that compresses?
function rotation.can_compress() return os.execute "command -v zstd >/dev/null 2>&1" == true end

-- A crash at any point leaves the file, its whole packed form, or both; then it is packed again. A folder of that name stays.
local PACK = [[umask 077; for f; do t=$f.zst.$$.tmp; [ ! -d "$f.zst" ] || continue
  zstd -q -c -- "$f" >"$t" && sync "$t" && mv -fT "$t" "$f.zst" && sync "$(dirname "$f")" && rm -f "$f" || rm -f "$t"; done]]

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

--- Compresses the files before the one that is written, in a process of its own. names: kind -> name of the file that is written, as it
-- was committed. Returns a handle whose close waits for it, or nil when there is nothing to do.
function Rotation:compress(names)
  local words = {}
  for _, file in ipairs(core.stream.list(self.folder) or {}) do
    for kind, name in pairs(names) do
      local mark, current = mark_of(kind, file, "%.jsonl"), mark_of(kind, name, "%.jsonl")
      if mark and current and mark:sub(1, 1) == current:sub(1, 1) and (#mark < #current or #mark == #current and mark < current) then
        words[#words + 1] = quoted(self.folder .. "/" .. file)
      end
      if file:sub(1, #kind) == kind and file:find "%.jsonl%.zst%.%d+%.tmp$" then os.remove(self.folder .. "/" .. file) end
    end
  end
  return words[1] and io.popen(("sh -c %s sh %s </dev/null"):format(quoted(PACK), table.concat(words, " "))) or nil
end

return rotation

-- observe.lua: what a pipeline has come to, read from its files and its state, for the model to judge.
local cjson = require "cjson"
local cursor = require "defendis.store.cursor"

local observe = {}

--- The committed lines of the file sink: each is there once, and what was there stays. before: the lines of the last time, or nil.
-- Returns lines, and ids as a set.
function observe.committed(world, s, kind, before)
  local list, ids = world:lines(s, kind), {}
  before = before or {}
  for i, line in ipairs(list) do
    local id = cjson.decode(line).id
    assert(not ids[id], "twice in the file: " .. line)
    assert((before[i] or line) == line, "committed, and changed: " .. line)
    ids[id] = true
  end
  assert(#list >= #before, "committed, and gone")
  return list, ids
end

--- What a sink took (a set of lines), refused, or has yet to take from the outbox.
function observe.accounted(s, name, took)
  local d, set = s:delivery(name), setmetatable({}, { __index = took })
  for letter in s:dead_letters{ sink = name } do set[letter.raw] = true end
  local settled = d and cursor.parse(d.settled) or {}
  for seq, body in s.db:rows "SELECT seq, body FROM outbox" do
    local position = 0
    for line in body:gmatch "[^\n]+" do
      if seq > d.seq or seq == d.seq and position >= d.position and not (settled[seq] and settled[seq][position]) then set[line] = true end
      position = position + 1
    end
  end
  return set
end

return observe

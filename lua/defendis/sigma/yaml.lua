-- yaml.lua: a YAML stream as Lua tables that know their lines.
--
--   yaml.documents(text, null, fail) -> array of { value, line }, marks
--     marks[table] = { line, lines = key or index -> line, keys = in written order }; empty documents are left out
--     fail(line, message) raises; null stands for null
--
-- Scalars: what YAML 1.1 and 1.2 read alike becomes null, boolean or number; what is quoted, and yes, no, on, off are text. What the two
-- read as different things (0123, 1e5, 1_000, 10:30) is refused: with quotes it means one thing everywhere.
local yaml = {}

local BYTES_MAX, DEPTH_MAX, NODES_MAX = 8 << 20, 64, 100000
local STREAM_MAX = 10 * NODES_MAX
local CONSTANT = { ["true"] = true, ["True"] = true, ["TRUE"] = true, ["false"] = false, ["False"] = false, ["FALSE"] = false }
local NULL = { [""] = true, ["~"] = true, null = true, Null = true, NULL = true }

--- The line of a byte.
local function line_at(text, offset)
  local _, n = text:sub(1, offset - 1):gsub("\n", "")
  return n + 1
end

-- Minutes and seconds, as YAML 1.1 writes numbers to the base of 60.
local function is_base60(s)
  local head, rest, fraction = s:match("^[-+]?(%d[%d_]*)(:[%d:]+)(%.?[%d_]*)$")
  if not head or rest:find("::", 1, true) or rest:find(":$") or (head:sub(1, 1) == "0" and fraction == "") then return false end
  for part in (rest .. ":"):gmatch(":([^:]*)%f[:]") do
    if not part:find("^[0-5]?%d$") then return false end
  end
  return true
end

-- Whether only one of YAML 1.1 and 1.2 takes the text for a number, or both for different ones.
local function is_ambiguous(s)
  if not s:find("^[-+]?[%d.]") then return false end
  return s:find("^[-+]?0%d+$") or s:find("^[-+]?%d[%d_]*%.?[%d_]*$") and s:find("_", 1, true) or s:find("^[-+]?0[ob][%d_]+$")
    or s:find("^[-+]?%.?%d+%.?%d*[eE]%d+$") or s:find("^[-+]?%d+[eE][-+]?%d+$") or s:find("^[-+]0x%x+$")
    or s:find("^0x[%x_]+$") and s:find("_", 1, true) or is_base60(s)
end

local function plain(s, null, fail, line)
  if NULL[s] then return null end
  if CONSTANT[s] ~= nil then return CONSTANT[s] end
  if not s:find("^[-+.%d]") then return s end
  if is_ambiguous(s) then fail(line, ('"%s" is read differently by YAML 1.1 and 1.2, write it in quotes'):format(s)) end
  if s:find("^[-+]?%.[iI][nN][fF]$") or s:find("^%.[nN][aA][nN]$") then fail(line, ("no record holds the number %s"):format(s)) end
  if s:find("^[-+]?%d+$") or s:find("^0x%x+$") then
    local n = math.tointeger(tonumber(s))
    if not n or #s > 18 then fail(line, ("%s is too long for a number, write it in quotes"):format(s:sub(1, 40))) end
    return n
  end
  if s:find("^[-+]?%d*%.?%d*$") or s:find("^[-+]?%d*%.%d*[eE][-+]%d+$") then return tonumber(s) or s end
  return s
end

local function scalar(e, null, fail, line)
  if e.tag and e.tag ~= "!" and e.tag ~= "tag:yaml.org,2002:str" then
    fail(line, ("the tag %s is not supported, leave it out"):format(e.tag:sub(1, 60)))
  end
  if e.tag or e.style ~= "PLAIN" then return e.value end
  return plain(e.value, null, fail, line)
end

-- One document under construction: its open nodes, anchors, and how many nodes it has with aliases written out.
local Reader = {}
Reader.__index = Reader

function Reader:count(n, line)
  self.nodes = self.nodes + n
  if self.nodes > NODES_MAX then self.fail(line, ("more than %d nodes in one document, aliases written out"):format(NODES_MAX)) end
end

function Reader:key(top, e, line)
  if e.type ~= "SCALAR" then self.fail(line, "a key is a text") end
  local key, mark = e.value, self.marks[top.value]
  if key == "<<" and e.style == "PLAIN" then self.fail(line, "merge keys (<<) are not supported, write the fields out") end
  if mark.lines[key] then self.fail(line, ('the key "%s" is already at line %d'):format(key:sub(1, 60), mark.lines[key])) end
  mark.lines[key], top.key = line, key
  mark.keys[#mark.keys + 1] = key
end

function Reader:place(value, line)
  local top = self.stack[#self.stack]
  if not top then
    self.root = { value = value, line = line }
  elseif top.list then
    local list = top.value
    list[#list + 1] = value
    self.marks[list].lines[#list] = line
  else
    top.value[top.key], top.key = value, nil
  end
end

function Reader:open(e, line, list)
  if #self.stack == DEPTH_MAX then self.fail(line, ("deeper than %d levels"):format(DEPTH_MAX)) end
  local value = {}
  self.marks[value] = { line = line, lines = {}, keys = {}, list = list }
  self:place(value, line)
  if e.tag then self.fail(line, ("the tag %s is not supported, leave it out"):format(e.tag:sub(1, 60))) end
  self.stack[#self.stack + 1] = { value = value, list = list, anchor = e.anchor, before = self.nodes - 1 }
  if e.anchor then self.anchors[e.anchor] = false end
end

function Reader:close()
  local top = table.remove(self.stack)
  if top.anchor then self.anchors[top.anchor] = { value = top.value, size = self.nodes - top.before } end
end

function Reader:alias(e, line)
  local known = self.anchors[e.anchor]
  if known == false then self.fail(line, ("*%s stands inside what it names"):format(e.anchor)) end
  if not known then self.fail(line, ("*%s names no anchor before it"):format(e.anchor)) end
  self:count(known.size, line)
  self:place(known.value, line)
end

function Reader:take(e)
  local line, top, kind = e.start_mark.line + 1, self.stack[#self.stack], e.type
  if kind == "MAPPING_END" or kind == "SEQUENCE_END" then return self:close() end
  self:count(1, line)
  if top and not top.list and top.key == nil then return self:key(top, e, line) end
  if kind == "ALIAS" then return self:alias(e, line) end
  if kind ~= "SCALAR" then return self:open(e, line, kind == "SEQUENCE_START") end
  local value = scalar(e, self.null, self.fail, line)
  self:place(value, line)
  if e.anchor then self.anchors[e.anchor] = { value = value, size = 1 } end
end

local function library(fail)
  local ok, found = pcall(require, "yaml")
  if ok and type(found) == "table" and found.parser then return found end
  fail(1, "YAML is read with the Lua module yaml, install the package lua-yaml")
end

local function check_bytes(text, fail)
  if #text > BYTES_MAX then fail(1, ("%d bytes, a YAML file has at most %d"):format(#text, BYTES_MAX)) end
  local _, bad = utf8.len(text)
  if bad then fail(line_at(text, bad), "not UTF-8") end
  local control = text:find("[%z\1-\8\11\12\14-\31\127]")
  if control then fail(line_at(text, control), "a control character") end
end

function yaml.documents(text, null, fail)
  local parser = library(fail).parser
  check_bytes(text, fail)
  local documents, marks, total = {}, {}, 0
  local reader
  -- the library reads `text` without holding on to it: it has to live as long as the loop, which the parameter does
  local next_event = parser(text)
  while true do
    local ok, e = pcall(next_event)
    if not ok then fail(tonumber(tostring(e):match("line: (%d+)")) or 1, "YAML: " .. tostring(e):match("^[^\n]*"):gsub(" at document: .*",
      "")) end
    if not e or e.type == "STREAM_END" then break end
    if e.type == "DOCUMENT_START" then
      reader = setmetatable({ stack = {}, anchors = {}, nodes = 0, null = null, fail = fail, marks = marks }, Reader)
    elseif e.type == "DOCUMENT_END" then
      if reader.root.value ~= null then documents[#documents + 1] = reader.root end
      total = total + reader.nodes
      if total > STREAM_MAX then fail(e.start_mark.line + 1, ("more than %d nodes in one file"):format(STREAM_MAX)) end
    elseif reader and e.type ~= "STREAM_START" then
      reader:take(e)
    end
  end
  return documents, marks, #text
end

return yaml

-- cassettes.lua: the records on a tape (`--record DIR`), as files of JSON lines for replay.
local core = require "defendis.core"
local catalog = require "defendis.catalog"
local check = require "defendis.check"
local json = core.json

local cassettes = {}

local function damaged(path, why) return nil, check.error("config", ("the tape %s is damaged: %s; record it again"):format(path, why)) end

local function read(path)
  local f, problem = io.open(path, "rb")
  if not f then return nil, check.error("config", "cannot read " .. problem) end
  local text = f:read "a"
  f:close()
  local doc, err = json.decode(text or "")
  if type(doc) ~= "table" or type(doc.request) ~= "table" or type(doc.answer) ~= "table" then
    return damaged(path, err and err.message or "it holds no call")
  end
  return doc
end

local function unescape(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function dataset_of(request)
  for _, entry in ipairs(catalog.list()) do
    if entry.dataset and request.method == "GET" and request.path == entry.path then return entry end
  end
end

-- Something that reads like a file: the records of one page as lines.
local function opener(doc)
  return function()
    local data, at = doc.answer.body.data, 0
    return { close = function() end, lines = function()
      return function()
        at = at + 1
        return data[at] ~= nil and assert(json.encode(data[at])) or nil
      end
    end }
  end
end

--- The pages of datasets on a tape. dir: its folder. Returns an array of {path = the input, dataset, open = like io.open}, or nil, err.
function cassettes.files(dir)
  local names, err = core.stream.list(dir, ".json")
  if not names then return nil, err end
  local out = {}
  for _, name in ipairs(names) do
    if name ~= "tape.json" then
      local doc
      doc, err = read(dir .. "/" .. name)
      if not doc then return nil, err end
      local entry, body = dataset_of(doc.request), doc.answer.body
      if entry and type(body) == "table" and json.is_array(body.data) then
        local input = ("&" .. tostring(doc.request.query)):match("&" .. entry.input .. "=([^&]*)") or ""
        out[#out + 1] = { path = unescape(input), dataset = entry.name, open = opener(doc) }
      end
    end
  end
  if #out == 0 then return nil, check.error("config", "there is no page of records on the tape " .. dir) end
  return out
end

return cassettes

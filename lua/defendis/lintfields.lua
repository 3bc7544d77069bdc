-- lintfields.lua: which fields the records of a dataset have, and which ones a rule file reads.
--
-- The vendor documents no field. Known are those of the simulator's records, and of records that the user gives, which then count alone.
local core = require "defendis.core"
local catalog = require "defendis.catalog"
local check = require "defendis.check"
local data = require "defendis.simulator.data"
local locate = require "defendis.rules.locate"

local json = core.json
local SAMPLE <const> = 600 -- simulated records of a dataset
local READ <const> = 100000 -- lines of a file of records

local lintfields = {}

local function collect(into, value, path)
  if type(value) ~= "table" then return end
  if json.is_array(value) then
    for _, element in ipairs(value) do collect(into, element, path) end
    return
  end
  for name, inner in pairs(value) do
    local longer = path == "" and name or path .. "." .. name
    into[longer] = true
    collect(into, inner, longer)
  end
end

local function simulated(dataset)
  local entry, out = catalog.dataset(dataset), {}
  if not entry then return nil end
  local name = dataset == "dataleaks.credentials_email" and "dataleaks.credentials" or dataset
  local series = data.new({ seed = 1, records = 60000, from = "2026-01-01", days = 90 }):series(name,
    entry.input == "bin" and "411111" or "acme.example")
  for i = 0, math.min(series.n, SAMPLE) - 1 do collect(out, assert(json.decode(series.record(i))), "") end
  return out
end

--- Fields by dataset, found when asked for. files: of records, from replay.files. Returns a function(dataset) -> {path = true} or nil,
-- where they are from; or nil, err.
function lintfields.known(files)
  local given, cache = {}, {}
  for _, file in ipairs(files) do
    local f, problem = io.open(file.path, "rb")
    if not f then return nil, check.error("config", "cannot read " .. problem) end
    local n = 0
    for line in f:lines() do
      n = n + 1
      local record = n <= READ and json.decode(line) or {}
      local dataset = file.dataset
      if not dataset and type(record) == "table" and type(record.dataset) == "string" then
        dataset, record = record.dataset, record.record
      end
      if dataset then
        given[dataset] = given[dataset] or {}
        collect(given[dataset], record, "")
      end
      if n == READ then break end
    end
    f:close()
  end
  return function(dataset)
    if given[dataset] then return given[dataset], "the records given" end
    if cache[dataset] == nil then cache[dataset] = simulated(dataset) or false end
    return cache[dataset] or nil, "the simulator; give yours by --records"
  end
end

-- Functions of a definition and what they use of their file, where the record is the first parameter: line -> {parameter = true}.
local function parameters(def, into, f, name, seen)
  if seen[f] then return end
  seen[f] = true
  local info, first = debug.getinfo(f, "S"), debug.getlocal(f, 1)
  if info.what == "C" or info.source ~= "@" .. def.file or not first or name and first ~= name then return end
  for line = info.linedefined, info.lastlinedefined do
    into[line] = into[line] or {}
    into[line][first] = into[line][first] or {}
    for dataset in pairs(def.datasets or { [def.options.dataset] = true }) do into[line][first][dataset] = true end
  end
  for i = 1, 255 do
    local upvalue, value = debug.getupvalue(f, i)
    if not upvalue then break end
    if type(value) == "function" then parameters(def, into, value, first, seen) end
  end
end

local function tokens_of(text)
  local out, line, counted = {}, 1, 1
  for tok, start, stop in locate.tokens(text) do
    if tok == "" then break end
    line = line + select(2, text:sub(counted, start - 1):gsub("\n", ""))
    counted = start
    out[#out + 1] = { tok, line = line, string = tok == "'" and text:sub(start, stop):gsub("^%[=*%[", ""):gsub("%]=*%]$", "")
      :gsub("^[\"']", ""):gsub("[\"']$", "") or nil }
  end
  return out
end

local function at(tokens, i) return tokens[i] and tokens[i][1] end

-- The fields behind the name at i: r.a.b, r["a"].b. Returns the path, or nil.
local function chain(tokens, i)
  local out = {}
  while true do
    if at(tokens, i + 1) == "." and (at(tokens, i + 2) or ""):find "^[%a_]" then
      out[#out + 1], i = tokens[i + 2][1], i + 2
    elseif at(tokens, i + 1) == "[" and at(tokens, i + 2) == "'" and at(tokens, i + 3) == "]" then
      out[#out + 1], i = tokens[i + 2].string, i + 3
    else
      return out[1] and table.concat(out, ".") or nil
    end
  end
end

--- What a rule file reads of records. defs: its definitions. Returns an array of {line, path, datasets = {name = true} of records, or of
-- the whole file when it is read of a part of a record (part = true)}, and the tokens of the file.
function lintfields.reads(text, defs)
  local names, all, out, tokens = {}, {}, {}, tokens_of(text)
  for _, def in ipairs(defs) do
    local o = def.options
    if o.dataset then all[o.dataset] = true end
    for _, key in ipairs(def.kind ~= "correlation" and { "match", "level_for", "title_for", "context", "dedup", "map" } or {}) do
      if type(o[key]) == "function" then parameters(def, names, o[key], nil, {}) end
    end
  end
  for i, token in ipairs(tokens) do
    local before = at(tokens, i - 1)
    local datasets = before ~= "." and before ~= ":" and names[token.line] and names[token.line][token[1]]
    local got = at(tokens, i - 2) == "get" and before == "(" and at(tokens, i + 1) == "," and tokens[i + 2] and tokens[i + 2].string
    local path = got or datasets and chain(tokens, i)
    if path and path ~= "" then out[#out + 1] = { line = token.line, path = path, datasets = datasets or all, part = not datasets } end
  end
  return out, tokens
end

return lintfields

-- lookup.lua: tables in files beside the rules, read once while the rules are loaded.
--
--   local vip = lookup.csv("vip.csv", { key = "email", fold = email.canonical })
--   vip:get("ana@acme.example", "team") -> "finance", or nil
--
-- options: key         column, or field of each element, that is looked up. A JSON or Lua file may hold a table key -> value instead
--          fold        function that makes two spellings one; for the keys of the file and those that are asked for
--          separator   of a CSV file: one character (,)
--          duplicates  "first" or "last": which one counts; without it a key that comes twice is a fault
--
-- The first row of a CSV file has the names of its columns. A Lua file returns a table and sees no names at all. What get returns
-- is a copy. A file that is missing, longer than lookup.MAX or wrong refuses the rules: file, line, what.
local check = require "defendis.check"
local csv = require "defendis.helpers.csv"

local lookup = { MAX = 64 << 20 }

local DEEPEST <const> = 32

local function separator(v)
  if type(v) ~= "string" or not v:find('^[^%w%s"]$') and v ~= "\t" then return 'one character such as ";" expected' end
end

local OPTIONS = { key = check.text, fold = check.func, duplicates = check.one_of{ "first", "last" } }
local CSV_OPTIONS = { key = check.required(check.text), fold = check.func, duplicates = OPTIONS.duplicates, separator = separator }

-- A value of a record as a key, or nil: numbers count as their text.
local function key_of(value, fold)
  if type(value) == "number" then value = tostring(math.tointeger(value) or value) end
  if type(value) ~= "string" then return nil end
  if fold then return fold(value) end
  return value
end

local function copy(value, array)
  if type(value) ~= "table" then return value end
  local out = {}
  for k, v in pairs(value) do out[k] = copy(v, array) end
  return #out > 0 and array(out) or out
end

-- What a file holds, as a lookup; rows: list of { key, value, place }.
local function build(rows, options, env)
  local fold, values, places, n = options.fold, {}, {}, 0
  for _, row in ipairs(rows) do
    local key = key_of(row[1], fold)
    if key == nil or key == "" then return nil, row[3] .. ": no key" .. (row[1] and fold and " after fold" or "") end
    if values[key] == nil then
      n = n + 1
    elseif not options.duplicates then
      return nil, ('%s: the key "%s" is already at %s; duplicates = "first" or "last" takes one of them'):format(row[3], key, places[key])
    end
    if values[key] == nil or options.duplicates == "last" then values[key], places[key] = row[2], row[3] end
  end
  local methods = {}
  --- The value of a key, or its field; nil when there is none.
  function methods.get(_, key, field)
    key = key_of(key, fold)
    local value = key ~= nil and values[key] or nil
    if field == nil then return copy(value, env.array) end
    if options.columns and not options.columns[field] then error(check.unknown(field, options.columns, "column"), 2) end
    if type(value) ~= "table" then return nil end
    value = value[field]
    if value == env.null then return nil end
    return copy(value, env.array)
  end
  --- Whether there is this key.
  function methods.has(_, key)
    key = key_of(key, fold)
    return key ~= nil and values[key] ~= nil
  end
  --- How many keys there are.
  function methods.len() return n end
  return setmetatable({}, { __index = methods, __metatable = false, __name = "defendis.lookup", __len = methods.len,
    __newindex = function() error("a lookup is not written to", 2) end })
end

local function csv_rows(text, path, options)
  local rows, why, line = csv.parse(text, options.separator or ",")
  if not rows then return nil, ("%s:%d: %s"):format(path, line, why) end
  if not rows[1] then return nil, path .. ":1: no row with the names of the columns" end
  local header, columns, out = rows[1], {}, {}
  for i, name in ipairs(header) do
    if columns[name] then return nil, ('%s:1: the column "%s" is there twice'):format(path, name) end
    columns[name] = i
  end
  if not columns[options.key] then return nil, ("%s:1: %s"):format(path, check.unknown(options.key, columns, "column")) end
  for i = 2, #rows do
    local row, value = rows[i], {}
    local place = ("%s:%d"):format(path, row.line)
    if #row > #header then return nil, ("%s: %d fields, but %d columns"):format(place, #row, #header) end
    for c, name in ipairs(header) do value[name] = row[c] end
    out[#out + 1] = { value[options.key], value, place }
  end
  return out, columns
end

-- Plain data only, and no table in itself.
local function plain(value, depth, null)
  local kind = type(value)
  if kind == "table" then
    if depth > DEEPEST then return "tables too deep, or one in itself" end
    for k, v in next, value do
      if type(k) ~= "string" and type(k) ~= "number" then return "a key that is a " .. type(k) end
      local why = plain(v, depth + 1, null)
      if why then return why end
    end
  elseif kind ~= "string" and kind ~= "number" and kind ~= "boolean" and value ~= null and kind ~= "userdata" then
    return "a value that is a " .. kind
  end
end

-- Rows of a decoded JSON or Lua value: a list of tables with a key each, or a table key -> value.
local function value_rows(value, path, options, null)
  if type(value) ~= "table" then return nil, path .. ":1: a table expected, got a " .. type(value) end
  local why = plain(value, 1, null)
  if why then return nil, path .. ":1: " .. why end
  local out = {}
  if options.key then
    for i, element in ipairs(value) do
      local place = ("%s: element %d"):format(path, i)
      if type(element) ~= "table" then return nil, place .. " is no table" end
      out[i] = { element[options.key], element, place }
    end
    if #out == 0 and next(value) ~= nil then return nil, path .. ":1: a list expected, for there is a key" end
    return out
  end
  if #value > 0 then return nil, path .. ":1: a list; say which field is looked up: { key = ... }" end
  for _, k in ipairs(check.sorted_keys(value)) do out[#out + 1] = { k, value[k], ('%s: key "%s"'):format(path, k) } end
  return out
end

local function json_value(text, path, env)
  local value, err = env.decode(text)
  if err then return nil, ("%s: %s"):format(path, err.message) end
  return value
end

local function lua_value(text, path)
  local chunk, why = load(text, "@" .. path, "t", {})
  if not chunk then return nil, (why:gsub("%s*\n%s*", " ")) end
  local ok, value = pcall(chunk)
  if ok then return value end
  why = type(value) == "string" and value or "an error that is no text"
  return nil, why:find(path, 1, true) == 1 and why or path .. ":1: " .. why
end

local function load_file(kind, path, options, env)
  if not env.read then return nil, "this program reads no files for rules" end
  local text, why = env.read(path, lookup.MAX)
  if not text then return nil, why end
  local rows
  if kind == "csv" then
    rows, why = csv_rows(text, path, options)
    if rows then options = { fold = options.fold, duplicates = options.duplicates, columns = why } end
  else
    local value
    value, why = (kind == "json" and json_value or lua_value)(text, path, env)
    if why then return nil, why end
    rows, why = value_rows(value, path, options, env.null)
  end
  if not rows then return nil, why end
  return build(rows, options, env)
end

--- The helper `lookup` of one rule file, and a function that ends it.
-- @param file name of the rule file, for relative paths
-- @param env { read = function(path, most) -> text, or nil and why; decode = JSON; null, array as for rules.load }
function lookup.new(file, env)
  local folder, over = file:match("^(.*/)[^/]*$") or "", false
  local out = {}
  for _, kind in ipairs{ "csv", "json", "lua" } do
    local name = "lookup." .. kind
    out[kind] = function(path, options)
      if over then error(name .. ": a table is read while the rules are loaded, not by a rule", 2) end
      if type(path) ~= "string" or path == "" or path:find("%z") then error(name .. ": the path of a file expected", 2) end
      check.argument(options or {}, kind == "csv" and CSV_OPTIONS or OPTIONS, name)
      local found, why = load_file(kind, path:sub(1, 1) == "/" and path or folder .. path, options or {}, env)
      if not found then error(name .. ": " .. why, 2) end
      return found
    end
  end
  return out, function() over = true end
end

return lookup

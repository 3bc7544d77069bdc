-- desired.lua: what watchlists should hold: a table, a Lua file or a CSV file, checked before anything is asked.
local check = require "defendis.check"
local csv = require "defendis.helpers.csv"
local locate = require "defendis.rules.locate"
local values = require "defendis.watchlist.values"

local desired = {}

local function name(v)
  local problem = check.text(v)
  if problem then return problem end
  if v:find "[%c\127]" or not utf8.len(v) then return "a name with a control character, or that is not UTF-8" end
end

local GROUP = { name = check.required(name), description = check.string }

local function group(v)
  if type(v) == "table" then return check.options(v, GROUP) end
  return name(v)
end

local function item(kind)
  local value = values.check(kind)
  local spec = { value = check.required(value), group = name }
  return function(v)
    if type(v) == "table" then return check.options(v, spec) end
    return value(v)
  end
end

local SPEC = { groups = check.list(group) }
for _, kind in ipairs(values.KINDS) do SPEC[kind] = check.list(item(kind)) end

local function add_group(out, entry)
  if type(entry) ~= "table" then entry = { name = entry } end
  local there = out.by_name[entry.name]
  if there then
    there.description = there.description or entry.description
    return there.description == (entry.description or there.description) or nil, ('the group "%s" has two descriptions'):format(entry.name)
  end
  entry = { name = entry.name, description = entry.description }
  out.by_name[entry.name], out.groups[#out.groups + 1] = entry, entry
  return true
end

local function add_item(out, kind, entry, where)
  if type(entry) ~= "table" then entry = { value = entry } end
  local key = values.canonical(kind, entry.value)
  out.keys[kind] = out.keys[kind] or {}
  local there = out.keys[kind][key]
  if there then
    if there.group == entry.group then return true end
    return nil, ('%s "%s" is in %s with another group'):format(kind, entry.value, there.where)
  end
  there = { value = entry.value, key = key, group = entry.group, where = where }
  out.keys[kind][key] = there
  table.insert(out.items[kind], there)
  if not entry.group or out.by_name[entry.group] then return true end
  if not out.lists_groups then return add_group(out, entry.group) end
  return nil, check.missing(entry.group, out.by_name, "is not among its groups")
end

local function new() return { groups = {}, by_name = {}, keys = {}, items = {} } end

--- Takes a table {groups = {"Brands" | {name, description}}, KIND = {"value" | {value, group}}}. Returns what plan takes, or nil, message,
-- path of the fault. Without `groups`, those that items name are wanted, and none is ever taken out.
function desired.of(t)
  local message, path = check.options(t, SPEC)
  if message then return nil, check.describe(message, path), path end
  local out = new()
  out.lists_groups = t.groups ~= nil
  for i, entry in ipairs(t.groups or {}) do
    local ok, problem = add_group(out, entry)
    if not ok then return nil, problem, { "groups", i } end
  end
  for _, kind in ipairs(values.KINDS) do
    out.items[kind] = t[kind] and {} or nil
    for i, entry in ipairs(t[kind] or {}) do
      local ok, problem = add_item(out, kind, entry, ("%s[%d]"):format(kind, i))
      if not ok then return nil, problem, { kind, i } end
    end
  end
  return out
end

local function config(...) return nil, check.error("config", (...):format(select(2, ...))) end

local function lua_file(path, text)
  local made = {}
  local env = { watchlists = function(t)
    made.given, made.line = t, debug.getinfo(2, "l").currentline
    return t
  end }
  setmetatable(env, { __index = function(_, word) error(check.unknown(word, { "watchlists" }, "name"), 2) end })
  local chunk, problem = load(text, "@" .. path, "t", env)
  if not chunk then return config("%s", problem) end
  local ok, fault = pcall(chunk)
  if not ok then return config("%s", tostring(fault)) end
  if type(made.given) ~= "table" then return config("%s:1: a watchlist file returns watchlists{ ... }", path) end
  local out, message, at = desired.of(made.given)
  if out then return out end
  local line = made.line > 0 and made.line or locate.returned(text, "watchlists") -- none behind a tail call
  return config("%s:%d: %s", path, locate.line(text, line, "watchlists", at or {}) or line, message)
end

local function group_row(out, row)
  if (row[3] or "") ~= "" then return nil, "a group is in no group" end
  local problem = name(row[2] or "")
  if problem then return nil, problem end
  return add_group(out, row[2])
end

local function item_row(out, row)
  local kind, err = values.kind(row[1])
  if not kind then return nil, err.message end
  local value, group_name = row[2] or "", row[3] ~= "" and row[3] or nil
  local problem = #row > 3 and ("%d fields, expected kind,value,group"):format(#row) or values.check(kind)(value)
    or group_name and name(group_name)
  if problem then return nil, problem end
  out.items[kind] = out.items[kind] or {}
  return add_item(out, kind, { value = value, group = group_name }, "line " .. row.line)
end

local function csv_file(path, text)
  local rows, why, line = csv.parse(text, ",")
  if not rows then return config("%s:%d: %s", path, line, why) end
  local head = rows[1] or { line = 1 }
  if head[1] ~= "kind" or head[2] ~= "value" or head[3] and head[3] ~= "group" or #head > 3 then
    return config("%s:%d: the first line of a CSV file is kind,value,group", path, head.line)
  end
  local out = new()
  for _, wants_groups in ipairs{ true, false } do -- an item may stand before its group
    for i = 2, #rows do
      local row = rows[i]
      local is_group = row[1] == "group"
      out.lists_groups = out.lists_groups or is_group
      if is_group == wants_groups then
        local ok, problem = (is_group and group_row or item_row)(out, row)
        if not ok then return config("%s:%d: %s", path, row.line, problem) end
      end
    end
  end
  return out
end

--- Reads what a file says; its name ends in .lua or .csv. Returns what plan takes, or nil, err (kind "config", file:line).
function desired.read(path, text)
  if path:find "%.lua$" then return lua_file(path, text) end
  if path:find "%.csv$" then return csv_file(path, text) end
  return config("%s: the name of a watchlist file ends in .lua or .csv", path)
end

return desired

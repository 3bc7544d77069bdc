-- rules: rule files in, a set of checked and linked rules out.
--
--   local set, err = rules.load({ { name = "rules/x.lua", text = "return rule{...}" }, ... }, host)
--   host = { uuid5  = function(namespace, name) -> text,
--            null   = the JSON null value,
--            array  = function(t) -> t, marked as a JSON array,
--            scalar = function(userdata) -> text or nil: values of the host to group by and to count (optional) }
--
-- A file is a chunk of text that returns one of, or a list of, normalizer{...}, rule{...}, correlation{...}, logsource{...}; it
-- sees what sandbox.lua lists and nothing else. `*.yml` are Sigma files (../sigma), and logsource{...} names their datasets.
-- A fault anywhere refuses the whole set: nil and an error of kind "config" whose message is one line, `file:line: what`.
-- How a set works: set.lua. How its tests run: defendis.ruletest.
local check = require "defendis.check"
local normalizer = require "defendis.normalize.normalizer"
local correlation = require "defendis.rules.correlation"
local fault = require "defendis.rules.fault"
local locate = require "defendis.rules.locate"
local rule = require "defendis.rules.rule"
local sandbox = require "defendis.rules.sandbox"
local set = require "defendis.rules.set"
local sigma = require "defendis.sigma"

local rules = {}

local KINDS = { normalizer = normalizer, rule = rule, correlation = correlation, logsource = {} }
local definition_mt = { __name = "defendis.definition", __metatable = false }

-- Faults travel by error() inside this file only; rules.load turns them into nil, err.
local function refuse(file, line, message)
  error(check.error("config", ("%s:%d: %s"):format(file, line, message), { file = file, line = line }), 0)
end

local function refuse_definition(def, message, path)
  local line = path and (def.locate and def.locate(path) or not def.locate and locate.line(def.text, def.line, def.kind, path)) or def.line
  refuse(def.file, line, check.describe(message, path))
end

-- The constructors only take note of what they were given; everything is checked when the file has returned.
local function constructors(source, made)
  local out = {}
  for kind in pairs(KINDS) do
    out[kind] = function(options)
      local def = { kind = kind, options = options, file = source.name, text = source.text,
        line = debug.getinfo(2, "l").currentline }
      if def.line < 1 then def.line = locate.returned(source.text, kind) end
      local object = setmetatable({}, definition_mt)
      made.list[#made.list + 1] = def
      made.by_object[object] = def
      return object
    end
  end
  return out
end

local function collect(source, made, returned, into)
  local by_object = made.by_object
  local list = by_object[returned] and { returned } or returned
  if type(list) ~= "table" then
    refuse(source.name, 1, "a rule file returns normalizer{...}, rule{...}, correlation{...} or a list of them, got "
      .. type(returned))
  end
  for key, value in pairs(list) do
    if not by_object[value] then
      refuse(source.name, 1, ("the returned list holds %s at %s, which is no normalizer, rule or correlation"):format(
        type(value), tostring(key)))
    end
    by_object[value].returned = true
  end
  for _, def in ipairs(made.list) do
    if not def.returned then
      refuse(def.file, def.line, ("this %s is made but not returned"):format(def.kind))
    end
    into[#into + 1] = def
  end
end

local function read(source, host, into)
  if sigma.is(source.name) then return sigma.read(source, host, refuse, into) end
  local made = { list = {}, by_object = {} }
  local chunk, message = load(source.text, "@" .. source.name, "t", sandbox.new(constructors(source, made), host))
  if not chunk then
    error(check.error("config", (message:gsub("%s*\n%s*", " "))), 0)
  end
  local ok, returned = pcall(chunk)
  if not ok then error(check.error("config", fault.text(returned, source.name .. ":1")), 0) end
  collect(source, made, returned, into)
end

local function compile(def, host)
  local message, path = KINDS[def.kind].validate(def.options)
  if message then refuse_definition(def, message, path) end
  def.id = def.options.id
  def.compiled = KINDS[def.kind].compile(def.options, host.null)
  if def.sigma then def.compiled.where = ("%s:%d"):format(def.file, def.line) end
  if def.compiled.tags then def.compiled.tags = host.array{ table.unpack(def.compiled.tags) } end
end

-- Ids and names share one space per family: findings and stored events are kept by them.
local function claim(def, names, key)
  local name = def.options[key]
  if not name or (key == "name" and name == def.options.id) then return end
  local other = names[name]
  if other then
    refuse_definition(def, ('"%s" is already used at %s:%d'):format(name, other.file, other.line), { key })
  end
  names[name] = def
end

local function link(def, names)
  local c = def.compiled
  for i, name in ipairs(def.options.rules) do
    local base = names[name]
    local path = { "rules", i }
    if not base then
      local known = {}
      for known_name, other in pairs(names) do
        if other.kind == "rule" then known[known_name] = true end
      end
      refuse_definition(def, check.unknown(name, known, "rule"), path)
    end
    if base.kind ~= "rule" then
      refuse_definition(def, ('"%s" is a correlation; correlations of correlations are not available in this version')
        :format(name), path)
    end
    if c.order[base.id] then refuse_definition(def, ('"%s" is listed twice'):format(name), path) end
    c.order[base.id], c.bases[i] = i, base.compiled
    table.insert(base.compiled.members, c)
  end
end

local function assemble(all, host)
  local defs, filters = sigma.resolve(all, refuse, refuse_definition)
  local parts = { normalizers = {}, rules = {}, items = {}, by_id = {}, definitions = defs, filters = filters }
  local by_dataset, names, normalizer_ids = {}, {}, {}
  for _, def in ipairs(defs) do
    compile(def, host)
    if def.kind == "normalizer" then
      claim(def, normalizer_ids, "id")
      claim(def, by_dataset, "dataset")
      parts.normalizers[def.compiled.dataset] = def.compiled
    else
      claim(def, names, "id")
      claim(def, names, "name")
      table.insert(parts.items, def.compiled)
      parts.by_id[def.id] = def.compiled
      if def.kind == "rule" then table.insert(parts.rules, def.compiled) end
    end
  end
  sigma.apply(filters, names, refuse)
  for _, def in ipairs(defs) do
    if def.kind == "correlation" then link(def, names) end
  end
  -- a rule that a correlation counts is silent itself, unless it says otherwise
  for _, item in ipairs(parts.rules) do item.alerts = #item.members == 0 or item.generate end
  return parts
end

--- Loads rule files; see the top of this file.
function rules.load(sources, host)
  local defs = {}
  local ok, result = pcall(function()
    for _, source in ipairs(sources) do read(source, host, defs) end
    return assemble(defs, host)
  end)
  if ok then return set.new(result, host) end
  if type(result) ~= "table" then error(result, 0) end
  return nil, result
end

return rules

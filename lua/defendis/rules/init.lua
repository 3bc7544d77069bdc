-- rules: rule files in, a set of checked and linked rules out.
--
--   local set, err = rules.load({ { name = "rules/x.lua", text = "return rule{...}" }, ... }, host)
--   host = { uuid5  = function(namespace, name) -> text,
--            null   = the JSON null value,
--            array  = function(t) -> t, marked as a JSON array,
--            next   = as of Lua, for records that are filled in as they are read (optional),
--            native = the core's part of the helpers, see defendis.helpers (optional),
--            read   = function(path, most) -> text, or nil and why; decode = JSON: for lookups (optional),
--            encode = function(value) -> JSON text, map = function(program) -> {run}, function(record) -> document: for declarative maps,
--            with hmac_key, key_later and hidden, see normalize/map.lua (optional)
--            normalize = "ocsf" or "ocsf:5021": datasets without a normalizer get the one that is shipped (optional),
--            protect = function(value) -> {hmac, last4}: what those may tell of a secret (optional),
--            scalar = function(userdata) -> text or nil: values of the host to group by and to count (optional),
--            sensitive = what rule files see under this name (optional),
--            call = as pcall, within what one call of a rule's function may take (optional),
--            example = function(dataset, record) -> the record of a test as the rules get it from the host (optional) }
--
-- A file is a chunk of text that returns one of, or a list of, normalizer{...}, rule{...}, correlation{...}, filter{...}, logsource{...};
-- it sees what sandbox.lua lists and nothing else. `*.yml` are Sigma files (../sigma), and logsource{...} names their datasets.
-- A fault anywhere refuses the whole set: nil and an error of kind "config" whose message is one line, `file:line: what`.
-- How a set works: set.lua. How its tests run: defendis.ruletest.
local check = require "defendis.check"
local normalizer = require "defendis.normalize.normalizer"
local correlation = require "defendis.rules.correlation"
local fault = require "defendis.rules.fault"
local filter = require "defendis.rules.filter"
local filters = require "defendis.rules.filters"
local link = require "defendis.rules.link"
local locate = require "defendis.rules.locate"
local rule = require "defendis.rules.rule"
local sandbox = require "defendis.rules.sandbox"
local set = require "defendis.rules.set"
local sigma = require "defendis.sigma"

local rules = {}

local KINDS = { normalizer = normalizer, rule = rule, correlation = correlation, filter = filter, logsource = {} }
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
  local env, close = sandbox.new(constructors(source, made), host, source.name)
  local chunk, message = load(source.text, "@" .. source.name, "t", env)
  if not chunk then
    error(check.error("config", (message:gsub("%s*\n%s*", " "))), 0)
  end
  local ok, returned = pcall(chunk)
  close()
  if not ok then error(check.error("config", fault.text(returned, source.name .. ":1")), 0) end
  collect(source, made, returned, into)
end

local function compile(def, host)
  local message, path = KINDS[def.kind].validate(def.options)
  if message then refuse_definition(def, message, path) end
  def.id = def.options.id
  def.compiled, message, path = KINDS[def.kind].compile(def.options, host.null, host)
  if message then refuse_definition(def, message, path) end
  if def.compiled.program or def.sigma or def.compiled.declared then def.compiled.where = ("%s:%d"):format(def.file, def.line) end
  if def.compiled.tags then def.compiled.tags = host.array{ table.unpack(def.compiled.tags) } end
end

-- Ids and names share one space per family: findings and stored events are kept by them. into: of those that nothing may refer to.
local function claim(def, names, key, into)
  local name = def.options[key]
  if not name or (key == "name" and name == def.options.id) then return end
  local other = names[name] or into and into[name]
  if other then
    refuse_definition(def, ('"%s" is already used at %s:%d'):format(name, other.file, other.line), { key })
  end
  (into or names)[name] = def
end

local function assemble(all, host)
  local defs, in_front = sigma.resolve(all, refuse, refuse_definition)
  local parts = { normalizers = {}, rules = {}, items = {}, by_id = {}, definitions = defs, filters = in_front }
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
      parts.by_id[def.id] = def.compiled
      if def.kind == "rule" then
        table.insert(parts.rules, def.compiled)
        table.insert(parts.items, def.compiled)
      end
    end
  end
  local filter_ids = {}
  for _, def in ipairs(in_front) do
    if not def.sigma then
      compile(def, host)
      claim(def, names, "id", filter_ids)
    end
  end
  filters.apply(in_front, names, refuse_definition)
  for _, def in ipairs(link.all(defs, names, refuse_definition)) do table.insert(parts.items, def.compiled) end
  -- what a correlation counts is silent itself, unless one of the two says otherwise
  for _, item in ipairs(parts.items) do
    item.alerts = #item.members == 0 or item.kind == "rule" and item.generate
    for _, m in ipairs(item.members) do item.alerts = item.alerts or m.c.generate end
  end
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

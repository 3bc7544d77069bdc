-- import.lua: `defendis import sigma FILE...`: checks Sigma files, says what was understood, and copies them to where rules are.
local catalog = require "defendis.catalog"
local check = require "defendis.check"
local file = require "defendis.pipeline.file"
local lintsigma = require "defendis.lintsigma"
local rules = require "defendis.rules"
local sensitive = require "defendis.sensitive"
local sigma = require "defendis.sigma"
local stream = require("defendis.core").stream
local ui = require "defendis.cli.ui"

local command = {}

function command.options(c)
  c:command_target "action"
  local s = c:command("sigma", "Sigma rules, correlations and filters (YAML). They run as they are, beside rules in Lua.")
  s:argument("path", "Sigma files, and rule files (*.lua) that they need, such as logsource{...}; or folders of them."):args "+"
  s:option("-o --output", "Copy the Sigma files into this folder, when nothing in them is refused."):argname "DIR"
  s:flag("--json", "JSON instead of text.")
end

-- Datasets of a definition, in the order of its rules.
local function datasets_of(def, by_name)
  if def.options.dataset then return { def.options.dataset } end
  local out, seen = {}, {}
  for _, name in ipairs(def.kind == "correlation" and def.options.rules or {}) do
    for _, dataset in ipairs(by_name[name] and by_name[name] ~= def and datasets_of(by_name[name], by_name) or {}) do
      if not seen[dataset] then out[#out + 1] = dataset end
      seen[dataset] = true
    end
  end
  return out
end

local function check_dataset(def, errors)
  local ok, err = catalog.dataset(def.options.dataset)
  if not ok then errors[#errors + 1] = check.error("config", ("%s:%d: %s"):format(def.file, def.logsource.line, err.message)) end
end

-- What is in the sources: definitions of Sigma files, all that they stand beside by name, errors.
local function inspect(sources)
  local host = file.host()
  local found, errors, by_name = {}, {}, {}
  for _, source in ipairs(sources) do
    if sigma.is(source.name) then
      local defs, problems = sigma.inspect(source, host)
      table.move(defs, 1, #defs, #found + 1, found)
      table.move(problems, 1, #problems, #errors + 1, errors)
    end
  end
  if #errors > 0 then return found, by_name, errors end
  local set, err = rules.load(sources, host)
  if not set then return found, by_name, { err } end
  found = {}
  for _, def in ipairs(set.filters) do found[#found + 1] = def.sigma and def or nil end
  for _, def in ipairs(set.definitions) do
    by_name[def.id], by_name[def.options.name or def.id] = def, def
    if def.sigma then table.insert(found, def) end
    if def.sigma and def.kind == "rule" then check_dataset(def, errors) end
  end
  return found, by_name, errors
end

local function kind_of(def)
  return def.kind == "correlation" and def.options.type or def.kind
end

local function hidden_of(dataset) return catalog.find(dataset) and sensitive.names(dataset, {}) end

local function show(found, by_name, errors, as_json)
  local rows, notes, messages = {}, {}, {}
  for i, def in ipairs(found) do
    local o = def.options
    local level, datasets = def.kind ~= "filter" and o.level or nil, table.concat(datasets_of(def, by_name), " ")
    rows[i] = as_json and { id = o.id, title = o.title, dataset = datasets, level = level, type = kind_of(def), file = def.file,
      line = def.line } or { o.id, o.title, datasets, level or "", kind_of(def) }
    table.move(def.notes or {}, 1, #(def.notes or {}), #notes + 1, notes)
    for _, b in ipairs(lintsigma.blind(def, o.dataset and hidden_of(o.dataset))) do
      notes[#notes + 1] = ("%s:%d: warning: %s"):format(def.file, b.line, b.message)
    end
  end
  for i, err in ipairs(errors) do messages[i] = err.message end
  if as_json then
    ui.document{ rules = rows, notes = notes, errors = messages }
  else
    if #rows > 0 then ui.table({ "id", "title", "dataset", "level", "type" }, rows) end
    for _, note in ipairs(notes) do print(ui.plain(note)) end
  end
  for _, message in ipairs(messages) do io.stderr:write("defendis: ", ui.plain(message), "\n") end
end

local function read(path)
  local f = io.open(path, "rb")
  if not f then return nil end
  local text = f:read("a")
  f:close()
  return text
end

local function copy(sources, folder)
  local ok, err = stream.mkdir(folder)
  if not ok then return nil, err end
  local names = {}
  for _, source in ipairs(sources) do
    local name = source.name:match("[^/]*$")
    local path = folder .. "/" .. name
    local there = sigma.is(name) and (names[name] or read(path))
    if there and there ~= source.text then return nil, check.error("config", path .. " is there already, with other content") end
    names[name] = sigma.is(name) and source.text or nil
  end
  for name, text in pairs(names) do
    local f, problem = io.open(folder .. "/" .. name, "wb")
    if not f then return nil, check.error("config", "cannot write " .. problem) end
    local written, fault = f:write(text)
    if f:close() == nil or not written then return nil, check.error("config", ("cannot write %s/%s: %s"):format(folder, name,
      tostring(fault))) end
  end
  return true
end

function command.run(args)
  local sources, err = file.sources(args.path, "")
  if not sources then return nil, err end
  local found, by_name, errors = inspect(sources)
  show(found, by_name, errors, args.json)
  if #errors > 0 then return 2 end
  if args.output then
    local ok, problem = copy(sources, args.output)
    if not ok then return nil, problem end
  end
  return 0
end

return command

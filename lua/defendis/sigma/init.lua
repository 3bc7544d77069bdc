-- sigma: files of Sigma rules, correlations and filters, as definitions of rule files.
--
--   sigma.is(name) -> whether a file of that name is one
--   sigma.read(source, host, refuse, into): appends the definitions of source { name, text }; see document.lua
--   sigma.inspect(source, host) -> definitions, errors of the documents that are refused
--   sigma.resolve(definitions, refuse, refuse_definition) -> those of them that rules.load goes on with, and the filters
--     gives each Sigma rule its dataset: product: defendis, service: DATASET; or what logsource{...} in a rule file says
--     and compiles its filters, see rules/filters.lua; those of rule files are among them
--   refuse(file, line, message) raises
local check = require "defendis.check"
local document = require "defendis.sigma.document"
local yaml = require "defendis.sigma.yaml"

local sigma = {}

local PRODUCT = "defendis"
local KEYS = { "product", "category", "service" }

function sigma.is(name) return name:find("%.ya?ml$") ~= nil end

function sigma.read(source, host, refuse, into)
  local function fail(line, message) refuse(source.name, line, message) end
  local documents, marks = yaml.documents(source.text, host.null, fail)
  if #documents == 0 then fail(1, "there is no document in it") end
  local context = { host = host, null = host.null, marks = marks, file = source.name, fail = fail }
  for _, d in ipairs(documents) do into[#into + 1] = document.read(d.value, d.line, context) end
end

--- As read, but goes on behind a document that is refused. Returns definitions and errors.
function sigma.inspect(source, host)
  local function fail(line, message)
    error(check.error("config", ("%s:%d: %s"):format(source.name, line, message), { file = source.name, line = line }), 0)
  end
  local out, errors = {}, {}
  local function try(f, ...)
    local ok, result, marks = pcall(f, ...)
    if ok then return result, marks end
    if type(result) ~= "table" then error(result, 0) end
    errors[#errors + 1] = result
  end
  local documents, marks = try(yaml.documents, source.text, host.null, fail)
  local context = { host = host, null = host.null, marks = marks, file = source.name, fail = fail }
  for _, d in ipairs(documents or {}) do out[#out + 1] = try(document.read, d.value, d.line, context) end
  if documents and #documents == 0 then try(fail, 1, "there is no document in it") end
  return out, errors
end

-- What is wrong with the options of a logsource{...}.
local function check_logsource(options)
  local message, path = check.options(options, { product = check.text, category = check.text, service = check.text,
    dataset = check.required(check.text) })
  if not message and not (options.product or options.category or options.service) then
    return "one of product, category, service is needed"
  end
  return message, path
end

local function describe(source)
  local out = {}
  for _, key in ipairs(KEYS) do
    if source[key] then out[#out + 1] = ("%s: %s"):format(key, source[key]) end
  end
  return table.concat(out, ", ")
end

-- The dataset of a source: of the first logsource{...} all of whose keys the source has.
local function dataset_of(source, known)
  for _, def in ipairs(known) do
    local o, fits = def.options, true
    for _, key in ipairs(KEYS) do fits = fits and (not o[key] or o[key] == source[key]) end
    if fits then return o.dataset end
  end
  if source.product == PRODUCT and not source.category then return source.service end
end

local function compile_filter(def)
  local test = def.test
  def.id = def.options.id
  def.compiled = { kind = "filter", id = def.id, dataset = def.options.dataset, names = def.names,
    takes = function(record) return not test(record) end, where = ("%s:%d"):format(def.file, def.line) }
end

function sigma.resolve(definitions, refuse, refuse_definition)
  local rest, filters, known = {}, {}, {}
  for _, def in ipairs(definitions) do
    local list = def.kind == "logsource" and known or def.kind == "filter" and filters or rest
    list[#list + 1] = def
    if list == known then
      local message, path = check_logsource(def.options)
      if message then refuse_definition(def, message, path) end
    end
  end
  for _, def in ipairs(definitions) do
    if def.sigma and def.logsource then
      local dataset = dataset_of(def.logsource, known)
      if not dataset then
        refuse(def.file, def.logsource.line, ('field "logsource": no dataset is known for "%s"; write product: %s and service: DATASET, '
          .. "or say it in a rule file: return logsource{ ..., dataset = ... }"):format(describe(def.logsource), PRODUCT))
      end
      def.options.dataset = dataset
      if def.kind == "filter" then compile_filter(def) end
    end
  end
  return rest, filters
end

return sigma
